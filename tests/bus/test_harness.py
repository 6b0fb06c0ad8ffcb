# SPDX-License-Identifier: GPL-2.0-or-later
"""The harness itself: what other tests rely on does what it says."""

import os
import subprocess

import pytest

from client import Client
from disks import mountinfo
from rawbus import METHOD_RETURN, RawClient
from waiting import PATIENCE


def test_bus_gives_names_and_answers(bus):
    client = Client(bus.address)
    assert client.unique_name.startswith(":")
    assert client.name_owner() is None
    client.close()


def test_other_users_are_on_the_bus_too(bus, as_user):
    user = as_user(65534)
    name = user.call("GetConnectionUnixUser", "s", user.call("GetNameOwner", "s", "org.freedesktop.DBus",
                     path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
                     destination="org.freedesktop.DBus"), path="/org/freedesktop/DBus",
                     interface="org.freedesktop.DBus", destination="org.freedesktop.DBus")
    assert isinstance(name, int)


def test_raw_client_asks_and_is_answered(bus):
    raw = RawClient(bus.address)
    kind, answer = raw.wait_reply(raw.send(
        "ListNames", path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
        destination="org.freedesktop.DBus"))
    assert kind == METHOD_RETURN
    assert b"org.freedesktop.DBus" in answer
    raw.close()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_disk_fills_and_empties(loopfs, kind, wait_for):
    disk = loopfs(kind, 128)
    before = disk.available()
    disk.fallocate("file", 32 << 20)
    disk.sync()
    assert disk.available() <= before - (32 << 20)
    disk.unlink("file")
    disk.sync()
    wait_for(lambda: disk.available() >= before - (4 << 20), what="the space back")
    major, minor = disk.device()
    assert os.makedev(major, minor) == os.stat(disk.where).st_dev or kind == "btrfs"


def test_disks_are_gone_after_the_test():
    assert not [line for line in mountinfo() if b" /mnt/ext4" in line or b" /mnt/xfs" in line]


def test_fuse_answers_hangs_and_answers_again(fuse, wait_for):
    mounted = fuse(blocks=1000, bavail=10)
    assert os.statvfs(mounted.where).f_bavail == 10
    mounted.figures(bavail=20)
    assert os.statvfs(mounted.where).f_bavail == 20

    mounted.stop()
    asker = subprocess.Popen(["stat", "-f", mounted.where], stdout=subprocess.DEVNULL)
    with pytest.raises(subprocess.TimeoutExpired):
        asker.wait(0.2)
    mounted.cont()
    assert asker.wait(PATIENCE) == 0

    before = mounted.asked()
    mounted.swallow()
    asker = subprocess.Popen(["stat", "-f", mounted.where], stdout=subprocess.DEVNULL)
    wait_for(lambda: mounted.asked() > before)
    asker.kill()
    with pytest.raises(subprocess.TimeoutExpired):
        asker.wait(0.2)
    mounted.answer()
    asker.wait(PATIENCE)
    assert os.statvfs(mounted.where).f_bavail == 20


def test_journal_takes_entries(journal):
    subprocess.run(["logger", "--journald"], input=b"MESSAGE=one\nFSEVENTS_CODE=x\n", check=True)
    assert journal.wait(FSEVENTS_CODE="x")["MESSAGE"] == b"one"
