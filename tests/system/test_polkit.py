# SPDX-License-Identifier: GPL-2.0-or-later
"""The polkit of a real system: its defaults, and a rule of the administrator's."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from machine import wait

NAME = "org.fsevents1"
ROOT = "/org/fsevents1"
MANAGER = "org.fsevents1.Manager"
USER = "nobody"
UID = 65534
CALLS = 1000
RULES = "/etc/polkit-1/rules.d/50-fsevents-test.rules"
RULE = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.fsevents1.configure" && subject.user == "nobody")
        return polkit.Result.YES;
});
"""


def call(machine, *arguments, user=USER, interactive=True):
    return machine.run("busctl", f"--allow-interactive-authorization={'yes' if interactive else 'no'}", "call",
                       NAME, ROOT, MANAGER, *arguments, user=user, check=False)


def statistic(machine, name):
    done = machine.run("busctl", "--json=short", "get-property", NAME, ROOT, MANAGER, "Statistics")
    return json.loads(done.stdout)["data"][name]


@pytest.fixture
def rule(machine):
    """The rule that lets nobody configure."""
    machine.write(RULES, RULE)
    yield
    machine.run("rm", "-f", RULES)


def test_the_actions_are_known(machine):
    told = machine.run("pkaction", "--verbose").stdout
    for action in ("configure", "test", "watch-inode", "track-others", "relay", "read-details"):
        about = told.split(f"org.fsevents1.{action}:\n")[1].split("\n\n")[0]
        assert about.count("auth_admin_keep") == 3, about


def test_by_default_a_password_is_needed(machine):
    before = statistic(machine, "authorizations-asked")
    for interactive in (False, True):
        done = call(machine, "Configure", "sa{sv}", "/srv G", "0", interactive=interactive)
        assert done.returncode != 0 and "org.fsevents1.configure" in done.stderr, done.stderr
    done = machine.run("fseventsctl", "reload", user=USER, check=False)
    assert done.returncode == 1 and "org.fsevents1.configure" in done.stderr
    assert statistic(machine, "authorizations-asked") == before + 3


def test_a_rule_gives_it_and_takes_it(machine, rule):
    wait(lambda: call(machine, "Reload").returncode == 0, "the rule was not followed")
    machine.run("fseventsctl", "reload", user=USER)
    machine.run("fseventsctl", "configure", "/srv T 1000", user=USER)
    # That and no more.
    assert machine.run("fseventsctl", "test", "/srv", "enospc", user=USER, check=False).returncode == 1
    machine.run("rm", RULES)
    wait(lambda: call(machine, "Reload").returncode != 0, "the rule was followed for ever")
    machine.run("systemctl", "reload", "fseventsd")


def test_without_polkit_root_alone(machine, rule):
    machine.run("systemctl", "mask", "--now", "--runtime", "polkit.service")
    try:
        done = machine.run("fseventsctl", "reload", user=USER, check=False)
        assert done.returncode == 1 and "only root" in done.stderr, done.stderr
        assert call(machine, "GetEvents", "ta{sv}", "0", "0").returncode == 0
        assert call(machine, "Reload", user=None).returncode == 0
    finally:
        machine.run("systemctl", "unmask", "--runtime", "polkit.service")


class Caller:
    """caller.py as a process of the machine: `pid` there, and `answers` so far."""

    def __init__(self, machine):
        # The machine has no Python: this one's, with the processes of that.
        self.process = subprocess.Popen(
            ["nsenter", "--target", str(machine.leader), "--pid", "--", sys.executable, "-B",
             os.path.join(os.path.dirname(os.path.abspath(__file__)), "caller.py"), str(UID)],
            cwd=f"/proc/{machine.leader}/root/run/dbus", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.stdout.readline().strip()
        assert self.pid.isdigit(), self.pid
        self.answers = []
        threading.Thread(target=lambda: self.answers.extend(map(str.strip, self.process.stdout)), daemon=True).start()

    def call(self, number):
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def leave(self):
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture
def caller(machine):
    one = Caller(machine)
    yield one
    if one.process.poll() is None:
        one.leave()


class Agent:
    """polkit's own agent for a terminal, for one process; `said` is what it wrote there."""

    def __init__(self, machine, pid):
        self.machine = machine
        self.process = machine.start("script", "--quiet", "--return", "--command", f"pkttyagent --process {pid}",
                                     "/dev/null", user=USER)
        self.said = []
        threading.Thread(target=lambda: self.said.extend(self.process.stdout), daemon=True).start()

    def signal(self, name):
        return self.machine.run("pkill", "--signal", name, "--exact", "pkttyagent", check=False).returncode == 0

    def is_asked(self):
        return any("AUTHENTICATING" in line for line in self.said)

    def end(self):
        self.signal("KILL")
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def agent(machine, caller):
    one = Agent(machine, caller.pid)
    yield one
    one.end()


def test_an_agent_that_hangs(machine, caller, agent):
    """1,000 calls while it is stopped: four questions are open, the others are refused, and all else goes on."""
    def is_asked():
        caller.call(1)
        wait(lambda: agent.is_asked() or "InteractiveAuthorizationRequired" in caller.answers, "either of both")
        caller.answers.clear()
        return agent.is_asked()

    # It takes a moment until polkit knows it.
    wait(is_asked, f"the agent: {agent.said}")
    assert agent.signal("STOP")
    caller.call(CALLS)
    start, slowest = time.monotonic(), 0.0
    while len(caller.answers) < CALLS - 3:
        before = time.monotonic()
        assert "/srv" in machine.run("fseventsctl", "status", user=USER).stdout
        assert machine.run("fseventsctl", "history").returncode == 0
        slowest = max(slowest, time.monotonic() - before)
        assert time.monotonic() - start < 60, f"{len(caller.answers)} of {CALLS} were answered"
    print(f"{len(caller.answers)} refused; beside them a status and the history took {slowest * 1000:.0f} ms at most")
    assert slowest < 10
    assert caller.answers == ["LimitsExceeded"] * (CALLS - 3)
    # Who leaves is asked for no longer, whatever the agent does.
    caller.leave()
    wait(lambda: "configure: somebody has to give it" in call(machine, "Reload").stderr, "room for another question")
