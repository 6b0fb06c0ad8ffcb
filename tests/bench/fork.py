#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What does following processes cost those who fork, and what does each follower miss?

Storms of vfork and _exit, loops of fork and exec, and a real `make -j2`, rounds
interleaved: alone, followed by the daemon, with accounting, beside forkstat
and a reader that takes each event at once. A reader that does nothing but read
late is the floor: what it costs nobody can save. Ends with 1 when the daemon
lost an event; times are printed beside their aims and not judged.

"by CPU" is what the forks and their follower used together, of what the forks
use alone: where other things run besides, that is what can still be compared.

Runs in the initial namespace of processes: the kernel tells of them nowhere else.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))

NO_FILESYSTEMS = "[filesystem *]\nignore = yes\nthreshold = none\n"
AIMS = {"daemon": "x1.15", "daemon, accounting": "x1.22"}
EXEC_AIM, MAKE_AIM = "x1.02", "x1.010"
LATE_US = 5000
SIGNAL = 40


def used_us(process):
    """Waits for a process; processor time of it and of all that it waited for."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return (usage.ru_utime + usage.ru_stime) * 1e6


class Storm:
    """Waits for go(), which gives the microseconds that it took, and those that it used."""

    def __init__(self, programs, n, *options):
        cpus = [str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:2]]
        self.n_makers = len(cpus)
        self.n = n // len(cpus) * len(cpus)
        self.process = subprocess.Popen([programs / "storm", "--hold", *options, str(self.n), *cpus],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = int(self.process.stdout.readline().split()[1])

    def forks(self):
        return self.n + self.n_makers

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        out = self.process.stdout.read()
        used = used_us(self.process)
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.returncode != 0:
            sys.exit("the storm failed")
        return int(out), used


class Nobody:
    def __init__(self, name="nobody"):
        self.name = name

    def begin(self, pid):
        pass

    def end(self, storm):
        """(forks that it did not see, microseconds of its own)"""
        return None, None


class Follower(Nobody):
    """The daemon with a group on the storm, told to nobody but counted."""

    def __init__(self, name, daemon, client, **options):
        super().__init__(name)
        self.daemon, self.client, self.options = daemon, client, options

    def begin(self, pid):
        from client import variant
        options = {key: variant("b", value) for key, value in self.options.items()}
        self.before = harness.cpu_us(self.daemon.pids())
        self.path = self.client.call("TrackProcess", "ua{sv}", pid, options)

    def end(self, storm):
        empty = self.client.wait_signal("Empty", self.path, timeout=120)
        totals = empty.args[0]
        used = harness.cpu_us(self.daemon.pids()) - self.before
        self.client.call("Release", path=self.path, interface="org.fsevents1.ProcessGroup")
        self.client.signals.clear()
        if totals["incomplete"]:
            print(f"{self.name}: the totals are incomplete: {totals}", file=sys.stderr)
        return storm.forks() - totals["forks"] + totals["lost"], used


class Other(Nobody):
    """A program that listens for itself."""

    def __init__(self, name, command, lost_of, ready):
        super().__init__(name)
        self.command, self.lost_of, self.ready = command, lost_of, ready

    def begin(self, pid):
        self.out = open(f"/tmp/fsevents-bench-{os.getpid()}", "w+", encoding="utf-8", errors="replace")
        os.unlink(self.out.name)
        self.process = subprocess.Popen(self.command, stdout=self.out, stderr=subprocess.DEVNULL)
        harness.wait_for(lambda: self.ready in self.text(), 10, self.name)

    def text(self):
        self.out.flush()
        size = os.fstat(self.out.fileno()).st_size
        return os.pread(self.out.fileno(), size, 0).decode(errors="replace")

    def end(self, storm):
        time.sleep(0.3)
        used = harness.cpu_us([self.process.pid])
        self.process.send_signal(signal.SIGINT if self.name == "forkstat" else signal.SIGTERM)
        self.process.wait(60)
        lost = self.lost_of(self.text(), storm)
        self.out.close()
        return lost, used


def reader_lost(text, _storm):
    """It counts missing numbers: events of any kind."""
    return int(text.split()[5])


def forkstat_lost(text, storm):
    """At the least: other forks of the machine are among those that it saw."""
    return max(0, storm.forks() - len(re.findall(r"^\S+ fork +[0-9]+ child ", text, re.MULTILINE)))


class Row:
    """What the rounds of one follower gave, microseconds."""

    def __init__(self):
        self.took, self.forks_used, self.used, self.lost = [], [], [], []

    def add(self, took, forks_used, used=None, lost=None):
        self.took.append(took)
        self.forks_used.append(forks_used)
        self.used.append(used or 0)
        if lost is not None:
            self.lost.append(lost)

    def ratio(self, base):
        return harness.median(self.took) / harness.median(base.took)

    def ratio_by_rounds(self, base):
        """Of each round with its own round's base: what the machine does besides is in both."""
        return harness.median([a / b for a, b in zip(self.took, base.took)])

    def ratio_by_cpu(self, base):
        return (harness.median([a + b for a, b in zip(self.forks_used, self.used)])
                / harness.median(base.forks_used))


