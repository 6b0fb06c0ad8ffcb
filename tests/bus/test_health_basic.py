# SPDX-License-Identifier: GPL-2.0-or-later
"""Health, the outline: each way by which the daemon learns something, once. tests/health has the rest."""

import errno
import os
import subprocess

import pytest

from disks import MS_RDONLY, MS_REMOUNT, mount_raw

pytestmark = pytest.mark.buses("dbus-broker")

EUCLEAN = 117


def loop_of(disk):
    return f"loop{disk.device()[1]}"


def remount(disk, flags):
    mount_raw("none", disk.where, "none", MS_REMOUNT | flags)


def wait_property(client, wait_for, path, name, value):
    wait_for(lambda: client.get(name, path) == value, what=f"{name} {value}")


def test_error_that_the_kernel_reports(daemon, client, as_user, loopfs, wait_for):
    disk = loopfs("ext4", 32)
    daemon()
    path = client.wait_filesystem(disk.where)
    wait_for(lambda: client.get("Sources").get("errors") == "fanotify", what="error marks")
    with open(f"/sys/fs/ext4/{loop_of(disk)}/trigger_fs_error", "w", encoding="ascii") as trigger:
        trigger.write("test")
    event = client.wait_event("corrupted", path)
    assert event.severity == "critical" and event.details["type"] == "ext4"
    assert event.details["source"] in ("fanotify", "ext4")
    assert event.details["error"] == errno.errorcode[event.data]
    assert not {"inode", "path"} & set(event.details)
    wait_property(client, wait_for, path, "State", "error")
    assert client.get("ErrorCount", path) == 1
    assert client.get("ReadOnly", path) is False
    assert client.get("LastEvent", path)[2] == "corrupted"
    assert as_user(1).get("State", path) == "error"


def test_remount_and_back(daemon, client, loopfs, wait_for):
    disk = loopfs("ext4", 32)
    daemon()
    path = client.wait_filesystem(disk.where)
    remount(disk, MS_RDONLY)
    event = client.wait_event("read-only", path)
    assert (event.severity, event.details["reason"]) == ("notice", "admin")
    assert client.get("ReadOnly", path) is True
    assert client.get("ReadOnlyReason", path) == "admin"
    assert client.get("State", path) == "ok"
    remount(disk, 0)
    event = client.wait_event("read-write", path)
    assert event.severity == "notice"
    assert client.get("ReadOnly", path) is False
    assert client.get("ReadOnlyReason", path) == ""


def test_shutdown_of_xfs(daemon, client, loopfs, wait_for):
    disk = loopfs("xfs", 300)
    daemon("[daemon]\nre-evaluation = 5\n")
    path = client.wait_filesystem(disk.where)
    subprocess.run(["xfs_io", "-x", "-c", "shutdown", disk.where], check=True)
    event = client.wait_event("shutdown", path)
    assert event.severity == "critical"
    wait_property(client, wait_for, path, "State", "error")
    assert client.get("ReadOnlyReason", path) == "shutdown"


def test_nothing_left(daemon, client, loopfs, wait_for):
    disk = loopfs("tmpfs", 16)
    daemon()
    path = client.wait_filesystem(disk.where)
    assert "enospc" in client.get("Capabilities", path)
    assert "corrupted" not in client.get("Capabilities", path)
    with pytest.raises(OSError):
        with open(disk.path("all"), "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
    event = client.wait_event("enospc", path)
    assert event.severity == "critical" and event.details["source"] == "statfs"
    wait_property(client, wait_for, path, "State", "full")
    os.unlink(disk.path("all"))
    wait_property(client, wait_for, path, "State", "ok")


def test_what_a_process_writes_to_the_log_of_the_kernel(daemon, client, loopfs, wait_for):
    disk = loopfs("ext4", 32)
    daemon("[daemon]\nre-evaluation = 5\n")
    path = client.wait_filesystem(disk.where)
    if client.get("Sources")["kernel-messages"] == "none":
        pytest.skip("/dev/kmsg cannot be read here")
    before = client.get("Statistics")["kmsg-foreign"]
    with open("/dev/kmsg", "w", encoding="ascii") as log:
        log.write(f"<0>EXT4-fs error (device {loop_of(disk)}): ext4_lookup:1: inode #12: forged\n")
    wait_for(lambda: client.get("Statistics")["kmsg-foreign"] > before, what="the forged line")
    remount(disk, MS_RDONLY)
    client.wait_event("read-only", path)
    assert not client.events("corrupted", path)
    assert client.get("ErrorCount", path) == 0


def test_sources_that_are_switched_off(daemon, client, loopfs):
    disk = loopfs("xfs", 300)
    daemon("[daemon]\nsources = gate,mount-events\n")
    path = client.wait_filesystem(disk.where)
    sources = client.get("Sources")
    assert [sources[name] for name in ("errors", "kernel-messages", "block")] == ["none"] * 3
    assert not {"corrupted", "io-error", "writeback-error"} & set(client.get("Capabilities", path))
    assert "shutdown" in client.get("Capabilities", path)
