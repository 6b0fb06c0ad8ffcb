# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that ask for no reply: done where they do something, never answered, and no burden for others."""

import struct
import time

import pytest

from rawbus import ERROR, METHOD_RETURN, NO_REPLY_EXPECTED
from service import NO_FILESYSTEMS
from waiting import check_took, wait_for
from watching import NAMES, WATCH, Watch, statistics

USER, OTHER = 65534, 1
MANAGER = "org.fsevents1.Manager"
LIMITS = NO_FILESYSTEMS + "[limits]\nwatches = 1024\n"


def text(value):
    raw = value.encode()
    return len(raw).to_bytes(4, "little") + raw + b"\0"


def aligned(body, size):
    return body + b"\0" * (-len(body) % size)


def watch_body(path):
    """(sasa{sv}) of a watch of creations."""
    names = text("create")
    return aligned(aligned(aligned(text(path), 4) + struct.pack("=I", len(names)) + names, 4) + bytes(4), 8)


def new_object(raw, serial):
    kind, message = raw.wait_reply(serial)
    assert kind == METHOD_RETURN, message
    return message[message.rindex(b"/org/fsevents1/"):].split(b"\0")[0].decode()


def check_nothing_came(raw, serial):
    """Of all that was sent up to @serial, a ping, only that was answered."""
    answered = []
    while serial not in answered:
        kind, reply_serial, _ = raw.read()
        if kind in (METHOD_RETURN, ERROR):
            answered.append(reply_serial)
    assert answered == [serial]


def send_ping(raw):
    return raw.send("Ping", interface="org.freedesktop.DBus.Peer")


def test_what_is_removed_so_is_gone(daemon, raw_user, client, loopfs):
    """More at once than calls that have an answer may wait."""
    disk = loopfs("tmpfs", 16)
    daemon(LIMITS)
    raw, number = raw_user(USER), 600
    watches = [new_object(raw, raw.send("WatchPath", interface=MANAGER, signature="sasa{sv}",
                                        body=watch_body(disk.where))) for _ in range(number)]
    assert statistics(client)["watches"] == number
    for path in watches:
        raw.send("Remove", path=path, interface=WATCH, flags=NO_REPLY_EXPECTED)
    check_nothing_came(raw, send_ping(raw))
    wait_for(lambda: statistics(client)["watches"] == 0, what="the end of all")
    assert client.get("Statistics")["replies-refused"] == 0


def test_it_is_not_lost_behind_calls_that_wait(daemon, raw_user, client, loopfs):
    disk = loopfs("tmpfs", 16)
    daemon(LIMITS)
    raw = raw_user(USER)
    first = new_object(raw, raw.send("WatchPath", interface=MANAGER, signature="sasa{sv}",
                                     body=watch_body(disk.where)))
    calls = [raw.send("GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager") for _ in range(400)]
    raw.send("Remove", path=first, interface=WATCH, flags=NO_REPLY_EXPECTED)
    wait_for(lambda: statistics(client)["watches"] == 0, what="its end")
    for _ in calls:
        raw.read_reply()


def test_others_that_do_something(daemon, raw_user, client, loopfs):
    disk = loopfs("tmpfs", 16)
    daemon("[limits]\nwatches = 1024\n")
    raw = raw_user(USER)
    watch = new_object(raw, raw.send("WatchPath", interface=MANAGER, signature="sasa{sv}",
                                     body=watch_body(disk.where)))
    events = struct.pack("=I", len(text("delete"))) + text("delete")
    raw.send("SetEvents", path=watch, interface=WATCH, signature="as", body=events, flags=NO_REPLY_EXPECTED)
    kind, told = raw.wait_reply(raw.send(
        "Get", path=watch, interface="org.freedesktop.DBus.Properties", signature="ss",
        body=aligned(text(WATCH), 4) + text("Events")))
    assert kind == METHOD_RETURN and b"delete" in told and b"create" not in told
    # Nobody would know what this makes.
    raw.send("WatchPath", interface=MANAGER, signature="sasa{sv}", body=watch_body(disk.where),
             flags=NO_REPLY_EXPECTED)
    check_nothing_came(raw, send_ping(raw))
    assert statistics(client)["watches"] == 1


def test_what_takes_a_permission_takes_it_still(daemon, raw_user, client, busctl, loopfs):
    disk = loopfs("tmpfs", 16)
    daemon()
    path = client.wait_filesystem(disk.where)
    before = client.history()[1]

    def body(code):
        return aligned(aligned(aligned(text(path), 4) + text(code), 4) + bytes(4), 8)

    user, root = raw_user(USER), raw_user(0)
    user.ping()
    root.ping()
    for raw, code in ((user, "corrupted"), (root, "io-error")):
        raw.send("EmitTestEvent", interface=MANAGER, signature="osa{sv}", body=body(code), flags=NO_REPLY_EXPECTED)
        check_nothing_came(raw, send_ping(raw))
    # It is gone before anybody could be asked who it was.
    done = busctl("--expect-reply=no", "call", "org.fsevents1", "/org/fsevents1", MANAGER, "EmitTestEvent", "osa{sv}",
                  path, "shutdown", "0", uid=USER)
    assert done.stdout == done.stderr == ""
    client.ping()
    told = client.events(path=path)
    assert [event.code for event in told if event.details.get("test")] == ["io-error"], told
    assert client.history()[1] == before + 1


@pytest.mark.buses("dbus-daemon")
def test_a_flood_of_them_costs_nobody_else(daemon, raw_user, client, as_user, loopfs, lateness):
    disk = loopfs("tmpfs", 16)
    running = daemon(LIMITS)
    raw, reader = raw_user(USER), as_user(OTHER)
    watch = Watch(reader, disk.where, NAMES)
    slowest = 0.0
    with lateness(running) as late:
        for _ in range(40):
            for _ in range(250):
                raw.send("Remove", path=watch.path, interface=WATCH, flags=NO_REPLY_EXPECTED)
                raw.send("GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager",
                         flags=NO_REPLY_EXPECTED)
            start = time.monotonic()
            reader.get("Version")
            slowest = max(slowest, time.monotonic() - start)
        check_nothing_came(raw, send_ping(raw))
    late.check()
    check_took("another user's call beside the flood", slowest, 0.05)
    assert watch.get("Source") != "", "somebody else's watch is gone"
