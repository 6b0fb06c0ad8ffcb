# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing left: data, metadata or inodes, once each, and again after there was room."""

import errno
import os
import shutil

from faults import use_up_inodes, use_up_metadata, use_up_space
from rows import Expect
from waiting import wait_for

# Levels have their own tests; here they would only be in the way.
QUIETLY = "[filesystem *]\nthreshold = none\n"


def full(code, *expected):
    return [Expect(code, (errno.ENOSPC, 0)), *expected]


def test_data(rows, loopfs):
    table = rows(QUIETLY)
    disks = [loopfs("ext4", 64), loopfs("xfs"), loopfs("btrfs"), loopfs("tmpfs", 32)]
    for disk in disks:
        table.add(f"{disk.kind} data", disk, lambda disk=disk: use_up_space(disk) and None,
                  *full("enospc"), State="full", LastEvent="enospc", ReadOnly=False, ErrorCount=0)
    table.run_all().check()

    for disk, row in zip(disks, table.rows):
        disk.unlink("filler")
        disk.sync()
        wait_for(lambda row=row: table.client.get("State", row.path) == "ok",
                 what=f"{disk.where} with room")
    for row in table.rows:
        row.name += " again"
    table.run_all().check()


def test_inodes(rows, loopfs):
    table = rows(QUIETLY)
    disks = [loopfs("ext4", 64, mkfs=("-N", "2000")), loopfs("xfs", mkfs=("-i", "maxpct=1")),
             loopfs("tmpfs", 16, options="nr_inodes=2000")]
    for disk in disks:
        table.add(f"{disk.kind} inodes", disk, lambda disk=disk: use_up_inodes(disk) and None,
                  *full("enospc-inodes"), State="full", LastEvent="enospc-inodes", ReadOnly=False,
                  ErrorCount=0)
    table.run_all().check()

    for disk, row in zip(disks, table.rows):
        shutil.rmtree(disk.path("inodes"))
        disk.sync()
        wait_for(lambda row=row: table.client.get("State", row.path) == "ok",
                 what=f"{disk.where} with room")
        row.name += " again"
    table.run_all().check()


def test_metadata_of_btrfs(rows, loopfs):
    """df shows room that nothing can use."""
    table = rows(QUIETLY)
    disk = loopfs("btrfs", 128)

    def use_up():
        assert use_up_metadata(disk)[1] == errno.ENOSPC

    table.add("btrfs metadata", disk, use_up, *full("enospc-metadata"), State="full",
              LastEvent="enospc-metadata", ReadOnly=False, ErrorCount=0)
    table.run_all().check()
    assert disk.available() > 0


def test_ordinary_writing_is_no_event(rows, loopfs):
    """Nearly full is a matter of levels."""
    table = rows(QUIETLY)
    for disk in (loopfs("ext4", 64), loopfs("xfs"), loopfs("tmpfs", 32)):
        table.add(f"{disk.kind} nearly full", disk,
                  lambda disk=disk: disk.fallocate("file", disk.available() * 95 // 100),
                  State="ok", ReadOnly=False, ErrorCount=0)
    table.run_all().check()
    for row in table.rows:
        assert os.statvfs(row.disk.where).f_bavail > 0
