# SPDX-License-Identifier: GPL-2.0-or-later
"""A watch from its call to its end: changes, users, limits, unmount and what comes after."""

import itertools
import os
import signal
import struct
import subprocess
import time

import pytest

from disks import MS_BIND, mount_raw, umount_raw, write
from rawbus import METHOD_RETURN, RawClient
from service import NO_FILESYSTEMS
from waiting import PATIENCE, check_took, wait_for
from watching import (ACCESS, ATTRIB, CLOSE_WRITE, CREATE, DELETE, DELETE_SELF, DENIED, DIRECTORY,
                      EXCEEDED, MODIFY, MOUNT, MOVE, NAMES, NOT_FOUND, OPEN, UNMOUNT, UNSUPPORTED,
                      Watch, check_invariant, check_numbers, refusal, statistics)

USER, OTHER = 65534, 1
TREE = {"recursive": ("b", True)}


def test_tree_is_told_with_all_below_it(watching, client, disk):
    watching()
    os.mkdir(disk.path("old"))
    watch = Watch(client, disk.where, NAMES + ["close-write", "attrib"], **TREE)
    assert watch.get("Source") == "fanotify-filesystem"
    assert watch.get("Recursive") is True and watch.get("Path") == os.fsencode(disk.where)
    assert set(watch.get("Events")) == {*NAMES, "close-write", "attrib"}

    os.makedirs(disk.path("a/b/c"))
    write(disk.path("a/b/c/file"))
    made = watch.wait("a/b/c/file", CREATE)
    assert made.inode == os.stat(disk.path("a/b/c/file")).st_ino and made.pid == os.getpid()
    assert watch.wait("a/b", CREATE).mask & DIRECTORY
    watch.wait("a/b/c/file", CLOSE_WRITE)

    os.rename(disk.path("a/b/c/file"), disk.path("old/moved"))
    watch.wait("old/moved", MOVE, former="a/b/c/file")
    os.rename(disk.path("a/b"), disk.path("old/b"))
    watch.wait("old/b", MOVE, former="a/b")
    write(disk.path("old/b/c/again"))
    watch.wait("old/b/c/again", CREATE)
    os.chmod(disk.path("old/moved"), 0o600)
    watch.wait("old/moved", ATTRIB)
    os.unlink(disk.path("old/moved"))
    watch.wait("old/moved", DELETE)
    assert watch.losses() == []
    watch.check_numbers()
    found = check_invariant(client)
    assert found["watches"] == 1 and found["watch-groups"] == 1
    wait_for(lambda: watch.get("Delivered") == len(watch.changes()))


@pytest.mark.parametrize("kind", ["xfs", "btrfs", "tmpfs"])
@pytest.mark.buses("dbus-daemon")
def test_tree_on_other_filesystems(watching, client, loopfs, kind):
    watching()
    disk = loopfs(kind, 300)
    watch = Watch(client, disk.where, NAMES, **TREE)
    os.makedirs(disk.path("a/b"))
    write(disk.path("a/b/file"))
    watch.wait("a/b/file", CREATE)
    os.rename(disk.path("a"), disk.path("z"))
    watch.wait("z", MOVE, former="a")
    os.unlink(disk.path("z/b/file"))
    watch.wait("z/b/file", DELETE)
    watch.check_numbers()


def test_directory_alone_is_told_without_what_is_below(watching, client, disk):
    watching()
    os.makedirs(disk.path("dir/below"))
    watch = Watch(client, disk.path("dir"), [*NAMES, "modify", "open", "delete-self"])
    assert watch.get("Source") == "fanotify-inode"
    write(disk.path("dir/below/hidden"))
    write(disk.path("dir/file"), "text")
    watch.wait("file", CREATE)
    watch.wait("file", MODIFY)
    watch.wait("file", OPEN)
    os.rename(disk.path("dir/file"), disk.path("dir/new"))
    watch.wait("new", MOVE, former="file")
    os.rename(disk.path("dir/new"), disk.path("out"))
    watch.wait("new", DELETE)
    os.rename(disk.path("out"), disk.path("dir/back"))
    watch.wait("back", CREATE)
    assert not any(b"hidden" in change.name for change in watch.changes())
    subprocess.run(["rm", "-r", disk.path("dir")], check=True)
    watch.wait("", DELETE_SELF)


