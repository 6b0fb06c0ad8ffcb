# SPDX-License-Identifier: GPL-2.0-or-later
"""Several processes that change one tree at random, and what they did together."""

import json
import os
import subprocess
import sys

from waiting import PATIENCE

ACTOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "actor.py")


class Deed:
    """What one call of the kernel did, with inodes for directories; `inode` 0: not known."""

    def __init__(self, pid, line):
        self.pid = pid
        self.bit, self.directory, self.name, self.inode, self.former_directory, self.former = line
        self.name, self.former = os.fsencode(self.name), os.fsencode(self.former)

    def __repr__(self):
        return (f"<{self.bit:x} {self.directory}/{self.name} inode {self.inode} pid {self.pid} "
                f"from {self.former_directory}/{self.former}>")


class Actors:
    """They stand still but within go(); `root` is the tree, `tell()` what they did so far."""

    def __init__(self, directory, logs, seeds, steps, mounts=False, roomy=False):
        self.root = os.path.join(directory, "tree")
        self.steps = steps
        for name in ("tree", "outside"):
            os.makedirs(os.path.join(directory, name), 0o755, exist_ok=True)
        self.processes, self.logs = [], []
        for number, seed in enumerate(seeds):
            self.logs.append(os.path.join(logs, str(number)))
            options = (["mounts"] if mounts and number == 0 else []) + (["roomy"] if roomy else [])
            self.processes.append(subprocess.Popen(
                [sys.executable, "-B", ACTOR, directory, str(number), str(seed), self.logs[-1],
                 *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        self.read_to = [0] * len(self.logs)
        for process in self.processes:
            assert process.stdout.readline() == "ready\n"

    def begin(self):
        for process in self.processes:
            process.stdin.write(f"{self.steps}\n")
            process.stdin.flush()

    def finish(self):
        """How many steps did something."""
        return sum(int(process.stdout.readline()) for process in self.processes)

    def go(self):
        self.begin()
        return self.finish()

    def deeds(self):
        """What was done since this was asked last."""
        done = []
        for i, (process, path) in enumerate(zip(self.processes, self.logs)):
            with open(path, encoding="ascii") as file:
                file.seek(self.read_to[i])
                done += [Deed(process.pid, json.loads(line)) for line in file]
                self.read_to[i] = file.tell()
        return done

    def close(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
