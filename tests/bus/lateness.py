# SPDX-License-Identifier: GPL-2.0-or-later
"""
How late the daemon's event loop is: a process of its own that pings it each
millisecond and keeps the longest round trips.
"""

import json
import os
import select
import subprocess
import sys
import time

from rawbus import RawClient
from waiting import PATIENCE

# A loop that waited for what hangs would be late by a deadline of 500 ms; below 20 ms is usual.
BLOCKED_MS = 400


class Lateness:
    """
    with Lateness(address, pids) as lateness: ...
    lateness.check()

    The processes @pids (daemon, bus) run with real-time priority meanwhile where that may be, so
    that what counts is what they wait for and not who else wants the processor.
    """

    def __init__(self, address, pids=()):
        self.address = address
        self.pids = pids
        self.max_ms = None
        self.count = None
        self.over_ms = None

    def __enter__(self):
        for pid in self.pids:
            be_first(pid)
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", os.path.abspath(__file__), self.address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"pinging\n"
        return self

    def __exit__(self, *_):
        for pid in self.pids:
            try:
                os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
            except ProcessLookupError:
                pass
        output, _ = self.process.communicate(b"", PATIENCE)
        result = json.loads(output or b"{}")
        self.max_ms = result.get("max_ms")
        self.count = result.get("count")
        self.over_ms = result.get("over_ms")

    def check(self, limit_ms=BLOCKED_MS):
        """Pings were answered all the time; what the worst one took is printed."""
        assert self.count >= 10, "hardly any ping was answered"
        print(f"the loop was late by at most {self.max_ms:.1f} ms of {limit_ms} ms, {self.count} pings")
        assert self.max_ms < limit_ms, f"the loop was late: {self.over_ms}"


def be_first(pid):
    """Before all ordinary processes, where the machine lets us."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        print(f"no real-time priority for {pid}", file=sys.stderr)


def main():
    be_first(0)
    client = RawClient(sys.argv[1])
    client.ping()
    print("pinging", flush=True)
    times = []
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        start = time.monotonic()
        client.ping()
        times.append((time.monotonic() - start) * 1000)
    print(json.dumps({"max_ms": max(times, default=None), "count": len(times),
                      "over_ms": [round(t, 2) for t in times if t > 10]}))


if __name__ == "__main__":
    main()