def test_file_alone(watching, client, disk):
    watching()
    write(disk.path("file"))
    write(disk.path("beside"))
    watch = Watch(client, disk.path("file"), ["modify", "attrib", "close-write", "delete-self"])
    write(disk.path("beside"), "more")
    write(disk.path("file"), "more")
    watch.wait("", MODIFY)
    watch.wait("", CLOSE_WRITE)
    os.unlink(disk.path("file"))
    watch.wait("", DELETE_SELF)
    assert {change.name for change in watch.changes()} == {b""}
    name, _ = refusal(lambda: Watch(client, disk.path("beside"), NAMES, **TREE))
    assert name == "org.freedesktop.DBus.Error.InvalidArgs"


def test_events_can_be_changed(watching, client, disk):
    watching()
    trees = [Watch(client, disk.where, ["create"], **TREE), Watch(client, disk.where, ["create"])]
    write(disk.path("one"))
    for watch in trees:
        watch.wait("one", CREATE)
        watch.call("SetEvents", "as", ["delete", "close-write"])
        assert set(watch.get("Events")) == {"delete", "close-write"}

    # The mark is widened by a worker: until it is, closing is not told.
    def closed():
        write(disk.path("one"), "more")
        return all(watch.names(CLOSE_WRITE) for watch in trees)
    wait_for(closed, what="close-write", interval=0.1)
    write(disk.path("two"))
    os.unlink(disk.path("two"))
    for watch in trees:
        watch.wait("two", DELETE)
        assert b"two" not in watch.names(CREATE)


def test_each_user_hears_of_what_it_may_list(watching, as_user, disk):
    watching()
    os.chmod(disk.where, 0o755)
    for uid in (USER, OTHER):
        os.mkdir(disk.path(f"home-{uid}"), 0o700)
        os.chown(disk.path(f"home-{uid}"), uid, uid)
    os.mkdir(disk.path("crossed"), 0o711)
    os.mkdir(disk.path("crossed/open"), 0o777)
    os.mkdir(disk.path("public"), 0o755)
    watches = {uid: Watch(as_user(uid), disk.where, NAMES, **TREE) for uid in (USER, OTHER)}

    write(disk.path(f"home-{USER}/secret"))
    write(disk.path(f"home-{OTHER}/diary"))
    write(disk.path("crossed/unlisted"))
    write(disk.path("crossed/open/unlisted-too"))
    write(disk.path("public/known"))
    os.rename(disk.path(f"home-{USER}/secret"), disk.path("public/shown"))
    write(disk.path("public/last"))
    for watch in watches.values():
        watch.wait("public/last", CREATE)
    watches[USER].wait(f"home-{USER}/secret", CREATE)
    watches[USER].wait("public/shown", MOVE, former=f"home-{USER}/secret")
    watches[OTHER].wait(f"home-{OTHER}/diary", CREATE)
    # For whom it comes from nowhere it is new.
    watches[OTHER].wait("public/shown", CREATE)
    for uid, others in ((USER, b"diary"), (OTHER, b"secret")):
        for change in watches[uid].changes():
            assert others not in change.name + change.former
            assert b"unlisted" not in change.name + change.former
            assert change.pid == 0
        watches[uid].check_numbers()
        assert watches[uid].losses() == []


