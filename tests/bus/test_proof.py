# SPDX-License-Identifier: GPL-2.0-or-later
"""Who does not answer a ping is asked again when there is more to tell."""

import os
import struct
import time

import pytest

from rawbus import RawClient
from waiting import PATIENCE, wait_for

MANAGER = "org.fsevents1.Manager"
METHOD_CALL = 1
TIMEOUT_MS = 300

POLICY = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <include>{policy}</include>
  <limit name="reply_timeout">{timeout}</limit>
</busconfig>
"""


def pong(serial, destination):
    """METHOD_RETURN by hand."""
    name = destination.encode() + b"\0"
    fields = b"\x05\x01u\0" + serial.to_bytes(4, "little")
    fields += b"\x06\x01s\0" + (len(name) - 1).to_bytes(4, "little") + name
    head = b"l\x02\x01\x01" + bytes(4) + (99999).to_bytes(4, "little")
    whole = head + len(fields).to_bytes(4, "little") + fields
    return whole + bytes(-len(whole) % 8)


def ping_of(message):
    """(serial, sender) where this is a ping."""
    serial = struct.unpack_from("<I", message, 8)[0]
    sender = message.partition(b"\x07\x01s\0")[2][4:].partition(b"\0")[0].decode()
    return serial, sender


def next_ping(raw, one):
    """The next one that comes, while there is something to tell."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert one.do("lost 1 1") == ["again"]
        try:
            kind, _, message = raw.read(0.1)
        except TimeoutError:
            continue
        if kind == METHOD_CALL and b"Ping" in message:
            return ping_of(message)
    raise AssertionError("no ping came")


@pytest.mark.buses("dbus-daemon")
def test_ping_that_the_bus_answered_is_repeated(layer, bus, scratch):
    bus.stop()
    policy = os.path.join(scratch, "impatient.conf")
    with open(policy, "w", encoding="utf-8") as file:
        file.write(POLICY.format(policy=bus.policy, timeout=TIMEOUT_MS))
    bus.policy = policy
    bus.start()
    one = layer()
    raw = RawClient(bus.address)
    raw.wait_reply(raw.send("TrackProcess", interface=MANAGER, signature="ua{sv}",
                            body=os.getpid().to_bytes(4, "little") + bytes(4)))
    assert any("again" in one.do("changed 1 100") for _ in range(1000))
    first, _ = next_ping(raw, one)
    # It says nothing, and the bus does for it.
    serial, sender = next_ping(raw, one)
    assert serial != first
    raw.socket.sendall(pong(serial, sender))
    wait_for(lambda: one.do("lost 1 1") == [], what="room for more")
    raw.close()
