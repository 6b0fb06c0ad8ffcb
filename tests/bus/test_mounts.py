# SPDX-License-Identifier: GPL-2.0-or-later
"""One object per superblock, whatever is done with its mounts."""

import os
import subprocess

import pytest

from client import BusError
from disks import MS_BIND, MS_RDONLY, MS_REMOUNT, mount_raw, mountinfo, run, umount_raw

MNT_DETACH = 2


@pytest.fixture
def started(daemon, client):
    daemon()
    return client


def mounts_of(client, path):
    return set(client.get("MountPoints", path))


def test_mount_makes_an_object_and_umount_takes_it(started, loopfs, wait_for):
    client = started
    disk = loopfs("ext4", 32)
    path = client.wait_filesystem(disk.where)
    client.wait_event("mounted", path, where=disk.where.encode())
    client.wait_signal("InterfacesAdded", predicate=lambda s: s.args[0] == path)
    properties = client.get_all(path)
    major, minor = disk.device()
    assert (properties["Major"], properties["Minor"]) == (major, minor)
    assert path.startswith(f"/org/fsevents1/filesystem/{major}_{minor}_")
    assert properties["Type"] == "ext4"
    assert properties["Source"] == f"/dev/loop{minor}"
    assert properties["Where"] == disk.where
    assert properties["MountPoints"] == [disk.where.encode()]
    assert properties["BlockSize"] == os.statvfs(disk.where).f_frsize
    assert (properties["ReadOnly"], properties["ReadOnlyReason"]) == (False, "")
    assert properties["State"] == "ok"

    disk.umount()
    client.wait_event("unmounted", path)
    client.wait_signal("InterfacesRemoved", predicate=lambda s: s.args[0] == path)
    assert path not in client.objects()
    with pytest.raises(BusError):
        client.usage(path)


def test_bind_mounts_are_one_object(started, loopfs, wait_for):
    client = started
    disk = loopfs("ext4", 32)
    path = client.wait_filesystem(disk.where)
    os.mkdir(disk.path("sub"))
    os.makedirs("/mnt/bound", exist_ok=True)
    mount_raw(disk.path("sub"), "/mnt/bound", None, MS_BIND)
    wait_for(lambda: mounts_of(client, path) == {disk.where.encode(), b"/mnt/bound"})
    assert client.find("/mnt/bound") == path

    disk.umount()
    wait_for(lambda: mounts_of(client, path) == {b"/mnt/bound"})
    assert client.get("Where", path) == "/mnt/bound"
    assert not client.events("unmounted", path)
    assert client.usage(path)["blocks"]

    umount_raw("/mnt/bound")
    client.wait_event("unmounted", path)
    wait_for(lambda: path not in client.objects())


def test_a_second_mount_of_the_device_is_the_same_object(started, loopfs, wait_for):
    client = started
    disk = loopfs("ext4", 32)
    path = client.wait_filesystem(disk.where)
    os.makedirs("/mnt/second", exist_ok=True)
    run("mount", "-t", "ext4", client.get("Source", path), "/mnt/second")
    wait_for(lambda: client.find("/mnt/second") == path)
    umount_raw("/mnt/second")
    wait_for(lambda: client.find("/mnt/second") is None)
    assert client.find(disk.where) == path


def test_btrfs_subvolumes_are_one_object(started, loopfs, wait_for):
    client = started
    disk = loopfs("btrfs", 128)
    path = client.wait_filesystem(disk.where)
    run("btrfs", "subvolume", "create", disk.path("volume"))
    os.makedirs("/mnt/volume", exist_ok=True)
    run("mount", "-t", "btrfs", "-o", "subvol=volume", client.get("Source", path), "/mnt/volume")
    wait_for(lambda: client.find("/mnt/volume") == path)
    umount_raw("/mnt/volume")
    wait_for(lambda: client.find("/mnt/volume") is None)


