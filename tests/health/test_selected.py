# SPDX-License-Identifier: GPL-2.0-or-later
"""Each code is chosen by itself, and what is promised is what can come."""

from client import FILESYSTEM
from faults import damage_ext4, read_error, remount, shut_down, trigger, use_up_inodes
from rows import Expect

DAMAGE = {"corrupted", "io-error"}
LEVELS = {"enospc", "threshold-below", "threshold-above", "read-only", "read-write", "mounted",
          "unmounted", "stalled", "responding"}


def test_by_the_configuration(rows, loopfs):
    """Of the same failures, each disk tells what it was asked for; the state is true in any case."""
    disks = [loopfs("ext4", 16, name=name) for name in ("corrupted", "read-only", "none")]
    config = "".join(f"[filesystem {disk.where}]\nevents = {disk.where.rsplit('/', 1)[1]}\n"
                     for disk in disks)
    for disk in disks:
        damage_ext4(disk, options="errors=remount-ro")
    table = rows(config)
    state = {"ReadOnly": True, "ReadOnlyReason": "emergency", "State": "error", "ErrorCount": 1}
    expected = [[Expect("corrupted")], [Expect("read-only", reason="emergency")], []]
    for disk, events in zip(disks, expected):
        table.add(disk.where, disk, lambda disk=disk: read_error(disk.path("damaged")) and None,
                  *events, **state)
    table.run_all().check()


def test_at_run_time(rows, loopfs):
    table = rows()
    disk = loopfs("ext4", 16)
    row = table.add("SetEvents", disk, lambda: trigger(disk), ErrorCount=1, State="error")
    table.client.call("SetEvents", "asa{sv}", ["read-only", "read-write"], {}, path=row.path,
                      interface=FILESYSTEM)
    table.run_all().check()
    table.rows.clear()
    table.add("remounted", disk, lambda: remount(disk, "ro"),
              Expect("read-only", severity="notice", reason="admin"))
    table.run_all().check()


def test_capabilities_are_honest(rows, loopfs):
    """By type and by the sources that there are."""
    table = rows()
    capable = {}
    for disk in (loopfs("ext4", 16), loopfs("xfs"), loopfs("btrfs"), loopfs("tmpfs", 8)):
        path = table.client.wait_filesystem(disk.where)
        capable[disk.kind] = set(table.client.get("Capabilities", path))
        assert LEVELS <= capable[disk.kind], disk.kind
        # Nobody is told of it by a stock kernel.
        assert not {"frozen", "thawed"} & capable[disk.kind], disk.kind
    for kind in ("ext4", "xfs", "btrfs"):
        assert DAMAGE | {"writeback-error"} <= capable[kind], kind
    assert "shutdown" in capable["ext4"] & capable["xfs"] and "shutdown" not in capable["btrfs"]
    assert "enospc-metadata" in capable["btrfs"] - capable["ext4"] - capable["xfs"]
    assert "enospc-inodes" in capable["ext4"] & capable["xfs"] & capable["tmpfs"] - capable["btrfs"]
    assert not (DAMAGE | {"writeback-error", "shutdown", "enospc-metadata"}) & capable["tmpfs"]


def test_without_the_sources(rows, loopfs):
    """Looking alone finds what can be looked at, and Capabilities promise no more than that."""
    ext4, xfs = loopfs("ext4", 16), loopfs("xfs")
    inodes = loopfs("ext4", 16, name="inodes", mkfs=("-N", "1000"))
    damage_ext4(ext4, options="errors=remount-ro")
    table = rows("[daemon]\nsources = none\nre-evaluation = 5\n[filesystem *]\nthreshold = none\n")
    print(table.client.get("Sources"))
    aim = {"aim": 25.0}
    table.add("ext4 by looking", ext4, lambda: read_error(ext4.path("damaged")) and None,
              Expect("corrupted"), Expect("read-only", reason="emergency"),
              ReadOnly=True, ReadOnlyReason="emergency", State="error", **aim)
    table.add("xfs by looking", xfs, lambda: shut_down(xfs), Expect("shutdown", sources={"root"}),
              ReadOnly=True, ReadOnlyReason="shutdown", State="error", **aim)
    table.add("inodes by looking", inodes, lambda: use_up_inodes(inodes) and None,
              Expect("enospc-inodes"), State="full", **aim)
    for row in table.rows[:2]:
        assert "writeback-error" not in row.capabilities
    table.run_all(after_each=False).check()
