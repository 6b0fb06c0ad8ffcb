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


class Lateness:
    """
    with Lateness(address, pids) as lateness: ...
    assert lateness.max_ms <= 20

    The processes @pids (daemon, bus) run with real-time priority meanwhile, so that what counts is
    what they wait for and not who else wants the processor.
    """

    def __init__(self, address, pids=()):
        self.address = address
        self.pids = pids
        self.max_ms = None
        self.count = None
        self.over_ms = None

    def __enter__(self):
        for pid in self.pids:
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
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
        output, _ = self.process.communicate(b"", 20)
        result = json.loads(output or b"{}")
        self.max_ms = result.get("max_ms")
        self.count = result.get("count")
        self.over_ms = result.get("over_ms")


def main():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    client = RawClient(sys.argv[1])
    client.ping()
    print("pinging", flush=True)
    times = []
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        start = time.monotonic()
        client.ping(10)
        times.append((time.monotonic() - start) * 1000)
    print(json.dumps({"max_ms": max(times, default=None), "count": len(times),
                      "over_ms": [round(t, 2) for t in times if t > 10]}))


if __name__ == "__main__":
    main()
