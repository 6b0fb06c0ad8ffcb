# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon under test: its process, what it notifies and what it prints."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from waiting import PATIENCE, SLACK, check_took, wait_for

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
STOP_AIM = 1.0

# A build with sanitizers needs much more memory.
SANITIZED = os.environ.get("FSEVENTS_SANITIZED") == "1"
REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|Assertion .* failed")


BINARIES = "/run/fsevents-test/bin"

# Of a daemon for which the space of all filesystems is none of the test's business.
NO_FILESYSTEMS = "[filesystem *]\nignore = yes\nthreshold = none\n"


def built(*names):
    """What was built beside the daemon, by its path in the build directory."""
    daemon = os.environ.get("FSEVENTSD") or os.path.join(SOURCE, "build", "daemon", "fseventsd")
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(daemon))), *names)


def executable():
    """The daemon, copied to where every user can start it, with the client beside it."""
    copy = os.path.join(BINARIES, "fseventsd")
    if not os.path.exists(copy):
        os.makedirs(BINARIES, 0o755, exist_ok=True)
        shutil.copy(os.environ.get("FSEVENTSD") or built("daemon", "fseventsd"), copy)
        os.chmod(copy, 0o755)
        os.symlink("fseventsd", os.path.join(BINARIES, "fseventsctl"))
    return copy


class Daemon:
    """
    `pid`, `notifications` [(time, text)], `ready_after` (seconds from exec to READY=1),
    `state` (its state directory), `config` (path of its configuration file).
    """

    def __init__(self, address, directory, config_text="", args=(), env=None, state=None,
                 journal=None):
        self.address = address
        self.directory = directory
        self.state = state or os.path.join(directory, "state")
        self.config = os.path.join(directory, "fsevents.conf")
        self.stderr_path = os.path.join(directory, "stderr")
        self.args = list(args)
        self.env = env or {}
        self.journal = journal
        self.notifications = []
        self.process = None
        self.started = None
        self.ready_after = None
        # Not even looked at when it is there: it may be frozen.
        if state is None or not os.path.isdir(state):
            os.makedirs(self.state, 0o700)
        self.configure(config_text)

    def configure(self, text, dropin=None):
        """Write the configuration file, or FILE.d/@dropin; takes force on reload()."""
        path = self.config
        if dropin is not None:
            os.makedirs(self.config + ".d", 0o755, exist_ok=True)
            path = os.path.join(self.config + ".d", dropin)
        data = text if isinstance(text, bytes) else text.encode()
        with open(path, "wb") as file:
            file.write(data)

    def command(self):
        # FSEVENTSD_UNDER: a program that restricts it first.
        under = os.environ.get("FSEVENTSD_UNDER", "").split()
        return [*under, executable(), "--bus=" + self.address, "--config", self.config, *self.args]

    def start(self, ready=True, timeout=PATIENCE):
        """Start; with @ready wait for READY=1 (AssertionError if it ends before)."""
        notify = os.path.join(self.directory, "notify")
        if os.path.exists(notify):
            os.unlink(notify)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(notify)
        os.chmod(notify, 0o666)
        threading.Thread(target=self._collect, args=(self._notify,), daemon=True).start()

        environment = {**os.environ, "STATE_DIRECTORY": self.state, "NOTIFY_SOCKET": notify,
                       **self.env}
        environment.pop("JOURNAL_STREAM", None)
        with open(self.stderr_path, "ab") as stderr:
            if self.journal:
                # What systemd says of a service whose stderr is the journal's.
                status = os.fstat(stderr.fileno())
                environment["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
            self.notifications.clear()
            self.started = time.monotonic()
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL,
                                            stdout=stderr, stderr=stderr, env=environment)
        if ready:
            self.wait_ready(timeout)
        return self

    def _collect(self, sock):
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(sock, 1 << 16, 8)
            except OSError:
                return
            for fd in descriptors:
                os.close(fd)
            if not data:
                return
            self.notifications.append((time.monotonic(), data.decode(errors="replace")))

    def wait_ready(self, timeout=PATIENCE):
        def ready():
            found = self.notified("READY=1")
            if not found and self.process.poll() is not None:
                raise AssertionError(
                    f"the daemon ended with {self.process.returncode} before READY=1:\n"
                    + self.stderr())
            return found
        self.ready_after = wait_for(ready, timeout, "READY=1", 0.001) - self.started

    def notified(self, line, after=0.0):
        """When the daemon notified of @line the first time, else None."""
        for when, text in list(self.notifications):
            if when > after and line in text.splitlines():
                return when
        return None

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stderr(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_stderr(self, pattern, timeout=PATIENCE, start=0):
        """The match of @pattern in what was printed from offset @start on."""
        return wait_for(lambda: re.search(pattern, self.stderr()[start:]), timeout,
                        f"stderr with {pattern!r}")

    def wait_stored(self, event_id):
        """Until the event of this id is in the state directory, where a kill -9 leaves it."""
        path, wanted = os.path.join(self.state, "history"), struct.pack("=Q", event_id)

        def stored():
            try:
                with open(path, "rb") as file:
                    return wanted in file.read()
            except FileNotFoundError:
                return False
        wait_for(stored, what=f"event {event_id} in the state directory")

    def signal(self, number):
        os.kill(self.pid, number)

    def hangup(self):
        self.signal(signal.SIGHUP)

    def wait(self, timeout=PATIENCE):
        """Its exit status."""
        return self.process.wait(timeout)

    def stop(self):
        """SIGTERM; it must end, and with status 0. Gives the seconds that it took."""
        if self.process is None:
            return 0.0
        limit = STOP_AIM * SLACK
        start = time.monotonic()
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)
            raise AssertionError(f"the daemon did not stop within {limit} s of SIGTERM:\n"
                                 + self.stderr()) from None
        finally:
            self._close_notify()
        took = time.monotonic() - start
        check_took("the end after SIGTERM", took, STOP_AIM)
        assert status == 0, f"exit status {status} after SIGTERM:\n{self.stderr()}"
        return took

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None
            self._close_notify()

    def _close_notify(self):
        try:
            self._notify.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._notify.close()

    def check_reports(self):
        report = REPORT.search(self.stderr())
        assert not report, f"a report of the daemon:\n{self.stderr()}"
