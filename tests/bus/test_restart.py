# SPDX-License-Identifier: GPL-2.0-or-later
"""
Ids over restarts: after SIGTERM they go on as if nothing had been, after
kill -9 they jump, and whoever follows is told so exactly once.
"""

import json
import signal
import socket
import struct

import pytest

from client import BusError, variant
from waiting import PATIENCE, wait_for

pytestmark = pytest.mark.buses("dbus-broker")

HELLO, EVENT, LOST = 1, 2, 4
UNKNOWN = 2


class Stream:
    """All that OpenEvents tells after @since: `ids`, `lost` [(first, last, flags)], `reset`."""

    def __init__(self, client, since):
        _, fds = client.call_with_fds("OpenEvents", "ta{sv}", since, {})
        self.socket = socket.socket(fileno=fds[0])
        self.socket.settimeout(PATIENCE)
        self.ids, self.lost, self.reset, self.newest = [], [], None, None

    def read(self, newest):
        """Until something is known of the id @newest."""
        while self.newest is None or self.newest < newest:
            self._take(self.socket.recv(65536))
        self.socket.close()
        return self

    def _take(self, packet):
        assert packet, "the stream ended"
        offset = 0
        while offset < len(packet):
            size, _, kind = struct.unpack_from("=IHH", packet, offset)
            if kind == HELLO:
                self.newest, _, _, flags = struct.unpack_from("=QQQI", packet, offset + 8)
                self.reset = bool(flags & 1)
            elif kind == EVENT:
                self.newest, = struct.unpack_from("=Q", packet, offset + 8)
                self.ids.append(self.newest)
            elif kind == LOST:
                first, self.newest, flags = struct.unpack_from("=QQI", packet, offset + 8)
                self.lost.append((first, self.newest, flags))
            offset += size


def emit(client, path, count=1):
    """Test events; gives the id of the last one."""
    for _ in range(count):
        client.call("EmitTestEvent", "osa{sv}", path, "enospc", {})
    return client.history(limit=variant("u", 1))[1]


def objects(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def place(daemon, client, loopfs):
    """(disk, daemon)"""
    disk = loopfs("tmpfs", 16)
    return disk, daemon()


def test_ids_go_on_after_a_stop(place, client, ctl):
    disk, running = place
    first = emit(client, client.wait_filesystem(disk.where), 5)
    epoch, last = client.history()[3]["epoch"], first
    for round_ in range(4):
        running.stop()
        running.start()
        path = client.wait_filesystem(disk.where)
        oldest, newest, events, info = client.history(first)
        assert (info["epoch"], info["reset"], info["gaps"]) == (epoch, False, [])
        # Whatever was told meanwhile is there, nothing is missing.
        assert [e.id for e in events] == list(range(first + 1, newest + 1)) and newest >= last
        # Some are stopped right after an event, and one without any.
        last = emit(client, path, round_)
    events = client.history(first)[2]
    assert [e.id for e in events] == list(range(first + 1, last + 1))
    told = Stream(client, first).read(last)
    assert not told.reset and not told.lost and told.ids == list(range(first + 1, last + 1))
    assert not [o for o in objects(ctl("history", "--json", f"--since={first}")) if "lost" in o]


def test_an_abrupt_end_is_told_once(place, client, ctl):
    disk, running = place
    first = emit(client, client.wait_filesystem(disk.where), 3)
    running.wait_stored(first)
    running.kill()
    running.start()
    last = emit(client, client.wait_filesystem(disk.where), 3)
    assert last > first + 3

    ids = [e.id for e in client.history(first)[2]]
    gap = (first + 1, ids[0] - 1)
    assert ids == list(range(ids[0], last + 1))
    told = Stream(client, first).read(last)
    assert not told.reset and told.lost == [(*gap, UNKNOWN)] and told.ids == ids
    assert client.history(first)[3]["gaps"] == [gap]
    assert client.history(gap[1])[3]["gaps"] == []

    # Nothing new after the next orderly end; and what is asked for in pieces is told once too.
    running.stop()
    running.start()
    path = client.wait_filesystem(disk.where)
    newest = emit(client, path)
    assert [e.id for e in client.history(last)[2]] == list(range(last + 1, newest + 1))
    told = Stream(client, first).read(newest)
    assert told.lost == [(*gap, UNKNOWN)]
    gaps, since = [], first
    while True:
        _, _, events, info = client.history(since, limit=variant("u", 1))
        gaps += info["gaps"]
        if not info["more"]:
            break
        since = events[-1].id
    assert gaps == [gap]

    lost = [o["lost"] for o in objects(ctl("history", "--json", f"--since={first}")) if "lost" in o]
    assert lost == [{"first-id": str(gap[0]), "last-id": str(gap[1]), "amends": False, "unknown": True}]
    assert ctl("history", f"--since={first}").stdout.count("ended abruptly") == 1
    # To whoever asks for all as well, in its place.
    everything = objects(ctl("history", "--json"))
    at = [i for i, o in enumerate(everything) if "lost" in o]
    assert len(at) == 1 and int(everything[at[0] - 1]["id"]) == first


def test_stopped_and_killed_before_the_next_event(place, client):
    """The ids that an orderly end left for the next run are not given out twice."""
    disk, running = place
    last = emit(client, client.wait_filesystem(disk.where), 3)
    running.stop()
    for _ in range(3):
        running.start()
        client.wait_filesystem(disk.where)
        running.kill()
    running.start()
    path = client.wait_filesystem(disk.where)
    assert emit(client, path) > last
    told = Stream(client, last).read(client.history()[1])
    assert told.lost and all(flags == UNKNOWN for _, _, flags in told.lost)
    assert not client.history(last)[3]["reset"]


def test_a_frozen_state_does_not_hold_up_the_stop(daemon, client, loopfs):
    state, disk = loopfs("ext4", 64, name="state"), loopfs("tmpfs", 16)
    running = daemon(state=state.path("fsevents"))
    path = client.wait_filesystem(disk.where)
    last = emit(client, path, 3)
    running.wait_stored(last)
    state.freeze()
    try:
        later = emit(client, path, 2)
        running.stop()
        assert later == last + 2
    finally:
        state.thaw()
    running = daemon(state=state.path("fsevents"))
    path = client.wait_filesystem(disk.where)
    assert emit(client, path) > later
    assert not client.history(last)[3]["reset"]
    told = Stream(client, later).read(client.history()[1])
    assert all(flags == UNKNOWN for _, _, flags in told.lost)
    running.stop()


def test_a_second_signal_ends_it_at_once(place, client):
    disk, running = place
    emit(client, client.wait_filesystem(disk.where), 2)
    for _ in range(2):
        running.signal(signal.SIGTERM)
    assert running.wait() == 0


def ask(client, since):
    """The history's info, as soon as somebody answers."""
    try:
        return client.history(since)[3]
    except BusError:
        return None


def test_nobody_is_answered_before_the_history_is_there(place, client):
    """Who asks at once, at each restart, is never told that what it had read is lost."""
    disk, running = place
    last = emit(client, client.wait_filesystem(disk.where), 3)
    epoch = client.history()[3]["epoch"]
    for _ in range(10):
        running.wait_stored(last)
        running.kill()
        running.start(ready=False)
        info = wait_for(lambda since=last: ask(client, since), what="an answer")
        assert info["epoch"] == epoch and not info["reset"]
        last = emit(client, client.wait_filesystem(disk.where))
