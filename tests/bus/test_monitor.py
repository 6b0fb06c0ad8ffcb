# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a monitored filesystem: born, configured, reloaded, stalled, read-only, gone."""

import os
import subprocess

import pytest

from client import BusError, FILESYSTEM, MANAGER, variant
from disks import MIB, MS_BIND, MS_RDONLY, MS_REMOUNT, mount_raw, umount_raw

pytestmark = pytest.mark.buses("dbus-broker")


def names(client, path):
    return [threshold[0] for threshold in client.get("Thresholds", path)]


@pytest.fixture
def disk_links():
    """link(kind, name, device): as udev makes them in /dev/disk, which is the test's alone."""
    made = not os.path.isdir("/dev/disk")
    if made:
        os.mkdir("/dev/disk")
    mount_raw("links", "/dev/disk", "tmpfs", 0, "size=1M")

    def link(kind, name, device):
        os.makedirs(f"/dev/disk/by-{kind}", exist_ok=True)
        os.symlink(device, f"/dev/disk/by-{kind}/{name}")

    yield link
    umount_raw("/dev/disk")
    if made:
        os.rmdir("/dev/disk")


def loop_of(disk):
    return f"/dev/loop{disk.device()[1]}"


def test_block_size_is_known_when_the_object_appears(daemon, client, loopfs):
    daemon()
    disk = loopfs("ext4", 32)
    path = client.wait_filesystem(disk.where)
    added = client.wait_signal("InterfacesAdded", predicate=lambda s: s.args[0] == path)
    properties = added.args[1][FILESYSTEM]
    assert properties["BlockSize"] == os.statvfs(disk.where).f_frsize
    assert properties["State"] == "ok"
    assert all(level for _, _, level, _, _ in properties["Thresholds"])


def test_what_a_reload_brings_in_was_not_mounted(daemon, client, loopfs, wait_for):
    disk = loopfs("tmpfs", 16)
    running = daemon(f"[filesystem {disk.where}]\nignore = yes\n")
    assert client.find(disk.where) is None
    running.configure("")
    running.hangup()
    path = client.wait_filesystem(disk.where)
    client.usage(path)
    assert not client.events("mounted", path)

    running.configure(f"[filesystem {disk.where}]\nignore = yes\n")
    running.hangup()
    wait_for(lambda: client.find(disk.where) is None)
    assert not client.events("unmounted", path)


def test_reload_looks_names_of_disks_up(daemon, client, loopfs, disk_links, wait_for):
    disk = loopfs("ext4", 32)
    disk_links("uuid", "1234-ABCD", loop_of(disk))
    disk_links("label", "a\\x20label", loop_of(disk))
    running = daemon()
    path = client.wait_filesystem(disk.where)
    assert "low" in names(client, path)

    running.configure("[filesystem uuid:1234-abcd]\nthreshold = by-uuid space 1M\n")
    running.hangup()
    wait_for(lambda: names(client, path) == ["by-uuid"])

    running.configure("[filesystem label:a\\040label]\nthreshold = by-label space 1M\n")
    running.hangup()
    wait_for(lambda: names(client, path) == ["by-label"])
    assert not client.events("threshold-below", path)

    running.configure("[filesystem label:a\\040label]\nignore = yes\n")
    running.hangup()
    wait_for(lambda: client.find(disk.where) is None)


def test_device_section_holds_for_one_plugged_in_later(daemon, client, loopfs, disk_links):
    disk = loopfs("ext4", 32)
    loop = loop_of(disk)
    daemon("[filesystem device:/dev/disk/by-id/later]\nthreshold = by-device space 1M\n")
    path = client.wait_filesystem(disk.where)
    assert "low" in names(client, path)
    disk.umount()
    client.wait_event("unmounted", path)

    # Detached with the umount: the next one may be another.
    disk.mount()
    loop = loop_of(disk)
    disk.umount()
    subprocess.run(["losetup", loop, disk.image], check=True)
    try:
        disk_links("id", "later", loop)
        mount_raw(loop, disk.where, "ext4")
        disk.mounted = True
        path = client.wait_filesystem(disk.where)
        assert names(client, path) == ["by-device"]
        disk.umount()
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)


def test_two_hangups_in_a_row_take_the_last_files(daemon, client, loopfs, wait_for):
    disk = loopfs("tmpfs", 16)
    running = daemon()
    path = client.wait_filesystem(disk.where)
    for number in range(10):
        running.configure(f"[filesystem {disk.where}]\nthreshold = n{number} space 1M\n")
        running.hangup()
    wait_for(lambda: names(client, path) == ["n9"])
    running.wait_ready()


