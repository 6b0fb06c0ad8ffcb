# SPDX-License-Identifier: GPL-2.0-or-later
"""With no more memory than the unit allows: as many that do not read as there may be."""

import os
import pwd
import re
import resource
import socket
import subprocess
import sys

import pytest

import service
from rawbus import METHOD_RETURN, RawClient
from service import NO_FILESYSTEMS
from test_watch_limits import watch_tree
from waiting import PATIENCE, wait_for
from watching import CREATE, Lost, Stream, Watch, check_invariant

PER_USER = 4
LITTLE_KB = 8 << 10
USERS = [entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0][:24]
# Names as long as names are: what waits is as much as may.
FILES = 6000
STORM = """
import os, sys
names = [f"{sys.argv[1]}/{i:0200d}" for i in range(int(sys.argv[2]))]
for name in names:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o644))
for name in names:
    os.unlink(name)
"""
V1, V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"


def memory_max():
    """Of the unit, in bytes."""
    with open(os.path.join(service.SOURCE, "conf", "fseventsd.service.in"), encoding="utf-8") as file:
        return int(re.search(r"^MemoryMax=(\d+)M$", file.read(), re.MULTILINE).group(1)) << 20


class Limit:
    """What a process may take: by a control group, or where none can be made, of its address space."""

    def __init__(self, pid, most):
        self.group = None
        if os.path.exists(f"{V1}/memory.limit_in_bytes"):
            self._make(V1, "memory.limit_in_bytes", "memory.max_usage_in_bytes", most)
        elif os.path.exists(f"{V2}/cgroup.subtree_control"):
            self._make(V2, "memory.max", "memory.peak", most)
        if self.group:
            with open(f"{self.group}/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(pid))
        else:
            resource.prlimit(pid, resource.RLIMIT_AS, (most, most))

    def _make(self, root, limit, peak, most):
        group = f"{root}/fsevents-test-{os.getpid()}"
        try:
            os.mkdir(group)
        except OSError:
            return
        try:
            with open(f"{group}/{limit}", "w", encoding="ascii") as file:
                file.write(str(most))
        except OSError:
            os.rmdir(group)
            return
        self.group, self._peak = group, f"{group}/{peak}"

    def peak(self):
        """Bytes at the most, with what the kernel holds for it; None: not known."""
        if not self.group or not os.path.exists(self._peak):
            return None
        with open(self._peak, encoding="ascii") as file:
            return int(file.read())

    def remove(self):
        if not self.group:
            return
        with open(f"{self.group}/cgroup.procs", encoding="ascii") as file:
            pids = file.read().split()
        for pid in pids:
            with open(f"{os.path.dirname(self.group)}/cgroup.procs", "w", encoding="ascii") as file:
                file.write(pid)
        os.rmdir(self.group)


@pytest.fixture
def limited():
    """limited(pid, bytes) -> Limit"""
    made = []

    def make(pid, most):
        made.append(Limit(pid, most))
        return made[-1]

    yield make
    for one in made:
        one.remove()


def watch_by(raw, where):
    """Its path."""
    kind, answer = raw.wait_reply(watch_tree(raw, where, "create"))
    assert kind == METHOD_RETURN, answer
    return re.findall(rb"/org/fsevents1/watch/\d+", answer)[-1].decode()


def stream_of(raw, path):
    serial = raw.send("OpenStream", path=path, interface="org.fsevents1.Watch", signature="a{sv}", body=bytes(8))
    raw.socket.settimeout(PATIENCE)
    fds = []
    while not fds:
        data, fds, _, _ = socket.recv_fds(raw.socket, 65536, 1)
        raw.buffer += data
    kind, answer = raw.wait_reply(serial)
    assert kind == METHOD_RETURN, answer
    return Stream(fds[0])


def vm_kb(pid, key):
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))


class Crowd:
    """Four clients of each user: one watch by signals, and two with streams. None of them reads."""

    def __init__(self, address, where):
        self.raws = [RawClient(address, uid=uid, receive_buffer=4096) for uid in USERS for _ in range(PER_USER)]
        for raw in self.raws:
            watch_by(raw, where)
        self.streams = [stream_of(raw, watch_by(raw, where)) for raw in self.raws for _ in range(2)]

    def check_losses(self):
        """Each is told what it missed, as soon as it reads."""
        for stream in self.streams:
            wait_for(lambda stream=stream: stream.read(0.05) and any(isinstance(one, Lost) for one in stream.told),
                     what="the loss on a stream")

    def close(self):
        for one in self.streams + self.raws:
            one.close()


def storms(reader, disk):
    """Whoever reads is told all the same, or that something is missing."""
    for number in range(3):
        told = len(reader.told())
        subprocess.run([sys.executable, "-c", STORM, disk.where, str(FILES)], check=True)
        os.mkdir(disk.path(f"round-{number}"))
        wait_for(lambda name=f"round-{number}".encode(), at=told: name in reader.names(CREATE) or
                 any(isinstance(one, Lost) for one in reader.told()[at:]), what=f"round {number}")


@pytest.fixture
def disk(loopfs):
    made = loopfs("tmpfs", 256)
    os.chmod(made.where, 0o755)
    return made


@pytest.mark.buses("dbus-daemon")
def test_a_hundred_that_do_not_read_in_the_memory_of_the_unit(daemon, client, bus, disk, limited):
    running = daemon(NO_FILESYSTEMS)
    most = memory_max()
    limit = limited(running.pid, most)
    crowd = Crowd(bus.address, disk.where)
    storms(Watch(client, disk.where, ["create"], recursive=("b", True)), disk)
    peak = limit.peak()
    print(f"{len(crowd.raws)} clients, {len(crowd.streams)} streams: {vm_kb(running.pid, 'VmHWM') >> 10} MiB resident, "
          f"{peak >> 20 if peak else '?'} with what the kernel holds, of {most >> 20}")
    # The rest is for the directories of large filesystems, groups of processes, and root's part of the queues.
    assert vm_kb(running.pid, "VmHWM") << 10 < most * 2 // 3
    check_invariant(client)
    crowd.check_losses()
    crowd.close()


@pytest.mark.buses("dbus-daemon")
def test_memory_that_cannot_be_had_is_a_loss(daemon, client, bus, disk):
    """Whatever is allocated while they are told may fail: that is told, too, and nothing else happens."""
    running = daemon(NO_FILESYSTEMS)
    crowd = Crowd(bus.address, disk.where)
    reader = Watch(client, disk.where, ["create"], recursive=("b", True))
    most = (vm_kb(running.pid, "VmSize") + LITTLE_KB) << 10
    resource.prlimit(running.pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    storms(reader, disk)
    peak = vm_kb(running.pid, "VmPeak")
    print(f"{peak} of {most >> 10} KiB")
    assert peak << 10 > most - (4 << 20), "it did not need as much"
    resource.prlimit(running.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    check_invariant(client)
    crowd.check_losses()
    crowd.close()
