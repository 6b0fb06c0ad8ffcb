# SPDX-License-Identifier: GPL-2.0-or-later
"""
The history against crashes, floods, clocks that jump and state that is lost:
ids never go back, and what matters is still there.
"""

import os
import random
import threading
import time

import pytest

from client import BusError
from clock import Clock
from disks import mount_raw, umount_raw
from service import SANITIZED
from waiting import PATIENCE, pause, wait_for

pytestmark = pytest.mark.buses("dbus-broker")

YEAR = 365 * 86400
MIB = 1 << 20


@pytest.fixture
def clock(scratch):
    return Clock(scratch)


def emit(client, path, code="enospc"):
    """A test event; gives it as it was told."""
    before = len(client.signals)
    client.call("EmitTestEvent", "osa{sv}", path, code, {})

    def newest():
        return client.history(limit=_limit(1))[1]
    assert newest() or before >= 0
    return newest()


def _limit(number):
    from client import variant
    return variant("u", number)


def all_events(client, since=0):
    """[(id, code, where...)] page by page."""
    found = []
    while True:
        _, _, events, info = client.history(since)
        found += events
        if not info["more"]:
            return found
        since = events[-1].id


class Crossings(threading.Thread):
    """Crosses one level to and fro as fast as the daemon follows, and keeps what was told."""

    def __init__(self, client, disk, path, level):
        super().__init__(daemon=True)
        self.client, self.disk, self.path, self.level = client, disk, path, level
        self.ended = threading.Event()

    def run(self):
        below = self.disk.available() - self.level + MIB
        while not self.ended.is_set():
            for code in ("threshold-below", "threshold-above"):
                told = len(self.client.events(code, self.path))
                if code == "threshold-below":
                    self.disk.fallocate("file", below)
                else:
                    self.disk.unlink("file")
                while len(self.client.events(code, self.path)) == told and not self.ended.is_set():
                    pause(0.002)
        if os.path.exists(self.disk.path("file")):
            self.disk.unlink("file")

    def stop(self):
        self.ended.set()
        self.join(PATIENCE)


def test_kill_at_any_moment_loses_no_id_and_only_the_newest_events(daemon, client, loopfs, scratch):
    """Twenty times kill -9 while events flow: what was seen stored stays, ids only rise."""
    disk = loopfs("tmpfs", 64)
    level = disk.available() // 2
    state = os.path.join(scratch, "state")
    config = f"[filesystem {disk.where}]\nthreshold = half space {level} warning hysteresis 1M\n"
    moments = random.Random(20)
    told, stored, newest, n_lost = {}, {}, 0, 0

    for number in range(5 if SANITIZED else 20):
        if number % 2:
            # Also while it starts and reads what there is.
            starting = daemon(config, state=state, ready=False)
            pause(moments.uniform(0, 0.15))
            starting.kill()
        running = daemon(config, state=state)
        path = client.wait_filesystem(disk.where)
        kept = {e.id: (e.code, e.realtime_usec) for e in all_events(client)}
        assert sorted(kept) == list(kept)
        # Nothing was made up, nothing that was stored is gone, and only the newest are missing.
        for event_id, event in stored.items():
            assert kept.get(event_id) == event, "an event that was stored is gone or another one"
        missing = [n for n in told if n not in kept]
        assert all(n > max(kept, default=0) or n < min(kept) for n in missing), "a hole in what was stored"
        n_lost += len(missing)
        for event_id in missing:
            del told[event_id]
        stored = kept

        client.signals.clear()
        flow = Crossings(client, disk, path, level)
        flow.start()
        try:
            wait_for(lambda: len(client.events(path=path)) > 2, what="events")
            pause(moments.uniform(0, 0.4))
            running.kill()
        finally:
            flow.stop()
        fresh = {e.id: (e.code, e.realtime_usec) for e in client.events(path=path)}
        if fresh:
            assert min(fresh) > newest, "an id was given twice"
            newest = max(fresh)
        told.update(fresh)

    print(f"{n_lost} of {len(told)} events were not stored yet")
    assert len(told) > 10, "hardly any event was kept"
    # Mostly none; where nothing were stored before the end, all would be lost.
    assert n_lost <= len(told) // 2, f"{n_lost} of {len(told)} events were lost"


