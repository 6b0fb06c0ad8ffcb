# SPDX-License-Identifier: GPL-2.0-or-later
"""What is watched by its path, where files have no handles or no tree can be marked."""

import os
import shutil

import pytest

from overlays import Overlay
from disks import write
from watching import (ATTRIB, CLOSE_WRITE, CREATE, DELETE, DELETE_SELF, EXCEEDED, MODIFY, MOUNT, MOVE, NAMES, UNMOUNT,
                      UNSUPPORTED, Watch, check_invariant, refusal, statistics)
from waiting import wait_for

USER, OTHER = 65534, 1
TREE = {"recursive": ("b", True)}
EVENTS = [*NAMES, "attrib", "modify", "close-write", "delete-self", "unmount", "mount"]


@pytest.fixture
def overlay(loopfs):
    disk = loopfs("ext4", 64)
    os.chmod(disk.where, 0o755)
    made = Overlay(disk)
    os.makedirs(os.path.join(made.lower, "dir/below"))
    write(os.path.join(made.lower, "dir/old"))
    yield made
    if os.path.ismount(made.where):
        made.umount()


def test_an_overlay_as_a_container_uses_it(watching, client, overlay):
    """Names, writes and renames, also of what is copied up by them."""
    watching()
    overlay.mount()
    watch = Watch(client, overlay.path("dir"), EVENTS)
    assert watch.get("Source") == "inotify" and watch.get("Path") == os.fsencode(overlay.path("dir"))
    write(overlay.path("dir/new"))
    watch.wait("new", CREATE)
    watch.wait("new", CLOSE_WRITE)
    # The directory and the file are those of the lower layer until now.
    write(overlay.path("dir/old"), "more")
    watch.wait("old", MODIFY)
    os.rename(overlay.path("dir/old"), overlay.path("dir/other"))
    watch.wait("other", MOVE, former="old")
    os.rename(overlay.path("dir/other"), overlay.path("gone"))
    watch.wait("other", DELETE)
    os.rename(overlay.path("gone"), overlay.path("dir/back"))
    watch.wait("back", CREATE)
    os.chmod(overlay.path("dir/new"), 0o600)
    watch.wait("new", ATTRIB)
    os.unlink(overlay.path("dir/new"))
    watch.wait("new", DELETE)
    watch.check_numbers()
    assert watch.losses() == []
    assert {change.pid for change in watch.changes()} == {0}
    shutil.rmtree(overlay.path("dir"))
    watch.wait_count(DELETE_SELF, 1)
    check_invariant(client)


def test_only_what_its_receiver_may_list(watching, as_user, overlay):
    watching()
    overlay.mount()
    user, other = as_user(USER), as_user(OTHER)
    os.chown(overlay.path("dir"), USER, USER)
    watch, foreign = (Watch(one, overlay.path("dir"), EVENTS) for one in (user, other))
    write(overlay.path("dir/first"))
    for one in (watch, foreign):
        one.wait("first", CREATE)
    os.chmod(overlay.path("dir"), 0o700)
    wait_for(lambda: any(change.name == b"" and change.mask & ATTRIB for change in watch.changes()), what="the mode")
    write(overlay.path("dir/secret"))
    watch.wait("secret", CREATE)
    os.chmod(overlay.path("dir"), 0o755)
    write(overlay.path("dir/last"))
    foreign.wait("last", CREATE)
    assert b"secret" not in foreign.names(CREATE)
    name, _ = refusal(lambda: Watch(user, overlay.path("nothing"), NAMES))
    assert name.endswith("FileNotFound")


def test_what_is_not_at_its_path_any_more(watching, as_user, overlay):
    """The names in there go on, but whether they may be told cannot be found out: they are lost."""
    watching()
    overlay.mount()
    os.makedirs(overlay.path("new/inner"))
    user = as_user(USER)
    watch = Watch(user, overlay.path("new/inner"), NAMES)
    os.rename(overlay.path("new"), overlay.path("elsewhere"))
    os.makedirs(overlay.path("new/inner"))
    os.chmod(overlay.path("elsewhere/inner"), 0o700)
    write(overlay.path("elsewhere/inner/secret"))
    wait_for(watch.losses, what="a loss")
    assert watch.names(CREATE) == set()