def test_overmounted_is_not_taken_for_the_one_above(started, loopfs, wait_for):
    client = started
    lower = loopfs("ext4", 64)
    path = client.wait_filesystem(lower.where)
    blocks = client.usage(path)["blocks"]
    mount_raw("above", lower.where, "tmpfs", 0, "size=1M")
    upper = wait_for(lambda: next((p for p, f in client.filesystems().items()
                                   if f["Type"] == "tmpfs" and f["Source"] == "above"), None))
    assert upper != path
    try:
        assert client.usage(path)["blocks"] == blocks
    except BusError as error:
        assert error.name.endswith((".FileNotFound", ".NotSupported", ".Stalled"))
    assert client.usage(upper)["blocks"] != blocks
    umount_raw(lower.where)
    wait_for(lambda: upper not in client.objects())
    assert client.usage(path)["blocks"] == blocks


def test_lazy_umount_and_mount_again_is_another_object(started, loopfs, wait_for):
    client = started
    disk = loopfs("ext4", 32)
    path = client.wait_filesystem(disk.where)
    with open(disk.path("held"), "wb"):
        umount_raw(disk.where, MNT_DETACH)
        client.wait_event("unmounted", path)
        wait_for(lambda: path not in client.objects())
    disk.mount()
    again = client.wait_filesystem(disk.where)
    assert again != path


@pytest.mark.parametrize("name", [
    b"new\nline", b"tab\tspace \\ backslash", b"\xff\xfe\x80", b"esc\x1b[31m", b"quote\"'<&>;!",
    "r\u202eight".encode(), "\u00fcml\u00e4ut".encode(),
])
def test_names_are_bytes(started, wait_for, name):
    client = started
    where = b"/mnt/" + name
    os.makedirs(where, exist_ok=True)
    mount_raw(b"named", where, "tmpfs", 0, "size=1M")
    path = client.wait_filesystem(where)
    shown = client.get("Where", path)
    assert shown.isprintable() and "\u202e" not in shown
    assert client.get("MountPoints", path) == [where]
    escaped = "".join(chr(c) if 0x21 <= c < 0x7f and c != 0x5c else f"\\{c:03o}" for c in where)
    assert client.call("GetFilesystem", "s", escaped) == path
    assert client.call("GetFilesystem", "s", escaped + "/below/it") == path
    event = client.wait_event("mounted", path)
    assert event.where == where
    umount_raw(where)
    client.wait_event("unmounted", path)


def test_source_text_is_escaped(started, wait_for):
    client = started
    os.makedirs("/mnt/source", exist_ok=True)
    mount_raw(b"so\nur\xffce\x1b", "/mnt/source", "tmpfs", 0, "size=1M")
    path = client.wait_filesystem("/mnt/source")
    assert client.get("Source", path) == "so\\012ur\\377ce\\033"
    umount_raw("/mnt/source")


def test_remount_read_only_and_back(started, loopfs, wait_for):
    client = started
    disk = loopfs("ext4", 32)
    path = client.wait_filesystem(disk.where)
    mount_raw("none", disk.where, "ext4", MS_REMOUNT | MS_RDONLY)
    wait_for(lambda: client.get("ReadOnly", path))
    assert client.get("ReadOnlyReason", path) == "admin"
    assert client.get("State", path) == "ok", "read-only by the administrator never alarms"
    client.wait_signal("PropertiesChanged", path, predicate=lambda s: s.args[1].get("ReadOnly"))
    mount_raw("none", disk.where, "ext4", MS_REMOUNT)
    wait_for(lambda: not client.get("ReadOnly", path))
    assert client.get("ReadOnlyReason", path) == ""


