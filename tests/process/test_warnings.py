# SPDX-License-Identifier: GPL-2.0-or-later
"""ProcessWarning of [process NAME], to whom it belongs."""

import subprocess

from waiting import PATIENCE, wait_for

NOBODY = 65534
RULES = """
[process crashes]
command = dash
exits = signal

[process bombs]
user = 65534
fork-rate = 20/s
"""


def warnings(signals, rule):
    return [s.args for s in signals if s.member == "ProcessWarning" and s.args[6]["rule"] == rule]


def shell(commands, uid=None):
    options = {"user": uid, "group": uid, "extra_groups": []} if uid is not None else {}
    return subprocess.run(["dash", "-c", commands], timeout=PATIENCE, check=False, **options).returncode


def test_warnings_by_rule_and_user(processes, client, as_user):
    processes(RULES)
    user = as_user(NOBODY)
    for subscriber in (client, user):
        subscriber.call("SubscribeProcessWarnings", "a{sv}", {})

    def crashed():
        shell("kill -SEGV $$")
        return warnings(client.signals, "crashes")
    # The rule is in force once the kernel has begun to tell.
    _, _, code, _, pid, uid, details = wait_for(crashed, what="a warning of a crash", interval=0.2)[0]
    assert code == "exit-signal" and uid == 0 and pid > 0
    assert details["status"] & 0x7f == 11

    shell("i=0; while [ $i -lt 400 ]; do (exit 0); i=$((i + 1)); done", NOBODY)
    _, _, code, _, _, uid, details = wait_for(lambda: warnings(client.signals, "bombs"),
                                              what="a warning of a storm")[0]
    assert code == "fork-rate" and uid == NOBODY
    assert details["limit"] == 20 and details["rate"] > 20 and details["culprit-forks"] > 0

    wait_for(lambda: warnings(user.all_signals(), "bombs"), what="the same for its user")
    assert warnings(user.all_signals(), "crashes") == []
