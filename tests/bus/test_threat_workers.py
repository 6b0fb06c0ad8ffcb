# SPDX-License-Identifier: GPL-2.0-or-later
"""
Workers: what they are asked to touch hangs, lies, or is moved away under
them, and neither the alarms of other filesystems nor the daemon itself notice.
"""

import ctypes
import os
import statistics
import threading
import time

import pytest

from client import BusError
from disks import MIB, mount_raw, umount_raw
from hungfuses import HungFuses
from service import SANITIZED
from waiting import PATIENCE, check_took, pause

pytestmark = pytest.mark.buses("dbus-broker")

NOT_SUPPORTED = "org.freedesktop.DBus.Error.NotSupported"
RENAME_EXCHANGE = 2


def children(pid):
    """All processes below @pid."""
    found = []
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        for child in map(int, file.read().split()):
            found.append(child)
            try:
                found += children(child)
            except FileNotFoundError:
                pass
    return found


def descriptors(pid):
    """{number: what it is} of a process."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found


def test_workers_hold_nothing_of_bus_or_clients(daemon, client, bus, loopfs, fuse):
    """
    Beside the standard ones only sockets to the zygote, which itself has those of workers: none
    that leads to the bus, to a client or to netlink, so that a hung one keeps no name.
    """
    loopfs("ext4", 32)
    mounted = fuse()
    running = daemon()
    client.wait_filesystem(mounted.where)
    _, fds = client.call_with_fds("OpenEvents", "ta{sv}", 0, {})
    client.usage(client.find(mounted.where))
    own = set(descriptors(running.pid).values())
    below = children(running.pid)
    assert len(below) >= 2, "no zygote, or no worker"
    with open("/proc/net/unix", encoding="ascii") as file:
        unix = {f"socket:[{line.split()[6]}]": line.split()[7:] for line in file.readlines()[1:]}
    for pid in below:
        for number, target in descriptors(pid).items():
            if number <= 2 or not target.startswith("socket:"):
                continue
            assert target in unix, f"{pid} has {target}, which is no local socket"
            assert unix[target] == [], f"{pid} is connected to {unix[target]}"
            assert target not in own, f"{pid} shares {target} with the daemon"
    for fd in fds:
        os.close(fd)


def alarm_lateness(client, disk, path, level, times):
    """Seconds from the write that crosses @level to the event, each of @times times."""
    found = []
    for _ in range(times):
        newest = client.history()[1]
        pause(0.3)
        start = time.monotonic()
        disk.fallocate("file", disk.available() - level + MIB)
        while not any(e.code == "threshold-below" and e.path == path for e in client.history(newest)[2]):
            assert time.monotonic() - start < PATIENCE, "no alarm"
            pause(0.002)
        found.append(time.monotonic() - start)
        newest = client.history()[1]
        disk.unlink("file")
        disk.sync()
        while not any(e.code == "threshold-above" and e.path == path for e in client.history(newest)[2]):
            assert time.monotonic() - start < PATIENCE, "no end of the alarm"
            pause(0.005)
    return found


def test_a_hundred_hung_filesystems_make_no_alarm_later(daemon, client, loopfs, wait_for):
    """Of thirty users, none of which is ever answered; a disk's alarm is as early as without them."""
    disk = loopfs("ext4", 64)
    level = disk.available() // 2
    running = daemon(f"[filesystem {disk.where}]\nthreshold = half space {level} warning\n"
                     "[filesystem type:fuse.hung]\nignore = no\nthreshold = none\n")
    path = client.wait_filesystem(disk.where)
    times = 3 if SANITIZED else 7
    before = alarm_lateness(client, disk, path, level, times)
    processes = len(children(running.pid))

    hung = HungFuses([(f"/mnt/hung{number}", 1000 + number % 30) for number in range(100)])
    try:
        wait_for(lambda: sum(f["Type"] == "fuse.hung" for f in client.filesystems().values()) == 100)
        wait_for(lambda: client.get("Statistics")["workers-blocked"] >= 30, what="workers that hang")
        after = alarm_lateness(client, disk, path, level, times)
        print(f"lateness {[round(t * 1000) for t in before]} ms, with hung ones {[round(t * 1000) for t in after]} ms")
        # One that waited for them would be late by a deadline of 500 ms for each.
        assert statistics.median(after) < statistics.median(before) + 1.0
        assert client.usage(path)["blocks"]

        # The caps, of all and of each user.
        assert hung.asked() <= 64 * 2
        assert len(children(running.pid)) <= processes + 64 + 8
        figures = client.get("Statistics")
        assert figures["workers-blocked"] <= 64

        # Nor do they keep the name when the daemon is killed.
        owner = client.name_owner()
        start = time.monotonic()
        running.kill()
        daemon(ready=False)
        wait_for(lambda: client.name_owner() not in (None, owner), what="a new owner", interval=0.001)
        check_took("the next owner of the name", time.monotonic() - start, 1.0)
    finally:
        hung.release()


