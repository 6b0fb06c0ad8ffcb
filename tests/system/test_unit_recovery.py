# SPDX-License-Identifier: GPL-2.0-or-later
"""What the service comes back from: a hang, a kill with clients connected, crash after crash."""

import json
import os
import select
import time

import pytest

from machine import wait

NAME = "org.fsevents1"
ROOT = "/org/fsevents1"
MANAGER = "org.fsevents1.Manager"
UNIT = "fseventsd.service"
DROPINS = "/run/systemd/system/fseventsd.service.d"
USER = "nobody"

# Starts within a minute after which one more is in safe mode.
CRASHES = 3


def show(machine, name):
    return machine.run("systemctl", "show", "--property=" + name, "--value", UNIT).stdout.strip()


def after(machine, before):
    """The process that came after @before."""
    return wait(lambda: show(machine, "ActiveState") == "active" and show(machine, "MainPID") not in ("0", before)
                and show(machine, "MainPID"), "the next start")


def sources(machine):
    done = machine.run("busctl", "--json=short", "get-property", NAME, ROOT, MANAGER, "Sources")
    return json.loads(done.stdout)["data"]


def newest(machine):
    done = machine.run("busctl", "--json=short", "call", NAME, ROOT, MANAGER, "GetEvents", "ta{sv}", "0", "0")
    return json.loads(done.stdout)["data"][1]


@pytest.fixture
def fresh(machine):
    """Started anew, by a stop in order: no crash is remembered, before and after."""
    machine.run("systemctl", "stop", UNIT)
    machine.run("systemctl", "start", UNIT)
    yield machine
    machine.run("rm", "-rf", DROPINS)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "stop", UNIT)
    machine.run("systemctl", "start", UNIT)


def test_stopped_by_a_signal_it_is_started_again(fresh):
    fresh.run("mkdir", "-p", DROPINS)
    fresh.write(DROPINS + "/test.conf", "[Service]\nWatchdogSec=5s\n")
    fresh.run("systemctl", "daemon-reload")
    fresh.run("systemctl", "restart", UNIT)
    before = show(fresh, "MainPID")
    start = time.monotonic()
    fresh.run("kill", "-STOP", before)
    after(fresh, before)
    print(f"up again {time.monotonic() - start:.1f} s after SIGSTOP, with a watchdog of 5 s")
    assert "watchdog" in fresh.run("journalctl", "--quiet", "--unit", UNIT, "--output=cat", "--lines=30").stdout.lower()
    assert fresh.run("fseventsctl", "show", "/srv")


class Listener:
    """fseventsctl monitor, and what it printed."""

    def __init__(self, machine):
        self.process = machine.start("fseventsctl", "--json", "monitor", user=USER)
        self.seen = ""

    def has(self, text):
        if select.select([self.process.stdout], [], [], 0)[0]:
            self.seen += os.read(self.process.stdout.fileno(), 65536).decode()
        return text in self.seen

    def end(self):
        self.process.terminate()
        self.process.wait(30)


def test_killed_its_clients_go_on(fresh):
    listeners = [Listener(fresh) for _ in range(4)]
    try:
        def all_told(code):
            fresh.run("fseventsctl", "test", "/srv", code)
            return all([listener.has(f'"{code}"') for listener in listeners])

        wait(lambda: all_told("corrupted"), "the first event at each")
        last = newest(fresh)
        before = show(fresh, "MainPID")
        fresh.run("kill", "-9", before)
        after(fresh, before)
        wait(lambda: all_told("io-error"), "the event after the restart at each")
        assert newest(fresh) > last
        assert all(listener.process.poll() is None for listener in listeners)
    finally:
        for listener in listeners:
            listener.end()


def test_crash_after_crash_ends_in_safe_mode(fresh):
    assert "safe-mode" not in sources(fresh)
    start = time.monotonic()
    for number in range(1, CRASHES + 1):
        before = show(fresh, "MainPID")
        fresh.run("kill", "-ABRT", before)
        after(fresh, before)
        if time.monotonic() - start > 50:
            pytest.skip("this machine is too slow to crash so often within a minute")
        assert ("safe-mode" in sources(fresh)) == (number == CRASHES), number
    assert "safe mode" in fresh.run("journalctl", "--quiet", "--unit", UNIT, "--priority=warning",
                                    "--output=cat", "--lines=5").stdout
    # What it is there for goes on.
    assert "/srv" in fresh.run("fseventsctl", "status", user=USER).stdout

    fresh.run("systemctl", "restart", UNIT)
    assert "safe-mode" not in sources(fresh)
