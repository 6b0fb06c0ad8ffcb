# SPDX-License-Identifier: GPL-2.0-or-later
"""
A disk with partitions, whose writes can be made to fail.

Made with addpart, so that the kernel need not read a partition table.
"""

import glob
import os
import subprocess

from disks import MIB, MKFS, MOUNTS, Disk, mount_raw, run
from faults import BACKINGS, Backed

# Of the first partition, and between them.
GAP = MIB


class Partition(Disk):
    """One of them, with a filesystem; @start: bytes of the disk before it"""

    def __init__(self, kind, disk, number, start, size):
        super().__init__(kind, os.path.join(MOUNTS, f"{disk.name}p{number}"))
        self.disk = disk
        self.start = start
        self.node = f"{disk.node}p{number}"
        run("addpart", disk.node, str(number), str(start // 512), str(size // 512))
        if not os.path.exists(self.node):
            with open(f"/sys/class/block/{os.path.basename(self.node)}/dev", encoding="ascii") as file:
                major, minor = map(int, file.read().split(":"))
            os.mknod(self.node, 0o600 | 0o060000, os.makedev(major, minor))
        keep = {"ext4": ["-E", "nodiscard", "-b", "4096"], "btrfs": ["-K"]}[kind]
        run(*MKFS[kind], *keep, self.node)
        self.mount()

    def mount(self, where=None, options=None):
        os.makedirs(self.where, exist_ok=True)
        run("mount", "-t", self.kind, *(["-o", options] if options else []), self.node, self.where)
        self.mounted = True
        return self

    def lose(self, start, length):
        """From now on nothing can be written to this range of the partition."""
        self.disk.lose(self.start + start, length)


class Partitioned:
    """@parts: (kind, size in MB) of each"""

    def __init__(self, name, parts):
        self.name = name
        self.backing = os.path.join(BACKINGS, name)
        self.image = os.path.join(self.backing, "image")
        self.partitions = []
        size = sum(size_mb * MIB + GAP for _, size_mb in parts) + GAP
        os.makedirs(self.backing, 0o755, exist_ok=True)
        mount_raw("backing", self.backing, "tmpfs", 0, f"size={size // MIB + 1}M")
        fd = os.open(self.image, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(fd, 0, size)
        os.close(fd)
        self.node = run("losetup", "--find", "--show", self.image).strip()
        try:
            self._add_partitions(parts)
        except BaseException:
            self.release()
            raise

    def _add_partitions(self, parts):
        # Those outlive what was attached there before.
        self._remove_partitions()
        start = GAP
        for number, (kind, size_mb) in enumerate(parts, 1):
            self.partitions.append(Partition(kind, self, number, start, size_mb * MIB))
            start += size_mb * MIB + GAP

    # What it does with an image of its own is the same.
    lose = Backed.lose

    def _remove_partitions(self):
        for path in glob.glob(f"/sys/class/block/{os.path.basename(self.node)}/loop*/partition"):
            with open(path, encoding="ascii") as file:
                run("delpart", self.node, file.read().strip())

    def release(self):
        for partition in self.partitions:
            partition.release()
        self._remove_partitions()
        subprocess.run(["losetup", "--detach", self.node], check=False)
        subprocess.run(["umount", "--lazy", self.backing], check=False)
