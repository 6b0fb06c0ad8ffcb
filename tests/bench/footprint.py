#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What does the daemon hold, how fast is it ready, what does a mount cost?

Memory, time to READY=1 and cost per mount with 20, 100 and 1,000 tmpfs mounts, processor time per
mount and unmount beside 100 and beside 1,000, and a storm of 600 mounts and
unmounts a second, after which the daemon's table must equal the kernel's:
where it does not, this ends with 1. Times are printed and not judged.
"""

import ctypes
import os
import sys
import time

import gi

import harness

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2


def mount(where):
    if LIBC.mount(b"bench", os.fsencode(where), b"tmpfs", 0, b"size=1m"):
        raise OSError(ctypes.get_errno(), f"mount {where}")


def umount(where):
    """True when it took only one try: a busy mount is tried again, lazily in the end."""
    for tries in range(20):
        if LIBC.umount2(os.fsencode(where), 0) == 0:
            return tries == 0
        time.sleep(0.001)
    if LIBC.umount2(os.fsencode(where), MNT_DETACH):
        raise OSError(ctypes.get_errno(), f"umount {where}")
    return False


class Field:
    """Directories to mount on, below one directory of the scratch filesystem."""

    def __init__(self, scratch):
        self.path = scratch / "field"
        self.path.mkdir()
        self.mounted = []

    def grow(self, n):
        for i in range(len(self.mounted), n):
            where = self.path / f"m{i}"
            where.mkdir(exist_ok=True)
            mount(where)
            self.mounted.append(where)

    def clear(self):
        for where in self.mounted:
            umount(where)
        self.mounted = []

    def kernel(self):
        """The mount points below, as /proc/1/mountinfo has them (their names need no unescaping)."""
        prefix = f"{self.path}/"
        with open("/proc/1/mountinfo", encoding="utf-8", errors="surrogateescape") as mountinfo:
            return sorted(line.split()[4] for line in mountinfo if line.split()[4].startswith(prefix))


class Client:
    def __init__(self, address):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.bus = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)

    def daemon_mounts(self, field):
        """The mount points below the field, as the daemon's objects have them."""
        reply = self.bus.call_sync("org.fsevents1", "/org/fsevents1", "org.freedesktop.DBus.ObjectManager",
                                   "GetManagedObjects", None, GLib.VariantType("(a{oa{sa{sv}}})"),
                                   Gio.DBusCallFlags.NONE, 20000, None).unpack()[0]
        found = []
        for interfaces in reply.values():
            for where in interfaces.get("org.fsevents1.Filesystem", {}).get("MountPoints", []):
                name = bytes(where).rstrip(b"\0").decode(errors="surrogateescape")
                if name.startswith(f"{field.path}/"):
                    found.append(name)
        return sorted(found)


def memory_row(n, daemon):
    pids = daemon.pids()
    main = harness.memory_kb(pids[0])
    pss = sum(harness.memory_kb(pid)["Pss"] for pid in pids)
    return [f"{n} mounts", main["Rss"] / 1024, main["Private"] / 1024, pss / 1024, str(len(pids))]


def bench_memory(args, scratch, bus, field):
    rows, ready, start = [], [], []
    for n in (20, 100, 1000):
        field.grow(n)
        times, costs = [], []
        for _ in range(2 if args.quick else 7):
            daemon = harness.Daemon(args.fseventsd, scratch, bus)
            times.append(daemon.ready_ms)
            time.sleep(0.3)
            costs.append(harness.cpu_us(daemon.pids()))
            last = daemon
            if len(times) < (2 if args.quick else 7):
                daemon.close()
        time.sleep(2)
        rows.append(memory_row(n, last))
        last.close()
        ready.append([f"{n} mounts", harness.median(times), max(times)])
        start.append((n, harness.median(costs)))
    field.clear()
    print("\nMemory in MiB, after two seconds\n")
    harness.table(["", "main Rss", "main private", "all Pss", "processes"], rows)
    print("\nFrom exec to READY=1 in ms\n")
    harness.table(["", "median", "max"], ready)
    # What a start costs beside the mounts falls out of the difference.
    base, rest = start[0], start[1:]
    print("\nThe daemon's processor time in microseconds for a mount that is there at its start\n")
    harness.table(["", "per mount"], [[f"{n} mounts", (cost - base[1]) / (n - base[0])] for n, cost in rest])


def bench_cost(args, scratch, bus, field):
    """Processor time of all processes of the daemon for one mount or one unmount."""
    batch, rows = (20 if args.quick else 100), []
    for n in (100, 1000):
        field.grow(n)
        daemon = harness.Daemon(args.fseventsd, scratch, bus)
        time.sleep(2)
        extra = [field.path / f"x{i}" for i in range(batch)]
        for where in extra:
            where.mkdir(exist_ok=True)
        costs = []
        for change in (mount, umount):
            before = harness.cpu_us(daemon.pids())
            for where in extra:
                change(where)
                time.sleep(0.02)
            time.sleep(1)
            costs.append((harness.cpu_us(daemon.pids()) - before) / batch)
        rows.append([f"beside {n}", *costs])
        daemon.close()
    field.clear()
    print(f"\nThe daemon's processor time in microseconds, {batch} mounts one after the other\n")
    harness.table(["", "per mount", "per unmount"], rows)


def storm(field, seconds, rate):
    """Mounts and unmounts in pairs, some left standing; number of pairs, and of umounts found busy."""
    directories = [field.path / f"s{i}" for i in range(50)]
    for where in directories:
        where.mkdir(exist_ok=True)
    standing, busy, pairs = [], 0, 0
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        where = directories[pairs % len(directories)]
        if where not in standing:
            mount(where)
            if pairs % 97 == 5:
                standing.append(where)
            else:
                busy += not umount(where)
        pairs += 1
        time.sleep(max(0, start + pairs / rate - time.monotonic()))
    field.mounted += standing
    return pairs, busy


def bench_storm(args, scratch, bus, field):
    seconds, rate = (2 if args.quick else 10), 600
    field.grow(20)
    daemon = harness.Daemon(args.fseventsd, scratch, bus)
    client = Client(bus.address)
    before = harness.cpu_us(daemon.pids())
    pairs, busy = storm(field, seconds, rate)
    start, kernel = time.monotonic(), field.kernel()
    while True:
        found = client.daemon_mounts(field)
        took = time.monotonic() - start
        if found == kernel or took > 5:
            break
        time.sleep(0.02)
    used = harness.cpu_us(daemon.pids()) - before
    print(f"\nStorm: {pairs / seconds:.0f} mounts and unmounts a second for {seconds} s, "
          f"{used / 1e4 / (seconds + took):.0f} % of a processor, {busy} umounts found busy")
    if found == kernel:
        print(f"the table equals the kernel's ({len(kernel)} mounts) {took * 1000:.0f} ms after the end")
    else:
        print(f"MISSING: {sorted(set(kernel) - set(found))}, too many: {sorted(set(found) - set(kernel))}")
    daemon.close()
    field.clear()
    return found == kernel


def main():
    parser = harness.arguments(__doc__.splitlines()[0])
    args = parser.parse_args()
    if not args.fseventsd:
        parser.error("--fseventsd is needed")
    harness.need("unshare", "dbus-daemon")
    harness.enter_private_namespaces()

    with harness.Scratch(size="64M") as scratch:
        bus = harness.Bus(scratch)
        field = Field(scratch)
        bench_memory(args, scratch, bus, field)
        bench_cost(args, scratch, bus, field)
        equal = bench_storm(args, scratch, bus, field)
        bus.close()
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