def run_rounds(followers, programs, n, rounds, *options):
    """{name: Row}, rounds interleaved and their order turned."""
    rows = {one.name: Row() for one in followers}
    for number in range(rounds):
        turn = number % len(followers)
        for one in followers[turn:] + followers[:turn]:
            print(f"round {number + 1}/{rounds}: {one.name}", file=sys.stderr)
            storm = Storm(programs, n, *options)
            one.begin(storm.pid)
            took, forks_used = storm.go()
            lost, used = one.end(storm)
            rows[one.name].add(took, forks_used, used, lost)
    return rows


def print_rounds(title, rows, n, aims):
    print(f"\n{title}\n")
    base = rows["nobody"]
    table = []
    for name, row in rows.items():
        middle = harness.median(row.took)
        table.append([name, middle / 1000, middle / n, f"x{row.ratio(base):.3f}", f"x{row.ratio_by_rounds(base):.3f}",
                      f"x{row.ratio_by_cpu(base):.3f}", aims.get(name, "-"),
                      f"{harness.median(row.lost):.0f}" if row.lost else "-",
                      f"{harness.median(row.used) / 1000:.1f}" if row.lost else "-"])
    harness.table(["follower", "ms", "us each", "ratio", "by rounds", "by CPU", "aim", "lost", "its CPU ms"], table)


MAKEFILE = """OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))
all: $(OBJECTS)
%.o: %.c
\tcc -O1 -c -o $@ $<
clean:
\trm -f *.o
"""


def make_project(directory, n_files):
    directory.mkdir()
    (directory / "Makefile").write_text(MAKEFILE)
    for number in range(n_files):
        functions = "".join(f"int f{number}_{i}(int x) {{ return x * {i} + {number}; }}\n" for i in range(20))
        (directory / f"file{number}.c").write_text(f"#include <stdio.h>\n#include <stdlib.h>\n{functions}")


def time_make(directory, before):
    """Microseconds that it took, and that it used."""
    subprocess.run(["make", "-s", "-C", directory, "clean"], check=True)
    process = subprocess.Popen(["/bin/sh", "-c", f"read line; exec make -s -j2 -C {directory} all"],
                               stdin=subprocess.PIPE)
    before(process.pid)
    start = time.monotonic()
    process.stdin.write(b"\n")
    process.stdin.close()
    used = used_us(process)
    if process.returncode != 0:
        sys.exit("make failed")
    return (time.monotonic() - start) * 1e6, used


