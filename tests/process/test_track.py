# SPDX-License-Identifier: GPL-2.0-or-later
"""fseventsctl track in a storm: with a stream all of it is told."""

import json
import os
import subprocess

import pytest

import service
from client import variant
from followed import INTERFACE
from programs import counted
from waiting import PATIENCE, wait_for

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


def examples():
    """Of the reader of streams."""
    built = service.built("tests", "io", "stream-reader")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "stream-reader.py")
    return [pytest.param([built], id="c"), pytest.param(["/usr/bin/python3", source], id="python")]


@pytest.mark.parametrize("reader", examples())
def test_example_reads_groups(processes, client, start, reader):
    processes("[limits]\nqueue-bytes = 64K\n")
    shell = subprocess.Popen(["sh", "-c", "read _; i=0; while [ $i -lt 3000 ]; do (exit 1); i=$((i + 1)); done; "
                              "exec /bin/true"], stdin=subprocess.PIPE)
    try:
        path = client.call("TrackProcess", "ua{sv}", shell.pid, {
            "events": variant("as", ["fork", "exec", "exit"]), "accounting": variant("b", True)})
        _, fds = client.call_with_fds("OpenStream", "a{sv}", {}, path=path, interface=INTERFACE)
        shell.stdin.close()
        wait_for(lambda: client.get("Live", path, INTERFACE) == 0, what="the end of the processes")
        # Nobody has read so far: some of it is lost.
        program = start(*reader, fds[0], fds=fds)
        os.close(fds[0])
        lines = []
        while line := program.line():
            lines.append(line.split())
            if lines[-1][0] == "empty":
                client.call("Release", path=path, interface=INTERFACE)
        assert program.wait() == 0
    finally:
        shell.kill()
        shell.wait(PATIENCE)
    told = [dict(word.split("=", 1) for word in line[1:]) for line in lines[:-1]]
    assert lines[-1] == ["end"] and lines[-2][0] == "empty"
    assert told[0]["seq"] == "1" and told[0]["event"] == "fork" and told[0]["pid"] == str(shell.pid)
    assert told[1]["event"] == "exit" and told[1]["status"] == "256" and told[1]["pid"] == told[0]["child"]
    lost = sum(int(one["count"]) for line, one in zip(lines, told) if line[0] == "lost")
    events = [one for line, one in zip(lines, told) if line[0] == "process"]
    assert lost > 0 and len(events) + lost == 6002
    assert told[-1]["forks"] == "3000" and told[-1]["lost"] == str(lost) and int(told[-1]["peak-rss"]) > 0


def test_by_signals_where_no_stream_is_left(processes, client, ctl):
    processes("[limits]\nstreams = 1\n")
    path = client.call("TrackProcess", "ua{sv}", os.getpid(), {"events": variant("as", [])})
    _, fds = client.call_with_fds("OpenStream", "a{sv}", {}, path=path, interface=INTERFACE)
    done = ctl("--json", "track", "--", "sh", "-c", "(exit 1); (exit 2); exit 3", check=False)
    os.close(fds[0])
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 3 and lines[-1]["event"] == "empty"
    assert [line["status"] for line in lines if line["event"] == "exit"] == [256, 512, 768]
    assert [line["seq"] for line in lines[1:-1]] == [str(n) for n in range(1, len(lines) - 1)]
