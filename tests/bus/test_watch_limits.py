# SPDX-License-Identifier: GPL-2.0-or-later
"""At the bounds of what watches take: who is past them is told so, and takes nothing of others."""

import itertools
import os
import signal
import struct
import subprocess
import sys
import time

import pytest

from disks import MS_BIND, mount_raw, umount_raw
from rawbus import METHOD_RETURN, SIGNAL, RawClient
from waiting import PATIENCE, check_took, wait_for
from watching import CREATE, EXCEEDED, UNMOUNT, Watch, refusal

CROSS = {"recursive": ("b", True), "cross-mounts": ("b", True)}
MANY = 300
USERS = (1, 2, 3)
FIRST_GROUP = 20000
SHARE = 16
GROUPS = 64


@pytest.fixture
def disk(loopfs):
    made = loopfs("tmpfs", 64)
    os.chmod(made.where, 0o755)
    return made


def padded(data, n):
    return data + bytes(-len(data) % n)


def string(text):
    return struct.pack("=I", len(text)) + text.encode() + b"\0"


def watch_tree(raw, where, event):
    """WatchPath of all below @where by hand; gives the serial."""
    events = string(event)
    body = padded(string(where), 4) + struct.pack("=I", len(events)) + events
    option = string("recursive") + b"\1b\0"
    option = padded(option, 4) + struct.pack("=I", 1)
    body = padded(padded(body, 4) + struct.pack("=I", len(option)), 8) + option
    return raw.send("WatchPath", interface="org.fsevents1.Manager", signature="sasa{sv}", body=body)


def wait_told(raw, name):
    """A signal to this one alone that has the name."""
    while True:
        kind, _, data = raw.read(PATIENCE)
        assert b"Lost" not in data
        if kind == SIGNAL and b"Changed" in data and name.encode() + b"\0" in data:
            return


@pytest.mark.buses("dbus-daemon")
def test_a_mount_is_told_to_as_many_as_there_are(watching, bus, disk):
    """Each of them may see what others may not: who comes last is told as the first one."""
    watching("[limits]\nwatches = 200\n")
    os.mkdir(disk.path("place"))
    raws = [RawClient(bus.address, uid=USERS[i % len(USERS)], groups=[FIRST_GROUP + i]) for i in range(MANY)]
    for raw in raws:
        kind, answer = raw.wait_reply(watch_tree(raw, disk.where, "mount"))
        assert kind == METHOD_RETURN, answer
    mount_raw("none", disk.path("place"), "tmpfs")
    try:
        for raw in raws:
            wait_told(raw, "place")
    finally:
        umount_raw(disk.path("place"))
        for raw in raws:
            raw.close()


@pytest.mark.buses("dbus-daemon")
def test_many_mounts_are_followed_from_the_beginning(watching, client, disk, loopfs):
    watching("[limits]\nwatches = 1024\n")
    other = loopfs("tmpfs", 16)
    for i in range(MANY):
        os.mkdir(other.path(f"d{i}"))
        os.mkdir(disk.path(f"m{i}"))
        mount_raw(other.path(f"d{i}"), disk.path(f"m{i}"), None, MS_BIND)
    try:
        watch = Watch(client, disk.where, ["create"], **CROSS)
        # What happened in each until it was watched is not known, and nothing else is lost.
        names = {f"m{i}".encode() for i in range(MANY)}
        wait_for(lambda: {lost.under for lost in watch.losses()} >= names, what="all mounts to be watched")
        assert {lost.under for lost in watch.losses()} == names
        for i in range(MANY):
            os.mkdir(other.path(f"d{i}/made"))
        wait_for(lambda: watch.names(CREATE) >= {name + b"/made" for name in names}, what="what was made in each")
    finally:
        for i in range(MANY):
            umount_raw(disk.path(f"m{i}"))


def descendants(pid):
    found = []
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        for child in map(int, file.read().split()):
            found += [child, *descendants(child)]
    return found


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


