# SPDX-License-Identifier: GPL-2.0-or-later
"""Those who listen: one that never reads, and as many as may be."""

import os
import pwd
import socket

import pytest

from client import BusError, Client
from rawbus import METHOD_RETURN, RawClient
from waiting import PATIENCE, check_took, wait_for

ROUNDS = 200
STREAMS = 8

# dbus-daemon lets nobody in whom the machine does not know.
USERS = sorted({entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid})[:20]


def text(value):
    raw = value.encode()
    return len(raw).to_bytes(4, "little") + raw + b"\0"


@pytest.fixture
def place(daemon, client, loopfs):
    disk = loopfs("tmpfs", 16)
    daemon()
    return client.wait_filesystem(disk.where)


def read_ids(fd, wanted):
    """Ids of the events on a stream, until the last of @wanted."""
    ids = []
    with socket.socket(fileno=os.dup(fd)) as stream:
        stream.settimeout(PATIENCE)
        while wanted[-1] not in ids:
            packet = stream.recv(65536)
            assert packet, "the stream ended"
            while packet:
                size = int.from_bytes(packet[:4], "little")
                if int.from_bytes(packet[6:8], "little") == 2:
                    ids.append(int.from_bytes(packet[8:16], "little"))
                packet = packet[size:]
    return ids


def test_one_that_never_reads_takes_nothing_from_the_others(bus, place, client):
    stuck = RawClient(bus.address, receive_buffer=4096)
    kind, _ = stuck.wait_reply(stuck.send(
        "AddMatch", path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
        destination="org.freedesktop.DBus", signature="s", body=text("type='signal'")))
    assert kind == METHOD_RETURN
    newest = client.call("GetEvents", "ta{sv}", 0, {})[1]
    _, fds = client.call_with_fds("OpenEvents", "ta{sv}", newest, {})

    # More bytes than its socket and a bus that stops for it could hold back unnoticed.
    codes = ["corrupted", "io-error", "shutdown", "writeback-error"]
    for number in range(ROUNDS):
        client.call("EmitTestEvent", "osa{sv}", place, codes[number % len(codes)], {})
    last = client.call("GetEvents", "ta{sv}", 0, {})[1]
    assert last >= newest + ROUNDS

    ids = read_ids(fds[0], range(newest + 1, last + 1))
    assert ids == list(range(newest + 1, last + 1))
    for code in codes:
        client.wait_event(code)
    client.call("SetEvents", "asa{sv}", ["stalled"], {}, path=place,
                interface="org.fsevents1.Filesystem")
    check_took("a ping", client.ping(), 0.2)
    for fd in fds:
        os.close(fd)
    stuck.close()


def test_streams_of_many_users_at_their_limits(bus, place, client, as_user):
    assert len(USERS) > 10
    users = [as_user(uid) for uid in USERS]
    for user in users:
        for _ in range(STREAMS):
            user.call_with_fds("OpenEvents", "ta{sv}", 0, {})
        with pytest.raises(BusError) as refusal:
            user.call_with_fds("OpenEvents", "ta{sv}", 0, {})
        assert refusal.value.name.endswith("LimitsExceeded") and "stream" in str(refusal.value)

    # Others go on, and what they left can be had again.
    assert place in client.objects()
    users[0].close()

    def again():
        one = as_user(USERS[0])
        try:
            one.call_with_fds("OpenEvents", "ta{sv}", 0, {})
            return True
        except BusError:
            return False
        finally:
            one.close()
    wait_for(again, what="a stream for the user whose client left")


def test_a_stream_ends_with_its_owner(bus, place):
    one = Client(bus.address)
    _, fds = one.call_with_fds("OpenEvents", "ta{sv}", 0, {})
    kept = os.dup(fds[0])
    one.close()
    with socket.socket(fileno=kept) as stream:
        stream.settimeout(PATIENCE)
        while stream.recv(65536):
            pass
