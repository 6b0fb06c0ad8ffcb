# SPDX-License-Identifier: GPL-2.0-or-later
"""Groups and relays given up by calls that ask for no reply, as a library may do when it is left."""

import signal
import subprocess

import pytest

from rawbus import ERROR, METHOD_RETURN, NO_REPLY_EXPECTED
from waiting import PATIENCE, wait_for

USER, OTHER = 65534, 1
MANAGER = "org.fsevents1.Manager"
GROUP = "org.fsevents1.ProcessGroup"
SIGNAL = 40


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "1000"], user=USER, group=USER, extra_groups=[],
                               preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL}))
    yield process
    process.kill()
    process.wait(PATIENCE)


@pytest.fixture
def raw_user(raw_user):
    """raw_user(uid): a connection of that user whom the daemon knows."""
    def make(uid):
        made = raw_user(uid)
        made.ping()
        return made
    return make


def test_relay_begins_and_ends(processes, client, raw_user, sleeper):
    processes()
    raw, other = raw_user(USER), raw_user(OTHER)

    def stop(caller):
        caller.send("StopRelay", interface=MANAGER, signature="u", body=sleeper.pid.to_bytes(4, "little"),
                    flags=NO_REPLY_EXPECTED)
        caller.ping()

    raw.send("RelayForks", interface=MANAGER, signature="uia{sv}", flags=NO_REPLY_EXPECTED,
             body=sleeper.pid.to_bytes(4, "little") + SIGNAL.to_bytes(4, "little") + bytes(8))
    wait_for(lambda: [relay[:2] for relay in client.call("ListRelays")] == [(sleeper.pid, SIGNAL)], what="the relay")
    stop(other)
    assert client.call("ListRelays"), "stopped by somebody else"
    stop(raw)
    wait_for(lambda: not client.call("ListRelays"), what="the end of the relay")


def test_group_ends(processes, raw_user, sleeper):
    processes("[limits]\ngroups = 1\n")
    raw = raw_user(USER)

    def track(**options):
        body = sleeper.pid.to_bytes(4, "little") + bytes(4)
        return raw.send("TrackProcess", interface=MANAGER, signature="ua{sv}", body=body, **options)

    def group_of(serial):
        kind, told = raw.wait_reply(serial)
        assert kind == METHOD_RETURN, told
        return told[told.rindex(b"/org/fsevents1/group/"):].split(b"\0")[0].decode()

    group = group_of(track())
    for _ in range(2):
        kind, _ = raw.wait_reply(track())
        assert kind == ERROR, "there was room for a second one"
        raw.send("Release", path=group, interface=GROUP, flags=NO_REPLY_EXPECTED)
        # Nobody would know the path of this one: it is not made, and takes no room.
        track(flags=NO_REPLY_EXPECTED)
        group = group_of(track())