def test_what_may_not_be_known_is_not_there(watching, as_user, disk):
    watching()
    os.chmod(disk.where, 0o755)
    os.makedirs(disk.path("closed/inner"))
    os.chmod(disk.path("closed"), 0o700)
    os.mkdir(disk.path("unlisted"), 0o711)
    user = as_user(USER)
    for options in ({}, TREE):
        known = refusal(lambda: Watch(user, disk.path("closed/inner"), NAMES, **options))
        missing = refusal(lambda: Watch(user, disk.path("closed/missing"), NAMES, **options))
        absent = refusal(lambda: Watch(user, disk.path("absent"), NAMES, **options))
        assert known == missing == absent and known[0] == NOT_FOUND
        assert refusal(lambda: Watch(user, disk.path("unlisted"), NAMES, **options))[0] in (
            DENIED, NOT_FOUND)
    name, _ = refusal(lambda: Watch(user, disk.where, ["access"], **TREE))
    assert name == DENIED


def test_owner_leaves(watching, client, bus, disk):
    watching()
    owner = client.another()
    for options in ({}, TREE):
        Watch(owner, disk.where, NAMES, **options)
    assert statistics(client)["watches"] == 2 and statistics(client)["watch-groups"] == 2
    owner.close()
    wait_for(lambda: statistics(client)["watches"] == 0, what="the end of the watches")
    wait_for(lambda: statistics(client)["watch-groups"] == 0, what="the end of the groups")
    check_invariant(client)


def test_removed_watch_is_silent(watching, client, disk):
    watching()
    removed = Watch(client, disk.where, NAMES, **TREE)
    other = Watch(client, disk.where, NAMES, **TREE)
    removed.call("Remove")
    assert refusal(lambda: removed.get("Lost"))[0] == "org.freedesktop.DBus.Error.UnknownObject"
    write(disk.path("file"))
    other.wait("file", CREATE)
    assert removed.told() == []


def test_held_until_it_is_started(watching, client, disk):
    watching()
    held = Watch(client, disk.where, NAMES, hold=("b", True), **TREE)
    other = Watch(client, disk.where, NAMES, **TREE)
    write(disk.path("before"))
    other.wait("before", CREATE)
    assert held.told() == []
    held.call("Start")
    held.wait("before", CREATE)
    write(disk.path("after"))
    held.wait("after", CREATE)
    held.check_numbers()


def test_nothing_is_missing_from_the_answer_on(watching, client, disk):
    """What is done right after the answer is told, however often that is tried."""
    watching()
    for i in range(40):
        watch = Watch(client, disk.where, ["create"], **(TREE if i % 2 else {}))
        write(disk.path(f"right-after-{i}"))
        watch.wait(f"right-after-{i}", CREATE)
        assert b"right-after-%d" % (i - 1) not in watch.names(CREATE)
        watch.call("Remove")


@pytest.mark.parametrize("latency_ms", [5, 100])
def test_latency_is_the_one_asked_for(watching, client, disk, latency_ms):
    watching()
    watch = Watch(client, disk.where, ["create"], **{"latency-usec": ("t", latency_ms * 1000)},
                  **TREE)
    took = []
    for i in range(15):
        began = time.monotonic()
        write(disk.path(f"file{i}"))
        took.append(watch.wait(f"file{i}", CREATE).time - began)
    took.sort()
    print(f"asked for {latency_ms} ms, p50 {took[7] * 1000:.1f} ms, max {took[-1] * 1000:.1f} ms")
    check_took(f"a record with a latency of {latency_ms} ms", took[7], latency_ms / 1000 + 0.01)
    assert took[0] >= latency_ms / 1000 * 0.5


def test_batched_within_the_latency(watching, client, disk):
    watching()
    watch = Watch(client, disk.where, ["create"], **{"latency-usec": ("t", 300000)}, **TREE)
    for i in range(100):
        write(disk.path(f"file{i}"))
    wait_for(lambda: len(watch.names(CREATE)) == 100, what="100 files")
    signals = [s for s in client.signals if s.path == watch.path]
    print(f"{len(signals)} signals for 100 files")
    assert len(signals) < 50


