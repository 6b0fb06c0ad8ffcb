# SPDX-License-Identifier: GPL-2.0-or-later
"""btrfs of several devices, and of one that keeps data and metadata together."""

import errno
import os

import pytest
from disks import MIB, Disk, make_disk, mount_raw, run
from faults import BACKINGS, Backed, change, lose_everything, use_up_space
from rows import Expect

SIZE_MB = 128
OK = {"ReadOnly": False, "ReadOnlyReason": "", "State": "ok"}


class Mirror(Disk):
    """Two devices with the same on both; writes to the first can be made to fail."""

    lose = Backed.lose

    def __init__(self, profile):
        self.backing = os.path.join(BACKINGS, "mirror")
        os.makedirs(self.backing, 0o755, exist_ok=True)
        mount_raw("backing", self.backing, "tmpfs", 0, f"size={SIZE_MB + 1}M")
        super().__init__("btrfs", "/mnt/mirror", os.path.join(self.backing, "image"))
        self.other = "/run/fsevents-mirror.img"
        self.nodes = [self._attach(path) for path in (self.image, self.other)]
        run("mkfs.btrfs", "-q", "-f", "-K", "-d", profile, "-m", "raid1", *self.nodes)
        os.makedirs(self.where, exist_ok=True)
        run("mount", "-t", "btrfs", "-o", f"device={self.nodes[1]},nodiscard", self.nodes[0], self.where)
        self.mounted = True

    @staticmethod
    def _attach(path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(fd, 0, SIZE_MB * MIB)
        os.close(fd)
        return run("losetup", "--find", "--show", path).strip()

    def release(self):
        super().release()
        for node in self.nodes:
            run("losetup", "--detach", node)
        os.unlink(self.other)
        run("umount", "--lazy", self.backing)


@pytest.fixture
def mirror():
    """mirror(profile) -> Mirror"""
    made = []

    def make(profile):
        made.append(Mirror(profile))
        return made[-1]

    yield make
    for disk in made:
        disk.release()


def test_lost_on_one_member(rows, mirror):
    """The other one has it: a device failed, and no data was lost."""
    table = rows()
    disk = mirror("raid1")
    lose_everything(disk)

    def write():
        with open(disk.path("file"), "wb") as file:
            file.write(b"x" * MIB)
        disk.sync()
        change(disk)

    table.add("one member", disk, write,
              Expect("io-error", (0, errno.EIO, errno.ENOSPC), {"kmsg", "btrfs"}),
              State="error", ReadOnly=False, ErrorCount=1)
    table.run_all().check()


def test_mixed_is_full(rows):
    """The global reserve still shows as available when nothing can be written."""
    table = rows()
    disk = make_disk("btrfs", "mixed", 128, mkfs=["--mixed"])
    table.add("mixed full", disk, lambda: use_up_space(disk) and None,
              Expect("enospc", errno.ENOSPC, {"statfs"}), aim=30, State="full",
              ReadOnly=False)
    table.run_all().check()
    assert os.statvfs(disk.where).f_bavail > 0
    disk.release()
