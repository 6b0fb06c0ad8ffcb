# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that the process tests talk to by lines, and what a tree of processes says of itself."""

import os
import queue
import signal
import struct
import subprocess
import threading
from collections import Counter, defaultdict, namedtuple

from waiting import PATIENCE

HEADER = struct.Struct("=8I i 7I")
RECORD = struct.Struct("=4I i 3I 4Q")
FORK, EXEC, EXIT, BYTES, USAGE = 1, 2, 3, 4, 5
CLONE_PARENT = 1
ABANDONED_OFFSET = 32

Usage = namedtuple("Usage", "user system peak")


class Program:
    """A command with lines in and out; as the user @uid if that is given, with descriptors too."""

    def __init__(self, *command, uid=None, env=None, fds=()):
        options = {"user": uid, "group": uid, "extra_groups": []} if uid is not None else {}
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, pass_fds=fds,
                                        env={**os.environ, **(env or {})}, **options)
        self.lines = queue.Queue()
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    def _collect(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put("")

    @property
    def pid(self):
        return self.process.pid

    def line(self, timeout=PATIENCE):
        """The next line; "" at the end."""
        return self.lines.get(timeout=timeout)

    def tell(self, text=""):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def wait(self, timeout=PATIENCE):
        return self.process.wait(timeout)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        # What it left behind may have these too, and ends with them.
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.thread.join(PATIENCE)
        self.process.stdout.close()


class Witness(Program):
    """Counts what the kernel tells of processes; stop() gives (events, forks, execs, exits)."""

    BUFFER = 256 << 20

    def __init__(self, program):
        super().__init__(program, self.BUFFER)
        assert self.line() == "listening"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        *counts, lost = map(int, self.line(4 * PATIENCE).split())
        assert lost == 0, f"the witness itself lost {lost}"
        self.wait()
        return counts


class Truth:
    """The records of a tree so far."""

    def __init__(self, data):
        n = HEADER.unpack_from(data)[0]
        assert HEADER.size + n * RECORD.size <= len(data), "the file of the truth is full"
        self.forks, self.execs, self.exits, self.bytes = [], [], {}, {}
        self.usage = None
        ends, where = [], {}
        for i in range(n):
            kind, pid, other, order, status, space, local, flags, first, second, third, _ = \
                RECORD.unpack_from(data, HEADER.size + i * RECORD.size)
            if kind == FORK:
                self.forks.append((pid, order, other, flags))
                where[space, local] = other
            elif kind == EXEC:
                self.execs.append((pid, order))
            elif kind == EXIT:
                ends.append((space, local, status))
            elif kind == BYTES:
                self.bytes[pid] = (first, second)
            elif kind == USAGE:
                self.usage = Usage(first, second, third)
        # The leader is nobody's child in here.
        self.exits = {where[space, local]: status for space, local, status in ends
                      if (space, local) in where}

    def born(self):
        return {child for _, _, child, _ in self.forks}

    def live(self, leader):
        """At a checkpoint: all that were made and not waited for, and the leader."""
        return (self.born() | {leader}) - set(self.exits)

    def doings(self):
        """pid -> [("fork", child) or ("exec",)] in its order; without children that another made for it."""
        found = defaultdict(list)
        for pid, order, child, flags in self.forks:
            if not flags & CLONE_PARENT:
                found[pid].append((order, "fork", child))
        for pid, order in self.execs:
            found[pid].append((order, "exec"))
        return {pid: [entry[1:] for entry in sorted(entries)] for pid, entries in found.items()}

    def made_for(self):
        """(parent, child) where a CLONE_PARENT child was made for the parent."""
        return {(pid, child) for pid, _, child, flags in self.forks if flags & CLONE_PARENT}


class Tree(Program):
    """tests/process/tree.c: `leader` waits for go(), then next() until it gives None."""

    def __init__(self, program, directory, seed, rounds=3, uid=None, options=()):
        self.path = os.path.join(directory, "truth")
        self.program = program
        if uid is not None:
            os.chown(directory, uid, uid)
        super().__init__(program, "--truth", self.path, "--seed", seed, "--rounds", rounds,
                         *options, uid=uid)
        self.leader = int(self.line().split()[1])

    def truth(self):
        with open(self.path, "rb") as file:
            head = file.read(HEADER.size)
            return Truth(head + file.read(HEADER.unpack(head)[0] * RECORD.size))

    def go(self):
        """To the next checkpoint; True there, False at the end of all."""
        self.tell()
        line = self.line(4 * PATIENCE)
        assert line, f"the tree failed with {self.process.wait(PATIENCE)}"
        return line != "end"

    def run(self):
        while self.go():
            pass
        assert self.wait() == 0

    def close(self):
        if self.process.poll() is None:
            with open(self.path, "r+b") as file:
                file.seek(ABANDONED_OFFSET)
                file.write(struct.pack("=I", 1))
        super().close()


def counted(pairs):
    return {key: n for key, n in Counter(pairs).items() if n > 1}


def storm_pids(path):
    """(makers, children) of a storm that has ended; children as (maker, pid) in the order of each maker."""
    with open(path, "rb") as file:
        children = list(struct.iter_unpack("=II", file.read()))
    return {maker for maker, _ in children}, children