def test_stream(watching, client, disk):
    watching()
    watch = Watch(client, disk.where, NAMES, hold=("b", True), **TREE)
    write(disk.path("before"))
    stream = watch.stream()
    stream.wait("before", CREATE)
    for i in range(2000):
        write(disk.path(f"file{i}"))
    write(disk.path("last"))
    stream.wait("last", CREATE)
    assert check_numbers(stream.told) == 2002
    assert watch.told() == []
    assert refusal(watch.stream)[0] == "org.fsevents1.Error.StreamOpen"
    watch.call("Remove")
    wait_for(lambda: not stream.read(0.05), what="the end of the stream")
    stream.close()
    check_invariant(client)


def test_reader_that_never_reads_harms_nobody(watching, client, disk):
    """Its queue collapses and counts; another watch misses nothing."""
    watching("[limits]\nqueue-bytes = 64K\n")
    stuck = Watch(client, disk.where, NAMES, **TREE)
    stream = stuck.stream()
    reader = client.another()
    other = Watch(reader, disk.where, ["delete"], **TREE)
    os.mkdir(disk.path("dir"))
    for i in range(6000):
        write(disk.path(f"dir/a-rather-long-name-so-that-it-fills-{i}"))
    os.unlink(disk.path("dir/a-rather-long-name-so-that-it-fills-0"))
    other.wait("dir/a-rather-long-name-so-that-it-fills-0", DELETE)
    check_invariant(client)
    wait_for(lambda: stuck.get("Lost") > 0, what="a loss")

    write(disk.path("dir/end"))
    other_end = disk.path("dir/end")
    os.unlink(other_end)
    other.wait("dir/end", DELETE)
    wait_for(lambda: stream.read(0.05) and statistics(client)["watch-queued"] == 0,
             what="an empty queue")
    stream.read(0.5)
    lost = [one for one in stream.told if hasattr(one, "count")]
    print(f"{len(stream.told) - len(lost)} records, losses {lost[:5]}")
    assert lost and {one.under for one in lost} <= {b"", b"dir"}
    assert all(one.count > 0 for one in lost)
    assert check_numbers(stream.told) >= 6001
    found = check_invariant(client)
    assert found["watch-gaps"] == 0
    stream.close()


def marshalled_string(text):
    return struct.pack("=I", len(text)) + text.encode() + b"\0"


def test_who_never_reads_the_bus_harms_nobody(watching, client, as_user, bus, disk):
    watching()
    raw = RawClient(bus.address)
    body = marshalled_string(disk.where)
    events = marshalled_string("create")
    body += bytes(-len(body) % 4) + struct.pack("=I", len(events)) + events
    # No options: an empty array of pairs, which begin at multiples of 8.
    body += bytes(-len(body) % 4) + struct.pack("=I", 0)
    body += bytes(-len(body) % 8)
    kind, _ = raw.wait_reply(raw.send("WatchPath", interface="org.fsevents1.Manager",
                                      signature="sasa{sv}", body=body))
    assert kind == METHOD_RETURN
    # Of another user: those of one share its queue-bytes.
    watch = Watch(as_user(USER), disk.where, ["create"], **TREE)
    n = 3000
    for i in range(n):
        write(disk.path(f"a-name-that-is-long-enough-to-fill-what-one-peer-may-have-unread-{i}"))
    wait_for(lambda: len(watch.names(CREATE)) == n, what="all of them for who reads")
    assert watch.losses() == []
    found = check_invariant(client)
    assert found["watch-queued"] + found["watch-lost"] > 0
    print(f"of {n} the one that does not read has {found['watch-queued']} to come, "
          f"{found['watch-lost']} lost")
    raw.close()
    wait_for(lambda: statistics(client)["watches"] == 1, what="the end of its watch")
    check_invariant(client)


