# SPDX-License-Identifier: GPL-2.0-or-later
"""Unmounted, and the device is free again."""

import os
import subprocess

from disks import MKFS, run
from faults import detach
from rows import Expect
from waiting import wait_for


def use_of(image):
    """Loop devices that still have this image."""
    return subprocess.run(["losetup", "--noheadings", "--output", "NAME", "--associated", image],
                          capture_output=True, text=True, check=True).stdout.split()


def check_free(disk):
    """Its loop device is gone, and the image can be made anew."""
    wait_for(lambda: not use_of(disk.image), what=f"the end of the loop device of {disk.image}")
    run(*MKFS[disk.kind], disk.image)


def test_unmounted(rows, loopfs):
    table = rows()
    disks = [loopfs(kind) for kind in ("ext4", "xfs", "btrfs")] + [loopfs("tmpfs", 8)]
    for disk in disks:
        table.add(f"{disk.kind} unmounted", disk, disk.umount,
                  Expect("unmounted", severity="info"), gone=True)
    table.run_all().check()
    for disk in disks[:3]:
        check_free(disk)


def test_unmounted_lazily(rows, loopfs):
    """Somebody still has a file open: nobody can reach the filesystem by a path any more."""
    table = rows()
    disks, held = [loopfs(kind) for kind in ("ext4", "xfs", "btrfs")], []
    for disk in disks:
        held.append(os.open(disk.path("held"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        table.add(f"{disk.kind} detached", disk, lambda disk=disk: detach(disk),
                  Expect("unmounted", severity="info"), gone=True)
    table.run_all().check()
    for fd in held:
        os.close(fd)
    for disk in disks:
        check_free(disk)
