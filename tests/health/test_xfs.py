# SPDX-License-Identifier: GPL-2.0-or-later
"""xfs: every way in which it goes wrong."""

import errno

from faults import change, damage_xfs, lose_data, lose_log, read_error, shut_down
from rows import Expect, overwrite_aloud

FAILED = {"ReadOnly": False, "ReadOnlyReason": "", "State": "error"}
SHUT_DOWN = {"ReadOnly": True, "ReadOnlyReason": "shutdown", "State": "error",
             "LastEvent": "shutdown"}


def test_damaged_metadata(rows, loopfs):
    """Kernels before 7.0 tell of it by their messages alone."""
    disk = loopfs("xfs")
    damage_xfs(disk)
    table = rows()
    table.add("damaged inode", disk, lambda: read_error(disk.path("damaged"))[1],
              Expect("corrupted", errno.EUCLEAN, {"kmsg", "fanotify"}),
              LastEvent="corrupted", ErrorCount=1, **FAILED)
    table.run_all().check()


def test_device_fails(rows, backed):
    """Of the log, and of data that was accepted already."""
    table = rows()
    log, lost = backed("xfs"), backed("xfs")
    lose_log(log)
    lose_data(lost, "lost")

    def write():
        for number in range(40):
            change(log, f"change{number}")

    table.add("log error", log, write,
              Expect("io-error", (errno.EIO, errno.ENOSPC), optional=True),
              Expect("shutdown", sources={"kmsg", "root"}), **SHUT_DOWN)
    table.add("lost writeback", lost, lambda: overwrite_aloud(lost),
              Expect("writeback-error", (errno.EIO, errno.ENOSPC), {"kmsg"}),
              Expect("io-error", (errno.EIO, errno.ENOSPC), optional=True), ErrorCount=1, **FAILED)
    table.run_all().check()


def test_shutdown(rows, loopfs):
    table = rows()
    disk = loopfs("xfs")

    def shut():
        shut_down(disk)
        change(disk)

    table.add("shutdown", disk, shut, Expect("shutdown", sources={"kmsg", "root"}), **SHUT_DOWN)
    table.run_all().check()