def test_overflow_is_a_loss_of_unknown_extent(watching, client, disk):
    """While the daemon does not read, the queue of the kernel fills; all goes on after that."""
    with open("/proc/sys/fs/fanotify/max_queued_events", encoding="ascii") as file:
        n = int(file.read()) + 2000
    if n > 40000:
        pytest.skip("the queue is too long to be filled")
    running = watching()
    tree, spot = Watch(client, disk.where, ["create"], **TREE), Watch(client, disk.where, ["delete"])
    os.mkdir(disk.path("dir"))
    tree.wait("dir", CREATE)
    os.kill(running.pid, signal.SIGSTOP)
    try:
        for i in range(n):
            os.mkfifo(disk.path("fifo"))
            os.rename(disk.path("fifo"), disk.path(f"dir/{i % 16}"))
    finally:
        os.kill(running.pid, signal.SIGCONT)
    wait_for(lambda: (0, b"") in {(one.count, one.under) for one in tree.losses()}, what="the loss")
    write(disk.path("after"))
    tree.wait("after", CREATE)
    os.unlink(disk.path("after"))
    spot.wait("after", DELETE)
    found = check_invariant(client)
    assert found["watch-overflows"] >= 1 and found["watch-gaps"] >= 1
    tree.check_numbers()


def test_umount_is_at_once_and_told(watching, client, disk):
    watching()
    trees = [Watch(client, disk.where, [*NAMES, "unmount", "mount"], **TREE),
             Watch(client, disk.where, ["create", "unmount", "mount"])]
    os.mkdir(disk.path("dir"))
    trees.append(Watch(client, disk.path("dir"), ["create", "unmount", "mount"], **TREE))
    for n in range(1, 4):
        began = time.monotonic()
        disk.umount()
        check_took("umount of a watched filesystem", time.monotonic() - began, 0.5)
        for watch in trees:
            watch.wait_count(UNMOUNT, n)
            assert watch.get("Source").startswith("none")
        disk.mount()
        for watch in trees:
            watch.wait_count(MOUNT, n)
            assert watch.get("Source").startswith("fanotify")
        write(disk.path(f"dir/new{n}"))
        trees[0].wait(f"dir/new{n}", CREATE)
        trees[2].wait(f"new{n}", CREATE)
    for watch in trees:
        watch.check_numbers()
        # Between the two nobody knows what happened.
        assert {(one.count, one.under) for one in watch.losses()} == {(0, b"")}
    assert check_invariant(client)["watch-gaps"] >= 9


def test_another_filesystem_at_that_place_is_another_one(watching, client, loopfs, disk):
    watching()
    watch = Watch(client, disk.where, ["create", "unmount", "mount"], **TREE)
    disk.umount()
    watch.wait("", UNMOUNT)
    other = loopfs("ext4", 32, name="other", mount=False)
    other.mount(where=disk.where)
    witness = Watch(client, disk.where, ["create"], **TREE)
    write(os.path.join(disk.where, "file"))
    witness.wait("file", CREATE)
    assert watch.names(CREATE) == set() and watch.names(MOUNT) == set()
    umount_raw(disk.where)


def test_mounts_inside_a_tree_are_told_to_who_may_know(watching, client, as_user, disk, loopfs):
    watching()
    os.chmod(disk.where, 0o755)
    os.makedirs(disk.path("a/here"))
    os.makedirs(disk.path("closed/there"))
    os.chmod(disk.path("closed"), 0o700)
    events = ["create", "mount", "unmount"]
    root, user = Watch(client, disk.where, events, **TREE), Watch(as_user(USER), disk.where, events,
                                                                  **TREE)
    inner = Watch(client, disk.path("a"), events, **TREE)
    one = loopfs("tmpfs", 4, where=disk.path("closed/there"), name="there")
    two = loopfs("tmpfs", 4, where=disk.path("a/here"), name="here")
    for watch in (root, user):
        watch.wait("a/here", MOUNT)
    inner.wait("here", MOUNT)
    root.wait("closed/there", MOUNT)
    # A tree stops where another filesystem is mounted.
    write(two.path("beyond"))
    one.umount()
    two.umount()
    for watch in (root, user):
        watch.wait("a/here", UNMOUNT)
    root.wait("closed/there", UNMOUNT)
    assert not any(b"closed" in change.name or b"beyond" in change.name
                   for change in user.changes())
    assert b"a/here/beyond" not in root.names(CREATE)


