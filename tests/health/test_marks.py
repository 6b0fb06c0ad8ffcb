# SPDX-License-Identifier: GPL-2.0-or-later
"""Marks for errors that cannot be had when a filesystem is first seen."""

import os

from disks import mount_raw, umount_raw
from waiting import PATIENCE, wait_for

FS_ERROR = 0x8000


def marks(pid):
    """Device numbers of the filesystems whose errors the process is told of."""
    found = set()
    for number in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        for line in lines:
            fields = dict(field.partition(":")[::2] for field in line.split()[1:])
            if line.startswith("fanotify sdev:") and int(fields["mask"], 16) & FS_ERROR:
                device = int(fields["sdev"], 16)
                found.add(os.makedev(device >> 20, device & 0xfffff))
    return found


def test_covered_at_the_start(daemon, client, loopfs):
    """Where no mount point leads to it, it is tried again once one does."""
    disk = loopfs("ext4", 16)
    device = os.stat(disk.where).st_dev
    mount_raw("cover", disk.where, "tmpfs")
    try:
        running = daemon("[daemon]\nre-evaluation = 5\n")
        client.wait_filesystem(disk.where)
        assert device not in marks(running.pid)
    finally:
        umount_raw(disk.where)
    wait_for(lambda: device in marks(running.pid), PATIENCE * 3, what="a mark")
