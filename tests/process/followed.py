# SPDX-License-Identifier: GPL-2.0-or-later
"""A process group as its owner sees it, and what must always hold of it."""

import socket
import struct
import threading
from collections import namedtuple

from client import variant
from programs import counted
from waiting import PATIENCE, wait_for

INTERFACE = "org.fsevents1.ProcessGroup"
FORK, EXEC, EXIT = 1, 2, 3
ALL = ["fork", "exec", "exit"]

Told = namedtuple("Told", "kind pid other realtime status file")


class Group:
    """
    Tracked at once; `path` on the bus. Events come by signals, or with stream() by the stream.

    events() are all so far, numbered from 1: checked to be without gap or repetition.
    """

    def __init__(self, client, pid, events=ALL, method="TrackProcess", **options):
        self.client, self.leader = client, pid
        values = {key: ("b", value) for key, value in options.items()}
        values["events"] = ("as", list(events))
        # A client of another user's makes the variants itself.
        if not hasattr(client, "process"):
            values = {key: variant(*value) for key, value in values.items()}
        self.path = client.call(method, "ua{sv}", pid, values)

    def call(self, member, signature=None, *args):
        return self.client.call(member, signature, *args, path=self.path, interface=INTERFACE)

    def get(self, name):
        return self.client.get(name, path=self.path, interface=INTERFACE)

    def start(self):
        self.call("Start")

    def release(self):
        self.call("Release")

    def _signals(self, *members):
        signals = self.client.all_signals() if hasattr(self.client, "process") else list(self.client.signals)
        return [s for s in signals if s.path == self.path and s.member in members]

    def events(self):
        told, next_seq, lost = [], 1, 0
        for signal in self._signals("Changed", "Lost"):
            if signal.member == "Lost":
                lost += signal.args[0]
                continue
            first, events = signal.args
            # What its queue had no room for has numbers, and is told in its place.
            assert next_seq <= first <= next_seq + lost, f"batch begins with {first}, after {next_seq - 1}"
            assert events, "an empty batch"
            told += [Told(*event) for event in events]
            next_seq, lost = first + len(events), 0
        return told

    def events_and_lost(self):
        """How many events came, and how many Lost told of; each loss stands where events are missing."""
        told = lost = 0
        for signal in self._signals("Changed", "Lost"):
            if signal.member == "Lost":
                assert signal.args[0] > 0
                lost += signal.args[0]
            else:
                told += len(signal.args[1])
        return told, lost

    def lost(self):
        """Counts of the Lost signals so far."""
        return [signal.args[0] for signal in self._signals("Lost")]

    def empty(self):
        """The totals of Empty, None before."""
        found = self._signals("Empty")
        assert len(found) <= 1, "empty more than once"
        return found[0].args[0] if found else None

    def wait_empty(self, timeout=PATIENCE):
        return wait_for(self.empty, timeout, f"{self.path} to be empty", 0.02)

    def members(self):
        """(next_seq, {pid: start ticks})"""
        next_seq, members = self.call("ListMembers", "a{sv}", {})
        pids = dict(members)
        assert len(pids) == len(members), "a member listed twice"
        return next_seq, pids


class Follower:
    """What the events so far make of a group that began with @members."""

    def __init__(self, members):
        self.members = set(members)
        self.seen = set(members)
        self.n = 0

    def take(self, events):
        """In causal order: nothing of a process before its fork or after its end."""
        for event in events:
            self.n += 1
            where = f"event {self.n}: {event}"
            assert event.pid in self.members, f"of no member: {where}"
            if event.kind == FORK:
                assert event.other not in self.seen, f"born twice: {where}"
                self.members.add(event.other)
                self.seen.add(event.other)
            elif event.kind == EXIT:
                self.members.remove(event.pid)
            else:
                assert event.kind == EXEC, where


def check_membership(group, begun_with):
    """ListMembers, placed by its number among the events, is what they make of the group."""
    next_seq, members = group.members()
    wait_for(lambda: len(group.events()) >= next_seq - 1, what=f"events up to {next_seq - 1}")
    events = group.events()
    follower = Follower(begun_with)
    follower.take(events[:next_seq - 1])
    assert set(members) == follower.members
    return set(members)


def check_against_truth(events, truth, leader, outside=()):
    """Each event of the truth once, with the right status, and in the order of who did it."""
    told_forks = [(e.pid, e.other) for e in events if e.kind == FORK]
    true_forks = [(pid, child) for pid, _, child, _ in truth.forks if child not in outside]
    assert not counted(told_forks) and not counted(true_forks)
    assert set(told_forks) == set(true_forks)

    told_exits = [(e.pid, e.status) for e in events if e.kind == EXIT and e.pid != leader]
    true_exits = [item for item in truth.exits.items() if item[0] not in outside]
    assert sorted(told_exits) == sorted(true_exits)

    made_for, doings = truth.made_for(), {}
    for event in events:
        if event.kind == FORK and (event.pid, event.other) not in made_for:
            doings.setdefault(event.pid, []).append(("fork", event.other))
        elif event.kind == EXEC:
            doings.setdefault(event.pid, []).append(("exec",))
    assert doings == truth.doings()


class Stream(threading.Thread):
    """The records of a group's stream, until its end."""

    KIND_EVENT, KIND_LOST, KIND_EMPTY = 128, 129, 130
    HEAD = struct.Struct("=IHH")
    EVENT = struct.Struct("=8x QQ IIIi II")

    def __init__(self, fd):
        super().__init__(daemon=True)
        self.socket = socket.socket(fileno=fd)
        self.packets = []
        self.start()

    def run(self):
        while packet := self.socket.recv(65536):
            self.packets.append(packet)

    def _records(self):
        """(kind, offset of what varies, bytes) of each so far."""
        for packet in list(self.packets):
            offset = 0
            while offset < len(packet):
                size, header_size, kind = self.HEAD.unpack_from(packet, offset)
                assert size % 8 == 0 and 8 <= header_size <= size <= len(packet) - offset
                yield kind, header_size, packet[offset:offset + size]
                offset += size

    def events(self):
        """Numbered from 1 without a gap; nothing comes after Empty, and no loss."""
        told, over = [], False
        for kind, header_size, data in self._records():
            assert not over and kind != self.KIND_LOST
            over = kind == self.KIND_EMPTY
            if kind != self.KIND_EVENT:
                continue
            seq, when, event, pid, other, status, n_file, _ = self.EVENT.unpack_from(data)
            assert seq == len(told) + 1
            told.append(Told(event, pid, other, when, status, data[header_size:header_size + n_file]))
        return told

    def is_over(self):
        return any(kind == self.KIND_EMPTY for kind, _, _ in self._records())

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join(PATIENCE)
        self.socket.close()
