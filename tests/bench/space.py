#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How late are threshold events, what does the writer pay, what does idling cost?

Fills ext4, xfs, btrfs and tmpfs at several speeds, rounds interleaved, beside
the daemon, a poller of one second and one of sixty. The truth is the writer's
own look at the figures after each chunk. Ends with 1 when an event is missing;
times are printed and not judged.
"""

import os
import random
import subprocess
import sys
import time

import harness

SIZE = 1024  # MiB
SHARES = (80, 60, 40, 20, 10)  # percent of what is available when empty
STOP_SHARE = 5
HOLD_MS = 1200

MB = 1000000
FILLS = {
    "50 MB/s": ["--rate", str(50 * MB)],
    "200 MB/s": ["--rate", str(200 * MB)],
    "1 GB/s": ["--rate", str(1000 * MB)],
    "bursts": ["--burst", str(90 * MB), "--pause-ms", "700"],
    "fallocate": ["--fallocate"],
}
POLLERS = {"1 s poller": 1000, "60 s poller": 60000}


class Filesystem:
    def __init__(self, scratch, kind):
        self.kind = kind
        self.where = scratch / "mnt" / kind
        self.where.mkdir(parents=True)
        self.uuid = None
        if kind == "tmpfs":
            self.mount("-o", f"size={SIZE}m", "bench")
        else:
            image = scratch / f"{kind}.img"
            with open(image, "wb") as file:
                file.truncate(SIZE << 20)
            make = {"ext4": ["mkfs.ext4", "-q"], "xfs": ["mkfs.xfs", "-q"], "btrfs": ["mkfs.btrfs", "-q"]}[kind]
            subprocess.run([*make, image], check=True, stdout=subprocess.DEVNULL)
            self.mount("-o", "loop", image)
        if kind == "btrfs":
            self.uuid = subprocess.run(["findmnt", "-n", "-o", "UUID", self.where], check=True,
                                       capture_output=True, text=True).stdout.strip()
        self.measure()

    def mount(self, *rest):
        subprocess.run(["mount", "-t", self.kind, *rest, self.where], check=True)

    def measure(self):
        figures = os.statvfs(self.where)
        block, self.available = figures.f_frsize, figures.f_bavail * figures.f_frsize
        self.levels = {}
        self.lines = []
        for share in SHARES:
            blocks = figures.f_bavail * share // 100
            slack = max(1, blocks // 20)
            name = f"{self.kind}-{share}"
            self.levels[name] = (blocks * block, slack * block)
            self.lines.append(f"threshold = {name} space {blocks}blocks warning hysteresis {slack}blocks")

    def config(self):
        return "\n".join([f"[filesystem {self.where}]", "ignore = no", *self.lines, ""])


def config_of(filesystems):
    return "[filesystem *]\nignore = yes\nthreshold = none\n" + "".join(fs.config() for fs in filesystems)


class Log:
    """A program whose lines go to a file."""

    def __init__(self, scratch, name, command):
        self.path = scratch / f"{name}.log"
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out)

    def lines(self):
        return [line.split() for line in self.path.read_text().splitlines()]

    def close(self):
        harness.end(self.process)


def run_fill(programs, fs, extra):
    """One fill and deletion; the truth by (name, direction), and the lowest available."""
    levels = ",".join(f"{level}:{slack}" for level, slack in fs.levels.values())
    command = [programs / "fill", "--dir", fs.where, "--levels", levels, "--hold-ms", str(HOLD_MS),
               "--stop-at", str(fs.available * STOP_SHARE // 100), "--wait-ms", "70000", *extra]
    if fs.uuid:
        command += ["--btrfs-uuid", fs.uuid]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = {str(level): name for name, (level, _) in fs.levels.items()}
    truth, lowest = {}, 0
    for words in map(str.split, out.splitlines()):
        if words[0] in ("below", "above"):
            truth.setdefault((names[words[1]], words[0]), int(words[2]))
        elif words[0] == "lowest":
            lowest = int(words[1])
    return truth, lowest


class Results:
    """Lateness and overshoot by (filesystem type, fill, observer)."""

    def __init__(self):
        self.late, self.over, self.above, self.missing = {}, {}, {}, {}

    def add(self, table, key, value):
        table.setdefault(key, []).append(value)

    def miss(self, key, what):
        self.missing.setdefault(key, []).append(what)


def judge_daemon(results, key, fs, truth, events):
    for name, (level, _) in fs.levels.items():
        for direction in ("below", "above"):
            at = truth.get((name, direction))
            if at is None:
                sys.exit(f"{key}: the fill itself did not cross {name} ({direction})")
            found = [event for event in events if event[5] == name and event[2] == f"threshold-{direction}"]
            if not found:
                results.miss(key, f"{name} {direction}")
                continue
            if len(found) > 1:
                results.miss(key, f"{name} {direction} told {len(found)} times")
            late = max(0, int(found[0][0]) - at) / 1000
            if direction == "above":
                results.add(results.above, key, late)
                continue
            results.add(results.late, key, late)
            results.add(results.over, key, max(0, level - int(found[0][4])) / MB)


def judge_order(results, key, fs, events):
    order = [event[5] for event in events if event[2] == "threshold-below"]
    wanted = [name for name in fs.levels if name in order]
    if order != wanted and sorted(order) == sorted(wanted):
        results.miss(key, f"order {order}")


def judge_poller(results, key, fs, truth, lowest, samples, interval_us):
    """A poller tells at its first sample after the truth; where the level was left before, it never would."""
    for name, (level, _) in fs.levels.items():
        at = truth[(name, "below")]
        later = [sample for sample in samples if sample[0] >= at]
        told = later[0] if later else (samples[-1][0] + interval_us, fs.available)
        results.add(results.late, key, (told[0] - at) / 1000)
        if told[1] <= level:
            results.add(results.over, key, (level - told[1]) / MB)
        else:
            results.add(results.over, key, max(0, level - lowest) / MB)
            results.miss(key, name)


def samples_of(log, fs):
    return [(int(line[0]), int(line[2])) for line in log.lines() if len(line) == 3 and line[1] == str(fs.where)]


def bench_lateness(args, programs, scratch, filesystems, bus):
    fills = dict(FILLS)
    rounds = 1 if args.quick else 3
    if args.quick:
        del fills["50 MB/s"]
    results, done = Results(), []
    pollers = {name: Log(scratch, name.replace(" ", "-"), [programs / "poller", str(ms)] +
                         [str(fs.where) for fs in filesystems]) for name, ms in POLLERS.items()}
    daemon = listener = None
    if args.fseventsd:
        daemon = harness.Daemon(args.fseventsd, scratch, bus, config_of(filesystems))
        listener = Log(scratch, "listen", [programs / "listen", bus.address])
        harness.wait_for(lambda: listener.lines() == [["listening"]], 5, "the listener")
    for number in range(rounds):
        for fill, extra in fills.items():
            for fs in filesystems:
                print(f"round {number + 1}/{rounds}: {fs.kind}, {fill}", file=sys.stderr)
                time.sleep(random.uniform(0.6, 1.6))
                seen = len(listener.lines()) if listener else 0
                truth, lowest = run_fill(programs, fs, extra)
                time.sleep(1.3 if fs.uuid else 0.4)
                if listener:
                    events = listener.lines()[seen:]
                    key = (fs.kind, fill, "daemon")
                    judge_daemon(results, key, fs, truth, events)
                    judge_order(results, key, fs, events)
                done.append((fs, fill, truth, lowest))
    # The samples of the slow poller that belong to the last fills may never come: see judge_poller().
    for name, log in pollers.items():
        for fs, fill, truth, lowest in done:
            judge_poller(results, (fs.kind, fill, name), fs, truth, lowest, samples_of(log, fs),
                         POLLERS[name] * 1000)
        log.close()
    for thing in (listener, daemon):
        if thing:
            thing.close()
    print_lateness(results, filesystems, fills, ["daemon", *POLLERS] if args.fseventsd else list(POLLERS))
    return not any(key[2] == "daemon" for key in results.missing)


def print_lateness(results, filesystems, fills, observers):
    print("\nBelow a level: lateness in ms and overshoot in MB, five levels a fill\n")
    rows = []
    for fs in filesystems:
        for fill in fills:
            for observer in observers:
                key = (fs.kind, fill, observer)
                late, over = results.late.get(key, []), results.over.get(key, [])
                missed = results.missing.get(key, [])
                rows.append([f"{fs.kind} {fill}", observer, harness.median(late), harness.percentile(late, 99),
                             max(late, default=float("nan")), harness.median(over), max(over, default=float("nan")),
                             str(len(missed))])
    harness.table(["fill", "observer", "median ms", "p99 ms", "max ms", "over MB", "max MB", "missed"], rows)
    if "daemon" not in observers:
        return
    print("\nAbove again after the deletion: the daemon's lateness in ms\n")
    harness.table(["filesystem", "median ms", "p99 ms", "max ms"],
                  [[fs.kind, harness.median(late), harness.percentile(late, 99), max(late, default=float("nan"))]
                   for fs in filesystems
                   for late in [sum((results.above.get((fs.kind, fill, "daemon"), []) for fill in fills), [])]])
    for key, what in results.missing.items():
        if key[2] == "daemon":
            print(f"MISSING: {key[0]} {key[1]}: {', '.join(what)}")


def time_writer(programs, fs, extra):
    out = subprocess.run([programs / "fill", "--dir", fs.where, "--blind", *extra], check=True,
                         capture_output=True, text=True).stdout
    return int(out.split()[1])


def bench_slowdown(args, programs, scratch, filesystems, bus):
    """The same writing with and without the daemon, interleaved."""
    writers = {"fill": ["--bytes", str(600 * MB)], "rewrite": ["--rewrite", "100000" if args.quick else "400000"]}
    rounds = 3 if args.quick else 9
    times = {}
    for number in range(rounds):
        for fs in filesystems:
            for with_daemon in (False, True) if number % 2 else (True, False):
                daemon = harness.Daemon(args.fseventsd, scratch, bus, config_of(filesystems)) if with_daemon else None
                time.sleep(0.5)
                for name, extra in writers.items():
                    times.setdefault((fs.kind, name, with_daemon), []).append(time_writer(programs, fs, extra))
                    if fs.kind != "tmpfs":
                        subprocess.run(["sync", "-f", fs.where], check=True)
                if daemon:
                    daemon.close()
    print("\nThe writer at full speed: ratio of the medians with and without the daemon\n")
    harness.table(["filesystem", "writer", "without ms", "with ms", "ratio"],
                  [[fs.kind, name, harness.median(times[fs.kind, name, False]) / 1000,
                    harness.median(times[fs.kind, name, True]) / 1000,
                    f"x{harness.median(times[fs.kind, name, True]) / harness.median(times[fs.kind, name, False]):.3f}"]
                   for fs in filesystems for name in writers])


def bench_idle(args, programs, scratch, filesystems, bus):
    """Nobody writes: how often does each wake up? On btrfs the daemon looks for two commits first."""
    seconds = 15 if args.quick else 60
    watched = [fs for fs in filesystems if fs.kind != "btrfs"] if args.quick else filesystems
    pollers = [Log(scratch, f"idle-{ms}", [programs / "poller", str(ms)] + [str(fs.where) for fs in watched])
               for ms in POLLERS.values()]
    daemon = harness.Daemon(args.fseventsd, scratch, bus, config_of(watched)) if args.fseventsd else None
    print(f"idle: {seconds} s", file=sys.stderr)
    time.sleep(5 if args.quick else 75)
    pids = {name: [log.process.pid] for name, log in zip(POLLERS, pollers)}
    if daemon:
        pids["daemon, main process"] = daemon.pids()[:1]
        pids["daemon, its workers"] = daemon.pids()[1:]
    before = {pid: harness.wakeups(pid) for some in pids.values() for pid in some}
    time.sleep(seconds)
    # A worker that had nothing to do ends.
    woken = {name: sum(max(0, harness.wakeups(pid) - before[pid]) for pid in some) for name, some in pids.items()}
    for thing in [*pollers, daemon]:
        if thing:
            thing.close()
    print(f"\nWake-ups a minute, {len(watched)} idle filesystems (measured over {seconds} s)\n")
    harness.table(["process", "wake-ups/min"],
                  [[name, woken[name] * 60 / seconds] for name in pids])


def main():
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--types", default="ext4,xfs,btrfs,tmpfs", help="filesystem types (default: %(default)s)")
    parser.add_argument("--only", choices=["lateness", "slowdown", "idle"], help="one part alone")
    args = parser.parse_args()
    programs = harness.programs_of(args, parser)
    kinds = args.types.split(",")
    harness.need("unshare", "dbus-daemon", *(f"mkfs.{kind}" for kind in kinds if kind != "tmpfs"))
    harness.enter_private_namespaces()

    complete = True
    with harness.Scratch() as scratch:
        filesystems = [Filesystem(scratch, kind) for kind in kinds]
        bus = harness.Bus(scratch) if args.fseventsd else None
        if args.only in (None, "lateness"):
            complete = bench_lateness(args, programs, scratch, filesystems, bus)
        if args.only in (None, "slowdown") and args.fseventsd:
            bench_slowdown(args, programs, scratch, filesystems, bus)
        if args.only in (None, "idle"):
            bench_idle(args, programs, scratch, filesystems, bus)
        if bus:
            bus.close()
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
