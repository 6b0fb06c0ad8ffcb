# SPDX-License-Identifier: GPL-2.0-or-later
"""Overlays as containers have them."""

import os

from disks import mount_raw, umount_raw


class Overlay:
    """An overlay as containers have it: `lower`, `upper` and `where` it is mounted."""

    def __init__(self, disk, options=""):
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(disk.path(name))
        self.lower, self.upper, self.where = (disk.path(name) for name in ("lower", "upper", "merged"))
        self.options = f"lowerdir={self.lower},upperdir={self.upper},workdir={disk.path('work')}{options}"

    def mount(self):
        mount_raw("overlay", self.where, "overlay", 0, self.options)
        return self

    def umount(self):
        umount_raw(self.where)

    def path(self, name):
        return os.path.join(self.where, name)