def test_one_user_takes_no_place_of_another(daemon, client, wait_for, fuse):
    """Ten that hang are one user's; another one's filesystem still gets a worker."""
    daemon("[filesystem type:fuse.hung]\nignore = no\n[filesystem type:fuse.fsevents-test]\nignore = no\n")
    hung = HungFuses([(f"/mnt/hung{number}", 1000) for number in range(10)])
    try:
        wait_for(lambda: client.get("Statistics")["workers-blocked"] >= 4)
        other = fuse(uid=2000)
        path = client.wait_filesystem(other.where)
        assert client.usage(path)["blocks"] == 100000
        assert client.get("Statistics")["workers-blocked"] == 4
    finally:
        hung.release()


def test_a_users_filesystem_is_never_touched(daemon, client, fuse, loopfs):
    """Not asked, not shown, not broadcast; also where another mount of it is made, or it says it is full."""
    mounted = fuse("users", uid=1000, blocks=100, bfree=0, bavail=0)
    running = daemon()
    before = mounted.asked()
    other = "/mnt/users-again"
    os.makedirs(other, exist_ok=True)
    mount_raw(mounted.where, other, None, 4096)
    try:
        client.wait_filesystem(loopfs("tmpfs", 1).where)
        client.call("Reload")
        running.hangup()
        for where in (mounted.where, other, other + "/below"):
            with pytest.raises(BusError) as refused:
                client.call("GetFilesystem", "s", where)
            assert refused.value.name == NOT_SUPPORTED
        pause(0.5)
        assert mounted.asked() == before and mounted.asked("GETATTR") <= 2
        assert not client.events("threshold-below")
        assert not any(mounted.where.encode() in (e.where or b"") for e in client.events())
    finally:
        umount_raw(other, 2)


def test_a_filesystem_that_claims_a_disk_is_not_taken_for_it(daemon, client, loopfs, fuse):
    """Sections and questions by device go by number: the text of the source is anybody's choice."""
    disk = loopfs("ext4", 32)
    device = disk.device()
    name = f"/dev/loop{device[1]}"
    liar = fuse("liar", source=name)
    daemon(f"[filesystem device:{name}]\nthreshold = mine space 1M info\n")
    path, other = client.wait_filesystem(disk.where), client.wait_filesystem(liar.where)
    assert client.get("Source", other) == name
    assert [t[0] for t in client.get("Thresholds", path)] == ["mine"]
    assert "mine" not in [t[0] for t in client.get("Thresholds", other)]
    assert client.call("GetFilesystemByDevice", "uu", *device) == path


class Exchange(threading.Thread):
    """Exchanges two directories as fast as it goes."""

    def __init__(self, one, other):
        super().__init__(daemon=True)
        self.one, self.other = one.encode(), other.encode()
        self.ended = threading.Event()
        self.count = 0
        self.libc = ctypes.CDLL(None, use_errno=True)

    def run(self):
        while not self.ended.is_set():
            for _ in range(100):
                self.libc.renameat2(-100, self.one, -100, self.other, RENAME_EXCHANGE)
                self.count += 1

    def stop(self):
        self.ended.set()
        self.join(PATIENCE)
        # An even number leaves all where it was.
        if self.count % 2:
            self.libc.renameat2(-100, self.one, -100, self.other, RENAME_EXCHANGE)


def test_exchanged_parents_never_give_the_figures_of_another(daemon, client, wait_for):
    """
    Whoever owns a directory above two mounts swaps them all the time: each object tells its own
    figures or none, and no threshold is crossed that was not.
    """
    base = "/run/fsevents-exchange"
    places = {f"{base}/a/{kind}": size for kind, size in (("x", 8), ("y", 9))}
    others = {f"{base}/b/{kind}": size for kind, size in (("x", 40), ("y", 50))}
    mounted = []
    try:
        for where, size in {**places, **others}.items():
            os.makedirs(where)
            mount_raw("exchange", where, "tmpfs", 0, f"size={size}M")
            mounted.append(where)
        # With the figures of a small one a large one would be below its level.
        daemon("".join(f"[filesystem {where}]\nignore = no\nthreshold = t space {20 if size >= 40 else 1}M critical\n"
                       for where, size in {**places, **others}.items()))
        paths = {client.wait_filesystem(where): size for where, size in {**places, **others}.items()}
        for path, size in paths.items():
            assert client.usage(path)["blocks"] == size * 256

        exchange = Exchange(f"{base}/a", f"{base}/b")
        exchange.start()
        right = refused = 0
        try:
            end = time.monotonic() + 5
            while time.monotonic() < end or right + refused <= 20 or exchange.count <= 100:
                for path, size in paths.items():
                    try:
                        assert client.usage(path)["blocks"] == size * 256, "the figures of another filesystem"
                        right += 1
                    except BusError:
                        refused += 1
        finally:
            exchange.stop()
        print(f"{exchange.count} exchanges, {right} answers right, {refused} refused")
        assert not client.events("threshold-below")
        wait_for(lambda: all(client.usage(path)["blocks"] == size * 256 for path, size in paths.items()))
    finally:
        for where in reversed(mounted):
            try:
                umount_raw(where, 2)
            except OSError:
                umount_raw(where.replace("/a/", "/c/").replace("/b/", "/a/").replace("/c/", "/b/"), 2)