def test_across_mounts(watching, client, disk, loopfs):
    os.mkdir(disk.path("old"))
    os.mkdir(disk.path("new"))
    os.mkdir(disk.path("bound"))
    old = loopfs("tmpfs", 4, where=disk.path("old"), name="old")
    # Of what it knew of only when it is watched it tells that it was mounted.
    watching()
    events = [*NAMES, "mount", "unmount"]
    watch = Watch(client, disk.where, events, **{"cross-mounts": ("b", True)}, **TREE)

    def heard(name):
        def find():
            write(disk.path(name))
            os.unlink(disk.path(name))
            return os.fsencode(name) in watch.names(CREATE) | watch.names(DELETE)
        wait_for(find, what=f"{name} in {watch.told()}", interval=0.05)
    heard("old/file")
    assert b"old" not in watch.names(MOUNT)
    assert any(one.under == b"old" for one in watch.losses())

    new = loopfs("tmpfs", 4, where=disk.path("new"), name="new")
    watch.wait("new", MOUNT)
    heard("new/file")
    os.mkdir(new.path("sub"))
    os.mkdir(new.path("sub/within"))
    mount_raw(new.path("sub"), disk.path("bound"), None, MS_BIND)
    heard("bound/within/file")
    umount_raw(disk.path("bound"))
    watch.wait("bound", UNMOUNT)
    new.umount()
    watch.wait("new", UNMOUNT)
    old.umount()
    watch.wait("old", UNMOUNT)
    write(disk.path("old/under"))
    watch.wait("old/under", CREATE)
    assert refusal(lambda: Watch(client, "/etc/hostname", NAMES, **{"cross-mounts": ("b", True)},
                                 **TREE))[0] == "org.freedesktop.DBus.Error.InvalidArgs"


def test_daemon_is_killed_and_comes_back(watching, client, disk):
    running = watching()
    Watch(client, disk.where, NAMES, **TREE)
    running.kill()
    wait_for(lambda: client.name_owner() is None, what="the name to be free")
    running.start()
    watch = Watch(client, disk.where, NAMES, **TREE)
    write(disk.path("file"))
    watch.wait("file", CREATE)
    disk.umount()


def test_limit_of_watches_is_reloaded(watching, as_user, client, disk):
    running = watching("[limits]\nwatches = 1\n")
    os.chmod(disk.where, 0o755)
    user = as_user(USER)
    first = Watch(user, disk.where, NAMES, **TREE)
    name, text = refusal(lambda: Watch(user, disk.where, NAMES))
    assert name == EXCEEDED and "'watches'" in text and "[limits]" in text
    # Each user has its own.
    Watch(as_user(OTHER), disk.where, NAMES)
    running.configure(NO_FILESYSTEMS + "[limits]\nwatches = 2\n")
    client.call("Reload")
    assert client.get("Limits")["watches-per-user"] == 2
    Watch(user, disk.where, NAMES)
    assert refusal(lambda: Watch(user, disk.where, NAMES))[0] == EXCEEDED
    first.call("Remove")

    def room():
        try:
            return Watch(user, disk.where, NAMES)
        except Exception:
            return None
    wait_for(room, what="room for another one")


def test_what_cannot_be_watched(watching, client, fuse):
    watching()
    for path in ("/proc/self/status", "/proc", "/sys/kernel"):
        assert refusal(lambda: Watch(client, path, NAMES))[0] in (UNSUPPORTED, NOT_FOUND), path
    server = fuse()
    across = {**TREE, "cross-mounts": ("b", True)}
    name, text = refusal(lambda: Watch(client, server.where, NAMES, **across))
    assert name == UNSUPPORTED and "fuse" in text, text
    # It is freed after the answer.
    wait_for(lambda: statistics(client)["watches"] == 0, what="no watch")


