# SPDX-License-Identifier: GPL-2.0-or-later
"""Many at once, and one that does not stop."""

import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor

from disks import IMAGES, MIB, MOUNTS, mount_raw, run, umount_raw
from faults import trigger
from waiting import PATIENCE, check_took, pause, wait_for

MNT_DETACH = 2
LOOP_CTL_REMOVE = 0x4C81
ERRORS = 100_000
FILESYSTEMS = 1000
ROUNDS = 5
UUID_OFFSET = 1024 + 104

# Bounds that only a broken program passes; what was measured is printed.
SIGNALS_MAX, ENTRIES_MAX, GROWN_MAX = 200, 400, 16 * MIB
LATE_AIM_MS, LATE_MAX_MS = 20, 200


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


def history_of(client, path):
    found, since = [], 0
    while True:
        _, newest, events, _ = client.history(since)
        found += [e for e in events if e.path == path]
        if not events or events[-1].id >= newest:
            return found
        since = events[-1].id


def test_a_dying_disk(rows, loopfs, lateness):
    """Bounded on the bus, in the journal and in memory; nobody else's events suffer."""
    table = rows()
    client, dying = table.client, loopfs("ext4", 16, name="dying")
    earlier, other = loopfs("ext4", 16, name="earlier"), loopfs("ext4", 16, name="other")
    paths = [client.wait_filesystem(disk.where) for disk in (dying, earlier, other)]
    trigger(earlier)
    first = client.wait_event("corrupted", paths[1])
    trigger(dying)
    client.wait_event("corrupted", paths[0])
    before = resident(table.daemon.pid)

    start = time.monotonic()
    with lateness(table.daemon) as late:
        trigger(dying, times=ERRORS // 2)
        triggered = time.monotonic()
        trigger(other)
        event = client.wait_event("corrupted", paths[2])
        trigger(dying, times=ERRORS // 2)
        total = 1 + ERRORS

        def is_counted():
            """It goes on until what is no longer the same failure was told, with all before it."""
            nonlocal total
            trigger(dying, times=1000)
            total += 1000
            return [e for e in client.events("corrupted", paths[0]) if e.details.get("count", 1) >= ERRORS]

        wait_for(is_counted, what="an event that stands for all errors", interval=0.05)
    print(f"{total} errors in {time.monotonic() - start:.1f} s")
    check_took("the event of another disk", event.time - triggered, 0.05)

    wait_for(lambda: client.get("ErrorCount", paths[0]) >= total, what="all errors counted")
    assert client.get("ErrorCount", paths[0]) == total
    pause(3.0)
    signals = client.events(path=paths[0])
    entries = [e for e in table.journal.entries if e.get("FSEVENTS_WHERE") == dying.where.encode()]
    grown = resident(table.daemon.pid) - before
    told = history_of(client, paths[0])
    counted = sum(e.details.get("count", 1) for e in told if e.code == "corrupted")
    print(f"{len(signals)} signals, {len(entries)} journal entries, {len(told)} in the history with "
          f"{counted} errors so far; memory {before // 1024} KiB and {grown // 1024} KiB more")
    late.check(LATE_MAX_MS)
    assert 1 <= len(signals) <= SIGNALS_MAX
    assert 1 <= len(entries) <= ENTRIES_MAX
    assert grown <= GROWN_MAX
    assert ERRORS <= counted <= total
    assert first.id in {e.id for e in history_of(client, paths[1])}, "the earlier one was pushed out"
    assert {e.code for e in told} <= {"mounted", "corrupted"}


class Crowd:
    """
    Small filesystems on loop devices, each with a UUID of its own, as many as are wanted.

    Every other one has a journal: only where one is, errors wake up whoever waits for the counter.
    """

    def __init__(self, n):
        self.images = os.path.join(IMAGES, "crowd")
        self.where = os.path.join(MOUNTS, "crowd")
        self.devices, self.mounted = [], []
        self.before = set(os.listdir("/dev"))
        os.makedirs(self.images, exist_ok=True)
        os.makedirs(self.where, exist_ok=True)
        mount_raw("crowd", self.where, "tmpfs", 0, "size=8M")
        models = [self._model("^has_journal", MIB), self._model("has_journal", 2 * MIB)]
        for number in range(n):
            image = os.path.join(self.images, str(number))
            # A thousand journals of zeroes would fill the memory.
            run("cp", "--sparse=always", models[number % 2], image)
            with open(image, "r+b") as file:
                file.seek(UUID_OFFSET)
                file.write(os.urandom(16))
        for number in range(n):
            device = run("losetup", "--find", "--show", os.path.join(self.images, str(number))).strip()
            self.devices.append(device)

    def _model(self, journal, size):
        model = os.path.join(self.images, f"model-{journal.strip('^')}-{size}")
        with open(model, "wb") as file:
            file.truncate(size)
        run("mkfs.ext4", "-q", "-F", "-b", "1024", "-O", f"{journal},^metadata_csum", "-m", "0", model)
        return model

    def mount(self):
        for number, device in enumerate(self.devices):
            where = os.path.join(self.where, str(number))
            os.mkdir(where)
            mount_raw(device, where, "ext4", 0, "errors=continue")
            self.mounted.append(where)

    def fail(self):
        """All, again and again, as fast as one process can."""
        for device in ROUNDS * self.devices:
            with open(f"/sys/fs/ext4/{os.path.basename(device)}/trigger_fs_error", "wb",
                      buffering=0) as file:
                file.write(b"provoked\n")

    def release(self):
        for where in self.mounted:
            umount_raw(where, MNT_DETACH)
        umount_raw(self.where, MNT_DETACH)
        for at in range(0, len(self.devices), 100):
            run("losetup", "--detach", *self.devices[at:at + 100])
        # What the machine had no need of before. Each waits for the kernel, all of them together.
        added = [d for d in map(os.path.basename, self.devices) if d not in self.before]
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(remove_loop, added))


def remove_loop(name):
    with open("/dev/loop-control", "rb") as control:
        try:
            fcntl.ioctl(control, LOOP_CTL_REMOVE, int(name[4:]))
        except OSError as error:
            # Somebody else took it meanwhile.
            print(f"{name} stays: {error}")


def test_a_thousand_fail_at_once(rows, lateness, wait_for):
    table = rows("[filesystem *]\nevents = corrupted\nthreshold = none\n")
    client = table.client
    start = time.monotonic()
    crowd = Crowd(FILESYSTEMS)
    try:
        crowd.mount()
        print(f"{FILESYSTEMS} filesystems in {time.monotonic() - start:.1f} s")
        wanted = {where.encode() for where in crowd.mounted}
        paths = wait_for(lambda: _paths(client, wanted), 4 * PATIENCE, "all objects", 0.5)
        # A filesystem is looked at when it is some time old, and marked then.
        wait_for(lambda: _is_marked(client, len(wanted)), 4 * PATIENCE, "all marks", 0.2)
        begun = time.time() * 1e6
        with lateness(table.daemon) as late:
            crowd.fail()
            failed = time.time() * 1e6
            told = wait_for(lambda: _told(client, paths), 4 * PATIENCE, "all failures told", 0.2)
        last = max(told.values()) / 1e6
        print(f"failed within {(failed - begun) / 1e6:.2f} s, the last told "
              f"{last - failed / 1e6:.2f} s after that; {len(client.events('corrupted'))} signals so far")
        print(f"aim of lateness {LATE_AIM_MS} ms")
        late.check(LATE_MAX_MS)
        assert set(told) == set(paths)
        assert last - failed / 1e6 < PATIENCE
        wait_for(lambda: _counts(client, paths) == [ROUNDS] * FILESYSTEMS, PATIENCE,
                 "all errors counted", 0.5)
    finally:
        crowd.release()


def _paths(client, wanted):
    found = {path for path, f in client.filesystems().items() if wanted & set(f["MountPoints"])}
    return found if len(found) == len(wanted) else None


def _counts(client, paths):
    return [f["ErrorCount"] for path, f in client.filesystems().items() if path in paths]


def _is_marked(client, n):
    marks = client.get("Statistics").get("error-marks")
    return marks is None or marks >= n


def _told(client, paths):
    """{path: time} of the corrupted ones in the history, once it has all."""
    found, since = {}, 0
    while True:
        _, newest, events, _ = client.history(since)
        found.update({e.path: e.realtime_usec for e in events if e.code == "corrupted"})
        if not events or events[-1].id >= newest:
            return found if paths <= set(found) else None
        since = events[-1].id