def test_a_stored_event_is_there_after_a_kill_soon_after(daemon, client, loopfs):
    disk = loopfs("tmpfs", 16)
    running = daemon()
    path = client.wait_filesystem(disk.where)
    client.call("EmitTestEvent", "osa{sv}", path, "corrupted", {})
    event = client.wait_event("corrupted", path)
    running.wait_stored(event.id)
    running.kill()
    daemon(state=running.state)
    client.wait_filesystem(disk.where)
    assert [e.id for e in all_events(client) if e.code == "corrupted"] == [event.id]


@pytest.mark.parametrize("first, second", [(0, -YEAR), (0, YEAR), (YEAR, 0), (-YEAR, YEAR)])
def test_ids_rise_whatever_the_clock_says(daemon, client, loopfs, clock, first, second):
    """Also after kill -9, and with a clock that was a year ahead before."""
    disk = loopfs("tmpfs", 16)
    clock.set(first)
    running = daemon(env=clock.env)
    path = client.wait_filesystem(disk.where)
    before = [emit(client, path) for _ in range(3)]
    assert before == list(range(before[0], before[0] + 3))
    running.wait_stored(before[-1])
    running.kill()

    clock.set(second)
    running = daemon(state=running.state, env=clock.env)
    path = client.wait_filesystem(disk.where)
    oldest, newest, events, info = client.history()
    assert [e.id for e in events if e.code == "enospc"] == before and not info["reset"]
    after = emit(client, path)
    assert after > before[-1]
    running.stop()

    daemon(state=running.state, env=clock.env)
    assert emit(client, client.wait_filesystem(disk.where)) > after


def test_a_clock_that_jumps_stalls_nothing_and_orders_nothing(daemon, client, loopfs, fuse, clock):
    disk, mounted = loopfs("tmpfs", 64), fuse()
    level = disk.available() // 2
    daemon(f"[filesystem {disk.where}]\nthreshold = half space {level} info\n", env=clock.env)
    path = client.wait_filesystem(disk.where)
    client.wait_filesystem(mounted.where)
    now = time.time()
    for seconds in (YEAR, -YEAR, 0, -now + 1000):
        clock.set(seconds)
        disk.fallocate("file", disk.available() - level + MIB)
        below = client.wait_event("threshold-below", path)
        disk.unlink("file")
        above = client.wait_event("threshold-above", path, after=below)
        assert abs(below.realtime_usec / 1e6 - (now + seconds)) < 300
        assert above.id > below.id
        client.signals.clear()
    pause(1.5)
    assert not client.events("stalled")
    ids = [e.id for e in all_events(client) if e.code != "mounted"]
    assert ids == sorted(ids) and len(ids) == 8


def test_lost_state_is_told_and_the_ids_stay_above(daemon, client, loopfs, clock):
    """Who knows ids of the lost history gets all there is, marked as a reset."""
    disk = loopfs("tmpfs", 16)
    running = daemon(env=clock.env)
    path = client.wait_filesystem(disk.where)
    known = emit(client, path)
    epoch = client.history()[3]["epoch"]
    running.stop()
    for name in os.listdir(running.state):
        os.unlink(os.path.join(running.state, name))

    running = daemon(state=running.state, env=clock.env)
    path = client.wait_filesystem(disk.where)
    assert client.history()[3]["epoch"] != epoch
    later = emit(client, path)
    assert later > known
    running.stop()