def test_switched_off(daemon, client, disk):
    daemon("[daemon]\nsources = gate,kmsg\n" + NO_FILESYSTEMS)
    assert client.get("Sources")["watches"].startswith("none: switched off")
    name, text = refusal(lambda: Watch(client, disk.where, NAMES))
    assert name == UNSUPPORTED and "switched off" in text


def test_who_lives_in_another_root_is_denied(watching, bus, disk):
    watching()
    arguments = ["busctl", "--address=" + bus.address, "call", "org.fsevents1", "/org/fsevents1",
                 "org.fsevents1.Manager", "WatchPath", "sasa{sv}", disk.where, "1", "create", "0"]
    inside = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert inside.returncode == 0, inside.stderr
    outside = subprocess.run(["unshare", "--mount", *arguments], capture_output=True, text=True,
                             timeout=PATIENCE, check=False)
    assert outside.returncode != 0 and "denied" in outside.stderr


def test_many_watches_cost_only_who_matches(watching, client, disk):
    """The time of an event does not grow with watches of other places."""
    watching("[limits]\nwatches = 65536\n")
    for i in range(300):
        os.mkdir(disk.path(f"dir{i}"))
    watch = Watch(client, disk.path("dir0"), ["create"], **TREE)

    def round_trip(name):
        began = time.monotonic()
        for i in range(200):
            write(disk.path(f"dir0/{name}{i}"))
        watch.wait(f"{name}199", CREATE)
        return time.monotonic() - began
    alone = min(round_trip(f"alone{n}-") for n in range(3))
    others = [Watch(client, disk.path(f"dir{i}"), ["create"], **(TREE if i % 2 else {}))
              for i in range(1, 300)]
    among = min(round_trip(f"among{n}-") for n in range(3))
    print(f"200 files alone {alone * 1000:.0f} ms, among {len(others)} {among * 1000:.0f} ms")
    assert among < alone * 10 + 1
    assert all(other.told() == [] for other in others)
    check_invariant(client)


def test_root_may_ask_for_what_all_pay_for(watching, client, disk):
    watching()
    os.makedirs(disk.path("a/b"))
    write(disk.path("a/b/file"), "text")
    watch = Watch(client, disk.where, ["access", "open", "modify"], **TREE)
    with open(disk.path("a/b/file"), encoding="ascii") as file:
        assert file.read() == "text"
    watch.wait("a/b/file", OPEN)
    watch.wait("a/b/file", ACCESS)
    fd = os.open(disk.path("a/b/file"), os.O_WRONLY)
    os.write(fd, b"T")
    watch.wait("a/b/file", MODIFY)
    os.close(fd)


def test_what_all_pay_for_ends_with_who_asked_for_it(watching, client, disk):
    watching()
    for i in range(50):
        write(disk.path(f"file{i}"), "text")
    stays = Watch(client, disk.where, ["create"], **TREE)
    asks = [Watch(client, disk.where, ["access", "create"], **TREE),
            Watch(client, disk.where, ["open", "create"], **TREE)]
    markers = itertools.count()

    def n_events():
        """What reading costs: up to the marker that is made after it, all was read."""
        marker, before = f"marker{next(markers)}", statistics(client)["watch-events"]
        for i in range(50):
            with open(disk.path(f"file{i}"), encoding="ascii") as file:
                file.read()
        os.mkdir(disk.path(marker))
        stays.wait(marker, CREATE)
        return statistics(client)["watch-events"] - before
    assert n_events() >= 50
    asks[0].call("Remove")
    asks[1].call("SetEvents", "as", ["create"])
    wait_for(lambda: n_events() < 10, what="the end of the marks for access and open")
