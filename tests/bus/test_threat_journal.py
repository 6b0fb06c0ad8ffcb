# SPDX-License-Identifier: GPL-2.0-or-later
"""A journal that does not take what is written: nothing waits for it, and what was left out is told."""

import fcntl
import os

import pytest

from rawbus import NO_REPLY_EXPECTED, RawClient
from waiting import pause

pytestmark = pytest.mark.buses("dbus-daemon")

# A storm is work; whoever waited for what does not read would wait for ever.
LATE_MS = 2000
CODES = ("enospc", "corrupted", "io-error", "shutdown", "frozen", "thawed", "read-only", "writeback-error")
F_SETPIPE_SZ = 1031


def string(text):
    raw = text.encode()
    return len(raw).to_bytes(4, "little") + raw + b"\0"


def storm(bus, paths, number):
    """@number test events, nobody waits for an answer."""
    raw = RawClient(bus.address)
    for i in range(number):
        body = string(paths[i % len(paths)])
        body += b"\0" * (-len(body) % 4) + string(CODES[i // len(paths) % len(CODES)])
        body += b"\0" * (-len(body) % 4) + b"\0\0\0\0"
        body += b"\0" * (-len(body) % 8)
        raw.send("EmitTestEvent", interface="org.fsevents1.Manager", signature="osa{sv}", body=body,
                 flags=NO_REPLY_EXPECTED)
    raw.ping()
    raw.close()


def test_stopped_journal_delays_nothing_and_gets_what_waited(daemon, client, bus, journal, loopfs, lateness,
                                                                 wait_for):
    disks = [loopfs("tmpfs", 4) for _ in range(8)]
    running = daemon(journal=journal)
    paths = [client.wait_filesystem(disk.where) for disk in disks]
    journal.stop_reading()
    try:
        with lateness(running) as late:
            for _ in range(5):
                storm(bus, paths, 2000)
                pause(0.5)
        late.check(LATE_MS)
        number = client.history()[1]
        client.call("EmitTestEvent", "osa{sv}", paths[0], "corrupted", {})
        assert client.history()[1] == number + 1 > 10000, "an event was not even numbered"
        assert len(journal.entries) <= 12
    finally:
        journal.read_on()
    # What waited in the queue is written now, of each place something.
    wanted = {disk.where.encode() for disk in disks}
    wait_for(lambda: wanted <= {e.get("FSEVENTS_WHERE") for e in list(journal.entries)}, what="entries of all")
    running.stop()


def test_full_pipe_for_the_messages_delays_nothing(daemon, client, bus, loopfs, lateness):
    """Standard error on a pipe that nobody reads."""
    disks = [loopfs("tmpfs", 4) for _ in range(8)]
    running = daemon(start=False)
    os.mkfifo(running.stderr_path)
    pipe = os.open(running.stderr_path, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.fcntl(pipe, F_SETPIPE_SZ, 4096)
        running.start()
        paths = [client.wait_filesystem(disk.where) for disk in disks]
        with lateness(running) as late:
            for _ in range(3):
                storm(bus, paths, 2000)
                pause(0.3)
        late.check(LATE_MS)
        running.stop()
        assert os.read(pipe, 4096), "nothing was ever printed"
    finally:
        running.kill()
        os.unlink(running.stderr_path)
        with open(running.stderr_path, "wb"):
            pass
        os.close(pipe)
