# SPDX-License-Identifier: GPL-2.0-or-later
"""
A stand-in for journald: takes the entries of the native protocol and keeps
them as dictionaries of bytes. stop_reading() makes its socket run full.
"""

import array
import mmap
import os
import socket
import struct
import threading

from waiting import PATIENCE, wait_for

PATH = "/run/systemd/journal/socket"


def parse(data):
    entry, rest = {}, data
    while rest:
        line, _, rest = rest.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            name, length = line, struct.unpack_from("<Q", rest)[0]
            value, rest = rest[8:8 + length], rest[9 + length:]
        entry[name.decode()] = value
    return entry


class Journal:
    """`entries`: as they came."""

    def __init__(self):
        self.entries = []
        os.makedirs(os.path.dirname(PATH), exist_ok=True)
        if os.path.exists(PATH):
            os.unlink(PATH)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(PATH)
        self.reading = threading.Event()
        self.reading.set()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        while True:
            self.reading.wait()
            try:
                data, control, _, _ = self.socket.recvmsg(1 << 20, 1024)
            except OSError:
                return
            descriptors = array.array("i")
            for level, kind, payload in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(payload)
            for fd in descriptors:
                with mmap.mmap(fd, os.fstat(fd).st_size, access=mmap.ACCESS_READ) as memory:
                    data += memory[:]
                os.close(fd)
            if data:
                self.entries.append(parse(data))

    def stop_reading(self):
        """One more entry may be taken."""
        self.reading.clear()

    def read_on(self):
        self.reading.set()

    def find(self, **fields):
        """Entries whose fields are as given (text)."""
        return [e for e in list(self.entries)
                if all(e.get(k) == v.encode() for k, v in fields.items())]

    def wait(self, timeout=PATIENCE, **fields):
        return wait_for(lambda: self.find(**fields), timeout, f"journal entry {fields}")[0]

    def close(self):
        self.read_on()
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        if os.path.exists(PATH):
            os.unlink(PATH)
