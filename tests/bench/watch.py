#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What does watching files cost those who change them, and what does each watcher miss?

Files created, written, renamed and deleted in a thousand directories of an ext4
on a loop device, rounds interleaved: alone, watched by the daemon, beside
inotifywait, fsnotifywait, gio monitor and watchman as far as installed. Then
start-up and memory on a large tree, what somebody pays who works elsewhere on that
filesystem, and what ten thousand watches cost that do not match. Ends with 1 when
the daemon lost something; times are printed beside their aims and not judged.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import time

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))

CONFIG = "[filesystem *]\nignore = yes\nthreshold = none\n[limits]\nwatches = 65536\n"
WATCH = "org.fsevents1.Watch"
EVENTS = ["create", "delete", "move", "close-write"]
INOTIFY_WATCHES = "/proc/sys/fs/inotify/max_user_watches"


def churn(programs, *arguments):
    """Microseconds that it took, and those that it used itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([programs / "churn", *map(str, arguments)], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int(out.stdout), (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6


def ratio(values, base):
    return harness.median(values) / harness.median(base)


def by_rounds(values, base):
    """Of each round with its own round's base: what the machine does besides is in both."""
    return harness.median([a / b for a, b in zip(values, base)])


def slab_kb():
    """Memory of the kernel that does not come back by itself, after dropping what does."""
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("2")
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Slab:"))


def used_us(pids):
    """Processor time of all threads so far."""
    threads = []
    for pid in pids:
        try:
            threads += [int(thread) for thread in os.listdir(f"/proc/{pid}/task")]
        except FileNotFoundError:
            pass
    return sum(harness.cpu_us([thread]) for thread in threads)


class Nobody:
    name = "nobody"
    limit = None

    def begin(self, where, directories):
        """Returns when changes are noticed."""

    def pids(self):
        return []

    def end(self):
        """(names told, what was lost, in words)"""
        return 0, "-"


