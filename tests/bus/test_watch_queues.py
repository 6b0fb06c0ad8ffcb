# SPDX-License-Identifier: GPL-2.0-or-later
"""What waits for its reader: as much as a burst is, and no more than a user may have waiting."""

import os

import pytest

from service import NO_FILESYSTEMS
from waiting import PATIENCE, wait_for
from watching import DELETE, Watch, check_invariant

BURST = 3000
HELD = {"recursive": ("b", True), "hold": ("b", True)}
QUEUE_BYTES = 8 << 20
RESIDENT_MAX_KB = (2 * QUEUE_BYTES >> 10) + (16 << 10)


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def told_times(watch, bit):
    return sum(1 for change in watch.changes() if change.mask & bit)


def burst(where, n):
    for i in range(n):
        with open(f"{where}/a-file-with-a-usual-name-{i}", "w", encoding="ascii"):
            pass
    for i in range(n):
        os.unlink(f"{where}/a-file-with-a-usual-name-{i}")


@pytest.fixture
def disk(loopfs):
    made = loopfs("tmpfs", 64)
    os.chmod(made.where, 0o777)
    return made


@pytest.mark.buses("dbus-daemon")
def test_a_burst_is_kept_for_two_watches(daemon, client, disk, as_user):
    daemon(NO_FILESYSTEMS)
    user = as_user(1)
    watches = [Watch(user, disk.where, ["create", "delete"], **HELD) for _ in range(2)]
    reader = Watch(as_user(2), disk.where, ["delete"], recursive=("b", True))
    os.chmod(disk.where, 0o755)
    burst(disk.where, BURST)
    # Of what is made and removed before anybody reads the kernel itself makes one event.
    reader.wait(f"a-file-with-a-usual-name-{BURST - 1}", DELETE)
    for watch in watches:
        watch.call("Start")
    for watch in watches:
        watch.wait(f"a-file-with-a-usual-name-{BURST - 1}", DELETE)
        assert len(watch.names(DELETE)) == BURST
        assert watch.losses() == []
    check_invariant(client)


@pytest.mark.buses("dbus-daemon")
def test_queues_of_a_user_are_bounded(daemon, client, disk, as_user):
    """Many watches that nobody reads take together what one user may have, and those of others are as they were."""
    running = daemon(NO_FILESYSTEMS)
    user, other = as_user(1), as_user(2)
    unread = [Watch(user, disk.where, ["create", "delete"], **HELD) for _ in range(24)]
    reader = Watch(other, disk.where, ["create", "delete"], recursive=("b", True))
    os.chmod(disk.where, 0o755)
    before = resident_kb(running.pid)
    for i in range(4):
        burst(disk.where, BURST)
        wait_for(lambda n=(i + 1) * BURST: told_times(reader, DELETE) >= n, PATIENCE)
    grown = resident_kb(running.pid) - before
    print(f"{len(unread)} watches of one user that nobody reads: {grown} KiB more, {QUEUE_BYTES >> 10} KiB allowed")
    assert grown < RESIDENT_MAX_KB
    assert reader.losses() == []
    # What collapses leaves its room to the others.
    assert sum(watch.get("Lost") > 0 for watch in unread) >= len(unread) // 2
    check_invariant(client)