def test_lost_state_at_the_beginning_of_time_resets_who_knew_more(daemon, client, loopfs, clock):
    disk = loopfs("tmpfs", 16)
    running = daemon(env=clock.env)
    path = client.wait_filesystem(disk.where)
    known = emit(client, path)
    epoch = client.history()[3]["epoch"]
    running.stop()

    clock.set(-time.time() + 5)
    running = daemon(env=clock.env)
    path = client.wait_filesystem(disk.where)
    first = emit(client, path)
    assert 0 < first < known, "the clock stands at 1970 and nothing is known"
    oldest, newest, events, info = client.history(known)
    assert info["reset"] and info["epoch"] != epoch
    assert (newest, [e.id for e in events]) == (first, [first])
    assert not client.history(0)[3]["reset"]


@pytest.fixture
def flooded(daemon, client, loopfs):
    """A daemon with room for few events, after one critical event of a disk."""
    class Flooded:
        disk = loopfs("tmpfs", 32, name="victim")
        config = ("[daemon]\nhistory-size = 256\n[filesystem type:fuse.fsevents-test]\nignore = no\n"
                  f"threshold = half space 50% critical\n[filesystem {disk.where}]\n"
                  f"threshold = last space 8M critical\n")
        running = daemon(config)
        path = client.wait_filesystem(disk.where)

        def check(self):
            kept = [e for e in all_events(client) if e.id == self.event.id]
            assert [e.name for e in kept] == ["last"], "the critical event was evicted"

    made = Flooded()
    made.disk.fallocate("file", made.disk.available() - 4 * MIB)
    made.event = client.wait_event("threshold-below", made.path)
    return made


def test_test_events_evict_only_themselves(flooded, client):
    for number in range(300):
        client.call("EmitTestEvent", "osa{sv}", flooded.path, ("enospc", "corrupted", "io-error")[number % 3], {})
    flooded.check()
    assert sum(bool(e.details.get("test")) for e in all_events(client)) <= 64


def test_mounts_evict_only_themselves(flooded, client, wait_for):
    """Six hundred mounts that each live long enough to be told."""
    def table():
        return sum(where.startswith(b"/mnt/flood") for f in client.filesystems().values()
                   for where in f["MountPoints"])

    for _ in range(3):
        mounted = []
        try:
            for number in range(100):
                where = f"/mnt/flood{number}"
                os.makedirs(where, exist_ok=True)
                mount_raw("flood", where, "tmpfs", 0, "size=64k")
                mounted.append(where)
            wait_for(lambda: table() == 100)
        finally:
            for where in mounted:
                umount_raw(where)
        wait_for(lambda: table() == 0)
    flooded.check()
    traffic = [e for e in all_events(client) if e.code in ("mounted", "unmounted")]
    assert 0 < len(traffic) <= 256 // 8


def test_a_users_filesystem_evicts_only_itself(flooded, client, fuse, wait_for):
    """A configured FUSE whose owner makes it cross its level for ever is slowed down and keeps to its room."""
    mounted = fuse("users", uid=1000)
    path = client.wait_filesystem(mounted.where)
    for number in range(120):
        mounted.figures(bavail=100 if number % 2 else 90000)
        pause(0.06)
        client.usage(path)
    wait_for(lambda: client.get("Statistics")["events"] > 20)
    flooded.check()
    users = [e for e in all_events(client) if e.path == path]
    assert 0 < len(users) <= 256 // 8


def test_floods_are_over_after_a_restart_too(flooded, client, daemon):
    for _ in range(200):
        client.call("EmitTestEvent", "osa{sv}", flooded.path, "corrupted", {})
    flooded.running.wait_stored(flooded.event.id)
    flooded.running.wait_stored(client.history()[1])
    flooded.running.kill()
    flooded.disk.unlink("file")
    daemon(flooded.config, state=flooded.running.state)
    client.wait_filesystem(flooded.disk.where)
    flooded.check()
    with pytest.raises(BusError):
        client.call("GetEvents", "ta{sv}", 0, {"limit": _limit(300)})
