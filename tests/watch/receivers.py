# SPDX-License-Identifier: GPL-2.0-or-later
"""Subscribers in processes of their own, and what they were told."""

import json
import os
import pickle
import signal
import struct
import subprocess
import sys

from client import BusError
from waiting import PATIENCE, wait_for
from watching import Change, Lost, Stream

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "receiver.py")


class Packets(Stream):
    """The records of packets that another process has read."""

    def __init__(self):  # pylint: disable=super-init-not-called
        self.told = []

    def take(self, packet):
        self._take(packet)


class Receiver:
    """`told` after read(): changes and losses in their order. BusError when the watch was refused."""

    def __init__(self, address, directory, where, events, uid=0, gid=None, groups=(), stream=False,
                 **options):
        self.directory = directory
        self.packets = Packets()
        self.told = self.packets.told
        self.read_to = {"signals": 0, "packets": 0}
        request = {"uid": uid, "gid": uid if gid is None else gid, "groups": list(groups),
                   "where": where, "events": events, "options": {"recursive": ("b", True), **options},
                   "stream": stream}
        self.process = subprocess.Popen(
            [sys.executable, "-B", PROGRAM, address, directory, json.dumps(request)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            self.close()
            raise BusError(*answer["error"])
        self.path = answer["path"]

    def _new(self, name):
        """The pieces that came since, of one file."""
        with open(os.path.join(self.directory, name), "rb") as file:
            file.seek(self.read_to[name])
            data = file.read()
        at = 0
        while len(data) - at >= 4:
            size = struct.unpack_from("=I", data, at)[0]
            if len(data) - at - 4 < size:
                break
            yield data[at + 4:at + 4 + size]
            at += 4 + size
        self.read_to[name] += at

    def read(self):
        for packet in self._new("packets"):
            self.packets.take(packet)
        for piece in self._new("signals"):
            path, member, args = pickle.loads(piece)
            if path == self.path and member == "Changed":
                first, records = args
                self.told += [Change(first + i, record, None) for i, record in enumerate(records)]
            elif path == self.path and member == "Lost":
                self.told.append(Lost(*args))
        return self.told

    def changes(self):
        return [one for one in self.read() if isinstance(one, Change)]

    def losses(self):
        return [one for one in self.read() if isinstance(one, Lost)]

    def names(self):
        """All names that it was told, whatever of them."""
        return {name for one in self.changes() for name in (one.name, one.former) if name}

    def wait(self, name, bit, timeout=PATIENCE):
        """The first record of that name with that bit."""
        name = os.fsencode(name)

        def find():
            return next((one for one in self.changes() if one.name == name and one.mask & bit), None)
        return wait_for(find, timeout, f"{name} with {bit:#x}")

    def everything(self):
        """Every byte that it received."""
        data = b""
        for name in self.read_to:
            with open(os.path.join(self.directory, name), "rb") as file:
                data += file.read()
        return data

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def cont(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.cont()
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
