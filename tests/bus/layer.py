# SPDX-License-Identifier: GPL-2.0-or-later
"""The bus layer alone, with a manager of cardboard (tests/io/bus-fixture.c)."""

import os
import queue
import subprocess
import threading

import pytest

import service
from waiting import PATIENCE


class Layer:
    """The running fixture; commands are lines, see its source."""

    def __init__(self, address, env=None):
        program = service.built("tests", "io", "bus-fixture")
        if not os.path.exists(program):
            pytest.fail(f"not built: {program}")
        self.process = subprocess.Popen([program, address], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env={**os.environ, **(env or {})})
        self.said, self.turns = queue.Queue(), queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        for line in self.process.stdout:
            (self.turns if line in ("connected\n", "lost\n") else self.said).put(line.strip())
        self.turns.put("")
        self.said.put("")

    def turn(self):
        """The next "connected" or "lost"; "" at its end."""
        return self.turns.get(timeout=PATIENCE)

    def do(self, command):
        """Lines that the command printed."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        lines = []
        while True:
            line = self.said.get(timeout=PATIENCE)
            if line in ("ok", ""):
                return lines
            lines.append(line)

    def stats(self):
        line = [line for line in self.do("stats") if line.startswith("stats ")][0]
        return {key: int(value) for key, _, value in
                (pair.partition("=") for pair in line.split()[1:])}

    def rss(self):
        return int(self.do("rss")[-1].split()[1])

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.write("quit\n")
            self.process.stdin.flush()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
        stderr = self.process.stderr.read()
        assert not service.REPORT.search(stderr), stderr
        return stderr
