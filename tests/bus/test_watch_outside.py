# SPDX-License-Identifier: GPL-2.0-or-later
"""Who works where nobody watches is left alone, and nothing is missed when that comes to where somebody does."""

import os

import pytest

from service import NO_FILESYSTEMS
from waiting import wait_for
from watching import ATTRIB, CREATE, DELETE, Watch, check_invariant, statistics

TREE = {"recursive": ("b", True)}
KINDS = pytest.mark.parametrize("kind, size", [("ext4", 64), ("xfs", 320), ("btrfs", 128), ("tmpfs", 64)])


def made_and_gone(where, n, prefix="f"):
    for i in range(n):
        with open(f"{where}/{prefix}{i}", "w", encoding="ascii") as file:
            file.write("x")
        os.unlink(f"{where}/{prefix}{i}")


def storm_until_ignored(client, where):
    """Whoever is fast enough is; a slow machine tries again."""
    before = statistics(client)["watch-ignored"]

    def ignored():
        made_and_gone(where, 1000)
        return statistics(client)["watch-ignored"] > before
    wait_for(ignored)


def storm_until_silent(client, where):
    """Of files that come, are renamed and go there, nothing is read."""
    def is_silent():
        before = statistics(client)["watch-events"]
        for i in range(500):
            with open(f"{where}/f{i}", "w", encoding="ascii"):
                pass
            os.rename(f"{where}/f{i}", f"{where}/g{i}")
            os.unlink(f"{where}/g{i}")
        return statistics(client)["watch-events"] - before < 250
    wait_for(is_silent)


@KINDS
@pytest.mark.buses("dbus-daemon")
def test_outside_is_not_read(daemon, client, loopfs, kind, size):
    daemon(NO_FILESYSTEMS)
    disk = loopfs(kind, size)
    inside, outside = disk.path("inside"), disk.path("outside")
    for where in (inside, outside):
        os.mkdir(where)
    watch = Watch(client, inside, ["create", "delete", "move", "close-write"], **TREE)
    storm_until_ignored(client, outside)
    storm_until_silent(client, outside)
    with open(f"{inside}/known", "w", encoding="ascii"):
        watch.wait("known", CREATE)
    # What leads inside comes through.
    with open(f"{outside}/file", "w", encoding="ascii"):
        pass
    os.rename(f"{outside}/file", f"{inside}/file")
    watch.wait("file", CREATE)
    os.mkdir(f"{outside}/directory")
    os.rename(f"{outside}/directory", f"{inside}/directory")
    with open(f"{inside}/directory/within", "w", encoding="ascii"):
        pass
    watch.wait("directory/within", CREATE)
    assert watch.losses() == []
    assert {name.split(b"/")[0] for name in watch.names(CREATE)} == {b"known", b"file", b"directory"}
    # No mark holds it.
    watch.call("Remove")
    disk.umount()


@KINDS
@pytest.mark.buses("dbus-daemon")
def test_brought_inside(daemon, client, loopfs, kind, size):
    daemon(NO_FILESYSTEMS)
    disk = loopfs(kind, size)
    inside, above = disk.path("inside"), disk.path("above")
    outside = f"{above}/outside"
    for where in (inside, above, outside):
        os.mkdir(where)
    watch = Watch(client, inside, ["create", "delete", "move"], **TREE)
    storm_until_ignored(client, outside)

    os.rename(above, f"{inside}/here")
    made_and_gone(f"{inside}/here/outside", 50, "unknown")
    watch.wait("here", CREATE)
    wait_for(lambda: any(loss.under in (b"here", b"") for loss in watch.losses()))
    with open(f"{inside}/here/outside/told", "w", encoding="ascii"):
        pass
    watch.wait("here/outside/told", CREATE)
    check_invariant(client)


@pytest.mark.buses("dbus-daemon")
def test_watched_after_all(daemon, client, loopfs, as_user):
    daemon(NO_FILESYSTEMS)
    disk = loopfs("ext4", 64)
    inside, outside = disk.path("inside"), disk.path("outside")
    for where in (inside, outside):
        os.mkdir(where)
    Watch(client, inside, ["create"], **TREE)
    storm_until_ignored(client, outside)
    watch = Watch(client, outside, ["create"], **TREE)
    with open(f"{outside}/told", "w", encoding="ascii"):
        pass
    watch.wait("told", CREATE)
    assert watch.losses() == []


@KINDS
@pytest.mark.buses("dbus-daemon")
def test_told_though_silent(daemon, client, loopfs, kind, size):
    daemon(NO_FILESYSTEMS)
    disk = loopfs(kind, size)
    inside, outside = disk.path("inside"), disk.path("outside")
    for where in (inside, outside):
        os.mkdir(where)
    for name in ("gone", "linked", "leaves"):
        with open(f"{inside}/{name}", "w", encoding="ascii"):
            pass
    watch = Watch(client, inside, ["create", "delete", "move", "close-write"], **TREE)

    storm_until_silent(client, outside)
    with open(f"{outside}/comes", "w", encoding="ascii"):
        pass
    os.rename(f"{outside}/comes", f"{inside}/comes")
    watch.wait("comes", CREATE)
    storm_until_silent(client, outside)
    os.rename(f"{inside}/leaves", f"{outside}/leaves")
    watch.wait("leaves", DELETE)
    storm_until_silent(client, outside)
    os.unlink(f"{inside}/gone")
    watch.wait("gone", DELETE)
    storm_until_silent(client, outside)
    # Made, renamed and made again by a link.
    os.link(f"{inside}/linked", f"{inside}/a")
    os.rename(f"{inside}/a", f"{inside}/b")
    os.link(f"{inside}/b", f"{inside}/a")
    watch.wait("b", CREATE)
    with open(f"{inside}/last", "w", encoding="ascii"):
        watch.wait("last", CREATE)
    there = set()
    for change in watch.changes():
        there -= {change.name, change.former}
        if not change.mask & DELETE:
            there.add(change.name)
    assert there == {b"comes", b"a", b"b", b"last"}
    assert watch.losses() == []
    check_invariant(client)


@pytest.mark.buses("dbus-daemon")
def test_attributes_though_silent(daemon, client, loopfs):
    daemon(NO_FILESYSTEMS)
    disk = loopfs("ext4", 64)
    inside, outside = disk.path("inside"), disk.path("outside")
    for where in (inside, outside):
        os.mkdir(where)
    for name in ("file", "other"):
        with open(f"{inside}/{name}", "w", encoding="ascii"):
            pass
    first = Watch(client, inside, ["create"], **TREE)
    storm_until_silent(client, outside)
    second = Watch(client, inside, ["attrib"], **TREE)
    os.chmod(f"{inside}/file", 0o600)
    second.wait("file", ATTRIB)
    made_and_gone(outside, 1000)
    os.chmod(f"{inside}/other", 0o600)
    second.wait("other", ATTRIB)
    assert second.losses() == first.losses() == []
