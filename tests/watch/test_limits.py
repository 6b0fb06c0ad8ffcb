# SPDX-License-Identifier: GPL-2.0-or-later
"""At the bounds: a queue of the kernel that overflows, quotas, strange descriptors, readers that do not read."""

import fcntl
import os
import pwd
import signal
import socket
import subprocess
import sys

import pytest

from client import BusError
from disks import MS_BIND, mount_raw, umount_raw
from waiting import PATIENCE, wait_for
from watching import (CREATE, EXCEEDED, NOT_FOUND, UNSUPPORTED, Lost, Watch, check_invariant,
                      check_numbers, statistics)

INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
NAMES = ["create", "delete", "move"]
TREE = {"recursive": ("b", True)}
RESIDENT_MAX_KB = 64 << 10

STORM = """
import os, sys
where, n = sys.argv[1], int(sys.argv[2])
for i in range(n):
    path = f"{where}/{os.getpid()}-{i}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
    os.rename(path, path + "-moved")
    os.unlink(path + "-moved")
"""


def memory_kb(pid, key):
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise AssertionError(f"no {key}")


def is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


@pytest.fixture
def disk(loopfs):
    made = loopfs("tmpfs", 64)
    os.chmod(made.where, 0o755)
    return made


def test_storm_while_nobody_reads_the_kernel(watching, client, disk, receive):
    """The queue of the kernel is bounded, and so is the daemon: loss is told to all, and watching goes on."""
    with open("/proc/sys/fs/fanotify/max_queued_events", encoding="ascii") as file:
        bound = int(file.read())
    if bound > 100000:
        pytest.skip("the queue is too long to be filled")
    daemon = watching()
    receivers = [receive(disk.where, NAMES, uid=uid, stream=stream)
                 for uid, stream in ((0, True), (0, False), (1, True))]
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        wait_for(lambda: is_stopped(daemon.pid), what="the daemon to stand still")
        storms = [subprocess.Popen([sys.executable, "-c", STORM, disk.where, str(bound // 2)]) for _ in range(2)]
        assert [storm.wait(120) for storm in storms] == [0, 0]
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    for one in receivers:
        wait_for(lambda one=one: (0, b"") in {(lost.count, lost.under) for lost in one.losses()},
                 what="the loss to be told")
    with open(disk.path("after"), "w", encoding="ascii"):
        pass
    for one in receivers:
        one.wait("after", CREATE)
        check_numbers(one.told)
    peak = memory_kb(daemon.pid, "VmHWM")
    print(f"{bound} events at the most, {peak} KiB resident at the most")
    assert peak < RESIDENT_MAX_KB
    assert check_invariant(client)["watch-gaps"] >= 3


def users(n):
    """Users that a bus lets in."""
    found = [entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0]
    return found[:n]


def open_stream(user, watch):
    """It stays open in the process of the user."""
    user.call_with_fds("OpenStream", "a{sv}", {}, path=watch.path, interface="org.fsevents1.Watch")


def test_quotas_of_all_users_leave_descriptors(watching, client, disk, as_user):
    """With every quota that holds descriptors used up by many users, all is refused in words and the bus goes on."""
    daemon = watching("[limits]\nwatches = 16\nstreams = 16\n")
    clients = [as_user(uid) for uid in users(20)]
    n_streams, n_refused = 0, 0
    for user in clients:
        watches = [Watch(user, disk.where, NAMES, **(TREE if i % 2 else {})) for i in range(16)]
        with pytest.raises(BusError) as refused:
            Watch(user, disk.where, NAMES)
        assert refused.value.name == EXCEEDED
        for watch in watches:
            # Each has its own limit; what all have together has another.
            try:
                open_stream(user, watch)
                n_streams += 1
            except BusError as error:
                assert error.name == EXCEEDED
                n_refused += 1
    n_open = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    with open(f"/proc/{daemon.pid}/limits", encoding="ascii") as file:
        most = next(int(line.split()[3]) for line in file if line.startswith("Max open files"))
    print(f"{len(clients)} users, {n_streams} streams and {n_refused} refused, {n_open} descriptors of {most}")
    assert n_streams >= 64 and n_open >= n_streams
    assert n_open < most / 2
    # A message with a descriptor still finds room.
    fd = os.open(disk.where, os.O_PATH)
    path, _ = client.call_with_fds("Watch", "hasa{sv}", 0, NAMES, {}, fds=[fd])
    os.close(fd)
    assert client.get("Path", path, "org.fsevents1.Watch") == os.fsencode(disk.where)
    assert statistics(client)["watches"] == 16 * len(clients) + 1


def opened(fd):
    """An O_PATH descriptor of what @fd is."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_PATH)
    finally:
        os.close(fd)


def descriptors(disk):
    """{what it is: descriptor} of what is no file or directory of a mounted filesystem."""
    read_end, write_end = os.pipe()
    os.close(write_end)
    one, other = socket.socketpair()
    other.close()
    os.mkfifo(disk.path("fifo"))
    os.mknod(disk.path("null"), 0o020666, os.makedev(1, 3))
    return {"memfd": os.memfd_create("watched"), "pipe": read_end, "socket": one.detach(),
            "directory without O_PATH": os.open(disk.where, os.O_RDONLY),
            "memfd by its path": opened(os.memfd_create("watched")),
            "file of proc": os.open("/proc/self/status", os.O_PATH),
            "directory of proc": os.open("/proc/self/fd", os.O_PATH),
            "fifo": os.open(disk.path("fifo"), os.O_PATH),
            "device": os.open(disk.path("null"), os.O_PATH)}


def is_path(fd):
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_PATH


def test_strange_descriptors_are_refused(watching, client, disk):
    watching()
    for what, fd in descriptors(disk).items():
        print(what)
        with pytest.raises(BusError) as refused:
            client.call_with_fds("Watch", "hasa{sv}", 0, NAMES, {}, fds=[fd])
        allowed = (UNSUPPORTED,) if is_path(fd) else (UNSUPPORTED, INVALID)
        os.close(fd)
        assert refused.value.name in allowed, f"{what}: {refused.value}"
    assert statistics(client)["watches"] == 0


NAMESPACE = """
import os, sys
os.mkdir("/mnt/own") if not os.path.isdir("/mnt/own") else None
assert os.system("mount -t tmpfs own /mnt/own") == 0
print("ready", flush=True)
sys.stdin.readline()
"""


def test_filesystem_of_another_namespace_is_refused(watching, client):
    """A tmpfs that a user mounted for itself is in no table of the machine's."""
    watching()
    inside = subprocess.Popen(["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", NAMESPACE],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if inside.stdout.readline() != "ready\n":
            pytest.skip("no namespace of users here")
        fd = os.open(f"/proc/{inside.pid}/root/mnt/own", os.O_PATH)
        with pytest.raises(BusError) as refused:
            client.call_with_fds("Watch", "hasa{sv}", 0, NAMES, {}, fds=[fd])
        os.close(fd)
        assert refused.value.name in (UNSUPPORTED, NOT_FOUND), refused.value
    finally:
        inside.stdin.close()
        inside.wait(30)
        inside.stdout.close()
        inside.stderr.close()


def test_bind_mount_is_watched_as_what_it_is(watching, client, disk):
    watching()
    os.mkdir(disk.path("dir"))
    os.mkdir(disk.path("bound"))
    mount_raw(disk.path("dir"), disk.path("bound"), None, MS_BIND)
    watch = Watch(client, disk.path("bound"), NAMES, **TREE)
    os.mkdir(disk.path("dir/made"))
    watch.wait("made", CREATE)
    watch.call("Remove")
    umount_raw(disk.path("bound"))


def test_stream_is_for_reading(watching, client, disk):
    """Nothing can be put into it, in particular no descriptor, and nothing else can be done with it."""
    daemon = watching()
    watch = Watch(client, disk.where, NAMES, **TREE)
    stream = watch.stream()
    with pytest.raises(OSError):
        stream.socket.send(b"text")
    with pytest.raises(OSError):
        socket.send_fds(stream.socket, [b"text"], [0])
    before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    os.mkdir(disk.path("dir"))
    stream.wait("dir", CREATE)
    assert len(os.listdir(f"/proc/{daemon.pid}/fd")) <= before + 1
    stream.close()


def test_who_never_reads_is_bounded(watching, client, disk, receive):
    """Streams and signals that nobody reads hold what is configured, however long the storm."""
    daemon = watching("[limits]\nqueue-bytes = 256K\n")
    reader = receive(disk.where, NAMES, uid=1, stream=True)
    stuck = [receive(disk.where, NAMES, uid=2, stream=stream) for stream in (True, True, False)]
    for one in stuck:
        one.stop()
    before = memory_kb(daemon.pid, "VmRSS")
    try:
        for number in range(6):
            told = len(reader.read())
            subprocess.run([sys.executable, "-c", STORM, disk.where, "3000"], check=True)
            with open(disk.path(f"round-{number}"), "w", encoding="ascii"):
                pass
            # Whoever reads is told all the same; where it was too slow, that something is missing.
            wait_for(lambda at=told, name=f"round-{number}".encode(): any(
                isinstance(one, Lost) or one.name == name for one in reader.read()[at:]),
                PATIENCE, f"round-{number}")
        grown = memory_kb(daemon.pid, "VmRSS") - before
        print(f"18,000 files beside three that do not read: {grown} KiB more")
        assert grown < 16 << 10
        check_invariant(client)
    finally:
        for one in stuck:
            one.cont()
    for one in stuck:
        wait_for(lambda one=one: any(isinstance(record, Lost) for record in one.read()), what="its loss")