@pytest.mark.buses("dbus-daemon")
@pytest.mark.parametrize("place", ["place", "deep/place"])
def test_what_cannot_be_followed_is_a_loss_and_tried_again(watching, client, disk, place):
    """While no worker answers, neither the way to a mount is found nor a mark set; when they do, it is followed."""
    running = watching("[daemon]\nre-evaluation = 5\n")
    os.makedirs(disk.path(place))
    watch = Watch(client, disk.where, ["create"], **CROSS)
    workers = descendants(running.pid)
    send(workers, signal.SIGSTOP)
    try:
        mount_raw("none", disk.path(place), "tmpfs")
        wait_for(watch.losses, what="the loss")
    finally:
        send(workers, signal.SIGCONT)
    numbers = itertools.count()

    def is_followed():
        os.mkdir(disk.path(f"{place}/{next(numbers)}"))
        return any(name.startswith(os.fsencode(place) + b"/") for name in watch.names(CREATE))
    try:
        wait_for(is_followed, what="the mount to be followed")
    finally:
        umount_raw(disk.path(place))


@pytest.fixture
def disks():
    """As many small filesystems as one asks for: paths."""
    made = []

    def make(n):
        for _ in range(n):
            where = f"/mnt/of-many-{len(made)}"
            os.mkdir(where)
            mount_raw("none", where, "tmpfs")
            os.chmod(where, 0o755)
            made.append(where)
        return made[-n:]

    yield make
    for where in made:
        umount_raw(where)
        os.rmdir(where)


@pytest.mark.buses("dbus-daemon")
def test_a_user_has_a_share_of_the_filesystems(watching, client, as_user, disks):
    """Who watches in as many as are allowed is refused one more, and nobody else is."""
    watching()
    assert client.get("Limits")["watched-filesystems-per-user"] == SHARE
    user, other = as_user(USERS[0]), as_user(USERS[1])
    own, more = disks(SHARE), disks(1)[0]
    watches = [Watch(user, where, ["create"], recursive=("b", True)) for where in own]
    name, message = refusal(lambda: Watch(user, more, ["create"]))
    assert name == EXCEEDED and str(SHARE) in message
    # One more there takes no more of it, unless it is told in another way.
    again = Watch(user, own[0], ["delete"], recursive=("b", True))
    assert refusal(lambda: Watch(user, own[0], ["create"]))[0] == EXCEEDED
    for one in (other, client):
        told = Watch(one, more, ["create"])
        os.mkdir(f"{more}/made-{told.path.rpartition('/')[2]}")
        told.wait(f"made-{told.path.rpartition('/')[2]}", CREATE)

    watches[0].call("Remove")
    assert refusal(lambda: Watch(user, more, ["create"]))[0] == EXCEEDED
    again.call("Remove")
    Watch(user, more, ["create"])
    assert refusal(lambda: Watch(user, own[0], ["create"], recursive=("b", True)))[0] == EXCEEDED


@pytest.mark.buses("dbus-daemon")
def test_a_share_follows_mounts_that_go(watching, as_user, disks):
    """What is unmounted takes nothing, and what is back is watched again."""
    watching()
    user = as_user(USERS[0])
    own, more = disks(SHARE), disks(1)[0]
    watches = [Watch(user, where, ["create", "unmount"]) for where in own]
    umount_raw(own[0])
    watches[0].wait_count(UNMOUNT, 1)
    Watch(user, more, ["create"])
    mount_raw("none", own[0], "tmpfs")


@pytest.mark.buses("dbus-daemon")
def test_users_together_leave_filesystems_to_root(watching, client, as_user, disks):
    watching("[limits]\nwatches = 64\n")
    users = [as_user(uid) for uid in (*USERS, 4)]
    first = disks(SHARE)
    for user in users[:3]:
        mine = first if user is users[0] else disks(SHARE)
        for where in mine:
            Watch(user, where, ["create"], recursive=("b", True))
    left = disks(1)[0]
    assert refusal(lambda: Watch(users[3], left, ["create"]))[0] == EXCEEDED
    # Where it costs nothing it is refused to nobody.
    Watch(users[3], first[0], ["create"], recursive=("b", True))
    told = Watch(client, left, ["create"])
    os.mkdir(f"{left}/made")
    told.wait("made", CREATE)
    Watch(users[3], left, ["create"])
    assert client.get("Statistics")["watch-groups"] == SHARE * 3 + 1 < GROUPS


