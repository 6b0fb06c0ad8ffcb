# SPDX-License-Identifier: GPL-2.0-or-later
"""Who watches files in the bench: nobody, the daemon, and the peers as far as they are installed."""

import os
import re
import shutil
import subprocess
import sys
import time

import harness

WATCH = "org.fsevents1.Watch"
READY_S = 60  # what takes longer to begin is shown as that, and not measured
EVENTS = ["create", "delete", "move", "close-write"]


def used_us(pids):
    """Processor time of all threads so far."""
    threads = []
    for pid in pids:
        try:
            threads += [int(thread) for thread in os.listdir(f"/proc/{pid}/task")]
        except FileNotFoundError:
            pass
    return sum(harness.cpu_us([thread]) for thread in threads)


def connect(address, uid):
    """A connection of that user, in this process."""
    from client import Client
    os.seteuid(uid)
    try:
        return Client(address)
    finally:
        os.seteuid(0)


class NotReady(Exception):
    """It has ended again."""


class Nobody:
    name = "nobody"
    per_directory = False

    def begin(self, where, directories):
        """Returns when changes are noticed, or raises NotReady after READY_S."""

    def pids(self):
        return []

    def counts(self):
        """Can it say how many names it was told?"""
        return False

    def end(self):
        """(names told, what was lost, in words)"""
        return 0, "-"


class Ours(Nobody):
    """The daemon, with a reader of the stream that counts."""

    def __init__(self, name, daemon, client, programs):
        self.name, self.daemon, self.client, self.programs = name, daemon, client, programs

    def begin(self, where, directories):
        from client import variant
        self.path = self.client.call("WatchPath", "sasa{sv}", str(where), EVENTS, {"recursive": variant("b", True)})
        _, fds = self.client.call_with_fds("OpenStream", "a{sv}", {}, path=self.path, interface=WATCH)
        self.reader = subprocess.Popen([self.programs / "drain", str(fds[0])], pass_fds=fds, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        os.close(fds[0])

    def pids(self):
        return [*self.daemon.pids(), self.reader.pid]

    def counts(self):
        return True

    def end(self):
        self.client.call("Remove", path=self.path, interface=WATCH)
        out = self.reader.communicate()[0].split()
        return int(out[3]), out[5]


class Other(Nobody):
    """A program that prints what it is told."""

    def __init__(self, name, command, ready=None, per_directory=False, count=None):
        self.name, self.command, self.ready, self.per_directory = name, command, ready, per_directory
        self.count = count or re.compile(r"CREATE|DELETE|MOVED_TO|MOVE\b")

    def begin(self, where, directories):
        targets = directories if self.per_directory else [where]
        self.out = open(f"/tmp/fsevents-bench-{os.getpid()}", "w+", encoding="utf-8", errors="replace")
        os.unlink(self.out.name)
        command = [word for part in self.command for word in (
            [("-d", str(target)) for target in targets] if part == "-d TARGET" else
            [(str(target),) for target in targets] if part == "TARGET" else [(part,)]) for word in word]
        self.process = subprocess.Popen(command, stdout=self.out, stderr=self.out)
        if not self.ready:
            # It does not say when it is.
            time.sleep(1)
            return
        until = time.monotonic() + READY_S
        while self.ready not in self.text() and self.process.poll() is None:
            if time.monotonic() > until:
                self.end()
                raise NotReady()
            time.sleep(0.005)

    def text(self):
        return os.pread(self.out.fileno(), os.fstat(self.out.fileno()).st_size, 0).decode(errors="replace")

    def pids(self):
        return [self.process.pid]

    def counts(self):
        return True

    def end(self):
        died = self.process.poll() is not None
        harness.end(self.process)
        text = self.text()
        self.out.close()
        lost = "it ended" if died else "overflow" if "OVERFLOW" in text.upper() else "0"
        return len(self.count.findall(text)), lost


class Watchman(Nobody):
    name = "watchman"

    def __init__(self, scratch):
        self.base = scratch / "watchman"
        self.base.mkdir()

    def _options(self):
        return [f"--sockname={self.base}/sock", f"--logfile={self.base}/log", f"--statefile={self.base}/state"]

    def _client(self, *command):
        return subprocess.run(["watchman", *self._options(), "--no-spawn", *command], check=True, capture_output=True,
                              timeout=READY_S)

    def begin(self, where, directories):
        for file in self.base.iterdir():
            file.unlink()
        self.process = subprocess.Popen(["watchman", *self._options(), "--foreground"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        harness.wait_for(lambda: (self.base / "sock").exists(), 30, "watchman")
        try:
            self._client("watch", str(where))
            self._client("since", str(where), "n:bench")
        except subprocess.TimeoutExpired:
            self.end()
            raise NotReady() from None

    def pids(self):
        return [self.process.pid]

    def end(self):
        harness.end(self.process)
        log = (self.base / "log").read_text(errors="replace")
        return 0, f"{len(re.findall('recrawl|OVERFLOW', log, re.IGNORECASE))} recrawls"


def settled(watcher):
    """Until it has used no more processor time for a while."""
    before, since = used_us(watcher.pids()), time.monotonic()
    until = time.monotonic() + 20
    while time.monotonic() - since < 0.4 and time.monotonic() < until:
        time.sleep(0.1)
        now = used_us(watcher.pids())
        if now - before > 2000:
            before, since = now, time.monotonic()


def peers(scratch):
    found = []
    for program, watcher in (
            ("inotifywait", lambda: Other("inotifywait", ["inotifywait", "-m", "-r", "-e",
                                                          "create,close_write,move,delete", "TARGET"],
                                          ready="Watches established")),
            ("fsnotifywait", lambda: Other("fsnotifywait", ["fsnotifywait", "-m", "-r", "-S", "-e",
                                                            "create,close_write,move,delete", "TARGET"],
                                           ready="Watches established")),
            ("gio", lambda: Other("gio monitor", ["gio", "monitor", "-d TARGET"], per_directory=True,
                                  count=re.compile("created|deleted|renamed|moved"))),
            ("watchman", lambda: Watchman(scratch))):
        if shutil.which(program):
            found.append(watcher())
        else:
            print(f"{program} is not installed: left out", file=sys.stderr)
    return found
