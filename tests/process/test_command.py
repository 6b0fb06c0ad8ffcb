# SPDX-License-Identifier: GPL-2.0-or-later
"""fseventsctl track -- COMMAND: whose exit status, output and signals are the command's."""

import json
import os
import signal
import subprocess

import pytest

import service
from waiting import PATIENCE, wait_for

CANNOT_FOLLOW, CANNOT_EXECUTE, NOT_FOUND = 125, 126, 127


@pytest.mark.parametrize("command,status", (
    (("true",), 0), (("sh", "-c", "exit 3"), 3), (("sh", "-c", "kill -TERM $$"), 128 + signal.SIGTERM),
    (("/etc/passwd",), CANNOT_EXECUTE), (("/no/such/program",), NOT_FOUND), (("no-such-program",), NOT_FOUND)))
def test_status(processes, ctl, command, status):
    processes()
    done = ctl("track", "--", *command, check=False)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""


def test_without_daemon(bus, scratch, ctl):
    """It does not begin."""
    mark = os.path.join(scratch, "mark")
    done = ctl("track", "--", "touch", mark, check=False)
    assert done.returncode == CANNOT_FOLLOW and done.stderr
    assert not os.path.exists(mark)


def test_totals(processes, ctl, scratch):
    """The last line has the whole group's, as they were."""
    processes()
    script = "for i in 1 2 3 4 5; do /bin/true; done; (setsid sh -c 'read x </dev/null; /bin/true' &) ; exit 0"
    done = ctl("--json", "track", "--", "/bin/sh", "-c", script)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    last = lines[-1]
    for key, event in (("forks", "fork"), ("execs", "exec"), ("exits", "exit")):
        assert int(last[key]) == len([line for line in lines if line["event"] == event])
    assert int(last["exits"]) == int(last["forks"]) + 1 and last["lost"] == "0"


def test_signals_are_passed_on(processes, bus, scratch):
    """To the command, whose end is then that of track."""
    processes()
    ready = os.path.join(scratch, "ready")
    script = f"trap 'exit 9' TERM; touch {ready}; while :; do sleep 0.05; done"
    track = subprocess.Popen(["fseventsctl", "--bus=" + bus.address, "track", "--", "/bin/sh", "-c", script],
                             executable=service.executable(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.path.exists(ready), what="the command")
        track.send_signal(signal.SIGTERM)
        assert track.wait(PATIENCE) == 9
    finally:
        track.kill()
        track.wait()


def test_relay_verbs(processes, ctl, start, programs, scratch):
    """Registered, listed, stopped."""
    processes()
    receiver = start(programs("process", "receiver"), 40, os.path.join(scratch, "pairs"))
    pid = receiver.line().split()[1]
    ctl("relay", pid, "40")
    listed = [json.loads(line) for line in ctl("relay", "--list", "--json").stdout.splitlines()]
    assert [(line["pid"], line["signal"], line["uid"]) for line in listed] == [(int(pid), 40, 0)]
    assert pid in ctl("relay", "--list").stdout
    ctl("relay", "--stop", pid)
    assert ctl("relay", "--list", "--json").stdout == ""
    assert ctl("relay", "--stop", pid, check=False).returncode == 1
    assert ctl("relay", pid, "33", check=False).returncode != 0