def test_an_overlay_that_is_mounted_again(watching, client, overlay):
    running = watching()
    overlay.mount()
    # Neither of what is watched keeps it from being unmounted.
    watches = [Watch(client, overlay.path(name), EVENTS) for name in ("dir", "dir/old", "")]
    for watch in watches:
        assert watch.get("Source") == "inotify"
    overlay.umount()
    for watch in watches:
        watch.wait_count(UNMOUNT, 1)
        assert watch.get("Source").startswith("none")
    overlay.mount()
    for watch in watches:
        watch.wait_count(MOUNT, 1)
        assert watch.losses() and watch.get("Source") == "inotify"
    write(overlay.path("dir/back"))
    watches[0].wait("back", CREATE)
    write(overlay.path("dir/old"), "more")
    watches[1].wait("", MODIFY)
    check_invariant(client)
    running.stop()


def test_those_of_one_directory_are_told_apart(watching, client, as_user, overlay):
    """One of them goes, and what it alone watched with it."""
    watching()
    overlay.mount()
    first, second = Watch(client, overlay.path("dir"), NAMES), Watch(as_user(USER), overlay.path("dir"), NAMES)
    alone = Watch(client, overlay.path("dir/below"), NAMES)
    for number in range(20):
        write(overlay.path(f"dir/file{number}"))
        second.wait(f"file{number}", CREATE)
        first.call("Remove")
        first = Watch(client, overlay.path("dir"), NAMES)
    write(overlay.path("dir/last"))
    first.wait("last", CREATE)
    assert second.names(CREATE) == {b"last", *(b"file%d" % number for number in range(20))}
    alone.call("Remove")

    def told():
        before = statistics(client)["watch-events"]
        write(overlay.path("dir/below/file"))
        os.unlink(overlay.path("dir/below/file"))
        write(overlay.path("dir/marker"))
        first.wait("marker", CREATE)
        os.unlink(overlay.path("dir/marker"))
        first.wait("marker", DELETE)
        return statistics(client)["watch-events"] - before
    wait_for(lambda: told() <= 2, what="the end of the watch", interval=0.05)


def test_trees_without_a_mark_of_the_whole(watching, client, overlay, fuse):
    """Directory by directory; and what the options of an overlay say leads to more."""
    watching()
    overlay.mount()
    server = fuse()
    for where, kind in ((overlay.where, "overlay"), (server.where, "fuse")):
        assert Watch(client, where, NAMES, **TREE).get("Source") == "inotify"
        across = {**TREE, "cross-mounts": ("b", True)}
        name, text = refusal(lambda w=where: Watch(client, w, NAMES, **across))
        assert name == UNSUPPORTED and kind in text and "across" in text, (where, name, text)
        assert ("upperdir" in text) == (kind == "overlay")
    # What it said helps.
    upper = Watch(client, overlay.upper, NAMES, **TREE)
    write(overlay.path("dir/below/new"))
    upper.wait("dir/below/new", CREATE)
    assert Watch(client, server.where, NAMES).get("Source") == "fanotify-inode"


def test_a_server_that_hangs(watching, client, as_user, overlay, fuse, lateness):
    """It holds up nobody but who asks for it, and that one is told."""
    running = watching()
    overlay.mount()
    server = fuse()
    others = [Watch(one, overlay.path("dir"), NAMES) for one in (client, as_user(USER))]
    own = Watch(client, server.where, NAMES)
    server.stop()
    try:
        with lateness(running) as late:
            name, text = refusal(lambda: Watch(as_user(OTHER), server.where, NAMES))
            assert name == "org.fsevents1.Error.Stalled", text
            own.call("SetEvents", "as", [*NAMES, "attrib"])
            own.call("Remove")
            write(overlay.path("dir/meanwhile"))
            for watch in others:
                watch.wait("meanwhile", CREATE)
        late.check()
    finally:
        server.cont()
    wait_for(lambda: statistics(client)["watches"] == 2, what="two watches")


def test_an_overlay_with_handles_has_trees(watching, client, loopfs):
    watching()
    disk = loopfs("ext4", 64)
    overlay = Overlay(disk, ",index=on,nfs_export=on")
    os.makedirs(os.path.join(overlay.lower, "dir"))
    overlay.mount()
    watch = Watch(client, overlay.where, NAMES, **TREE)
    assert watch.get("Source") == "fanotify-filesystem"
    os.makedirs(overlay.path("dir/deep"))
    write(overlay.path("dir/deep/file"))
    watch.wait("dir/deep/file", CREATE)
    overlay.umount()
    watch.wait_count(UNMOUNT, 0)


def test_no_more_than_allowed(watching, as_user, overlay):
    watching("[limits]\nwatches = 2\n")
    overlay.mount()
    user = as_user(USER)
    kept = [Watch(user, overlay.path("dir"), NAMES) for _ in range(2)]
    assert refusal(lambda: Watch(user, overlay.path("dir"), NAMES))[0] == EXCEEDED
    assert len(kept) == 2
