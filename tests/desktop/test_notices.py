# SPDX-License-Identifier: GPL-2.0-or-later
"""Events of the real daemon, and what the agent asks a notification service for."""

from waiting import wait_for

LOW, NORMAL, CRITICAL = 0, 1, 2
LEVELS = """threshold = hint space 80% info hysteresis 5%
threshold = low space 50% warning hysteresis 5%
threshold = critical space 20% critical hysteresis 5%
"""


def fill(disk, percent, name):
    """So much of what is available now is taken by one more file."""
    disk.fallocate(name, disk.available() * percent // 100)


def test_one_notice_that_worsens_and_ends(daemon, client, loopfs, notifications, agent):
    """Each severity has its urgency; the same notice says the next; and it is taken back."""
    shown, disk = notifications(), loopfs("ext4", 64)
    daemon(f"[filesystem {disk.where}]\n{LEVELS}")
    path = client.wait_filesystem(disk.where)
    agent()

    fill(disk, 25, "one")
    client.wait_event("threshold-below", path, name="hint")
    replaces, title, body, keys, urgency = shown.wait(1)
    assert (replaces, title, urgency) == (0, "Disk space is low", LOW)
    assert disk.where in body and keys == ["default", "open", "mute"]

    fill(disk, 50, "two")
    replaces, title, body, _, urgency = shown.wait(2)
    assert (replaces, title, urgency) == (1, "Disk space is low", NORMAL)
    assert "threshold low" in body

    fill(disk, 90, "three")
    replaces, _, body, _, urgency = shown.wait(3)
    assert (replaces, urgency) == (1, CRITICAL)
    assert "threshold critical" in body

    for name in ("one", "two", "three"):
        disk.unlink(name)
    assert shown.wait_calls("CloseNotification", 1) == [[1]]


def test_tests_are_marked(daemon, client, loopfs, notifications, agent):
    shown, disk = notifications(), loopfs("ext4", 64)
    daemon(f"[filesystem {disk.where}]\n")
    path = client.wait_filesystem(disk.where)
    agent()
    client.call("EmitTestEvent", "osa{sv}", path, "corrupted", {})
    replaces, title, body, _, urgency = shown.wait(1)
    assert (replaces, title, urgency) == (0, "Test: Filesystem has errors", CRITICAL)
    assert body.startswith("Test: ")


def test_open_and_mute(daemon, client, loopfs, notifications, file_manager, agent):
    """Open shows the folder in the file manager; Mute ends what is told of the filesystem."""
    disk, other = loopfs("ext4", 64, name="a%b"), loopfs("ext4", 64)
    shown = notifications()
    daemon(f"[filesystem {disk.where}]\n{LEVELS}[filesystem {other.where}]\n{LEVELS}")
    path = client.wait_filesystem(disk.where)
    client.wait_filesystem(other.where)
    running = agent()
    fill(disk, 60, "one")
    shown.wait(1)
    shown.act(1, "open")
    assert file_manager.wait() == [["file:///mnt/a%25b"], "token-1"]

    # What was sent away is told again as soon as it is worse.
    fill(disk, 90, "two")
    shown.wait(2)
    shown.act(2, "mute")
    wait_for(lambda: disk.where in (running.file("muted") or ""), what="the list of what is muted")
    disk.unlink("two")
    client.wait_event("threshold-above", path, name="critical")
    fill(disk, 90, "two")
    fill(other, 60, "one")
    _, _, body, _, _ = shown.wait(3)
    assert other.where in body and disk.where not in body