def is_asleep(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"


class Maker(Follower):
    """The daemon with a group with accounting on a build, and with a relay of its forks."""

    def __init__(self, daemon, client, programs):
        super().__init__("followed and relayed", daemon, client, accounting=True)
        self.program = programs / "receiver"

    def begin(self, pid):
        self.receiver = subprocess.Popen([self.program, str(SIGNAL)], stdout=subprocess.PIPE)
        self.receiver.stdout.readline()
        # The daemon asks the kernel whether it waits for the signal.
        harness.wait_for(lambda: is_asleep(self.receiver.pid), 10, "the receiver")
        self.client.call("RelayForks", "uia{sv}", self.receiver.pid, SIGNAL, {})
        super().begin(pid)

    def end(self, storm):
        self.client.wait_signal("Empty", self.path, timeout=120)
        used = harness.cpu_us([*self.daemon.pids(), self.receiver.pid]) - self.before
        self.client.call("Release", path=self.path, interface="org.fsevents1.ProcessGroup")
        self.client.signals.clear()
        harness.end(self.receiver)
        self.receiver.stdout.close()
        return None, used


def bench_make(scratch, followers, rounds, n_files):
    project = scratch / "project"
    make_project(project, n_files)
    rows = {one.name: Row() for one in followers}
    time_make(project, lambda pid: None)
    for number in range(rounds):
        turn = number % len(followers)
        for one in followers[turn:] + followers[:turn]:
            print(f"round {number + 1}/{rounds}: make, {one.name}", file=sys.stderr)
            took, forks_used = time_make(project, one.begin)
            _, used = one.end(None)
            rows[one.name].add(took, forks_used, used)
    print(f"\nmake -j2 of {n_files} files\n")
    base = rows["nobody"]
    harness.table(["follower", "ms", "ratio", "by rounds", "by CPU", "aim", "its CPU ms"], [
        [name, harness.median(row.took) / 1000, f"x{row.ratio(base):.4f}", f"x{row.ratio_by_rounds(base):.4f}",
         f"x{row.ratio_by_cpu(base):.4f}", MAKE_AIM if name.startswith("followed") else "-",
         f"{harness.median(row.used) / 1000:.1f}"] for name, row in rows.items()])


def main():
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["storm", "exec", "make"], help="one part alone")
    args = parser.parse_args()
    programs = harness.programs_of(args, parser)
    harness.need("dbus-daemon", "make", "cc")
    if os.environ.get("FSEVENTS_PRIVATE_NAMESPACE") != "1":
        sys.exit("to be run inside tests/private-namespace --initial-pids (./dev bench fork)")

    from client import Client
    with harness.Scratch("1G") as scratch:
        bus = harness.Bus(scratch)
        daemon = harness.Daemon(args.fseventsd, scratch, bus, NO_FILESYSTEMS)
        client = Client(bus.address)
        ours = [Follower("daemon", daemon, client), Follower("daemon, accounting", daemon, client, accounting=True)]
        floors = [Other("floor", [programs / "late", str(LATE_US)], reader_lost, "listening"),
                  Other("floor, accounting", [programs / "late", str(LATE_US), "records"], reader_lost, "listening")]
        eager = Other("eager reader", [programs / "eager", str(16 << 20)], reader_lost, "listening")
        others = [eager]
        if shutil.which("forkstat"):
            others.append(Other("forkstat", ["stdbuf", "-oL", "forkstat", "-s", "-e", "fork"], forkstat_lost, "Event"))
        else:
            print("forkstat is not installed: left out", file=sys.stderr)

        lost = 0
        rounds = 5 if args.quick else 15
        if args.only in (None, "storm"):
            n = 100000
            rows = run_rounds([Nobody(), *floors, *ours, *others], programs, n, rounds)
            print_rounds(f"{n} processes of vfork and _exit", rows, n, AIMS)
            lost = sum(sum(rows[one.name].lost) for one in ours)
        if args.only in (None, "exec"):
            n = 2000 if args.quick else 6000
            rows = run_rounds([Nobody(), *floors, *ours, eager], programs, n, rounds, "--exec")
            print_rounds(f"{n} processes of fork and exec", rows, n, {one.name: EXEC_AIM for one in ours})
            lost += sum(sum(rows[one.name].lost) for one in ours)
        if args.only in (None, "make"):
            bench_make(scratch, [Nobody(), floors[1], Maker(daemon, client, programs)], rounds, 120)
        client.close()
        daemon.close()
        bus.close()
    if lost:
        print(f"LOST: {lost} by the daemon")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
