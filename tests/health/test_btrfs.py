# SPDX-License-Identifier: GPL-2.0-or-later
"""btrfs: every way in which it goes wrong."""

import errno
import os

from faults import damage_btrfs, lose_data, lose_everything, read_error, remount
from rows import Expect, overwrite_aloud

FAILED = {"ReadOnly": False, "ReadOnlyReason": "", "State": "error"}


def test_damaged_data(rows, loopfs):
    """What does not fit its checksum."""
    disk = loopfs("btrfs")
    inode = damage_btrfs(disk)
    table = rows()
    table.add("checksum", disk, lambda: read_error(disk.path("damaged"))[1],
              Expect("corrupted", sources={"kmsg", "btrfs"}, inode=inode),
              LastEvent="corrupted", ErrorCount=1, **FAILED)
    table.run_all().check()


def test_repaired_at_once(rows, loopfs):
    """Whoever reads of damage and remounts it has not had it forced: the kernel would have said so."""
    disk = loopfs("btrfs")
    damage_btrfs(disk)
    table = rows()
    table.add("checksum", disk, lambda: read_error(disk.path("damaged"))[1], Expect("corrupted"))
    table.run_all().check()
    table.rows.clear()
    table.add("ro", disk, lambda: remount(disk, "ro"),
              Expect("read-only", severity="notice", reason="admin"),
              ReadOnly=True, ReadOnlyReason="admin", LastEvent="read-only", ErrorCount=1)
    table.run_all().check()


def test_device_fails(rows, backed):
    """No transaction can be written: the kernel forces it read-only. Or only data is lost."""
    table = rows()
    forced, lost = backed("btrfs"), backed("btrfs")
    lose_everything(forced)
    lose_data(lost, "lost")

    def commit():
        os.mkdir(forced.path("directory"))
        try:
            forced.sync()
        except AssertionError:
            pass

    failed = (errno.EIO, errno.ENOSPC)
    table.add("lost writeback", lost, lambda: overwrite_aloud(lost),
              Expect("writeback-error", failed, {"kmsg"}), Expect("io-error", failed, optional=True),
              ErrorCount=1, **FAILED)
    table.add("forced read-only", forced, commit,
              Expect("io-error", failed, optional=True), Expect("read-only", reason="error"),
              ReadOnly=True, ReadOnlyReason="error", State="error", LastEvent="read-only")
    table.run_all().check()