STALLED = 24
# Without a bound each of them had three megabytes waiting.
ROUNDS, FILES = 12, 2500
BUS_MAX_KB = STALLED * 256 + (8 << 10)
# Twice what their users may have waiting, and what the filesystem takes.
DAEMON_MAX_KB = len(USERS) * (16 << 10) + (16 << 10)
STORM = """
import os, sys
for i in range(int(sys.argv[3])):
    os.close(os.open(f"{sys.argv[1]}/a-file-with-a-usual-name-{sys.argv[2]}-{i}", os.O_WRONLY | os.O_CREAT, 0o644))
"""


def resident_kb(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
    return total


def round_trips(raw, process):
    """Seconds of each question to the bus itself, as long as @process runs."""
    took = []
    while process.poll() is None:
        began = time.monotonic()
        raw.wait_reply(raw.send("GetId", path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
                                destination="org.freedesktop.DBus"))
        took.append(time.monotonic() - began)
    assert process.returncode == 0
    return took


def test_the_bus_keeps_little_for_who_does_not_read(watching, client, bus, disk):
    """What is told by signals waits here, where it collapses, and not at the bus: that has others to serve."""
    running = watching("[limits]\nwatches = 64\n")
    raws = [RawClient(bus.address, uid=USERS[i % len(USERS)], receive_buffer=4096) for i in range(STALLED)]
    for raw in raws:
        kind, answer = raw.wait_reply(watch_tree(raw, disk.where, "create"))
        assert kind == METHOD_RETURN, answer
    other, reader = RawClient(bus.address), Watch(client, disk.where, ["create"], recursive=("b", True))
    before, before_us = resident_kb(bus.pids()), resident_kb([running.pid])
    took = []
    for number in range(ROUNDS):
        storm = subprocess.Popen([sys.executable, "-c", STORM, disk.where, str(number), str(FILES)])
        took += round_trips(other, storm)
        os.mkdir(disk.path(f"round-{number}"))
        reader.wait(f"round-{number}", CREATE)
    # Whoever reads has it all, or is told that something is missing.
    assert reader.losses() or len(reader.names(CREATE)) == ROUNDS * (FILES + 1)
    grown, grown_us = resident_kb(bus.pids()) - before, resident_kb([running.pid]) - before_us
    print(f"{ROUNDS * FILES} files, {STALLED} that do not read: the bus has {grown} KiB more, we have {grown_us}")
    check_took("a question to the bus, 99 of 100", sorted(took)[len(took) * 99 // 100], 0.005)
    assert grown < BUS_MAX_KB and grown_us < DAEMON_MAX_KB
    # Each of them was told something, and the bus let nobody go.
    for raw in raws:
        kind = None
        while kind != SIGNAL:
            kind, _, data = raw.read()
        assert b"a-file-with-a-usual-name-" in data or b"Lost" in data
        raw.close()


def test_who_reads_is_told_beside_others_of_its_user(watching, as_user, bus, disk):
    """As many programs as use up what one user may have unread do not silence one that reads."""
    watching("[limits]\nwatches = 64\n")
    raws = [RawClient(bus.address, uid=USERS[0], receive_buffer=4096) for _ in range(STALLED)]
    for raw in raws:
        kind, answer = raw.wait_reply(watch_tree(raw, disk.where, "create"))
        assert kind == METHOD_RETURN, answer
    reader = Watch(as_user(USERS[0]), disk.where, ["create"], recursive=("b", True))
    for number in range(ROUNDS):
        subprocess.run([sys.executable, "-c", STORM, disk.where, str(number), "500"], check=True)
        os.mkdir(disk.path(f"round-{number}"))
        reader.wait(f"round-{number}", CREATE)
    for raw in raws:
        raw.close()
