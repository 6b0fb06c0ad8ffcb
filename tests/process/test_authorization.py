# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that change while it is asked whether somebody may follow them."""

import os
import shutil
import sys

import pytest

from client import BusError
from followed import EXEC, INTERFACE
from polkit import HANG, NO, YES
from waiting import PATIENCE, wait_for

USER, OTHER = 1, 65534
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
NO_PROCESS = 4194303

METHODS = (("TrackProcess", "ua{sv}", ({},)), ("RelayForks", "uia{sv}", (40, {})))

# Takes the number of a process that has ended, as no other fork can.
NAMESAKE = """
import ctypes, os, signal, struct, sys
pid = ctypes.c_int(int(sys.argv[1]))
arguments = struct.pack("=11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(pid), 1, 0)
made = ctypes.CDLL(None, use_errno=True).syscall(435, arguments, len(arguments))
if made == 0:
    signal.pause()
print(made, flush=True)
sys.stdin.readline()
if made > 0:
    os.kill(made, signal.SIGKILL)
    os.waitpid(made, 0)
"""

# Catches the signal until it executes what is given.
CATCHES = """
import os, signal, sys
signal.signal(40, lambda *_: None)
print("ready", flush=True)
sys.stdin.readline()
os.execv(sys.argv[1], sys.argv[1:])
"""


def only_child(pid):
    """Or itself, while there is none."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return (file.read().split() or [pid])[0]


def refused(call, *args, **kwargs):
    """(name, message) of the error."""
    with pytest.raises(BusError) as error:
        call(*args, **kwargs)
    return error.value.name, error.value.message


@pytest.fixture
def asked(processes, polkit, as_user):
    """asked(method, pid) -> Question about another's process; the user's finish() has the answer"""
    processes()
    polkit.otherwise = HANG
    user = as_user(USER)

    def ask(row, pid):
        method, signature, rest = row
        n = len(polkit.questions)
        user.begin(method, signature, pid, *rest)
        return polkit.wait_questions(n + 1)[n]

    ask.user = user
    return ask


@pytest.mark.parametrize("row", METHODS, ids=lambda row: row[0])
def test_it_ends_while_it_is_asked(asked, polkit, start, row):
    """Whoever may is told, whoever may not learns as much as of one that never was."""
    for says, name in ((YES, INVALID), (NO, DENIED)):
        child = start("/bin/cat", uid=OTHER)
        question = asked(row, child.pid)
        assert question.brief() == ({"TrackProcess": "track-others", "RelayForks": "relay"}[row[0]], USER, False)
        child.close()
        polkit.answer(question, says)
        got = refused(asked.user.finish)
        assert got[0] == name, got
        question = asked(row, NO_PROCESS)
        polkit.answer(question, says)
        never = refused(asked.user.finish)
        assert never[0] == name
        if says == NO:
            assert got == never


@pytest.mark.parametrize("row", METHODS, ids=lambda row: row[0])
def test_another_takes_its_number_while_it_is_asked(asked, polkit, start, client, row):
    child = start("/bin/cat", uid=OTHER)
    pid = child.pid
    question = asked(row, pid)
    child.close()
    for _ in range(20):
        namesake = start(sys.executable, "-c", NAMESAKE, pid)
        if namesake.line() == str(pid):
            break
        namesake.close()
    else:
        pytest.skip("the number was taken by somebody else each time")
    polkit.answer(question, YES)
    assert refused(asked.user.finish)[0] == INVALID
    assert client.call("ListRelays") == []
    # It can be followed by who asks for it, as a process of its own.
    question = asked(METHODS[0], pid)
    polkit.answer(question, YES)
    group = asked.user.finish()
    assert asked.user.get("Leader", group, INTERFACE) == pid
    namesake.tell()
    namesake.wait(PATIENCE)


def test_it_becomes_another_users_while_it_is_asked(asked, polkit, start, scratch):
    """What it executes by then is what counts: a program of root's that never wanted the signal."""
    program = os.path.join(scratch, "setuid-cat")
    shutil.copy("/bin/cat", program)
    os.chmod(program, 0o4755)
    for row in METHODS:
        target = start(sys.executable, "-c", CATCHES, program, uid=OTHER)
        assert target.line() == "ready"
        question = asked(row, target.pid)
        target.tell()
        wait_for(lambda: os.readlink(f"/proc/{target.pid}/exe") == program, what="the exec")
        with open(f"/proc/{target.pid}/status", encoding="ascii") as file:
            assert "\nUid:\t65534\t0\t" in file.read()
        polkit.answer(question, YES)
        if row[0] == "RelayForks":
            name, message = refused(asked.user.finish)
            assert name == INVALID and "neither catches nor blocks" in message
            continue
        group = asked.user.finish()
        target.close()
        asked.user.wait_signal("Empty", group)
        assert asked.user.get("Exits", group, INTERFACE) == 1


def test_who_may_is_told_all(processes, polkit, start, follow, as_user, scratch):
    """Of another's process and of what becomes root's: files, figures, and nothing left out."""
    program = os.path.join(scratch, "setuid-cat")
    shutil.copy("/bin/cat", program)
    os.chmod(program, 0o4755)
    processes()
    polkit.otherwise = YES
    for owner, uid, all_told in ((USER, OTHER, True), (OTHER, OTHER, False)):
        shell = start("/bin/sh", "-c", f"read line; {program}", uid=uid)
        group = follow(shell.pid, client=as_user(owner), accounting=True)
        shell.tell()
        wait_for(lambda: os.readlink(f"/proc/{only_child(shell.pid)}/exe") == program, what="the exec")
        shell.process.stdin.close()
        totals = group.wait_empty()
        files = [event.file for event in group.events() if event.kind == EXEC]
        assert files == ([os.fsencode(program)] if all_told else [])
        assert totals["execs"] == len(files) and totals["incomplete"] is not all_told
    assert len(polkit.asked()) == 1


def test_ones_own_is_not_asked_about(processes, polkit, start, as_user):
    processes()
    polkit.otherwise = NO
    user, child = as_user(USER), start("/bin/cat", uid=USER)
    assert user.call("TrackProcess", "ua{sv}", child.pid, {})
    assert polkit.asked() == []
