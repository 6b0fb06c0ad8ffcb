#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What does watching files cost those who change them, and what does each watcher miss?

Files created, written, renamed and deleted in a thousand directories of an ext4
on a loop device, rounds interleaved: alone, watched by the daemon, beside
inotifywait, fsnotifywait, gio monitor and watchman as far as installed. Then
start-up, memory and loss on a large tree, what somebody pays who works elsewhere
on that filesystem while an ordinary user watches, and what ten thousand watches of a hundred
clients cost that do not match. A part takes some two minutes: on a slow machine it has
fewer rounds, which it says. Ends with 1 when the daemon lost something; the
other aims are printed with what was found, last of all, and not judged.
"""

import math
import os
import pwd
import resource
import subprocess
import sys
import time

import harness
from watchers import READY_S, Nobody, NotReady, Ours, connect, peers, settled, used_us

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))

CONFIG = "[filesystem *]\nignore = yes\nthreshold = none\n[limits]\nwatches = 65536\n"
INOTIFY_WATCHES = "/proc/sys/fs/inotify/max_user_watches"
OURS = "fseventsd"
PART_S = 120
NOT_READY = f"not ready in {READY_S} s"
PARTS = ("storm", "elsewhere", "many", "tree")


class Aims:
    """What was to be reached, and what was."""

    def __init__(self):
        self.rows = []

    def most(self, what, value, bound, unit=""):
        self.rows.append([what, f"at most {bound}{unit}", f"{value:.3g}{unit}", "met" if value <= bound else "MISSED"])

    def ahead(self, what, ours, others):
        """@others: {peer: value}; less is better."""
        others = {name: value for name, value in others.items() if not math.isnan(value)}
        if others:
            best = min(others, key=others.get)
            self.rows.append([what, f"less than {others[best]:.3g} of {best}", f"{ours:.3g}",
                              "met" if ours < others[best] or ours == 0 else "MISSED"])

    def print(self):
        if self.rows:
            print("\nAims\n")
            harness.table(["what", "aim", "found", ""], self.rows)


def churn(programs, *arguments):
    """Microseconds that it took, and those that it used itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([programs / "churn", *map(str, arguments)], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int(out.stdout), (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6


def rounds_of(n):
    """The numbers of the rounds, as many as fit into the time of a part, at least one."""
    began = time.monotonic()
    for number in range(n):
        if number > 0 and (time.monotonic() - began) * (number + 1) / number > PART_S:
            break
        yield number


def say(what, began=None):
    """Progress."""
    print(what if began is None else f"{what}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def ratio(values, base):
    return harness.median(values) / harness.median(base)


def by_rounds(values, base):
    """Of each round with its own round's base: what the machine does besides is in both."""
    return harness.median([a / b for a, b in zip(values, base)])


def slab_kb():
    """Memory of the kernel that does not come back by itself, after dropping what does."""
    last = None
    for _ in range(10):
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("2")
        with open("/proc/meminfo", encoding="ascii") as file:
            now = next(int(line.split()[1]) for line in file if line.startswith("Slab:"))
        # Much of it is given back later, by others.
        if last is not None and abs(last - now) < 256:
            break
        last = now
        time.sleep(0.1)
    return now


class Row:
    def __init__(self):
        self.took, self.writer, self.used = [], [], []
        self.start, self.pss, self.names, self.lost = [], [], [], []


def pss_kb(watcher):
    total = 0
    for pid in watcher.pids():
        try:
            total += harness.memory_kb(pid)["Pss"]
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended, which end() tells
    return total


def one_round(programs, watcher, where, directories, n_files, row):
    began = time.monotonic()
    try:
        watcher.begin(where, directories)
    except NotReady:
        row.lost.append(NOT_READY)
        return
    row.start.append((time.monotonic() - began) * 1000)
    before = used_us(watcher.pids())
    took, writer = churn(programs, "files", where, n_files, len(directories))
    row.took.append(took)
    row.writer.append(writer)
    settled(watcher)
    row.used.append(used_us(watcher.pids()) - before)
    row.pss.append(pss_kb(watcher))
    names, lost = watcher.end()
    row.names.append(names)
    row.lost.append(lost)


def bench_storm(args, aims, programs, watchers, where):
    n_files, rounds = (30000, 3) if args.quick else (100000, 5)
    directories = [where / f"d{i}" for i in range(1000)]
    for directory in directories:
        directory.mkdir()
    rows = {watcher.name: Row() for watcher in watchers}
    for number in rounds_of(rounds):
        turn = number % len(watchers)
        for watcher in watchers[turn:] + watchers[:turn]:
            if NOT_READY in rows[watcher.name].lost:
                continue
            began = time.monotonic()
            one_round(programs, watcher, where, directories, n_files, rows[watcher.name])
            say(f"storm {number + 1}/{rounds}: {watcher.name}", began)
    for directory in directories:
        directory.rmdir()

    base = rows["nobody"]
    print(f"\n{n_files} files created, written, renamed and deleted in {len(directories)} directories, "
          f"rounds: {number + 1} of {rounds}\n")
    harness.table(["watcher", "us/file", "ratio", "by rounds", "writer's CPU", "its CPU ms", "start ms", "Pss KiB",
                   "names/file", "lost"], [
        [name, harness.median(row.took) / n_files, f"x{ratio(row.took, base.took):.2f}",
         f"x{by_rounds(row.took, base.took):.2f}", f"x{ratio(row.writer, base.writer):.2f}",
         harness.median(row.used) / 1000,
         harness.median(row.start), f"{harness.median(row.pss):.0f}", f"{harness.median(row.names) / n_files:.2f}",
         ",".join(sorted(set(row.lost)))] for name, row in rows.items()])

    ours = rows[OURS]
    others = {name: row for name, row in rows.items() if name not in (OURS, "nobody")}
    lost = [n for n in ours.lost if n != "0"] + [n for n in ours.names if n < 3 * n_files]
    aims.most("storm: rounds with loss", len(lost), 0)
    aims.most("storm: writer, by rounds", by_rounds(ours.took, base.took), 1.3)
    aims.most("storm: CPU for 100,000 files", harness.median(ours.used) / 1000 * 100000 / n_files, 500, " ms")
    aims.most("storm: start-up", harness.median(ours.start), 50, " ms")
    aims.most("storm: resident", harness.median(ours.pss) / 1024, 32, " MiB")
    for what, value in (("writer, by rounds", lambda row: by_rounds(row.took, base.took)),
                        ("CPU, ms", lambda row: harness.median(row.used) / 1000)):
        aims.ahead(f"storm: {what}", value(ours), {name: value(row) for name, row in others.items()})
    return bool(lost)


def touch_files(where, n_directories):
    """A file comes and goes in each directory: whoever knows only some of them has to find out where they are."""
    for number in range(n_directories):
        path = f"{where}/d{number // 1000}/e{number}/new"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.unlink(path)


class TreeRow:
    def __init__(self):
        self.start, self.used, self.pss, self.kernel, self.names, self.lost = [], [], [], [], [], []

    def figures(self):
        """start ms, CPU ms, Pss KiB, KiB of the kernel"""
        return [harness.median(column) for column in (self.start, self.used, self.pss, self.kernel)]


def one_tree(watcher, where, n, row):
    """With @n directories."""
    before = slab_kb()
    began = time.monotonic()
    try:
        watcher.begin(where, [])
    except NotReady:
        row.lost.append(NOT_READY)
        return
    row.start.append((time.monotonic() - began) * 1000)
    row.kernel.append(max(slab_kb() - before, 0))
    used = used_us(watcher.pids())
    touch_files(where, n)
    settled(watcher)
    row.used.append((used_us(watcher.pids()) - used) / 1000)
    row.pss.append(pss_kb(watcher))
    names, lost = watcher.end()
    if watcher.counts():
        row.names.append(names)
    row.lost.append(lost)


def bench_tree(args, aims, programs, watchers, where):
    """Start-up, memory of process and kernel, and loss."""
    n, rounds = (40000, 1) if args.quick else (200000, 2)
    n = args.directories or n
    # One without recursion would need each of them named.
    there = [watcher for watcher in watchers if not watcher.per_directory]
    rows = {watcher.name: TreeRow() for watcher in there}
    began = time.monotonic()
    churn(programs, "make", where, n)
    os.sync()
    say(f"tree: {n} directories made", began)
    for number in rounds_of(rounds):
        turn = number % len(there)
        for watcher in there[turn:] + there[:turn]:
            if NOT_READY in rows[watcher.name].lost:
                continue
            began = time.monotonic()
            one_tree(watcher, where, n, rows[watcher.name])
            say(f"tree {number + 1}/{rounds}: {watcher.name}", began)
    print(f"\nA tree of {n} directories, in each of which a file comes and goes, rounds: {number + 1} of {rounds}\n")
    columns = {name: row.figures() for name, row in rows.items()}
    harness.table(["watcher", "start ms", "its CPU ms", "Pss KiB", "kernel KiB", "bytes/directory", "names/file",
                   "lost"], [
        [name, start, used, f"{pss:.0f}", f"{kernel:.0f}", f"{kernel * 1024 / n:.0f}",
         f"{harness.median(rows[name].names) / n:.2f}" if rows[name].names else "-",
         ",".join(sorted(set(rows[name].lost)))] for name, (start, used, pss, kernel) in columns.items()])

    start, _, pss, kernel = columns[OURS]
    # Made and removed at once is one record, of which the last state is told.
    lost = [told for told in rows[OURS].lost if told != "0"] + [told for told in rows[OURS].names if told < n]
    aims.most("tree: rounds with loss", len(lost), 0)
    aims.most("tree: start-up", start, 50, " ms")
    aims.most("tree: resident", pss / 1024, 32, " MiB")
    # A slab is a page, and others take some meanwhile.
    aims.most("tree: kernel per directory", kernel * 1024 / n, 8, " bytes")
    for i, what in ((0, "start-up, ms"), (2, "resident, KiB"), (3, "kernel, KiB")):
        aims.ahead(f"tree: {what}", columns[OURS][i],
                   {name: values[i] for name, values in columns.items() if name != OURS})
    return bool(lost)


def bench_elsewhere(args, aims, programs, ours, where):
    """Who works elsewhere on the same filesystem, and what it pays."""
    rounds, n_files, n_writes = (5, 20000, 200000) if args.quick else (15, 50000, 500000)
    watched, elsewhere = where / "watched", where / "elsewhere"
    watched.mkdir()
    elsewhere.mkdir()
    (elsewhere / "d0").mkdir()
    took, used = ({(kind, who): [] for kind in ("write", "files") for who in ("nobody", "watched")}
                  for _ in range(2))
    began = time.monotonic()
    for number in rounds_of(rounds):
        for who in ("nobody", "watched") if number % 2 else ("watched", "nobody"):
            if who == "watched":
                ours.begin(watched, [])
            for kind, n in (("write", n_writes), ("files", n_files)):
                for table, value in zip((took, used), churn(programs, kind, elsewhere, n)):
                    table[kind, who].append(value)
            if who == "watched":
                ours.end()
        say(f"elsewhere {number + 1}/{rounds}", began)
    words = {"write": "pwrite", "files": "names"}
    print("\nA writer elsewhere on the same filesystem, beside the recursive watch of an ordinary user, "
          f"rounds: {number + 1} of {rounds}\n")
    harness.table(["work", "ms alone", "ms beside a watch", "ratio", "by rounds", "writer's CPU"], [
        [words[kind], harness.median(took[kind, "nobody"]) / 1000, harness.median(took[kind, "watched"]) / 1000,
         f"x{ratio(took[kind, 'watched'], took[kind, 'nobody']):.3f}",
         f"x{by_rounds(took[kind, 'watched'], took[kind, 'nobody']):.3f}",
         f"x{ratio(used[kind, 'watched'], used[kind, 'nobody']):.3f}"] for kind in words])
    for kind, word in words.items():
        aims.most(f"elsewhere: {word}, by rounds", by_rounds(took[kind, "watched"], took[kind, "nobody"]), 1.05)


def ordinary_users():
    """Those whom a bus lets in."""
    return sorted({entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0})


def bench_many(args, aims, programs, daemon, address, where):
    """The same work with a few watches and with thousands that are for other directories."""
    n_clients, steps = (20, (10, 100, 1000)) if args.quick else (100, (10, 100, 1000, 10000))
    n_files, rounds = (10000, 3) if args.quick else (20000, 5)
    where = where / "many"
    where.mkdir()
    for i in range(steps[-1] + 1):
        (where / f"d{i}").mkdir()
    users = ordinary_users()
    from client import variant
    tree = {"recursive": variant("b", True)}
    clients = [connect(address, users[i % len(users)]) for i in range(n_clients)]

    def watch(number, directory, events):
        clients[number % n_clients].call("WatchPath", "sasa{sv}", str(where / f"d{directory}"), events, tree)

    def cost():
        """Microseconds of the daemon for a thousand events: each file is made, renamed and removed."""
        used = []
        for _ in range(rounds):
            before = used_us(daemon.pids())
            churn(programs, "files", where, n_files, 1)
            time.sleep(0.5)
            used.append((used_us(daemon.pids()) - before) / (3 * n_files) * 1000)
        return harness.median(used)

    rows, n, began = [], 1, time.monotonic()
    watch(0, 0, ["create"])
    for step in steps:
        say(f"many: {step} watches")
        while n < step:
            watch(n, n, ["create"])
            n += 1
        rows.append((f"{step}, one of them matches", cost()))
    for i in range(9):
        watch(i, 0, ["create"])
    rows.append((f"{n + 9}, ten match", cost()))
    print(f"\nCPU of the daemon for 1,000 events; {n_clients} clients of {min(len(users), n_clients)} users "
          f"(all in {time.monotonic() - began:.0f} s)\n")
    harness.table(["watches", "us", "ratio"], [
        [what, f"{value:.0f}", f"x{value / rows[0][1]:.2f}"] for what, value in rows])
    # What the processor's caches make of more memory is in it.
    aims.most(f"many: {steps[-1]} to {steps[0]} watches, one matches", rows[-2][1] / rows[0][1], 1.5)
    for client in clients:
        client.close()


class Room:
    """Peers need a watch of inotify for each directory: as many as that are allowed meanwhile."""

    def __init__(self, n):
        with open(INOTIFY_WATCHES, encoding="ascii") as file:
            self.before = int(file.read())
        self.set(max(n, self.before))

    def set(self, n):
        with open(INOTIFY_WATCHES, "w", encoding="ascii") as file:
            file.write(str(n))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.set(self.before)


def run(args, programs, scratch, where):
    """True: something was lost."""
    bus = harness.Bus(scratch)
    others = peers(scratch)
    aims, lost = Aims(), False
    for part in PARTS if args.only is None else (args.only,):
        at = where / part
        at.mkdir()
        began = time.monotonic()
        # What one part made it keep is none of the next one's.
        daemon = harness.Daemon(args.fseventsd, scratch, bus, CONFIG)
        client, user = connect(bus.address, 0), connect(bus.address, ordinary_users()[0])
        ours = Ours(OURS, daemon, client, programs)
        if part == "storm":
            lost |= bench_storm(args, aims, programs, [Nobody(), ours, *others], at)
        elif part == "elsewhere":
            bench_elsewhere(args, aims, programs, Ours(OURS, daemon, user, programs), at)
        elif part == "many":
            bench_many(args, aims, programs, daemon, bus.address, at)
        else:
            lost |= bench_tree(args, aims, programs, [ours, *others], at)
        for one in (client, user, daemon):
            one.close()
        say(part, began)
    aims.print()
    bus.close()
    return lost


def main():
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    parser.add_argument("--directories", type=int, metavar="N", help="of the tree")
    args = parser.parse_args()
    programs = harness.programs_of(args, parser)
    harness.need("dbus-daemon", "mkfs.ext4")
    harness.enter_private_namespaces()

    with harness.Scratch("12G") as scratch, Room(300000):
        image, where = scratch / "image", scratch / "disk"
        with open(image, "wb") as file:
            file.truncate(6 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "500000", image], check=True)
        where.mkdir()
        subprocess.run(["mount", "-o", "loop", image, where], check=True)
        lost = run(args, programs, scratch, where)
        subprocess.run(["umount", where], check=True)
    if lost:
        print("LOST: by the daemon")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
