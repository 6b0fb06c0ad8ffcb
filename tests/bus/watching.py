# SPDX-License-Identifier: GPL-2.0-or-later
"""Watches as their owners see them, by signals or by stream."""

import os
import select
import socket
import struct

from client import BusError, variant
from waiting import wait_for

WATCH = "org.fsevents1.Watch"
NOT_FOUND = "org.freedesktop.DBus.Error.FileNotFound"
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
UNSUPPORTED = "org.freedesktop.DBus.Error.NotSupported"
EXCEEDED = "org.freedesktop.DBus.Error.LimitsExceeded"

ACCESS, MODIFY, ATTRIB, CLOSE_WRITE, OPEN = 0x1, 0x2, 0x4, 0x8, 0x20
CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x100, 0x200, 0x400, 0x800
MOUNT, UNMOUNT, MOVE, MERGED, DIRECTORY = 0x1000, 0x2000, 0x10000, 0x20000000, 0x40000000
NAMES = ["create", "delete", "move"]

KIND_WATCH, KIND_LOST = 64, 65


class Change:
    """One record: `seq`, `mask`, `name`, `former`, `pid`, `when` (realtime, usec), `inode`, `cookie`, `time`."""

    def __init__(self, seq, record, time):
        self.seq = seq
        self.mask, self.name, self.former, self.pid, self.when, self.inode, self.cookie = record
        self.time = time

    def __repr__(self):
        return f"<{self.seq} {self.mask:#x} {self.name} {self.former} {self.pid}>"


class Lost:
    def __init__(self, count, under):
        self.count = count
        self.under = under

    def __repr__(self):
        return f"<lost {self.count} {self.under}>"


def check_numbers(told):
    """They rise by one; a loss of known count is a gap of that count. Give the last one."""
    next_seq = 1
    for one in told:
        if isinstance(one, Lost):
            next_seq += one.count
        else:
            assert one.seq == next_seq, told
            next_seq += 1
    return next_seq - 1


class Watch:
    """A watch of @client, who is a Client or a UserClient; options as ("b", True)."""

    def __init__(self, client, where, events, **options):
        self.client = client
        self.path = client.call("WatchPath", "sasa{sv}", os.fspath(where), events,
                                _variants(client, options))

    def told(self):
        """Changes and losses so far, in their order."""
        found = []
        signals = (self.client.all_signals() if hasattr(self.client, "uid")
                   else list(self.client.signals))
        for signal in signals:
            if signal.path != self.path:
                continue
            if signal.member == "Changed":
                first, records = signal.args
                found += [Change(first + i, record, signal.time) for i, record in enumerate(records)]
            elif signal.member == "Lost":
                found.append(Lost(*signal.args))
        return found

    def changes(self):
        return [one for one in self.told() if isinstance(one, Change)]

    def losses(self):
        return [one for one in self.told() if isinstance(one, Lost)]

    def wait(self, name, bit, former=None):
        """The first record of that name with that bit."""
        name = os.fsencode(name)

        def find():
            for change in self.changes():
                if change.name == name and change.mask & bit and \
                        (former is None or change.former == os.fsencode(former)):
                    return change
            return None
        return wait_for(find, what=f"{name} with {bit:#x}; told was {self.told()}"
                        if not hasattr(self.client, "uid") else f"{name} with {bit:#x}")

    def check_numbers(self):
        return check_numbers(self.told())

    def names(self, bit):
        return {change.name for change in self.changes() if change.mask & bit}

    def wait_count(self, bit, n):
        """@n records of the watch itself have that bit."""
        wait_for(lambda: sum(change.name == b"" and change.mask & bit == bit
                             for change in self.changes()) == n, what=f"{n} of {bit:#x}")

    def call(self, member, signature=None, *arguments):
        return self.client.call(member, signature, *arguments, path=self.path, interface=WATCH)

    def get(self, name):
        return self.client.get(name, self.path, WATCH)

    def stream(self):
        _, fds = self.client.call_with_fds("OpenStream", "a{sv}", {}, path=self.path,
                                           interface=WATCH)
        return Stream(fds[0])


def _variants(client, options):
    if hasattr(client, "uid"):
        return options
    return {name: variant(*value) for name, value in options.items()}


class Stream:
    """Records of OpenStream, read when asked for."""

    CHANGE = struct.Struct("=QQQQIIHHI")
    LOST = struct.Struct("=QII")

    def __init__(self, fd):
        self.socket = socket.socket(fileno=fd)
        self.told = []
        self.over = False

    def _take(self, packet):
        at = 0
        while at < len(packet):
            size, n_header, kind = struct.unpack_from("=IHH", packet, at)
            assert size % 8 == 0 and 8 <= n_header <= size <= len(packet) - at
            rest = packet[at + n_header:at + size]
            if kind == KIND_WATCH:
                seq, when, inode, cookie, mask, pid, n_name, n_former, _ = \
                    self.CHANGE.unpack_from(packet, at + 8)
                record = (mask, rest[:n_name], rest[n_name:n_name + n_former], pid, when, inode,
                          cookie)
                self.told.append(Change(seq, record, None))
            elif kind == KIND_LOST:
                count, n_under, _ = self.LOST.unpack_from(packet, at + 8)
                self.told.append(Lost(count, rest[:n_under]))
            at += size

    def read(self, timeout=0):
        """What is there; False at the end."""
        # Not select(): of a whole run descriptors may be past the highest that it takes.
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        while not self.over and poll.poll(timeout * 1000):
            packet = self.socket.recv(65536)
            self.over = not packet
            self._take(packet)
            timeout = 0
        return not self.over

    def wait(self, name, bit):
        name = os.fsencode(name)

        def find():
            self.read(0.05)
            return any(isinstance(one, Change) and one.name == name and one.mask & bit
                       for one in self.told)
        wait_for(find, what=f"{name} with {bit:#x} on the stream")

    def close(self):
        self.socket.close()


def refusal(call):
    """(name, message) of the error of @call()."""
    try:
        call()
    except BusError as error:
        return error.name, error.message
    raise AssertionError("it was not refused")


def statistics(client):
    return client.get("Statistics")


def check_invariant(client):
    """What came is what was told, merged, denied, lost and still waits."""
    found = statistics(client)
    received = found["watch-received"] + found["watch-gaps"]
    told = sum(found["watch-" + name] for name in ("delivered", "merged", "denied", "lost", "queued"))
    assert received == told, found
    return found
