# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a desktop's mounts do in an hour, and none of it is an alarm.

Images that are full and read-only by nature, live systems' overlays, snaps, what
users mount with any answer to statfs, containers with mount namespaces of
their own, and mounts that come and go by the hundred.
"""

import os
import subprocess

from disks import IMAGES, MOUNTS, MS_BIND, MS_RDONLY, MS_REMOUNT, mount_raw, run, umount_raw
from faults import trigger, use_up_space
from rows import Expect
from waiting import wait_for

MNT_DETACH = 2

# As many of each as a desktop has, or an hour brings.
SNAPS, CYCLES, LONGER, CONTAINERS = 12, 400, 50, 12

HOSTILE = (
    {"blocks": 0, "bfree": 0, "bavail": 0, "files": 0, "ffree": 0},
    {"blocks": 1000, "bfree": 0, "bavail": 0, "files": 1000, "ffree": 0},
    {"blocks": 2**64 - 1, "bfree": 2**64 - 1, "bavail": 2**64 - 1},
    {"blocks": 10, "bfree": 2**63, "bavail": 0, "frsize": 2**32 - 1, "bsize": 2**32 - 1},
    {"blocks": 1000, "bavail": 0, "bsize": 0, "frsize": 0},
)

CONTAINER = """
set -e
mount -t tmpfs -o size=1M container /mnt
mkdir /mnt/root /mnt/data
mount --bind /usr /mnt/root
mount -o remount,bind,ro /mnt/root
mount -t tmpfs -o ro,size=64k secrets /mnt/data
mount -t proc proc /proc
head -c 2M /dev/zero >/mnt/full 2>/dev/null || true
mount --make-rslave /
umount /mnt/data
"""


def squash(scratch):
    """A small image, full as all of its kind."""
    image = os.path.join(IMAGES, "snap.squashfs")
    os.makedirs(IMAGES, exist_ok=True)
    source = os.path.join(scratch, "snap")
    os.mkdir(source)
    with open(os.path.join(source, "file"), "wb") as file:
        file.write(os.urandom(1 << 16))
    run("mksquashfs", source, image, "-noappend", "-quiet", "-no-progress")
    return image


class Desktop:
    """What was mounted, newest last."""

    def __init__(self):
        self.mounts = []

    def mount(self, name, *arguments):
        where = os.path.join(MOUNTS, name)
        os.makedirs(where, exist_ok=True)
        run("mount", *arguments, where)
        self.mounts.append(where)
        return where

    def leave(self):
        for where in reversed(self.mounts):
            umount_raw(where, MNT_DETACH)
        self.mounts.clear()

    def snaps(self, image):
        for number in range(SNAPS):
            self.mount(f"snap{number}", "-t", "squashfs", "-o", "loop,ro,nodev", image)

    def live_system(self, image):
        """A compressed system below, and a layer of memory above."""
        lower = self.mount("lower", "-t", "squashfs", "-o", "loop,ro", image)
        upper = self.mount("upper", "-t", "tmpfs", "-o", "size=256k", "cow")
        for directory in ("upper", "work"):
            os.mkdir(os.path.join(upper, directory))
        self.mount("live", "-t", "overlay", "-o",
                   f"lowerdir={lower},upperdir={upper}/upper,workdir={upper}/work", "overlay")

    def disc(self, disk):
        """A medium that is read-only, as the device below it."""
        os.chmod(disk.image, 0o444)
        self.mount("disc", "-t", "ext4", "-o", "loop,ro", disk.image)

    def come_and_go(self, client):
        where = os.path.join(MOUNTS, "coming")
        os.makedirs(where, exist_ok=True)
        for number in range(CYCLES):
            mount_raw("coming", where, "tmpfs", MS_RDONLY if number % 3 == 0 else 0, "size=64k")
            if number % 5 == 0:
                mount_raw(None, where, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
            if number % LONGER == 0:
                # Most are gone before they are seen.
                wait_for(lambda: client.find(where), what=f"an object for {where}")
            umount_raw(where, MNT_DETACH if number % 2 else 0)

    def bind_and_go(self, disk):
        where = os.path.join(MOUNTS, "bound")
        os.makedirs(where, exist_ok=True)
        for _ in range(CYCLES):
            mount_raw(disk.where, where, None, MS_BIND)
            mount_raw(None, where, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
            umount_raw(where, MNT_DETACH)


def containers():
    running = [subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--", "sh", "-c", CONTAINER],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
               for _ in range(CONTAINERS)]
    for one in running:
        _, said = one.communicate(timeout=60)
        assert one.returncode == 0, said.decode()


def test_an_hour_of_a_desktop(rows, loopfs, fuse, scratch):
    disc = loopfs("ext4", 16, name="disc-image")
    use_up_space(disc)
    disc.umount()
    table = rows("[daemon]\nre-evaluation = 5\n")
    client, desktop = table.client, Desktop()
    home, stick = loopfs("ext4", 64), loopfs("ext4", 64)
    table.add("home", home, lambda: None, State="ok", ErrorCount=0, ReadOnly=False)
    image = squash(scratch)
    try:
        desktop.snaps(image)
        desktop.live_system(image)
        desktop.disc(disc)
        for number, figures in enumerate(HOSTILE):
            fuse(f"user{number}", uid=1000, source=f"/dev/disk{number}", **figures)
            fuse(f"spoof{number}", uid=1000, source="/dev/loop0", **figures)
        desktop.come_and_go(client)
        desktop.bind_and_go(home)
        containers()
        # A stick that is pulled while files on it are open; a disk that is frozen for a snapshot.
        with open(stick.path("open"), "wb"):
            stick.umount("--lazy")
        home.freeze()
        home.thaw()
        # Two more periods of re-evaluation than none.
        table.run_all()
        table.run_all()
        table.check()
        told = {e.code for e in client.events()}
        print(f"{len(client.events())} events of mounts: {sorted(told)}")
        assert told <= {"mounted", "unmounted"}, [
            e for e in client.events() if e.code not in ("mounted", "unmounted")]
        objects = client.filesystems()
        for properties in objects.values():
            assert properties["State"] in ("ok", "unknown"), properties
        assert "squashfs" not in {f["Type"] for f in objects.values()}

        # In all that, what is true is still told.
        table.rows.clear()
        table.add("at last", home, lambda: trigger(home), Expect("corrupted"), ErrorCount=1)
        table.run_all().check()
    finally:
        desktop.leave()


def test_a_full_image_that_is_asked_for(rows, loopfs, scratch):
    """A section may bring in what is left alone otherwise; being full is its nature even then."""
    desktop = Desktop()
    table = rows("[filesystem type:squashfs]\nignore = no\nthreshold = none\n")
    try:
        desktop.snaps(squash(scratch))
        path = wait_for(lambda: table.client.find(desktop.mounts[0]))
        assert table.client.get("ReadOnlyReason", path) == "admin"
        disk = loopfs("ext4", 16)
        table.add("the only one", disk, lambda: trigger(disk), Expect("corrupted"))
        table.run_all().check()
        assert {e.code for e in table.client.events()} <= {"mounted", "unmounted", "corrupted"}
    finally:
        desktop.leave()
