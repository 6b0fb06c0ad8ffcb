# SPDX-License-Identifier: GPL-2.0-or-later
"""What is broken can be unmounted, and all was told before."""

import os
import subprocess

from faults import Backed, change, damage_ext4, lose_everything, read_error, shut_down
from rows import QUIET, Expect
from test_gone import check_free
from waiting import pause, wait_for


def test_broken_and_unmounted(rows, loopfs, backed):
    """What went wrong before is told before, and does not keep it busy."""
    table = rows()
    disks = [loopfs("ext4"), loopfs("xfs"), backed("btrfs")]
    lose_everything(disks[2])

    def leave(disk):
        if isinstance(disk, Backed):
            os.mkdir(disk.path("directory"))
            subprocess.run(["sync", "--file-system", disk.where], check=False,
                           stderr=subprocess.DEVNULL)
        else:
            shut_down(disk)
            change(disk)
        code = "read-only" if disk.kind == "btrfs" else "shutdown"
        table.client.wait_event(code, paths[disk])
        disk.umount()

    paths = {disk: table.client.wait_filesystem(disk.where) for disk in disks}
    for disk in disks:
        broken = Expect("read-only", reason="error") if disk.kind == "btrfs" else Expect("shutdown")
        table.add(f"{disk.kind} broken", disk, lambda disk=disk: leave(disk),
                  broken, Expect("io-error", optional=True), Expect("unmounted", severity="info"),
                  gone=True)
    table.run_all().check()
    for disk in disks[:2]:
        check_free(disk)


def test_found_broken(loopfs, backed, rows):
    """What was wrong before the daemon came is told once, marked initial."""
    disks = [loopfs("ext4", 16, name="emergency"), loopfs("ext4", 16, name="shut"), loopfs("xfs")]
    disks.append(backed("btrfs"))
    damage_ext4(disks[0], options="errors=remount-ro")
    read_error(disks[0].path("damaged"))
    for disk in disks[1:3]:
        shut_down(disk)
    lose_everything(disks[3])
    os.mkdir(disks[3].path("directory"))
    change(disks[3])

    table = rows()
    client = table.client
    wanted = [("read-only", "emergency"), ("shutdown", "shutdown"), ("shutdown", "shutdown"),
              ("read-only", "error")]
    for disk, (code, reason) in zip(disks, wanted):
        path = client.wait_filesystem(disk.where)
        wait_for(lambda path=path, code=code: told(client, path, code), what=f"{code} of {disk.where}")
        assert (client.get("ReadOnly", path), client.get("ReadOnlyReason", path)) == (True, reason)
        assert client.get("State", path) == "error", disk.where
    pause(QUIET)
    for disk, (code, _) in zip(disks, wanted):
        events = told(client, client.find(disk.where), code)
        assert len(events) == 1, events
        assert events[0].details.get("initial") is True, events


def told(client, path, code):
    return [event for event in client.history()[2] if (event.path, event.code) == (path, code)]
