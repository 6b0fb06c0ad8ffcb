# SPDX-License-Identifier: GPL-2.0-or-later
"""
Private message buses.

Both implementations run with the policy of a system bus plus the project's
own policy file, so that what is denied on a real machine is denied here.
"""

import os
import select
import socket
import subprocess
import threading
import time

from waiting import PATIENCE

KINDS = ("dbus-daemon", "dbus-broker")

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bus.conf.in")


class Bus:
    """A running bus: `address`, `kind`, `process`."""

    def __init__(self, kind, directory, policy):
        self.kind = kind
        self.directory = directory
        self.policy = policy
        self.process = None
        self.path = os.path.join(directory, "bus")
        self.address = "unix:path=" + self.path
        self._sink = None

    def start(self):
        config = os.path.join(self.directory, "bus.conf")
        with open(TEMPLATE, encoding="utf-8") as file:
            text = file.read()
        with open(config, "w", encoding="utf-8") as file:
            file.write(text.replace("@address@", self.address).replace("@policy@", self.policy))
        self.log_path = os.path.join(self.directory, "bus.log")
        if os.path.exists(self.path):
            os.unlink(self.path)
        with open(self.log_path, "ab") as log:
            if self.kind == "dbus-daemon":
                self._start_daemon(config, log)
            else:
                self._start_broker(config, log)
        self._await_answer()
        return self

    def _start_daemon(self, config, log):
        self.process = subprocess.Popen(
            ["dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--config-file=" + config],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _start_broker(self, config, log):
        # The launcher wants to be socket-activated, to log to journald, and to
        # reach itself under the address of the system bus.
        ensure_journal_socket()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(self.path)
        os.chmod(self.path, 0o666)
        listener.listen(128)
        fd = listener.fileno()
        self.process = subprocess.Popen(
            ["/bin/bash", "-c",
             f'[ {fd} = 3 ] || {{ exec 3<&{fd} {fd}<&-; }}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"',
             "bash", "dbus-broker-launch", "--scope", "system", "--config-file", config],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[fd],
            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address})
        listener.close()

    def _await_answer(self):
        """Until a client gets an answer to its first line."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.kind} ended: {self.log()}")
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                    client.connect(self.path)
                    client.settimeout(max(0.1, deadline - time.monotonic()))
                    client.sendall(b"\0AUTH\r\n")
                    if client.recv(256):
                        return
            except (FileNotFoundError, ConnectionError):
                select.select([], [], [], 0.005)
        raise RuntimeError(f"{self.kind} does not answer: {self.log()}")

    def pids(self):
        """The processes that carry messages."""
        if self.kind == "dbus-daemon":
            return [self.process.pid]
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children",
                  encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        """End the bus; its clients are cut off."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)
        self.process = None


_journal_sink = None


def ensure_journal_socket():
    """A socket in the place of journald's that swallows everything."""
    global _journal_sink
    path = "/run/systemd/journal/socket"
    if os.path.exists(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    _journal_sink = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    _journal_sink.bind(path)
    threading.Thread(target=_swallow, args=(_journal_sink,), daemon=True).start()


def _swallow(sink):
    while True:
        try:
            _, descriptors, _, _ = socket.recv_fds(sink, 1 << 16, 8)
            for fd in descriptors:
                os.close(fd)
        except OSError:
            return
