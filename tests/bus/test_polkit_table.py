# SPDX-License-Identifier: GPL-2.0-or-later
"""
Every method as root, as an ordinary user, as another user and as a user with the permission:
the table of org.fsevents1(5), row by row, and that it is the whole of the contract.
"""

import subprocess

import pytest

import authorization
from authorization import EVERYBODY, OWN_PROCESSES, OWN_RELAYS, OWNER, ROOT_ALONE, Right
from client import BusError
from polkit import CHALLENGE, NO
from waiting import PATIENCE

FIRST = "/org/fsevents1/filesystem/7_0_1"
GROUP = "org.fsevents1.ProcessGroup"
# Users that are in each Debian.
USER, OTHER, HOLDER = 1, 65534, 2
ERRORS = "org.freedesktop.DBus.Error."
DENIED, INTERACTIVE = ERRORS + "AccessDenied", ERRORS + "InteractiveAuthorizationRequired"
UNKNOWN, INVALID = ERRORS + "UnknownObject", ERRORS + "InvalidArgs"
DONE = "done"

RIGHTS = {
    "Manager.GetFilesystem": Right(EVERYBODY, ""),
    "Manager.GetFilesystemByDevice": Right(EVERYBODY, ""),
    "Manager.GetFilesystemByFd": Right(EVERYBODY, ""),
    "Manager.GetEvents": Right(EVERYBODY, "read-details"),
    "Manager.OpenEvents": Right(EVERYBODY, "read-details"),
    "Manager.Configure": Right(ROOT_ALONE, "configure"),
    "Manager.GetConfiguration": Right(EVERYBODY, ""),
    "Manager.Reload": Right(ROOT_ALONE, "configure"),
    "Manager.EmitTestEvent": Right(ROOT_ALONE, "test"),
    "Manager.Watch": Right(EVERYBODY, ""),
    "Manager.WatchPath": Right(EVERYBODY, ""),
    "Manager.WatchInode": Right(ROOT_ALONE, "watch-inode"),
    "Manager.TrackProcess": Right(OWN_PROCESSES, "track-others"),
    "Manager.TrackPidfd": Right(OWN_PROCESSES, "track-others"),
    "Manager.RelayForks": Right(OWN_PROCESSES, "relay"),
    "Manager.RelayForksPidfd": Right(OWN_PROCESSES, "relay"),
    "Manager.StopRelay": Right(OWN_RELAYS, ""),
    "Manager.ListRelays": Right(OWN_RELAYS, ""),
    "Manager.SubscribeProcessWarnings": Right(EVERYBODY, ""),
    "Filesystem.GetUsage": Right(EVERYBODY, ""),
    "Filesystem.SetThresholds": Right(ROOT_ALONE, "configure"),
    "Filesystem.SetEvents": Right(ROOT_ALONE, "configure"),
    "ProcessGroup.Start": Right(OWNER, ""),
    "ProcessGroup.ListMembers": Right(OWNER, ""),
    "ProcessGroup.Release": Right(OWNER, ""),
    "ProcessGroup.OpenStream": Right(OWNER, ""),
    "Watch.Start": Right(OWNER, ""),
    "Watch.Remove": Right(OWNER, ""),
    "Watch.SetEvents": Right(OWNER, ""),
    "Watch.OpenStream": Right(OWNER, ""),
}

# Arguments with which the manager of cardboard does it; {pid} is a process of USER.
ARGUMENTS = {
    "Manager.GetFilesystem": ("s", "/mnt/fake1"),
    "Manager.GetFilesystemByDevice": ("uu", 7, 1),
    "Manager.GetFilesystemByFd": ("ha{sv}", 0, {}),
    "Manager.GetEvents": ("ta{sv}", 0, {}),
    "Manager.OpenEvents": ("ta{sv}", 0, {}),
    "Manager.Configure": ("sa{sv}", "", {}),
    "Manager.EmitTestEvent": ("osa{sv}", FIRST, "enospc", {}),
    "Manager.Watch": ("hasa{sv}", 0, ["create"], {}),
    "Manager.WatchPath": ("sasa{sv}", "/mnt", ["create"], {}),
    "Manager.WatchInode": ("uutasa{sv}", 7, 1, 2, ["create"], {}),
    "Manager.TrackProcess": ("ua{sv}", "{pid}", {}),
    "Manager.TrackPidfd": ("ha{sv}", 0, {}),
    "Manager.RelayForks": ("uia{sv}", "{pid}", 40, {}),
    "Manager.RelayForksPidfd": ("hia{sv}", 0, 40, {}),
    "Manager.StopRelay": ("u", "{pid}"),
    "Manager.SubscribeProcessWarnings": ("a{sv}", {}),
    "Filesystem.GetUsage": ("a{sv}", {}),
    "Filesystem.SetThresholds": ("a(sstts)a{sv}", [], {}),
    "Filesystem.SetEvents": ("asa{sv}", [], {}),
    "ProcessGroup.ListMembers": ("a{sv}", {}),
    "ProcessGroup.OpenStream": ("a{sv}", {}),
    "Watch.SetEvents": ("as", ["delete"]),
    "Watch.OpenStream": ("a{sv}", {}),
}


