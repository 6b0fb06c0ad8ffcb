# SPDX-License-Identifier: GPL-2.0-or-later
"""examples/relay-receiver.c as it is, and the verbs beside it."""

import json
import os
import signal
import subprocess

from waiting import PATIENCE, wait_for

NOBODY = 65534


def relays(ctl, **options):
    return [json.loads(line) for line in ctl("--json", "relay", "--list", **options).stdout.splitlines()]


def test_forks_of_its_user_alone(processes, programs, start, bus, ctl):
    processes()
    program = programs("process", "relay-receiver")
    env = {"DBUS_SYSTEM_BUS_ADDRESS": bus.address}
    receiver = start(program, uid=NOBODY, env=env)
    everything = start(program, env=env)
    assert receiver.line() == everything.line() == "ready"
    assert sorted(relay["uid"] for relay in relays(ctl)) == [0, NOBODY]
    assert [relay["pid"] for relay in relays(ctl, uid=NOBODY)] == [receiver.pid]

    # Forks of root before and after that of nobody: those are the other's business.
    root = subprocess.run(["sh", "-c", "echo $$; (exit 0); (exit 0)"], check=True, capture_output=True, text=True,
                          timeout=PATIENCE).stdout.strip()
    pid = subprocess.run(["sh", "-c", "echo $$; (exit 0); (exit 0)"], check=True, user=NOBODY, group=NOBODY,
                         extra_groups=[], capture_output=True, text=True, timeout=PATIENCE).stdout.strip()
    mine = []
    while mine.count(pid) < 2:
        line = receiver.line()
        assert line, "the receiver ended"
        mine.append(line.split()[0])
    assert root not in mine and str(os.getpid()) not in mine
    seen = []
    while len([line for line in seen if line.startswith(pid + " forked")]) < 2:
        seen.append(everything.line())
        assert seen[-1], "root's receiver ended"
    assert sum(line.startswith(root + " forked") for line in seen) == 2

    os.kill(receiver.pid, signal.SIGTERM)
    receiver.wait()
    wait_for(lambda: [relay["uid"] for relay in relays(ctl)] == [0], what="the end of the relay of who has ended")
    ctl("relay", "--stop", str(everything.pid))
    assert relays(ctl) == []


def test_a_number_of_forks(processes, programs, start, bus, ctl):
    processes()
    receiver = start(programs("process", "relay-receiver"), "3", env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    assert receiver.line() == "ready"
    subprocess.run(["sh", "-c", "(exit 0); (exit 0); (exit 0)"], check=True, timeout=PATIENCE)
    assert receiver.wait() == 0
    assert [receiver.line().split()[1] for _ in range(3)] == ["forked"] * 3


def test_daemon_that_stops_while_there_are_relays_and_groups(processes, programs, start, bus, client):
    daemon = processes()
    receiver = start(programs("process", "relay-receiver"), env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    assert receiver.line() == "ready"
    client.call("TrackProcess", "ua{sv}", receiver.pid, {})
    daemon.stop()
    assert receiver.process.poll() is None


def test_without_a_daemon(bus, programs, start):
    receiver = start(programs("process", "relay-receiver"), env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    assert receiver.wait() == 1


def test_relay_to_who_would_die_of_it_is_refused(processes, start, ctl):
    processes()
    sleeper = start("sleep", "1000")
    done = ctl("relay", str(sleeper.pid), check=False)
    assert done.returncode == 1 and "neither catches nor blocks" in done.stderr
    for number in ("32", "33"):
        done = ctl("relay", str(sleeper.pid), number, check=False)
        assert done.returncode == 1 and "C library" in done.stderr
    assert sleeper.process.poll() is None
