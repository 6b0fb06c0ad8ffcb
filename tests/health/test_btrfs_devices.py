# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices of a btrfs that come and go, one that only reads, and those found out late."""

import os

import pytest
from disks import IMAGES, MIB, MS_RDONLY, Disk, mount_raw, run
from rows import Expect

PERIOD = 5
CONFIG = f"[daemon]\nre-evaluation = {PERIOD}\n"
# No kernel interface tells that a device takes no writes any more.
RE_EVALUATED = {"aim": PERIOD * 3}

OK = {"ReadOnly": False, "ReadOnlyReason": "", "State": "ok", "ErrorCount": 0}
LOCKED = {"ReadOnly": True, "ReadOnlyReason": "device", "ErrorCount": 0}


class Pool(Disk):
    """A btrfs on the first of some devices; mounted by hand."""

    def __init__(self, n_devices):
        super().__init__("btrfs", "/mnt/pool")
        self.nodes = []
        os.makedirs(IMAGES, exist_ok=True)
        os.makedirs(self.where, exist_ok=True)
        for i in range(n_devices):
            self.nodes.append(self._attach(os.path.join(IMAGES, f"pool{i}")))
        run("mkfs.btrfs", "-q", "-f", self.nodes[0])

    @staticmethod
    def _attach(path):
        with open(path, "wb") as file:
            file.truncate(200 * MIB)
        return run("losetup", "--find", "--show", path).strip()

    def mount_from(self, source, flags=0):
        mount_raw(source, self.where, "btrfs", flags)
        self.mounted = True

    def lock(self, i, locked=True):
        run("blockdev", "--setro" if locked else "--setrw", self.nodes[i])

    def be_looked_at(self):
        """Each change of its mounts makes the daemon look."""
        run("mount", "--bind", self.where, self.where)
        run("umount", self.where)

    def release(self):
        if self.mounted:
            self.umount()
        for i, node in enumerate(self.nodes):
            # The kernel keeps the flag of a loop device for whoever gets it next.
            self.lock(i, False)
            run("losetup", "--detach", node)


@pytest.fixture
def pool():
    """pool(n_devices) -> Pool"""
    made = []

    def make(n_devices):
        made.append(Pool(n_devices))
        return made[-1]

    yield make
    for disk in made:
        disk.release()


def locked(**properties):
    return Expect("read-only", reason="device"), {**LOCKED, **RE_EVALUATED, **properties}


def test_sprouted_from_a_seed(rows, pool):
    """The device that it began on stays read-only for ever; the other one takes the writes."""
    disk = pool(2)
    run("btrfstune", "-S", "1", disk.nodes[0])
    disk.lock(0)
    disk.mount_from(disk.nodes[0], MS_RDONLY)
    run("btrfs", "device", "add", "-f", disk.nodes[1], disk.where)
    run("mount", "-o", "remount,rw", disk.where)
    table = rows(CONFIG)

    def use():
        with open(disk.path("file"), "wb") as file:
            file.write(b"x" * MIB)
        disk.sync()
        disk.be_looked_at()

    table.add("a seed", disk, use, **OK)
    table.run_all().check()

    table.rows.clear()
    event, properties = locked()
    table.add("the sprout --setro", disk, lambda: disk.lock(1), event, **properties)
    table.run_all().check()


def test_replaced(rows, pool):
    """Only what is one of its devices now counts."""
    disk = pool(2)
    disk.mount_from(disk.nodes[0])
    table = rows(CONFIG)

    def replace():
        run("btrfs", "device", "add", "-f", disk.nodes[1], disk.where)
        run("btrfs", "device", "remove", disk.nodes[0], disk.where)
        disk.lock(0)
        disk.be_looked_at()

    table.add("the former device --setro", disk, replace, **OK)
    table.run_all().check()

    table.rows.clear()
    event, properties = locked()
    table.add("the new device --setro", disk, lambda: disk.lock(1), event, **properties)
    table.run_all().check()


def test_found_out_late(rows, pool):
    """What it was mounted from could not be looked up at first."""
    disk = pool(1)
    link = "/dev/fsevents-test-pool"
    os.symlink(disk.nodes[0], link)
    try:
        disk.mount_from(link)
        os.unlink(link)
        table = rows(CONFIG)
        event, properties = locked()

        def lock():
            disk.lock(0)
            os.symlink(disk.nodes[0], link)

        table.add("looked up again", disk, lock, event, **properties)
        table.run_all().check()
    finally:
        os.unlink(link)


def test_added_and_told(rows, pool):
    """What the kernel says of a device that was added a moment ago makes all btrfs look."""
    disk = pool(2)
    disk.mount_from(disk.nodes[0])
    # Nothing else looks within the test.
    table = rows("[daemon]\nre-evaluation = 3600\n[filesystem *]\nthreshold = none\n")
    event, properties = locked()

    def add():
        run("btrfs", "device", "add", "-f", disk.nodes[1], disk.where)
        disk.lock(0)
        disk.lock(1)
        with open(f"/sys/class/block/{os.path.basename(disk.nodes[1])}/uevent", "w",
                  encoding="ascii") as file:
            file.write("change")

    table.add("its uevent", disk, add, event, **properties)
    table.run_all().check()
