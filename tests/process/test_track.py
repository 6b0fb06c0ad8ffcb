# SPDX-License-Identifier: GPL-2.0-or-later
"""fseventsctl track in a storm: with a stream all of it is told."""

import json
import os

import pytest

from programs import counted

FORKS = 50_000


@pytest.fixture
def tracked_storm(processes, ctl, programs, scratch):
    """tracked_storm(n) -> (lines of fseventsctl track --json, pids that were made)"""
    def run(n):
        processes()
        pids = os.path.join(scratch, "pids")
        cpus = [cpu for cpu in ("0", "1") if int(cpu) < os.cpu_count()]
        done = ctl("--json", "track", "--", programs("bench", "storm"), "--pids", pids, str(n), *cpus,
                   check=False)
        assert done.returncode == 0, done.stderr[-1000:]
        with open(pids, "rb") as file:
            n_made = len(file.read()) // 8
        return [json.loads(line) for line in done.stderr.splitlines()], n_made
    return run


def test_storm_is_told_whole(tracked_storm):
    lines, n_made = tracked_storm(FORKS)
    assert n_made == FORKS
    last = lines[-1]
    events = [line for line in lines if "seq" in line]
    lost = [line for line in lines if line["event"] == "lost"]
    took_us = max(int(line["realtime-usec"]) for line in events) - int(events[0]["realtime-usec"])
    print(f"{len(events)} events in {took_us / 1e6:.2f} s: {len(events) / took_us * 1e6:.0f} a second, lost {lost}")
    assert lost == [] and last["lost"] == "0" and last["incomplete"] is False
    assert [int(line["seq"]) for line in events] == list(range(1, len(events) + 1))

    forks = [line["child"] for line in events if line["event"] == "fork"]
    exits = [line["pid"] for line in events if line["event"] == "exit"]
    assert last["event"] == "empty" and int(last["forks"]) == len(forks) and int(last["exits"]) == len(exits)
    # The makers are forked as well, and the storm itself ends.
    assert FORKS <= len(forks) <= FORKS + 2
    assert len(exits) == len(forks) + 1
    assert not counted((line["event"], line["pid"], line.get("child"), line["seq"]) for line in events)
