# SPDX-License-Identifier: GPL-2.0-or-later
"""
Text that somebody else chose: names of mounts, sources, types and programs
reach the bus, the journal and the terminal as what they are, and as nothing else.
"""

import json
import os
import subprocess
import sys

import pytest

from disks import MIB, mount_raw, umount_raw
from waiting import PATIENCE

pytestmark = pytest.mark.buses("dbus-daemon", "dbus-broker")

EVIL = [b"\x1b]0;owned\x07", b"a\nPRIORITY=0", b"q\"uo'te", b"\xff\xfe\xfd", "\u202egnp.\u2066".encode(),
        b"back\\slash", b"\xef\xbf\xbe", b"tab\there", b"\xc2\x85\xc2\x9b31m", "\u2028x".encode(),
        b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"%s%n%n", b"<b>&amp;", "\ufffe\ufdd0".encode()]

# Names itself as told, writes a megabyte and waits for the end of its input.
WRITER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(15, ctypes.c_char_p(bytes.fromhex(sys.argv[1])), 0, 0, 0)
fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
data = bytes(1 << 20)
for _ in range(int(sys.argv[3])):
    os.write(fd, data)
print(flush=True)
sys.stdin.read()
"""


def is_clean(text):
    """Nothing that a terminal obeys, and nothing that is no text."""
    return text.isprintable() and "\u202e" not in text and text.encode("utf-8", "strict")


def unescape(text):
    """The bytes that the escaped @text stands for."""
    raw, out, at = text.encode(), bytearray(), 0
    while at < len(raw):
        if raw[at:at + 1] == b"\\":
            out.append(int(raw[at + 1:at + 4], 8))
            at += 4
        else:
            out.append(raw[at])
            at += 1
    return bytes(out)


def texts(value):
    """All strings in a value, whatever it is made of."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)


@pytest.fixture
def evil():
    """{mount point: source} of a tmpfs for each evil name, which is both."""
    base = b"/mnt/evil"
    mounted = {}
    os.makedirs(base, exist_ok=True)
    try:
        for name in EVIL:
            where = os.path.join(base, name)
            os.makedirs(where, exist_ok=True)
            mount_raw(name, where, "tmpfs", 0, "size=4M")
            mounted[where] = name
        yield mounted
    finally:
        for where in reversed(mounted):
            umount_raw(where, 2)


def test_names_of_mounts_everywhere(daemon, client, as_user, evil, journal, ctl, busctl):
    """On the bus, in the journal and as JSON; nobody is cut off, and each name can be had back."""
    running = daemon(journal=journal)
    user = as_user(65534)
    owner = client.name_owner()
    paths = {where: client.wait_filesystem(where) for where in evil}
    for where, path in paths.items():
        properties = client.get_all(path)
        assert where in properties["MountPoints"]
        assert unescape(properties["Where"]) == where
        assert unescape(properties["Source"]) == evil[where]
        assert all(is_clean(text) for text in texts({k: v for k, v in properties.items() if v != ""}) if text)
        # What is shown can be asked for.
        assert client.call("GetFilesystem", "s", properties["Where"]) == path

        client.call("EmitTestEvent", "osa{sv}", path, "io-error", {})
        event = user.wait_event("io-error", path)
        assert event.details["where"] == where
        entry = journal.wait(FSEVENTS_ID=str(event.id))
        assert is_clean(entry["MESSAGE"].decode()) and properties["Where"] in entry["MESSAGE"].decode()
        assert entry["PRIORITY"] != b"0"
        for value in entry.values():
            value.decode()

    assert all(is_clean(text) for e in client.history()[2] for text in texts(e.args) if text)
    shown = busctl("get-property", "org.fsevents1", paths[next(iter(paths))], "org.fsevents1.Filesystem", "Where")
    assert shown.stdout.rstrip("\n").isprintable()
    for verb in (["list"], ["status"], ["history"]):
        for line in ctl(*verb).stdout.splitlines():
            assert is_clean(line) or not line, line
        for line in ctl(*verb, "--json").stdout.splitlines():
            assert is_clean(line)
            json.loads(line)
    assert client.name_owner() == owner and running.running()


def test_names_of_mounts_that_come_and_go(daemon, as_user, journal, wait_for):
    """The same while the daemon runs: objects, signals and the end of each."""
    daemon(journal=journal)
    user = as_user(65534)
    os.makedirs(b"/mnt/evil", exist_ok=True)
    for name in EVIL:
        where = os.path.join(b"/mnt/evil", name)
        os.makedirs(where, exist_ok=True)
        mount_raw(name, where, "tmpfs", 0, "size=1M")
        try:
            path = user.wait_filesystem(where)
            assert user.wait_event("mounted", path).details["where"] == where
        finally:
            umount_raw(where)
        assert user.wait_event("unmounted", path).details["where"] == where

        def entries(wanted=where):
            return [e for e in journal.find(FSEVENTS_CODE="unmounted")
                    if unescape(e["FSEVENTS_WHERE"].decode()) == wanted]

        assert is_clean(wait_for(entries, what="the entry")[0]["MESSAGE"].decode())


def test_type_of_a_users_filesystem(daemon, client, fuse):
    """The part behind fuse. is free text."""
    mounted = fuse("typed", kind="fuse.\u202e\"\\x", source="/dev/sda1 \u2028;rm")
    daemon()
    properties = client.get_all(client.wait_filesystem(mounted.where))
    for name in ("Type", "Source"):
        assert is_clean(properties[name]), name
    assert unescape(properties["Type"]).decode() == "fuse.\u202e\"\\x"
    assert "\\342\\200\\250" in properties["Source"]


def test_program_named_with_every_byte_at_the_alarm(daemon, client, loopfs, journal, wait_for):
    """Who wrote most is told to root and the journal by a name of its own choice."""
    disk = loopfs("tmpfs", 64)
    level = disk.available() // 2
    daemon(f"[filesystem {disk.where}]\nthreshold = half space {level} warning\n", journal=journal)
    path = client.wait_filesystem(disk.where)
    client.usage(path)
    every = bytes(range(1, 256))
    names = [every[at:at + 15] for at in range(0, len(every), 15)]
    megabytes = (disk.available() - level) // MIB + 2
    # Signals of a flood are merged; the history has each.
    last = client.history()[1]

    def event_after(number, code):
        return next((e for e in client.history(number)[2] if e.code == code), None)

    for name in names:
        with subprocess.Popen([sys.executable, "-c", WRITER, name.hex(), disk.path("file"), str(megabytes)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
            writer.stdout.readline()

            def writers(since=last):
                event = event_after(since, "threshold-below")
                return event and event.details.get("writers")

            by_pid = {pid: comm for pid, _, comm in wait_for(writers, what="who wrote")}
            writer.stdin.close()
            writer.wait(PATIENCE)
        assert is_clean(by_pid[writer.pid]) and unescape(by_pid[writer.pid]) == name
        disk.unlink("file")
        last = wait_for(lambda since=last: event_after(since, "threshold-above"), what="the end of the alarm").id
    for entry in journal.entries:
        for value in entry.values():
            assert is_clean(value.decode()) or not value
