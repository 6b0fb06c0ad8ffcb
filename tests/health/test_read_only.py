# SPDX-License-Identifier: GPL-2.0-or-later
"""Read-only by somebody's will: never an alarm, always the truth."""

import os
from functools import partial

from disks import MS_BIND, MS_RDONLY, MS_REMOUNT, mount_raw, umount_raw
from faults import remount, remount_elsewhere, set_device
from rows import Expect

KINDS = ("ext4", "xfs", "btrfs")
PERIOD = 5

OK = {"ReadOnly": False, "ReadOnlyReason": "", "State": "ok", "ErrorCount": 0}
# That is no alarm.
BY_ADMIN = {"ReadOnly": True, "ReadOnlyReason": "admin", "State": "ok", "ErrorCount": 0,
            "LastEvent": "read-only"}

# No kernel interface tells of it: as the manual page says, within the period of re-evaluation.
RE_EVALUATED = {"aim": PERIOD * 5}


def read_only(reason):
    severity = "critical" if reason != "admin" else "notice"
    return Expect("read-only", severity=severity, reason=reason)


def test_remounted(rows, loopfs):
    table = rows()
    disks = [loopfs(kind) for kind in KINDS]
    for disk in disks:
        disk.sync()
        table.add(f"{disk.kind} ro", disk, partial(remount, disk, "ro"), read_only("admin"),
                  **BY_ADMIN)
    table.run_all().check()

    table.rows.clear()
    for disk in disks:
        table.add(f"{disk.kind} rw", disk, partial(remount, disk, "rw"), Expect("read-write"),
                  LastEvent="read-write", **OK)
    table.run_all().check()


def test_mounted_read_only_is_no_event(rows, loopfs):
    table = rows()
    for kind in KINDS:
        disk = loopfs(kind, mount=False)
        disk.mount(options="ro")
        table.add(f"{kind} mounted ro", disk, lambda: None, **{**BY_ADMIN, "LastEvent": "mounted"})
    table.run_all().check()


def test_bind_mount(rows, loopfs):
    """A mount that is read-only says nothing of the filesystem."""
    table = rows()
    made = []

    def bind(disk):
        where = disk.where + "-bound"
        os.makedirs(where, exist_ok=True)
        mount_raw(disk.where, where, None, MS_BIND)
        made.append(where)
        mount_raw(None, where, None, MS_REMOUNT | MS_BIND | MS_RDONLY)

    try:
        for kind in KINDS:
            disk = loopfs(kind)
            table.add(f"{kind} bound", disk, partial(bind, disk), **OK)
        table.run_all().check()
        # The mount itself, as an administrator protects it.
        for row in table.rows:
            mount_raw(None, row.disk.where, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
        table.run_all().check()
    finally:
        for where in made:
            umount_raw(where)


def test_from_another_mount_namespace(rows, loopfs):
    table = rows(f"[daemon]\nre-evaluation = {PERIOD}\n")
    disks = [loopfs(kind) for kind in KINDS]
    for disk in disks:
        disk.sync()
        table.add(f"{disk.kind} elsewhere ro", disk, partial(remount_elsewhere, disk, "ro"),
                  read_only("admin"), **RE_EVALUATED, **BY_ADMIN)
    table.run_all(after_each=False).check()

    table.rows.clear()
    for disk in disks:
        table.add(f"{disk.kind} elsewhere rw", disk, partial(remount_elsewhere, disk, "rw"),
                  Expect("read-write"), LastEvent="read-write", **RE_EVALUATED, **OK)
    table.run_all(after_each=False).check()


def test_device(rows, loopfs):
    """BLKROSET sends no uevent: found at the next look."""
    disks = [loopfs(kind) for kind in KINDS]
    try:
        _device(rows(f"[daemon]\nre-evaluation = {PERIOD}\n"), disks)
    finally:
        # The kernel keeps the flag of a loop device for whoever gets it next.
        for disk in disks:
            set_device(disk, False)


def _device(table, disks):
    for disk in disks:
        disk.sync()
        table.add(f"{disk.kind} --setro", disk, partial(set_device, disk, True), read_only("device"),
                  **RE_EVALUATED, ReadOnly=True, ReadOnlyReason="device", ErrorCount=0,
                  LastEvent="read-only")
    table.run_all(after_each=False).check()

    table.rows.clear()
    for disk in disks:
        table.add(f"{disk.kind} --setrw", disk, partial(set_device, disk, False),
                  Expect("read-write"), **RE_EVALUATED, ReadOnly=False, ReadOnlyReason="",
                  LastEvent="read-write")
    table.run_all(after_each=False).check()
