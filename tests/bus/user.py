# SPDX-License-Identifier: GPL-2.0-or-later
"""
A client that runs as another user.

A process of its own that gives up root before it connects; UserClient forwards
to the Client in it: call, get, objects, find, events, wait_event, busctl ...
"""

import os
import pickle
import struct
import subprocess
import sys

from waiting import PATIENCE


def _write(file, value):
    data = pickle.dumps(value)
    file.write(struct.pack("=I", len(data)) + data)
    file.flush()


def _read(file):
    head = file.read(4)
    if len(head) < 4:
        return None
    return pickle.loads(file.read(struct.unpack("=I", head)[0]))


class UserClient:
    """Methods of Client, run by the user @uid. Values of a{sv} are given as ("u", 10) pairs."""

    def __init__(self, address, uid, gid=None, groups=()):
        self.uid = uid
        gid = uid if gid is None else gid
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", os.path.abspath(__file__), address, str(uid), str(gid),
             ",".join(map(str, groups))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._receive()

    def _receive(self):
        answer = _read(self.process.stdout)
        if answer is None:
            raise RuntimeError("the other user's client ended")
        good, value = answer
        if not good:
            raise value
        return value

    def _forward(self, name, *args, **kwargs):
        _write(self.process.stdin, (name, args, kwargs))
        return self._receive()

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._forward(name, *args, **kwargs)

    def begin(self, *args, **kwargs):
        """A call() whose result finish() gives."""
        _write(self.process.stdin, ("call", args, kwargs))

    def finish(self):
        return self._receive()

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def _variants(value, variant):
    if isinstance(value, dict):
        return {k: variant(*v) if isinstance(v, tuple) else v for k, v in value.items()}
    return value


def main():
    # The checkout may be out of reach for that user.
    from client import Client, variant

    address, uid, gid, groups = sys.argv[1:5]
    os.setgroups([int(g) for g in groups.split(",") if g])
    os.setgid(int(gid))
    os.setuid(int(uid))
    os.chdir("/")

    answers = sys.stdout.buffer
    client = Client(address)
    _write(answers, (True, None))
    while True:
        request = _read(sys.stdin.buffer)
        if request is None:
            return
        name, args, kwargs = request
        try:
            if name == "all_signals":
                result = list(client.signals)
            else:
                result = getattr(client, name)(*[_variants(a, variant) for a in args], **kwargs)
            _write(answers, (True, result))
        except Exception as error:  # every failure is the caller's to see
            _write(answers, (False, error))


if __name__ == "__main__":
    main()