def test_read_only_bind_mount_is_no_read_only_filesystem(started, loopfs, wait_for):
    client = started
    disk = loopfs("ext4", 32)
    path = client.wait_filesystem(disk.where)
    os.makedirs("/mnt/ro", exist_ok=True)
    mount_raw(disk.where, "/mnt/ro", None, MS_BIND)
    mount_raw(None, "/mnt/ro", None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    wait_for(lambda: client.find("/mnt/ro") == path)
    assert client.get("ReadOnly", path) is False
    umount_raw("/mnt/ro")


def test_anonymous_number_used_again_is_another_object(started, wait_for):
    client = started
    os.makedirs("/mnt/anonymous", exist_ok=True)
    mount_raw("first", "/mnt/anonymous", "tmpfs", 0, "size=1M")
    first = client.wait_filesystem("/mnt/anonymous")
    generation = client.get("Generation", first)
    umount_raw("/mnt/anonymous")
    mount_raw("second", "/mnt/anonymous", "tmpfs", 0, "size=2M")
    second = wait_for(lambda: next((p for p, f in client.filesystems().items()
                                    if f["Source"] == "second"), None))
    assert second != first
    assert client.get("Generation", second) != generation
    with pytest.raises(BusError) as refused:
        client.call("SetThresholds", "a(sstts)a{sv}", [], {}, path=first,
                    interface="org.fsevents1.Filesystem")
    assert refused.value.name == "org.freedesktop.DBus.Error.UnknownObject"
    umount_raw("/mnt/anonymous")


def test_umount_never_fails_because_of_the_daemon(started, loopfs, wait_for):
    client = started
    disk = loopfs("ext4", 32, mount=False)
    failures = 0
    for number in range(60):
        disk.mount()
        if number % 4 == 0:
            client.wait_filesystem(disk.where)
        failures += subprocess.run(["umount", disk.where], check=False,
                                   stderr=subprocess.DEVNULL).returncode != 0
        if failures:
            subprocess.run(["umount", "--lazy", disk.where], check=False)
    disk.mounted = False
    assert failures == 0


def test_a_storm_of_mounts_ends_in_the_kernels_table(started, wait_for):
    client = started
    wanted = set()
    for number in range(300):
        where = f"/mnt/storm{number % 40}"
        os.makedirs(where, exist_ok=True)
        if where.encode() in wanted:
            umount_raw(where)
            wanted.discard(where.encode())
        else:
            mount_raw(f"storm{number}", where, "tmpfs", 0, "size=1M")
            wanted.add(where.encode())

    def table():
        return {point for f in client.filesystems().values() for point in f["MountPoints"]
                if point.startswith(b"/mnt/storm")}

    wait_for(lambda: table() == wanted, what="the table of the kernel")
    in_kernel = {line.split(b" ")[4] for line in mountinfo() if b" /mnt/storm" in line}
    assert table() == in_kernel
    for where in wanted:
        umount_raw(where)
    wait_for(lambda: not table())


def test_mounts_of_users_and_pseudo_filesystems_have_no_object(started, fuse, loopfs, wait_for):
    client = started
    mounted = fuse("users", uid=1000)
    before = mounted.asked()
    os.makedirs("/run/below", exist_ok=True)
    mount_raw("below", "/run/below", "tmpfs", 0, "size=1M")
    disk = loopfs("tmpfs", 1, name="after")
    client.wait_filesystem(disk.where)
    points = {point for f in client.filesystems().values() for point in f["MountPoints"]}
    assert not points & {b"/mnt/users", b"/proc", b"/sys", b"/run", b"/run/below", b"/dev/pts"}
    assert b"/" in points
    assert mounted.asked() == before, "a user's filesystem was asked"
    umount_raw("/run/below")


def test_a_configured_user_mount_has_one(daemon, client, fuse):
    mounted = fuse("wanted", uid=1000)
    daemon(f"[filesystem {mounted.where}]\nignore = no\n")
    path = client.wait_filesystem(mounted.where)
    assert client.usage(path)["blocks"]


@pytest.mark.parametrize("figures", [
    {"blocks": 0, "bfree": 0, "bavail": 0, "files": 0, "ffree": 0},
    {"frsize": 0, "bsize": 0},
    {"blocks": 2**64 - 1, "bfree": 2**64 - 1, "bavail": 2**64 - 1, "files": 2**64 - 1,
     "ffree": 2**64 - 1},
    {"blocks": 1, "bfree": 2**63, "bavail": 2**63},
    {"blocks": 2**63, "bfree": 2, "bavail": 1, "frsize": 2**31},
])
def test_hostile_figures_do_no_harm(daemon, client, fuse, figures):
    mounted = fuse("hostile", **figures)
    running = daemon()
    path = client.wait_filesystem(mounted.where)
    try:
        client.usage(path)
    except BusError:
        pass
    assert client.get("State", path) in ("ok", "unknown", "warning", "critical", "full")
    if figures.get("blocks") == 0 or figures.get("frsize") == 0:
        assert client.get("State", path) in ("ok", "unknown")
        assert not client.events("threshold-below", path)
    assert running.running()
