# SPDX-License-Identifier: GPL-2.0-or-later
"""Totals of a group against what its processes know of themselves."""

import os

import pytest

from waiting import wait_for

# What the kernel samples by, and a process of less may be told as nothing.
TICK_US = 10000
BLOCK = 1 << 20


def run_accounted(follow, tree, seed, **options):
    one = tree(seed, **options)
    group = follow(one.leader, (), accounting=True)
    one.run()
    return group.wait_empty(), one.truth()


@pytest.mark.parametrize("seed", (1, 2, 3))
def test_bytes_are_exact(processes, tree, follow, loopfs, seed):
    """Reads past the cache and writes, as /proc/PID/io told them just before the end."""
    processes()
    disk = loopfs("ext4", 128)
    with open(disk.path("source"), "wb") as file:
        file.write(os.urandom(BLOCK))
        os.fsync(file.fileno())
    totals, truth = run_accounted(follow, tree, seed, options=("--io", disk.where, "--forks", "80"))
    # The kernel adds those of a child to its parent's when that waits for it: the leader has all.
    read, written = truth.bytes[totals["leader"]]
    print(f"read {read}, written {written} by {totals['exits']} processes")
    assert read > BLOCK and written > BLOCK
    assert (totals["read-bytes"], totals["write-bytes"]) == (read, written)
    assert totals["incomplete"] is False


def test_time_of_long_processes(processes, tree, follow):
    """Processes of 150 ms: within 1 %, and a tick for each of those that make them."""
    processes()
    totals, truth = run_accounted(follow, tree, 2, rounds=1, options=("--burn", "150", "--forks", "12"))
    check_time(totals, truth, 0.01)


@pytest.mark.parametrize("seed", (4, 5))
def test_time_of_short_processes(processes, tree, follow, seed):
    """Within one tick for each."""
    processes()
    totals, truth = run_accounted(follow, tree, seed)
    check_time(totals, truth, 0)


def check_time(totals, truth, share):
    true, told = truth.usage.user + truth.usage.system, totals["user-usec"] + totals["system-usec"]
    off = abs(told - true)
    allowed = true * share + totals["exits"] * TICK_US
    print(f"{totals['exits']} processes: {told} us told, {true} us true: {off / true:.2%} off; "
          f"peak {totals['peak-rss']} of {truth.usage.peak} KiB")
    assert off <= allowed, f"{off} us off, {allowed:.0f} allowed"
    # The largest may have grown after it was asked, or its last pages were not counted yet.
    # Pages are counted for each processor, and added up some dozen at a time.
    assert totals["peak-rss"] >= truth.usage.peak * 0.9 - 512
    assert totals["incomplete"] is False


def test_only_while_asked(processes, tree, follow, client):
    """Without accounting no exit record is read, and the totals have no such figures."""
    processes()
    one = tree(6)
    group = follow(one.leader)
    one.run()
    totals = group.wait_empty()
    assert not {"user-usec", "system-usec", "read-bytes", "write-bytes", "peak-rss"} & set(totals)
    assert group.get("UserUsec") == 0
    second = tree(7)
    accounted = follow(second.leader, (), accounting=True)
    wait_for(lambda: "taskstats" in client.get("Sources").get("accounting", ""), what="taskstats among the sources")
    second.run()
    assert accounted.wait_empty()["user-usec"] + accounted.get("SystemUsec") > 0
