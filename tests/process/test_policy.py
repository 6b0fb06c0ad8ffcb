# SPDX-License-Identifier: GPL-2.0-or-later
"""[process NAME]: fork bombs and crash loops become warnings with the culprit."""

import os
import signal

from programs import storm_pids
from waiting import wait_for

USER, OTHER = 1, 65534
CATALOG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "fsevents.catalog")


def subscribe(client):
    client.call("SubscribeProcessWarnings", "a{sv}", {})
    return client


def warnings(client, code):
    signals = client.all_signals() if hasattr(client, "process") else list(client.signals)
    return [s.args for s in signals if s.member == "ProcessWarning" and s.args[2] == code]


def check_journal(journal, text):
    """An entry with an id that the catalog explains."""
    entry = wait_for(lambda: next((e for e in list(journal.entries) if text in e.get("MESSAGE", b"")), None),
                     what=f"a journal entry with {text!r}")
    with open(CATALOG, "rb") as file:
        assert entry["MESSAGE_ID"].replace(b"-", b"") in file.read()


def test_fork_bomb(processes, storm, client, as_user, journal):
    """A bounded one: told to its user and to root, not to others; the culprit is who makes them."""
    processes("[process bombs]\ncommand = storm\nfork-rate = 200/s\n", journal=journal)
    user, other = subscribe(as_user(USER)), subscribe(as_user(OTHER))
    subscribe(client)
    bomb = storm(20000, uid=USER)
    bomb.tell()
    assert int(bomb.line(120)) > 0
    told = wait_for(lambda: warnings(client, "fork-rate"), what="the warning")[0]
    _, _, code, severity, pid, uid, details = told
    assert (code, severity, uid) == ("fork-rate", "warning", USER)
    assert details["rule"] == "bombs" and details["rate"] > details["limit"] == 200
    assert pid in {bomb.leader} | {maker for maker, _ in storm_children(bomb)}
    assert wait_for(lambda: warnings(user, "fork-rate"))[0][:2] == told[:2]
    check_journal(journal, b"[process bombs]")
    assert not warnings(other, "fork-rate")


def storm_children(bomb):
    return storm_pids(bomb.pids)[1]


def test_crash_loop(processes, start, client, as_user, journal):
    """Ends by a signal are told, and soon no more of them; ends by status are not."""
    processes("[process crashes]\nuser = 1\nexits = signal\n", journal=journal)
    user, other = subscribe(as_user(USER)), subscribe(as_user(OTHER))
    subscribe(client)
    start("/bin/sh", "-c", "exit 3", uid=USER).wait()
    loop = "for i in $(seq 60); do sh -c 'ulimit -c 0; kill -SEGV $$'; done; exit 4"
    assert start("/bin/sh", "-c", loop, uid=USER).wait() == 4
    told = wait_for(lambda: warnings(client, "exit-signal"), what="the warning")
    assert told[0][5] == USER and told[0][6]["status"] & 0x7f == signal.SIGSEGV
    assert wait_for(lambda: warnings(user, "exit-signal"))
    check_journal(journal, b"[process crashes]")
    assert 1 <= len(warnings(client, "exit-signal")) < 60
    assert not warnings(client, "exit-status") and not warnings(other, "exit-signal")
