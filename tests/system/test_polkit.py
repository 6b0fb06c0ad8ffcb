# SPDX-License-Identifier: GPL-2.0-or-later
"""The polkit of a real system: its defaults, and a rule of the administrator's."""

import json
import select
import time

import pytest

NAME = "org.fsevents1"
ROOT = "/org/fsevents1"
MANAGER = "org.fsevents1.Manager"
USER = "nobody"
RULES = "/etc/polkit-1/rules.d/50-fsevents-test.rules"
RULE = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.fsevents1.configure" && subject.user == "nobody")
        return polkit.Result.YES;
});
"""


def wait(predicate, what, timeout=60):
    deadline = time.monotonic() + timeout
    while not (result := predicate()):
        assert time.monotonic() < deadline, what
        select.select([], [], [], 0.1)
    return result


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
