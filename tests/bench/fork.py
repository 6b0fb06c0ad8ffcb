#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What does following processes cost those who fork, and what does each follower miss?

Storms of vfork and _exit, loops of fork and exec, and a real `make -j2`, rounds
interleaved: alone, followed by the daemon, with accounting, beside forkstat
and a reader that takes each event at once. Ends with 1 when the daemon lost
an event; times are printed beside their aims and not judged.

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
SIGNAL = 40


class Storm:
    """Waits for go(), which gives the microseconds that it took."""

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
        out, _ = self.process.communicate("\n")
        if self.process.returncode != 0:
            sys.exit("the storm failed")
        return int(out)


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
        self.process.send_signal(signal.SIGTERM if self.name == "eager reader" else signal.SIGINT)
        self.process.wait(60)
        lost = self.lost_of(self.text(), storm)
        self.out.close()
        return lost, used


def eager_lost(text, _storm):
    """It counts missing numbers: events of any kind."""
    return int(text.split()[5])


def forkstat_lost(text, storm):
    """At the least: other forks of the machine are among those that it saw."""
    return max(0, storm.forks() - len(re.findall(r"^\S+ fork +[0-9]+ child ", text, re.MULTILINE)))


def run_rounds(followers, programs, n, rounds, *options):
    """{name: ([us], [lost], [cpu us])}, rounds interleaved and their order turned."""
    results = {one.name: ([], [], []) for one in followers}
    for number in range(rounds):
        turn = number % len(followers)
        for one in followers[turn:] + followers[:turn]:
            print(f"round {number + 1}/{rounds}: {one.name}", file=sys.stderr)
            storm = Storm(programs, n, *options)
            one.begin(storm.pid)
            took = storm.go()
            lost, used = one.end(storm)
            results[one.name][0].append(took)
            if lost is not None:
                results[one.name][1].append(lost)
                results[one.name][2].append(used)
    return results


def print_rounds(title, results, n, aims):
    print(f"\n{title}\n")
    base = harness.median(results["nobody"][0])
    rows = []
    for name, (times, lost, used) in results.items():
        middle = harness.median(times)
        # Of each round with its own round's base: what the machine does besides is in both.
        ratios = [a / b for a, b in zip(times, results["nobody"][0])]
        rows.append([name, middle / 1000, middle / n, f"x{middle / base:.3f}", f"x{harness.median(ratios):.3f}",
                     aims.get(name, "-"), f"{harness.median(lost):.0f}" if lost else "-",
                     f"{harness.median(used) / middle:.3f}" if used else "-"])
    harness.table(["follower", "ms", "us each", "ratio", "by rounds", "aim", "lost", "its CPU/s"], rows)


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
    subprocess.run(["make", "-s", "-C", directory, "clean"], check=True)
    process = subprocess.Popen(["/bin/sh", "-c", f"read line; exec make -s -j2 -C {directory} all"],
                               stdin=subprocess.PIPE)
    before(process.pid)
    start = time.monotonic()
    process.communicate(b"\n")
    if process.returncode != 0:
        sys.exit("make failed")
    return (time.monotonic() - start) * 1e6


class Receiver:
    """Takes relayed forks and does nothing with them."""

    SCRIPT = ("import signal\n"
              f"signal.pthread_sigmask(signal.SIG_BLOCK, [{SIGNAL}])\n"
              "print('ready', flush=True)\n"
              f"while True: signal.sigwaitinfo([{SIGNAL}])\n")

    def __init__(self):
        self.process = subprocess.Popen(["/usr/bin/python3", "-c", self.SCRIPT], stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.pid = self.process.pid


def bench_make(scratch, daemon, client, rounds, n_files):
    project = scratch / "project"
    make_project(project, n_files)
    times, used = {False: [], True: []}, []
    time_make(project, lambda pid: None)
    for number in range(rounds):
        for followed in (False, True) if number % 2 else (True, False):
            print(f"round {number + 1}/{rounds}: make, {'followed' if followed else 'alone'}", file=sys.stderr)
            if not followed:
                times[False].append(time_make(project, lambda pid: None))
                continue
            receiver, one = Receiver(), Follower("daemon", daemon, client, accounting=True)
            client.call("RelayForks", "uia{sv}", receiver.pid, SIGNAL, {})
            times[True].append(time_make(project, one.begin))
            client.wait_signal("Empty", one.path, timeout=120)
            used.append(harness.cpu_us(daemon.pids()) - one.before)
            client.call("Release", path=one.path, interface="org.fsevents1.ProcessGroup")
            harness.end(receiver.process)
    print(f"\nmake -j2 of {n_files} files, with a group with accounting and a relay\n")
    alone, followed = harness.median(times[False]), harness.median(times[True])
    ratios = [b / a for a, b in zip(times[False], times[True])]
    harness.table(["", "ms", "ratio", "by rounds", "aim", "daemon CPU ms"], [
        ["alone", alone / 1000, "x1.000", "x1.000", "-", "-"],
        ["followed", followed / 1000, f"x{followed / alone:.4f}", f"x{harness.median(ratios):.4f}", MAKE_AIM,
         f"{harness.median(used) / 1000:.1f}"]])


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
        eager = Other("eager reader", [programs / "eager", str(16 << 20)], eager_lost, "listening")
        others = [eager]
        if shutil.which("forkstat"):
            others.append(Other("forkstat", ["stdbuf", "-oL", "forkstat", "-s", "-e", "fork"], forkstat_lost, "Event"))
        else:
            print("forkstat is not installed: left out", file=sys.stderr)

        lost = 0
        if args.only in (None, "storm"):
            n = 100000
            results = run_rounds([Nobody(), *ours, *others], programs, n, 3 if args.quick else 9)
            print_rounds(f"{n} processes of vfork and _exit", results, n, AIMS)
            lost = sum(sum(results[one.name][1]) for one in ours)
        if args.only in (None, "exec"):
            n = 2000 if args.quick else 6000
            results = run_rounds([Nobody(), *ours, eager], programs, n, 3 if args.quick else 9, "--exec")
            print_rounds(f"{n} processes of fork and exec", results, n, {one.name: EXEC_AIM for one in ours})
            lost += sum(sum(results[one.name][1]) for one in ours)
        if args.only in (None, "make"):
            bench_make(scratch, daemon, client, 3 if args.quick else 9, 120)
        client.close()
        daemon.close()
        bus.close()
    if lost:
        print(f"LOST: {lost} by the daemon")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
