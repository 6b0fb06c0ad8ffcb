# SPDX-License-Identifier: GPL-2.0-or-later
"""At the bounds of what watches take: who is past them is told so, and takes nothing of others."""

import os
import struct

import pytest

from disks import MS_BIND, mount_raw, umount_raw
from rawbus import METHOD_RETURN, SIGNAL, RawClient
from waiting import PATIENCE, wait_for
from watching import CREATE, Watch

NO_FILESYSTEMS = "[filesystem *]\nignore = yes\nthreshold = none\n"
CROSS = {"recursive": ("b", True), "cross-mounts": ("b", True)}
MANY = 300
USERS = (1, 2, 3)
FIRST_GROUP = 20000


@pytest.fixture
def watching(daemon):
    """watching(config_text="") -> Daemon that leaves the space of filesystems alone"""
    return lambda config="", **options: daemon(NO_FILESYSTEMS + config, **options)


@pytest.fixture
def disk(loopfs):
    made = loopfs("tmpfs", 64)
    os.chmod(made.where, 0o755)
    return made


def padded(data, n):
    return data + bytes(-len(data) % n)


def string(text):
    return struct.pack("=I", len(text)) + text.encode() + b"\0"


def watch_tree(raw, where, event):
    """WatchPath of all below @where by hand; gives the serial."""
    events = string(event)
    body = padded(string(where), 4) + struct.pack("=I", len(events)) + events
    option = string("recursive") + b"\1b\0"
    option = padded(option, 4) + struct.pack("=I", 1)
    body = padded(padded(body, 4) + struct.pack("=I", len(option)), 8) + option
    return raw.send("WatchPath", interface="org.fsevents1.Manager", signature="sasa{sv}", body=body)


def wait_told(raw, name):
    """A signal to this one alone that has the name."""
    while True:
        kind, _, data = raw.read(PATIENCE)
        assert b"Lost" not in data
        if kind == SIGNAL and b"Changed" in data and name.encode() + b"\0" in data:
            return


@pytest.mark.buses("dbus-daemon")
def test_a_mount_is_told_to_as_many_as_there_are(watching, bus, disk):
    """Each of them may see what others may not: who comes last is told as the first one."""
    watching("[limits]\nwatches = 200\n")
    os.mkdir(disk.path("place"))
    raws = [RawClient(bus.address, uid=USERS[i % len(USERS)], groups=[FIRST_GROUP + i]) for i in range(MANY)]
    for raw in raws:
        kind, answer = raw.wait_reply(watch_tree(raw, disk.where, "mount"))
        assert kind == METHOD_RETURN, answer
    mount_raw("none", disk.path("place"), "tmpfs")
    try:
        for raw in raws:
            wait_told(raw, "place")
    finally:
        umount_raw(disk.path("place"))
        for raw in raws:
            raw.close()


@pytest.mark.buses("dbus-daemon")
def test_many_mounts_are_followed_from_the_beginning(watching, client, disk, loopfs):
    watching("[limits]\nwatches = 1024\n")
    other = loopfs("tmpfs", 16)
    for i in range(MANY):
        os.mkdir(other.path(f"d{i}"))
        os.mkdir(disk.path(f"m{i}"))
        mount_raw(other.path(f"d{i}"), disk.path(f"m{i}"), None, MS_BIND)
    try:
        watch = Watch(client, disk.where, ["create"], **CROSS)
        # What happened in each until it was watched is not known, and nothing else is lost.
        names = {f"m{i}".encode() for i in range(MANY)}
        wait_for(lambda: {lost.under for lost in watch.losses()} >= names, what="all mounts to be watched")
        assert {lost.under for lost in watch.losses()} == names
        for i in range(MANY):
            os.mkdir(other.path(f"d{i}/made"))
        wait_for(lambda: watch.names(CREATE) >= {name + b"/made" for name in names}, what="what was made in each")
    finally:
        for i in range(MANY):
            umount_raw(disk.path(f"m{i}"))
