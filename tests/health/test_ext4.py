# SPDX-License-Identifier: GPL-2.0-or-later
"""ext4: every way in which it goes wrong."""

import errno
import os

from faults import (change, damage_ext4, damage_ext4_directory, lose_data, lose_journal, read_error,
                    shut_down, trigger)
from rows import Expect, overwrite_aloud

FAILED = {"ReadOnly": False, "ReadOnlyReason": "", "State": "error"}


def test_damaged_metadata(rows, loopfs):
    """Read with errors=continue and with errors=remount-ro, an inode and a directory."""
    going_on = loopfs("ext4", 16, name="continue")
    stopping = loopfs("ext4", 16, name="remount-ro")
    directory = loopfs("ext4", 16, name="directory")
    inodes = [damage_ext4(going_on, options="errors=continue"),
              damage_ext4(stopping, options="errors=remount-ro")]
    inode = damage_ext4_directory(directory)
    table = rows()

    def corrupted(number):
        return Expect("corrupted", errno.EUCLEAN, {"fanotify"}, inode=number)

    table.add("errors=continue", going_on, lambda: read_error(going_on.path("damaged"))[1],
              corrupted(inodes[0]), LastEvent="corrupted", ErrorCount=1, **FAILED)
    table.add("errors=remount-ro", stopping, lambda: read_error(stopping.path("damaged"))[1],
              corrupted(inodes[1]), Expect("read-only", reason="emergency"),
              ReadOnly=True, ReadOnlyReason="emergency", State="error", LastEvent="read-only",
              ErrorCount=1)
    table.add("damaged directory", directory,
              lambda: os.system(f"ls {directory.path('directory')} >/dev/null 2>&1"),
              Expect("corrupted", (errno.EBADMSG, errno.EUCLEAN), {"fanotify"}, inode=inode,
                     path=b"directory"), LastEvent="corrupted", ErrorCount=1, **FAILED)
    table.run_all().check()

    # No flag of the mount says so: what others go by is blind.
    assert not os.statvfs(stopping.where).f_flag & os.ST_RDONLY
    try:
        os.mkdir(stopping.path("more"))
    except OSError as error:
        assert error.errno in (errno.EROFS, errno.EIO)
    else:
        raise AssertionError("the filesystem still takes writes")


def test_who_did_it(rows, loopfs):
    """The process that met the damage, and each error counted."""
    disk = loopfs("ext4", 16)
    inode = damage_ext4(disk, options="errors=continue")
    table = rows()
    pids = []

    def read():
        pids.append(read_error(disk.path("damaged"))[0])

    row = table.add("read", disk, read, Expect("corrupted", errno.EUCLEAN, inode=inode),
                    LastEvent="corrupted", ErrorCount=1)
    table.run_all().check()
    assert row.events[0].pid == pids[0]


def test_device_fails(rows, backed):
    """Of the journal, and of data that was accepted already."""
    table = rows()
    aborted, lost = backed("ext4"), backed("ext4")
    lose_journal(aborted)
    inode = lose_data(lost, "lost")

    def abort():
        # The journal fails under the first; the second meets what that left.
        change(aborted)
        change(aborted, "another")

    table.add("journal abort", aborted, abort,
              Expect("io-error", (errno.EIO, errno.ENOSPC, errno.EROFS)),
              Expect("read-only", reason="emergency"),
              ReadOnly=True, ReadOnlyReason="emergency", State="error", ErrorCount=1)
    table.add("lost writeback", lost, lambda: overwrite_aloud(lost),
              Expect("writeback-error", (errno.EIO, errno.ENOSPC), {"kmsg"}, inode=inode),
              Expect("io-error", (errno.EIO, errno.ENOSPC), optional=True), ErrorCount=1, **FAILED)
    table.run_all().check()


def test_shutdown(rows, loopfs):
    table = rows()
    disk = loopfs("ext4", 16)

    def shut():
        shut_down(disk)
        change(disk)

    table.add("shutdown", disk, shut, Expect("shutdown", sources={"kmsg", "statmount"}),
              ReadOnly=True, ReadOnlyReason="shutdown", State="error", LastEvent="shutdown")
    table.run_all().check()


def test_comes_with_errors(rows, loopfs):
    """Errors of before are told once, as what was found; not again by the next daemon's look."""
    disk = loopfs("ext4", 16)
    trigger(disk, times=3)
    disk.umount()
    table = rows()
    disk.mount()
    path = table.client.wait_filesystem(disk.where)
    event = table.client.wait_event("corrupted", path)
    assert event.details.get("initial") is True
    assert event.details.get("count", 1) == 3
    assert table.client.get("ErrorCount", path) == 3
    assert table.client.get("State", path) == "error"