def test_read_only_mount_of_a_writable_filesystem_alarms(daemon, client, loopfs):
    disk = loopfs("tmpfs", 16, name="the-writable-one")
    os.makedirs("/mnt/r", exist_ok=True)
    mount_raw(disk.where, "/mnt/r", None, MS_BIND)
    mount_raw(None, "/mnt/r", None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    try:
        daemon("[filesystem /mnt/r]\nthreshold = half space 8M\n")
        path = client.wait_filesystem("/mnt/r")
        assert client.get("Where", path) == "/mnt/r"
        assert client.get("ReadOnly", path) is False
        disk.fallocate("file", 12 * MIB)
        client.wait_event("threshold-below", path, name="half")
    finally:
        umount_raw("/mnt/r")


def test_read_only_never_alarms_and_writable_again_does(daemon, client, loopfs):
    disk = loopfs("ext4", 32)
    disk.fallocate("file", disk.available() - 4 * MIB)
    mount_raw("none", disk.where, "ext4", MS_REMOUNT | MS_RDONLY)
    daemon(f"[filesystem {disk.where}]\nthreshold = some space 8M critical\n")
    path = client.wait_filesystem(disk.where)
    client.usage(path)
    assert client.get("State", path) == "ok"
    assert client.get("Thresholds", path)[0][2] == 8 * MIB
    assert not client.get("Crossed", path)

    mount_raw("none", disk.where, "ext4", MS_REMOUNT)
    client.wait_event("threshold-below", path, name="some")
    assert client.get("State", path) == "critical"


def test_events_that_waited_for_their_ids_are_the_last_event(daemon, client, loopfs):
    disk = loopfs("tmpfs", 16)
    disk.fallocate("file", 12 * MIB)
    daemon(f"[filesystem {disk.where}]\nthreshold = half space 8M\n")
    path = client.wait_filesystem(disk.where)
    told = client.wait_event("threshold-below", path)
    assert told.details["initial"] is True
    last = client.get("LastEvent", path)
    assert last[0] == told.id
    assert last[2:4] == ("threshold-below", "warning")


def test_an_event_that_was_not_selected_is_not_the_last_one(daemon, client, loopfs):
    disk = loopfs("tmpfs", 16)
    daemon(f"[filesystem {disk.where}]\nevents = none\nthreshold = half space 8M\n")
    path = client.wait_filesystem(disk.where)
    assert client.get("LastEvent", path)[0] == 0
    disk.fallocate("file", 12 * MIB)
    client.wait_signal("PropertiesChanged", path,
                       predicate=lambda s: s.args[1].get("Crossed") == ["half"])
    assert client.get("LastEvent", path)[0] == 0
    assert not client.events("threshold-below", path)


def test_events_of_an_earlier_run_are_of_no_filesystem_of_this_one(daemon, client, loopfs):
    disk = loopfs("tmpfs", 16)
    first = daemon()
    path = client.wait_filesystem(disk.where)
    client.call("EmitTestEvent", "osa{sv}", path, "enospc", {})
    told = client.wait_event("enospc", path)
    first.stop()

    daemon(state=first.state)
    path = client.wait_filesystem(disk.where)
    assert told.id not in [e.id for e in client.history(filesystem=variant("o", path))[2]]
    former = [e for e in client.history()[2] if e.id == told.id]
    assert former and former[0].path.endswith("_0")
    assert former[0].path not in client.objects()


def test_what_is_set_at_run_time_is_in_the_log(daemon, client, loopfs):
    disk = loopfs("tmpfs", 16)
    running = daemon()
    path = client.wait_filesystem(disk.where)
    client.call("Configure", "sa{sv}", f"{disk.where} T 100 50", {}, interface=MANAGER)
    running.wait_stderr(f"Configured at run time: {disk.where} T 100 50")
    client.call("SetEvents", "asa{sv}", ["stalled"], {}, path=path, interface=FILESYSTEM)
    running.wait_stderr(f"Events were selected at run time: {disk.where}")
    client.call("SetThresholds", "a(sstts)a{sv}", [("x", "space", MIB, 0, "info")], {},
                path=path, interface=FILESYSTEM)
    running.wait_stderr(f"Thresholds were set at run time: {disk.where}")


def test_a_server_that_dies_has_answered(daemon, client, fuse, wait_for):
    mounted = fuse()
    daemon()
    path = client.wait_filesystem(mounted.where)
    mounted.swallow()
    client.wait_event("stalled", path)
    os.kill(mounted.pid, 9)
    client.wait_event("responding", path)
    assert client.get("State", path) == "unknown"
    with pytest.raises(BusError) as refused:
        client.usage(path)
    assert refused.value.name == "org.freedesktop.DBus.Error.FileNotFound"


def test_one_that_takes_no_writes_still_has_figures(daemon, client, loopfs):
    disk = loopfs("ext4", 32, name="state")
    directory = os.path.join(disk.where, "fsevents")
    os.mkdir(directory, 0o700)
    daemon(state=directory)
    path = client.wait_filesystem(disk.where)
    disk.freeze()
    try:
        client.call("EmitTestEvent", "osa{sv}", path, "enospc", {})
        event = client.wait_event("stalled", path)
        assert event.details["operation"] == "write"
        assert client.get("State", path) == "stalled"
        assert client.usage(path)["blocks"]
        assert client.get("State", path) == "stalled", "statfs answered, writes did not"
    finally:
        disk.thaw()
    client.wait_event("responding", path)
    assert client.get("State", path) == "ok"
    assert len(client.events("stalled", path)) == 1


def test_many_alarms_and_an_end_at_once(daemon, client, loopfs):
    disks = [loopfs("tmpfs", 16, name=f"alarm{number}") for number in range(12)]
    running = daemon("[filesystem type:tmpfs]\n" + "".join(
        f"threshold = n{number} space {number + 1}M\n" for number in range(8)))
    for disk in disks:
        client.wait_filesystem(disk.where)
    for disk in disks:
        disk.fallocate("file", disk.available())
    for disk in disks:
        client.wait_event("threshold-below", name="n0", where=disk.where.encode())
    running.stop()