class Ours(Nobody):
    """The daemon, with a reader of the stream that counts."""

    def __init__(self, name, daemon, client, programs):
        self.name, self.daemon, self.client, self.programs = name, daemon, client, programs

    def begin(self, where, directories):
        from client import variant
        self.path = self.client.call("WatchPath", "sasa{sv}", str(where), EVENTS, {"recursive": variant("b", True)})
        _, fds = self.client.call_with_fds("OpenStream", "a{sv}", {}, path=self.path, interface=WATCH)
        self.reader = subprocess.Popen([self.programs / "drain", str(fds[0])], pass_fds=fds, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        os.close(fds[0])

    def pids(self):
        return [*self.daemon.pids(), self.reader.pid]

    def end(self):
        self.client.call("Remove", path=self.path, interface=WATCH)
        out = self.reader.communicate()[0].split()
        return int(out[3]), out[5]


class Other(Nobody):
    """A program that prints what it is told."""

    def __init__(self, name, command, ready=None, per_directory=False, count=None):
        self.name, self.command, self.ready, self.per_directory = name, command, ready, per_directory
        self.count = count or re.compile(r"CREATE|DELETE|MOVED_TO|MOVE\b")

    def begin(self, where, directories):
        targets = directories if self.per_directory else [where]
        self.out = open(f"/tmp/fsevents-bench-{os.getpid()}", "w+", encoding="utf-8", errors="replace")
        os.unlink(self.out.name)
        command = [word for part in self.command for word in (
            [("-d", str(target)) for target in targets] if part == "-d TARGET" else
            [(str(target),) for target in targets] if part == "TARGET" else [(part,)]) for word in word]
        self.process = subprocess.Popen(command, stdout=self.out, stderr=self.out)
        if self.ready:
            harness.wait_for(lambda: self.ready in self.text() or self.process.poll() is not None, 120, self.name)
        else:
            time.sleep(1)

    def text(self):
        return os.pread(self.out.fileno(), os.fstat(self.out.fileno()).st_size, 0).decode(errors="replace")

    def pids(self):
        return [self.process.pid]

    def end(self):
        died = self.process.poll() is not None
        harness.end(self.process)
        text = self.text()
        self.out.close()
        lost = "it ended" if died else "overflow" if "OVERFLOW" in text.upper() else "0"
        return len(self.count.findall(text)), lost


class Watchman(Nobody):
    name = "watchman"

    def __init__(self, scratch):
        self.base = scratch / "watchman"
        self.base.mkdir()

    def _options(self):
        return [f"--sockname={self.base}/sock", f"--logfile={self.base}/log", f"--statefile={self.base}/state"]

    def _client(self, *command):
        return subprocess.run(["watchman", *self._options(), "--no-spawn", *command], check=True, capture_output=True)

    def begin(self, where, directories):
        for file in self.base.iterdir():
            file.unlink()
        self.process = subprocess.Popen(["watchman", *self._options(), "--foreground"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        harness.wait_for(lambda: (self.base / "sock").exists(), 30, "watchman")
        self._client("watch", str(where))
        self._client("since", str(where), "n:bench")

    def pids(self):
        return [self.process.pid]

    def end(self):
        harness.end(self.process)
        log = (self.base / "log").read_text(errors="replace")
        return 0, f"{len(re.findall('recrawl|OVERFLOW', log, re.IGNORECASE))} recrawls"


def settled(watcher):
    """Until it has used no more processor time for a while."""
    before, since = used_us(watcher.pids()), time.monotonic()
    until = time.monotonic() + 20
    while time.monotonic() - since < 0.4 and time.monotonic() < until:
        time.sleep(0.1)
        now = used_us(watcher.pids())
        if now - before > 2000:
            before, since = now, time.monotonic()


class Row:
    def __init__(self):
        self.took, self.writer, self.used = [], [], []
        self.start, self.rss, self.names, self.lost = [], [], [], []


def one_round(programs, watcher, where, directories, n_files, row):
    began = time.monotonic()
    watcher.begin(where, directories)
    row.start.append((time.monotonic() - began) * 1000)
    before = used_us(watcher.pids())
    took, writer = churn(programs, "files", where, n_files, len(directories))
    row.took.append(took)
    row.writer.append(writer)
    settled(watcher)
    row.used.append(used_us(watcher.pids()) - before)
    row.rss.append(sum(harness.memory_kb(pid)["Pss"] for pid in watcher.pids() if os.path.exists(f"/proc/{pid}")))
    names, lost = watcher.end()
    row.names.append(names)
    row.lost.append(lost)


def bench_storm(args, programs, watchers, where):
    n_files, rounds = (30000, 3) if args.quick else (100000, 5)
    directories = [where / f"d{i}" for i in range(1000)]
    for directory in directories:
        directory.mkdir()
    rows = {watcher.name: Row() for watcher in watchers}
    for number in range(rounds):
        turn = number % len(watchers)
        for watcher in watchers[turn:] + watchers[:turn]:
            print(f"round {number + 1}/{rounds}: {watcher.name}", file=sys.stderr)
            one_round(programs, watcher, where, directories, n_files, rows[watcher.name])
    base = rows["nobody"]
    print(f"\n{n_files} files created, written, renamed and deleted in {len(directories)} directories"
          " (aims: x1.3, 500 ms of CPU by 100,000 files, nothing lost)\n")
    harness.table(["watcher", "us/file", "ratio", "by rounds", "writer's CPU", "its CPU ms", "start ms", "Pss KiB",
                   "names/file", "lost"], [
        [name, harness.median(row.took) / n_files, f"x{ratio(row.took, base.took):.2f}",
         f"x{by_rounds(row.took, base.took):.2f}", f"x{ratio(row.writer, base.writer):.2f}",
         harness.median(row.used) / 1000,
         harness.median(row.start), f"{harness.median(row.rss):.0f}", f"{harness.median(row.names) / n_files:.2f}",
         ",".join(sorted(set(row.lost)))] for name, row in rows.items()])
    for directory in directories:
        directory.rmdir()
    return any(lost not in ("-", "0") for row in (rows["fseventsd"],) for lost in row.lost)


def bench_tree(args, programs, watchers, where):
    """Start-up, and memory of process and kernel."""
    n = 40000 if args.quick else 200000
    churn(programs, "make", where, n)
    with open(INOTIFY_WATCHES, encoding="ascii") as file:
        room = int(file.read())
    rows = []
    for watcher in watchers:
        # One without recursion would need each of them named.
        too_much = room < n + 1000 or getattr(watcher, "per_directory", False)
        if watcher.name == "nobody" or (watcher.name != "fseventsd" and too_much):
            continue
        print(f"tree: {watcher.name}", file=sys.stderr)
        before = slab_kb()
        began = time.monotonic()
        watcher.begin(where, [])
        start = (time.monotonic() - began) * 1000
        rss = sum(harness.memory_kb(pid)["Pss"] for pid in watcher.pids())
        rows.append([watcher.name, start, f"{rss}", f"{slab_kb() - before}"])
        watcher.end()
    print(f"\nA tree of {n} directories (aims: 50 ms, 32 MiB, nothing in the kernel)\n")
    harness.table(["watcher", "start ms", "Pss KiB", "kernel KiB"], rows)
    if room < n + 1000:
        print(f"peers that need a watch of inotify for each directory are left out: {INOTIFY_WATCHES} is {room}")


def bench_bystander(args, programs, ours, where):
    """Who works elsewhere on the same filesystem, and what it pays."""
    rounds, n_files, n_writes = (5, 20000, 200000) if args.quick else (11, 50000, 500000)
    watched, elsewhere = where / "watched", where / "elsewhere"
    watched.mkdir()
    elsewhere.mkdir()
    (elsewhere / "d0").mkdir()
    took, used = ({(kind, who): [] for kind in ("write", "files") for who in ("nobody", "watched")}
                  for _ in range(2))
    for number in range(rounds):
        for who in ("nobody", "watched") if number % 2 else ("watched", "nobody"):
            if who == "watched":
                ours.begin(watched, [])
            for kind, n in (("write", n_writes), ("files", n_files)):
                for table, value in zip((took, used), churn(programs, kind, elsewhere, n)):
                    table[kind, who].append(value)
            if who == "watched":
                ours.end()
    print("\nA writer elsewhere on the same filesystem (aim: x1.05)\n")
    harness.table(["work", "ms alone", "ms beside a watch", "ratio", "by rounds", "writer's CPU"], [
        [kind, harness.median(took[kind, "nobody"]) / 1000, harness.median(took[kind, "watched"]) / 1000,
         f"x{ratio(took[kind, 'watched'], took[kind, 'nobody']):.3f}",
         f"x{by_rounds(took[kind, 'watched'], took[kind, 'nobody']):.3f}",
         f"x{ratio(used[kind, 'watched'], used[kind, 'nobody']):.3f}"] for kind in ("write", "files")])


def bench_many(args, programs, daemon, client, where):
    """The same work with one watch and with thousands that are for other directories."""
    n_clients, per_client, n_files = (20, 100, 20000) if args.quick else (100, 100, 50000)
    base = where / "many"
    base.mkdir()
    for i in range(n_clients * per_client + 1):
        (base / f"d{i}").mkdir()
    from client import Client, variant
    tree = {"recursive": variant("b", True)}

    def cost():
        used = []
        for _ in range(3 if args.quick else 5):
            before = used_us(daemon.pids())
            churn(programs, "files", base, n_files, 1)
            time.sleep(0.5)
            used.append((used_us(daemon.pids()) - before) / n_files)
        return harness.median(used)
    client.call("WatchPath", "sasa{sv}", str(base / "d0"), ["create"], tree)
    one = cost()
    print("many: watches of other places", file=sys.stderr)
    clients = [Client(client.address) for _ in range(n_clients)]
    for number, other in enumerate(clients):
        for i in range(per_client):
            other.call("WatchPath", "sasa{sv}", str(base / f"d{1 + number * per_client + i}"), ["create"], tree)
    many = cost()
    matching = [clients[0].call("WatchPath", "sasa{sv}", str(base / "d0"), ["attrib"], tree) for _ in range(10)]
    ten = cost()
    print(f"\nCPU of the daemon for a file, with {n_clients * per_client} watches by {n_clients} clients\n")
    harness.table(["watches", "us/file", "ratio"], [
        ["one", f"{one:.2f}", "x1.00"],
        [f"and {n_clients * per_client} of other directories", f"{many:.2f}", f"x{many / one:.2f}"],
        [f"and {len(matching)} more of that directory", f"{ten:.2f}", f"x{ten / one:.2f}"]])
    for other in clients:
        other.close()


def peers(scratch):
    found = []
    for program, watcher in (
            ("inotifywait", lambda: Other("inotifywait", ["inotifywait", "-m", "-r", "-e",
                                                          "create,close_write,move,delete", "TARGET"],
                                          ready="Watches established")),
            ("fsnotifywait", lambda: Other("fsnotifywait", ["fsnotifywait", "-m", "-r", "-S", "-e",
                                                            "create,close_write,move,delete", "TARGET"],
                                           ready="Watches established")),
            ("gio", lambda: Other("gio monitor", ["gio", "monitor", "-d TARGET"], per_directory=True,
                                  count=re.compile("created|deleted|renamed|moved"))),
            ("watchman", lambda: Watchman(scratch))):
        if shutil.which(program):
            found.append(watcher())
        else:
            print(f"{program} is not installed: left out", file=sys.stderr)
    return found


def main():
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["storm", "tree", "elsewhere", "many"], help="one part alone")
    args = parser.parse_args()
    programs = harness.programs_of(args, parser)
    harness.need("dbus-daemon", "mkfs.ext4")
    harness.enter_private_namespaces()

    from client import Client
    lost = False
    with harness.Scratch("12G") as scratch:
        image, where = scratch / "image", scratch / "disk"
        with open(image, "wb") as file:
            file.truncate(6 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "500000", image], check=True)
        where.mkdir()
        subprocess.run(["mount", "-o", "loop", image, where], check=True)
        bus = harness.Bus(scratch)
        daemon = harness.Daemon(args.fseventsd, scratch, bus, CONFIG)
        client = Client(bus.address)
        ours = Ours("fseventsd", daemon, client, programs)
        watchers = [Nobody(), ours, *peers(scratch)]
        for part, run in (("storm", lambda at: bench_storm(args, programs, watchers, at)),
                          ("elsewhere", lambda at: bench_bystander(args, programs, ours, at)),
                          ("many", lambda at: bench_many(args, programs, daemon, client, at)),
                          ("tree", lambda at: bench_tree(args, programs, watchers, at))):
            if args.only in (None, part):
                at = where / part
                at.mkdir()
                lost |= bool(run(at))
        client.close()
        daemon.close()
        bus.close()
        subprocess.run(["umount", where], check=True)
    if lost:
        print("LOST: by the daemon")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
