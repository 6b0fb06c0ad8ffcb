#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast and how late does a watch tell?

Records a second from the daemon's queue and stream to one subscriber, to ten,
and to ten beside some that never read, rounds interleaved; then how late the
real daemon tells a single change, for several latencies asked for. Ten readers share
the processors with who sends to them: what a record takes of all together is said beside. Ends
with 1 when a subscriber that reads missed a record.
"""

import os
import random
import resource
import socket
import struct
import subprocess
import sys
import time

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))

WATCH = "org.fsevents1.Watch"
KIND_WATCH = 64
LATENCIES_MS = (5, 20, 50, 200)
RATE_AIM = 3e6


def deliver(programs, subscribers, records, stalled):
    """(seconds, lost, bytes that a stalled one holds, seconds of processors, readers with it)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([programs / "deliver", str(subscribers), str(records), str(stalled)], check=True,
                         capture_output=True, text=True).stdout.split()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(out[1]), int(out[3]), int(out[5]), used


def bench_rate(args, programs):
    total = 2000000 if args.quick else 10000000
    cases = {"one": (1, 0), "ten": (10, 0), "ten, two more stalled": (10, 2)}
    rounds = 3 if args.quick else 7
    seconds, lost, held, used = ({name: [] for name in cases} for _ in range(4))
    for number in range(rounds):
        for name, (subscribers, stalled) in cases.items():
            print(f"round {number + 1}/{rounds}: {name}", file=sys.stderr)
            result = deliver(programs, subscribers, total // subscribers, stalled)
            for table, value in zip((seconds, lost, held, used), result):
                table[name].append(value)
    print(f"\nRecords a second, {total} in all (aim: {RATE_AIM / 1e6:.0f} million to one, no less to ten)\n")
    one = harness.median(seconds["one"])
    harness.table(["subscribers", "million/s", "of that to one", "CPU ns/record", "lost", "a stalled one holds KiB"], [
        [name, total / harness.median(seconds[name]) / 1e6, f"x{one / harness.median(seconds[name]):.2f}",
         f"{harness.median(used[name]) / total * 1e9:.0f}",
         str(sum(lost[name])), f"{max(held[name]) // 1024}"] for name in cases])
    return sum(map(sum, lost.values()))


def open_watch(client, where, latency_ms):
    """The stream of a recursive watch."""
    from client import variant
    fd = os.open(where, os.O_PATH)
    options = {"recursive": variant("b", True), "latency-usec": variant("t", latency_ms * 1000)}
    path, _ = client.call_with_fds("Watch", "hasa{sv}", 0, ["create"], options, fds=[fd])
    os.close(fd)
    _, fds = client.call_with_fds("OpenStream", "a{sv}", {}, path=path, interface=WATCH)
    return path, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fds[0])


def wait_for_name(stream, name):
    while True:
        packet = stream.recv(65536)
        if not packet:
            sys.exit("the stream has ended")
        while packet:
            size, header, kind = struct.unpack_from("=IHH", packet)
            if kind == KIND_WATCH:
                n_name = struct.unpack_from("=H", packet, 48)[0]
                if packet[header:header + n_name] == name:
                    return time.monotonic()
            packet = packet[size:]


def bench_latency(args, client, where):
    n = 20 if args.quick else 100
    late = {ms: [] for ms in LATENCIES_MS}
    for ms in LATENCIES_MS:
        print(f"latency {ms} ms", file=sys.stderr)
        path, stream = open_watch(client, where, ms)
        stream.settimeout(30)
        for number in range(n):
            # Each alone: what comes with others is told earlier than it asks for.
            time.sleep(ms / 1000 + random.uniform(0.02, 0.06))
            name = f"file-{ms}-{number}"
            began = time.monotonic()
            os.close(os.open(os.path.join(where, name), os.O_CREAT | os.O_WRONLY))
            late[ms].append((wait_for_name(stream, name.encode()) - began) * 1000)
        client.call("Remove", path=path, interface=WATCH)
        stream.close()
    print("\nHow late a change is told, ms (aim: the median within 1 ms of what was asked for)\n")
    harness.table(["asked for", "median", "p99", "max"], [
        [f"{ms} ms", harness.median(late[ms]), harness.percentile(late[ms], 99), max(late[ms])]
        for ms in LATENCIES_MS])


def main():
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["rate", "latency"], help="one part alone")
    args = parser.parse_args()
    programs = harness.programs_of(args, parser)
    harness.need("dbus-daemon")
    harness.enter_private_namespaces()

    lost = bench_rate(args, programs) if args.only in (None, "rate") else 0
    if args.only in (None, "latency"):
        from client import Client
        with harness.Scratch("1G") as scratch:
            where = scratch / "watched"
            where.mkdir(mode=0o755)
            bus = harness.Bus(scratch)
            daemon = harness.Daemon(args.fseventsd, scratch, bus, "[filesystem *]\nignore = yes\nthreshold = none\n")
            client = Client(bus.address)
            bench_latency(args, client, where)
            client.close()
            daemon.close()
            bus.close()
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
