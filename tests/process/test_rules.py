# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of [process NAME]: users by name, and what is there where nobody is to follow processes."""

import os
import re
import signal
import subprocess

import pytest

from client import BusError
from waiting import PATIENCE, wait_for

NOBODY = 65534
ABSENT = "no-such-user-here"
RULES = "[process named]\nuser = {}\nexits = status\n"


def warnings(client, rule):
    return [s.args for s in client.signals if s.member == "ProcessWarning" and s.args[6]["rule"] == rule]


def wait_warning(client, rule, uid):
    """One of a process of @uid that fails; the rule is in force once the kernel has begun to tell."""
    def failed():
        subprocess.run(["dash", "-c", "exit 3"], timeout=PATIENCE, check=False, user=uid, group=uid, extra_groups=[])
        return warnings(client, rule)
    return wait_for(failed, what=f"a warning of {rule}", interval=0.2)


def test_users_by_name(processes, client, journal):
    processes(RULES.format("nobody"), journal=journal)
    client.call("SubscribeProcessWarnings", "a{sv}", {})
    warned = wait_warning(client, "named", NOBODY)
    assert all(one[2] == "exit-status" and one[5] == NOBODY for one in warned)
    assert not [e for e in journal.entries if b"there is no user" in e["MESSAGE"]]

    def entries():
        return [e for e in journal.entries if e.get("FSEVENTS_PID") == b"%d" % warned[0][4]]
    entry, = wait_for(entries, what="the entry of the warning")
    assert entry["FSEVENTS_CODE"] == b"exit-status" and entry["FSEVENTS_SEVERITY"] == b"warning"
    assert entry["FSEVENTS_RULE"] == b"named"


def test_a_user_who_is_not_there(processes, client):
    """Said with file, line and key; the rule matches nobody, others go on, and a reload looks again."""
    text = RULES.format(ABSENT) + "[process all]\nexits = status\n"
    running = processes(text)
    running.wait_stderr(rf"\.conf:\d+: \[process named\] user: there is no user '{ABSENT}'")
    said = re.search(r"(\S+\.conf):(\d+): \[process named\] user:", running.stderr())
    with open(said[1], encoding="utf-8") as file:
        assert file.read().splitlines()[int(said[2]) - 1] == f"user = {ABSENT}"

    client.call("SubscribeProcessWarnings", "a{sv}", {})
    wait_warning(client, "all", NOBODY)
    assert not warnings(client, "named")
    running.configure(RULES.format("nobody"))
    running.hangup()
    wait_warning(client, "named", NOBODY)


def test_switched_off(processes, client):
    """Neither connector nor taskstats is opened for anybody."""
    running = processes("[daemon]\nsources = gate,mount-events\n" + RULES.format(0))
    for source in ("processes", "accounting"):
        assert client.get("Sources")[source] == "none: switched off by the configuration"
    assert "nor judged by rules: switched off" in running.stderr()
    # Else it would be refused for that.
    signal.pthread_sigmask(signal.SIG_BLOCK, {38})
    for member, signature, rest in (("TrackProcess", "ua{sv}", ({},)), ("RelayForks", "uia{sv}", (38, {}))):
        with pytest.raises(BusError) as refused:
            client.call(member, signature, os.getpid(), *rest)
        assert refused.value.name == "org.freedesktop.DBus.Error.NotSupported"
        assert "switched off" in refused.value.message
