# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose processes one may follow, what one learns of others', and what each may hold."""

import os
import re

import pytest

from client import BusError
from followed import ALL, INTERFACE, Group
from waiting import PATIENCE, wait_for

USER, OTHER = 1, 65534
NO_PROCESS = 4194303
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
UNKNOWN = "org.freedesktop.DBus.Error.UnknownObject"
LIMITS = "org.freedesktop.DBus.Error.LimitsExceeded"


def refused(call, *args, **kwargs):
    """(name, message) of the error."""
    with pytest.raises(BusError) as error:
        call(*args, **kwargs)
    return error.value.name, error.value.message


@pytest.mark.parametrize("method,signature,rest", (
    ("TrackProcess", "ua{sv}", ({},)),
    ("RelayForks", "uia{sv}", (40, {}))))
def test_no_telling_whether_there_is_one(processes, start, as_user, method, signature, rest):
    """Another user's process, root's and none at all are refused in the same words."""
    processes()
    other = start("/bin/cat", uid=OTHER)
    user = as_user(USER)
    answers = set()
    for pid in (other.pid, 1, NO_PROCESS):
        name, message = refused(user.call, method, signature, pid, *rest)
        answers.add((name, re.sub(rf"\b{pid}\b", "PID", message)))
    assert len(answers) == 1, answers
    assert answers.pop()[0] == DENIED


def test_root_is_told(processes, client):
    processes()
    assert refused(client.call, "TrackProcess", "ua{sv}", NO_PROCESS, {})[0] == INVALID


def test_objects_are_their_owners(processes, start, follow, client, as_user):
    """Another connection, of the same user too, sees no object."""
    processes()
    child = start("/bin/cat", uid=USER)
    owner, same, other = as_user(USER), as_user(USER), as_user(OTHER)
    group = follow(child.pid, client=owner)
    never = group.path.rpartition("/")[0] + "/999999"
    for stranger in (same, other, client):
        for member, signature, args in (("ListMembers", "a{sv}", ({},)), ("Release", None, ()), ("Start", None, ())):
            there = refused(stranger.call, member, signature, *args, path=group.path, interface=INTERFACE)
            nowhere = refused(stranger.call, member, signature, *args, path=never, interface=INTERFACE)
            assert there[0] == nowhere[0] == UNKNOWN
            assert there[1].replace(group.path, "PATH") == nowhere[1].replace(never, "PATH")
    assert set(group.members()[1]) == {child.pid}
    child.process.kill()
    group.wait_empty()
    for stranger in (same, other, client):
        signals = client.signals if stranger is client else stranger.all_signals()
        assert not [s for s in signals if s.interface == INTERFACE]


def test_setuid_member(processes, start, follow, as_user):
    """Of one with other uids pid, fork and exit are told, no file and no figures."""
    processes()
    shell = start("/bin/sh", "-c", "read line; /bin/su -c /bin/true root </dev/null; exit 0", uid=USER)
    group = follow(shell.pid, client=as_user(USER), accounting=True)
    shell.tell()
    totals = group.wait_empty()
    events = group.events()
    foreign = {e.pid for e in events if e.kind == 2 and not e.file.endswith((b"/sh", b"/dash", b"/bash"))}
    assert all(e.file == b"" for e in events if e.kind == 2 and e.pid in foreign)
    assert totals["incomplete"] is True
    assert totals["forks"] >= 1 and totals["exits"] == totals["forks"] + 1


def test_limit_for_each_user(processes, start, follow, client, as_user):
    """At the limit one is refused; others are not concerned, and what is given back can be had again."""
    processes("[limits]\ngroups = 3\n")
    mine, others = start("/bin/cat", uid=USER), start("/bin/cat", uid=OTHER)
    user, second = as_user(USER), as_user(USER)
    groups = [follow(mine.pid, client=who) for who in (user, user, second)]
    for who in (user, second):
        assert refused(follow, mine.pid, client=who)[0] == LIMITS
    follow(others.pid, client=as_user(OTHER))
    groups[0].release()
    follow(mine.pid, client=second)
    assert refused(follow, mine.pid, client=user)[0] == LIMITS


def listeners():
    """Ports that listen to the process connector (group 1 of protocol 11)."""
    with open("/proc/net/netlink", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return {(row[2], row[9]) for row in rows if row[1] == "11" and int(row[3], 16) & 1}


def test_owner_leaves(processes, start, client):
    """With the last one who needs it the subscription ends: the idle daemon costs no fork anything."""
    daemon = processes()
    child = start("/bin/cat")
    idle = daemon_descriptors(daemon)
    second = client.another()
    group = Group(second, child.pid, ALL, accounting=True)
    assert set(group.members()[1]) == {child.pid}
    assert daemon_descriptors(daemon) > idle
    second.close()
    wait_for(lambda: daemon_descriptors(daemon) <= idle, PATIENCE, "the sockets to be closed")
    assert refused(client.call, "ListMembers", "a{sv}", {}, path=group.path, interface=INTERFACE)[0] == UNKNOWN


def daemon_descriptors(daemon):
    """Netlink sockets of the daemon that listen to processes, by their inodes in /proc."""
    found = 0
    inodes = {inode for _, inode in listeners()}
    for fd in os.listdir(f"/proc/{daemon.pid}/fd"):
        try:
            target = os.readlink(f"/proc/{daemon.pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        found += target.startswith("socket:[") and target[8:-1] in inodes
    return found