def test_the_table_is_the_contract():
    page, contract = authorization.of_page(), authorization.of_contract()
    assert set(page) == contract, "the table of the page, and the methods of the contract"
    assert RIGHTS == page, "the table of the page, and what is tried here"


def test_the_policy_has_the_actions_of_the_table():
    actions = authorization.of_policy()
    keep = "auth_admin_keep"
    assert all(rules == {"allow_any": keep, "allow_inactive": keep, "allow_active": keep}
               for rules in actions.values())
    named = {right.action for right in authorization.of_page().values()} - {""}
    text = authorization.section("AUTHORIZATION")
    assert named <= set(actions)
    assert all(f"org.fsevents1.{action}" in text for action in actions)


class World:
    """Who calls, and what for: a process of USER, and how to try a method on it."""

    def __init__(self, client, as_user, pid, mount_fd_path):
        self.callers = {"root": client, "user": as_user(USER), "other": as_user(OTHER),
                        "holder": as_user(HOLDER)}
        self.pid = pid
        self.path = mount_fd_path

    def call(self, who, method, owned=None):
        """DONE, or the name of the error."""
        interface, member = method.split(".")
        signature, *arguments = ARGUMENTS.get(method, (None,))
        arguments = [self.pid if a == "{pid}" else a for a in arguments]
        options = {"interface": f"org.fsevents1.{interface}"}
        if interface == "Filesystem":
            options["path"] = FIRST
        elif interface in ("ProcessGroup", "Watch"):
            options["path"] = owned
        if signature and signature.startswith("h"):
            # The last has handles for its files on every machine.
            options["opened"] = {"GetFilesystemByFd": self.path, "Watch": "/mnt"}.get(member, self.pid)
        try:
            self.callers[who].call(member, signature, *arguments, **options)
        except BusError as error:
            # The fixture has one stream already: who gets so far may.
            return DONE if error.name == "org.fsevents1.Error.StreamOpen" else error.name
        return DONE

    def make(self, who, method):
        """What the method is one of."""
        if method.startswith("Watch."):
            return self.callers[who].call("WatchPath", "sasa{sv}", "/mnt", ["create"], {})
        return self.callers[who].call("TrackProcess", "ua{sv}", self.pid, {})


@pytest.fixture
def world(layer, client, polkit, as_user):
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mount = next(line.split()[0] for line in file if line.split()[4] == "/")
    layer(FIXTURE_MOUNT_ID=mount)
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=USER, group=USER, extra_groups=[])
    polkit.grants = {(HOLDER, action) for action in authorization.of_policy()}
    yield World(client, as_user, process.pid, "/")
    process.kill()
    process.wait(PATIENCE)
    process.stdin.close()


def expected(who, right, refusal):
    """What a caller gets, and what is asked of polkit for it."""
    uid = {"user": USER, "other": OTHER, "holder": HOLDER}.get(who)
    question = [(right.action, uid, False)] if right.action else []
    if who == "root":
        return DONE, []
    if right.who == ROOT_ALONE:
        return (DONE if who == "holder" else refusal), question
    if right.who == OWN_PROCESSES:
        return (DONE, []) if who == "user" else (DONE if who == "holder" else refusal, question)
    return DONE, question


@pytest.mark.parametrize("says, refusal", [(NO, DENIED), (CHALLENGE, INTERACTIVE)])
def test_every_method_as_everybody(world, polkit, says, refusal):
    polkit.otherwise = says
    wrong, n = [], 0
    for method, right in RIGHTS.items():
        if right.who in (OWNER, OWN_RELAYS):
            continue
        for who in world.callers:
            polkit.changed()
            wanted, questions = expected(who, right, refusal)
            got, asked = world.call(who, method), polkit.asked()
            n += 1
            # Of details it may be known from the call before.
            if got != wanted or (asked != questions and not (right.action == "read-details" and not asked)):
                wrong.append(f"{method} as {who}: {got} {asked}, not {wanted} {questions}")
    assert not wrong, "\n".join(wrong)
    print(f"{n} calls as the table says")


def test_what_has_an_owner(world, polkit):
    wrong = []
    for method in (m for m, right in RIGHTS.items() if right.who == OWNER):
        for owner in ("user", "root"):
            owned = world.make(owner, method)
            for who in ("holder", "other", "user", "root"):
                if who != owner and (got := world.call(who, method, owned)) != UNKNOWN:
                    wrong.append(f"{method} of {owner}'s as {who}: {got}")
            if (got := world.call(owner, method, owned)) != DONE:
                wrong.append(f"{method} of its own as {owner}: {got}")
    assert not wrong, "\n".join(wrong)
    assert polkit.asked() == []


def test_relays_are_who_asked_for_thems(world, polkit):
    assert world.call("user", "Manager.RelayForks") == DONE
    for who, n in (("user", 1), ("other", 0), ("holder", 0), ("root", 1)):
        assert len(world.callers[who].call("ListRelays")) == n
    for who in ("other", "holder"):
        assert world.call(who, "Manager.StopRelay") == INVALID
    assert world.call("user", "Manager.StopRelay") == DONE
    assert world.call("user", "Manager.RelayForks") == DONE
    assert world.call("root", "Manager.StopRelay") == DONE
    assert polkit.asked() == []
