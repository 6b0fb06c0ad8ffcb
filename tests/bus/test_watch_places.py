# SPDX-License-Identifier: GPL-2.0-or-later
"""What is watched, on each filesystem: by descriptor, by number, and what brings it back."""

import itertools
import os
import subprocess

import pytest

from client import BusError, variant
from disks import run, write
from waiting import wait_for
from watching import (ATTRIB, CREATE, DELETE, EXCEEDED, MODIFY, MOUNT, MOVE, NAMES, NOT_FOUND, OPEN,
                      UNMOUNT, Watch, check_invariant, refusal, statistics)

USER = 65534
TREE = {"recursive": ("b", True)}
pytestmark = pytest.mark.buses("dbus-daemon")


class Opened(Watch):
    """A watch by an O_PATH descriptor."""

    def __init__(self, client, where, events, **options):
        self.client = client
        fd = os.open(where, os.O_PATH)
        try:
            self.path, _ = client.call_with_fds(
                "Watch", "hasa{sv}", 0, events,
                {name: variant(*value) for name, value in options.items()}, fds=[fd])
        finally:
            os.close(fd)


class Numbered(Watch):
    """A watch by the number of an inode."""

    def __init__(self, client, device, inode, events, **options):
        self.client = client
        if not hasattr(client, "uid"):
            options = {name: variant(*value) for name, value in options.items()}
        self.path = client.call("WatchInode", "uutasa{sv}", *device, inode, events, options)


