# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk fails, and a filesystem is on one of its partitions."""

import errno
import mmap
import os
import time
from functools import partial

import pytest
from disks import run
from faults import KernelLog, lose_data, overwrite
from partitions import Partitioned
from rows import RATE_LIMIT, Expect
from waiting import pause

OK = {"ReadOnly": False, "ReadOnlyReason": "", "State": "ok", "ErrorCount": 0}
FAILED = {"ReadOnly": False, "ReadOnlyReason": "", "State": "error"}


@pytest.fixture
def partitioned():
    """partitioned(("ext4", 32), ...) -> Partitioned, mounted"""
    made = []

    def make(*parts):
        made.append(Partitioned(f"disk{len(made)}", parts))
        return made[-1]

    yield make
    for disk in reversed(made):
        disk.release()


def overwrite_directly(path):
    """Past the cache, so that nobody but the writer and the block layer knows; the errno."""
    fd = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    with mmap.mmap(-1, 65536) as aligned:
        try:
            os.pwrite(fd, aligned, 0)
        except OSError as error:
            return error.errno
        finally:
            os.close(fd)
    return 0


def aloud(partition, write):
    """Until the kernel, which keeps most such messages to itself, has named the disk."""
    name = os.path.basename(partition.disk.node)
    for _ in range(5):
        with KernelLog() as log:
            failed = write(partition.path("lost"))
            done = time.monotonic()
            assert failed, f"{partition.where} takes writes"
            if log.has(f"error, dev {name},"):
                return done
        pause(RATE_LIMIT)
    raise AssertionError(f"the kernel never said that {name} failed")


def test_error_goes_to_its_partition(rows, partitioned):
    """The kernel names the disk; only who lies where it failed is told."""
    table = rows()
    first, second, third = partitioned(("ext4", 32), ("ext4", 32), ("ext4", 32)).partitions
    lose_data(second, "lost")
    table.add("before", first, lambda: None, **OK)
    table.add("direct write", second, partial(aloud, second, overwrite_directly),
              Expect("io-error", (errno.EIO, errno.ENOSPC), {"kmsg"}), ErrorCount=1, **FAILED)
    table.add("behind", third, lambda: None, **OK)
    table.run_all().check()


def test_lost_data_of_a_member(rows, partitioned):
    """btrfs says nothing of it, and has no number that is its disk's."""
    table = rows()
    other, lost = partitioned(("ext4", 32), ("btrfs", 128)).partitions
    lose_data(lost, "lost")
    table.add("lost writeback", lost, partial(aloud, lost, overwrite),
              Expect("writeback-error", (errno.EIO, errno.ENOSPC), {"kmsg"}),
              Expect("io-error", optional=True), ErrorCount=1, **FAILED)
    table.add("other", other, lambda: None, **OK)
    table.run_all().check()


def test_disk_takes_no_writes(rows, partitioned):
    """The uevent is the disk's. BLKROSET sends none, and so does this what a driver does."""
    table = rows()
    disk = partitioned(("ext4", 32), ("ext4", 32))
    for part in disk.partitions:
        part.sync()
    done = []

    def set_disk(option):
        # Once for both.
        if option not in done:
            done.append(option)
            run("blockdev", option, disk.node)
            name = os.path.basename(disk.node)
            with open(f"/sys/class/block/{name}/uevent", "w", encoding="ascii") as file:
                file.write("change")

    for part in disk.partitions:
        table.add(f"{part.node} ro", part, partial(set_disk, "--setro"),
                  Expect("read-only", sources={"block"}, reason="device"),
                  ReadOnly=True, ReadOnlyReason="device")
    table.run_all(after_each=False).check()

    table.rows.clear()
    for part in disk.partitions:
        table.add(f"{part.node} rw", part, partial(set_disk, "--setrw"),
                  Expect("read-write", sources={"block"}), **OK)
    table.run_all(after_each=False).check()