def number_of(disk):
    """Major and minor number as in mountinfo."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            fields = line.split()
            if fields[4] == disk.where:
                return tuple(int(part) for part in fields[2].split(":"))
    raise AssertionError("it is not mounted")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_by_descriptor(watching, client, loopfs, kind):
    watching()
    disk = loopfs(kind, 320)
    os.mkdir(disk.path("dir"))
    write(disk.path("dir/file"))
    tree = Opened(client, disk.where, NAMES, **TREE)
    spot = Opened(client, disk.path("dir"), [*NAMES, "modify"])
    file = Opened(client, disk.path("dir/file"), ["modify"])
    for watch, where in ((tree, disk.where), (spot, disk.path("dir")), (file, disk.path("dir/file"))):
        assert watch.get("Path") == os.fsencode(where)
    assert tree.get("Source") == "fanotify-filesystem" and spot.get("Source") == "fanotify-inode"

    # It is that directory, whatever it is called by now.
    os.rename(disk.path("dir"), disk.path("other"))
    tree.wait("other", MOVE, former="dir")
    write(disk.path("other/file"), "more")
    file.wait("", MODIFY)
    spot.wait("file", MODIFY)
    write(disk.path("other/new"))
    tree.wait("other/new", CREATE)
    spot.wait("new", CREATE)
    os.unlink(disk.path("other/new"))
    tree.wait("other/new", DELETE)
    spot.wait("new", DELETE)
    for watch in (tree, spot, file):
        watch.check_numbers()
        assert watch.losses() == []
    check_invariant(client)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_by_number(watching, client, loopfs, kind):
    watching()
    disk = loopfs(kind, 320)
    os.makedirs(disk.path("deep/dir"))
    write(disk.path("deep/dir/file"))
    device = number_of(disk)
    spot = Numbered(client, device, os.stat(disk.path("deep/dir")).st_ino, NAMES)
    tree = Numbered(client, device, os.stat(disk.path("deep")).st_ino, NAMES, **TREE)
    file = Numbered(client, device, os.stat(disk.path("deep/dir/file")).st_ino, ["modify"])
    write(disk.path("deep/dir/file"), "more")
    file.wait("", MODIFY)
    write(disk.path("deep/dir/new"))
    spot.wait("new", CREATE)
    tree.wait("dir/new", CREATE)
    used = max(os.stat(os.path.join(top, name)).st_ino
               for top, dirs, files in os.walk(disk.where) for name in dirs + files)
    name, _ = refusal(lambda: Numbered(client, device, used + 1000003, NAMES))
    assert name == NOT_FOUND
    name, _ = refusal(lambda: Numbered(client, (device[0], 9999), 2, NAMES))
    assert name == NOT_FOUND


def test_by_number_in_a_subvolume(watching, client, loopfs):
    watching()
    disk = loopfs("btrfs", 320)
    run("btrfs", "subvolume", "create", disk.path("sub"))
    os.mkdir(disk.path("sub/dir"))
    tree = int(subprocess.run(["btrfs", "inspect-internal", "rootid", disk.path("sub")],
                              check=True, capture_output=True, text=True).stdout)
    watch = Numbered(client, number_of(disk), os.stat(disk.path("sub/dir")).st_ino, NAMES, subvolume=("t", tree))
    write(disk.path("sub/dir/new"))
    watch.wait("new", CREATE)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_comes_back_by_another_device(watching, client, loopfs, kind):
    """What it is counts, and not which number its device has."""
    watching()
    disk = loopfs(kind, 320)
    number = number_of(disk)
    watch = Watch(client, disk.where, ["create", "unmount", "mount"], **TREE)
    disk.umount()
    watch.wait("", UNMOUNT)
    other = loopfs(kind, 320, name="other", mount=False)
    # It takes the number, since that is the first free one.
    other.mount()
    if kind != "btrfs" and number_of(other) != number:
        pytest.skip("somebody else took the loop device")
    witness = Watch(client, other.where, ["create"], **TREE)
    write(other.path("foreign"))
    witness.wait("foreign", CREATE)
    assert watch.names(MOUNT) == set()
    disk.mount()
    watch.wait("", MOUNT)
    write(disk.path("own"))
    watch.wait("own", CREATE)
    assert watch.names(CREATE) == {b"own"}


@pytest.mark.parametrize("options", [{}, TREE])
def test_below_a_mount_point_that_was_renamed(watching, client, as_user, disk, loopfs, options):
    """Of which the mount table tells nobody."""
    watching()
    os.chmod(disk.where, 0o755)
    os.makedirs(disk.path("old/here"))
    inner = loopfs("tmpfs", 4, where=disk.path("old/here"), name="here")
    os.chmod(inner.where, 0o755)
    os.makedirs(inner.path("deep"))
    before = Watch(as_user(USER), inner.path("deep"), NAMES, **options)
    os.rename(disk.path("old"), disk.path("new"))
    os.makedirs(disk.path("new/here/deep/below"))
    before.wait("below", CREATE)
    after = Watch(as_user(USER), disk.path("new/here/deep"), NAMES, **options)
    write(disk.path("new/here/deep/file"))
    for watch in (before, after):
        watch.wait("file", CREATE)
        assert watch.losses() == []
    umount(disk.path("new/here"))


def test_what_is_not_asked_for_any_more_costs_nothing(watching, client, disk):
    watching()
    os.mkdir(disk.path("dir"))
    write(disk.path("dir/file"), "text")
    watch = Watch(client, disk.path("dir"), ["open", "access"])
    narrow = Watch(client, disk.path("dir"), ["create"])

    markers = itertools.count()

    def n_events():
        """Up to the marker that is made after it, all was read."""
        marker, before = f"marker{next(markers)}", statistics(client)["watch-events"]
        for _ in range(50):
            os.close(os.open(disk.path("dir/file"), os.O_RDONLY))
            os.close(os.open(disk.path("dir"), os.O_RDONLY))
        os.mkdir(disk.path(f"dir/{marker}"))
        narrow.wait(marker, CREATE)
        return statistics(client)["watch-events"] - before
    os.close(os.open(disk.path("dir/file"), os.O_RDONLY))
    watch.wait("file", OPEN)
    watch.call("SetEvents", "as", ["create"])
    wait_for(lambda: n_events() < 4, what="the end of the marks for open", interval=0.05)


CROSS = {"recursive": ("b", True), "cross-mounts": ("b", True)}


def hears(watch, disk, name, told):
    """What is done to @name is told as @told, some time."""
    def find():
        write(disk.path(name))
        os.unlink(disk.path(name))
        return os.fsencode(told) in watch.names(CREATE) | watch.names(DELETE)
    wait_for(find, what=f"{told}", interval=0.05)


def test_across_mounts_as_long_as_the_way_is_open(watching, client, as_user, disk, loopfs):
    watching()
    os.chmod(disk.where, 0o755)
    os.makedirs(disk.path("way/deep/here"))
    inner = loopfs("tmpfs", 4, where=disk.path("way/deep/here"), name="here")
    os.makedirs(inner.path("below/there"))
    most = loopfs("tmpfs", 4, where=inner.path("below/there"), name="there")
    for where in (inner.where, inner.path("below"), most.where):
        os.chmod(where, 0o755)
    events = [*NAMES, "attrib"]
    user, root = Watch(as_user(USER), disk.where, events, **CROSS), Watch(client, disk.where, events, **CROSS)
    prefix = "way/deep/here"
    for watch in (user, root):
        hears(watch, inner, "first", f"{prefix}/first")
        hears(watch, most, "first", f"{prefix}/below/there/first")

    for number, (outer, name) in enumerate(((disk, "way"), (inner, "below"), (disk, "way/deep"))):
        os.chmod(outer.path(name), 0o700)
        told = name if outer is disk else f"{prefix}/{name}"
        wait_for(lambda told=told, n=2 * number + 1: sum(
            change.name == os.fsencode(told) and bool(change.mask & ATTRIB) for change in user.changes()) >= 1,
                 what="the mode")
        secret = f"secret{number}"
        write(most.path(secret))
        root.wait(f"{prefix}/below/there/{secret}", CREATE)
        if outer is disk:
            write(inner.path(secret))
            root.wait(f"{prefix}/{secret}", CREATE)
        os.chmod(outer.path(name), 0o755)
        for at, below in ((inner, ""), (most, "below/there/")):
            hears(user, at, f"again{number}", f"{prefix}/{below}again{number}")
    assert not any(b"secret" in name for name in user.names(CREATE))


def test_across_mounts_with_names_that_are_right(watching, client, disk, loopfs):
    watching()
    os.makedirs(disk.path("old/here"))
    inner = loopfs("tmpfs", 4, where=disk.path("old/here"), name="here")
    watch = Watch(client, disk.where, NAMES, **CROSS)
    hears(watch, inner, "first", "old/here/first")
    os.rename(disk.path("old"), disk.path("new"))
    watch.wait("new", MOVE, former="old")
    write(disk.path("new/here/second"))
    # The mount table is read when it changes.
    os.mkdir(disk.path("mount"))
    more = loopfs("tmpfs", 4, where=disk.path("mount"), name="more")
    hears(watch, more, "file", "mount/file")

    def renamed():
        write(disk.path("new/here/third"))
        os.unlink(disk.path("new/here/third"))
        return b"new/here/third" in watch.names(CREATE) | watch.names(DELETE)
    wait_for(renamed, what="the new name", interval=0.05)
    assert not any(name in watch.names(CREATE) for name in (b"old/here/second", b"old/here/third"))
    umount(disk.path("new/here"))


def umount(where):
    """Also while somebody looks at it."""
    wait_for(lambda: subprocess.run(["umount", where], capture_output=True, check=False).returncode == 0,
             what=f"the end of {where}", interval=0.001)


def test_across_mounts_until_the_last_moment(watching, as_user, disk, loopfs):
    """What happens just before it is unmounted is told, or told to be lost."""
    watching()
    os.chmod(disk.where, 0o755)
    os.makedirs(disk.path("here"))
    watch = Watch(as_user(USER), disk.where, NAMES + ["unmount"], **CROSS)
    n_lost = 0
    for number in range(10):
        inner = loopfs("tmpfs", 4, where=disk.path("here"), name=f"here{number}")
        os.chmod(inner.where, 0o755)
        hears(watch, inner, f"first{number}", f"here/first{number}")
        before = len(watch.losses())
        # Nobody knows yet who may read this one.
        os.makedirs(inner.path(f"{number}/deep/deeper"))
        umount(inner.where)
        wait_for(lambda n=number: sum(change.name == b"here" and bool(change.mask & UNMOUNT)
                                      for change in watch.changes()) > n, what="the end of it")
        lost = [one for one in watch.losses()[before:] if one.under in (b"", b"here")]
        n_lost += bool(lost)
        assert lost or b"here/%d/deep/deeper" % number in watch.names(CREATE), (number, watch.told())
    print(f"{n_lost} of 10 were lost")


def test_mounts_within_count_for_the_limit(watching, as_user, disk, loopfs):
    watching("[limits]\nwatches = 3\n")
    os.chmod(disk.where, 0o755)
    disks = []
    for number in range(3):
        os.mkdir(disk.path(f"dir{number}"))
        disks.append(loopfs("tmpfs", 4, where=disk.path(f"dir{number}"), name=f"inner{number}"))
        os.chmod(disks[-1].where, 0o755)
    user = as_user(USER)
    watch = Watch(user, disk.where, NAMES, **CROSS)
    # Those that have no room are told as a loss, too.
    wait_for(lambda: {one.under for one in watch.losses()} == {b"dir0", b"dir1", b"dir2"}, what="all mounts")
    assert refusal(lambda: Watch(user, disk.where, NAMES))[0] == EXCEEDED
    watch.call("Remove")

    def room():
        try:
            return Watch(user, disk.where, NAMES, **TREE)
        except BusError:
            return None
    wait_for(room, what="room for another one")


def test_by_number_whoever_may_read_it(watching, as_user, polkit, disk):
    watching()
    polkit.grants.add((USER, "watch-inode"))
    os.chmod(disk.where, 0o700)
    os.mkdir(disk.path("closed"), 0o700)
    watch = Numbered(as_user(USER), number_of(disk), os.stat(disk.path("closed")).st_ino, NAMES, **TREE)
    os.makedirs(disk.path("closed/within"), 0o700)
    write(disk.path("closed/within/file"))
    watch.wait("within/file", CREATE)
    assert watch.losses() == []
