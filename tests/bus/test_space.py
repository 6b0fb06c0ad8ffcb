# SPDX-License-Identifier: GPL-2.0-or-later
"""Thresholds of space and inodes on real filesystems that fill and empty."""

import os
import time

import pytest

from waiting import check_took

MIB = 1 << 20
KINDS = ("ext4", "xfs", "btrfs", "tmpfs")
SHARES = {"t1": 80, "t2": 60, "t3": 40, "t4": 20, "t5": 10}
HYSTERESIS = 4 * MIB



def five(disk, resource="space"):
    """A configuration with five thresholds, as shares of what is available now."""
    available = disk.available()
    levels = {name: available * share // 100 // MIB * MIB for name, share in SHARES.items()}
    lines = [f"threshold = {name} {resource} {level} warning hysteresis {HYSTERESIS}"
             for name, level in levels.items()]
    return f"[filesystem {disk.where}]\n" + "\n".join(lines) + "\n", levels


@pytest.fixture
def setup(daemon, client, loopfs):
    def make(kind, size_mb=300, **kwargs):
        disk = loopfs(kind, size_mb, **kwargs)
        config, levels = five(disk)
        running = daemon(config)
        path = client.wait_filesystem(disk.where)
        return running, disk, path, levels
    return make


def names(client, code, path):
    return [event.name for event in client.events(code, path)]


def check_below(client, path, levels):
    """All five told, in order, once each, with figures that are true."""
    client.wait_event("threshold-below", path, name="t5")
    events = client.events("threshold-below", path)
    assert [e.name for e in events] == list(levels)
    for event in events:
        assert event.details["level"] == levels[event.name]
        assert event.data <= event.details["level"]
        assert event.severity == "warning"
        assert "initial" not in event.details
    assert [e.id for e in events] == sorted(e.id for e in events)
    assert [e.time for e in events] == sorted(e.time for e in events)


def check_above(client, path, levels):
    client.wait_event("threshold-above", path, name="t1")
    events = client.events("threshold-above", path)
    assert [e.name for e in events] == list(reversed(levels))
    for event in events:
        assert event.data > event.details["level"] + event.details["hysteresis"]
        # Narrower where level and hysteresis together came near to all that there is.
        assert 0 < event.details["hysteresis"] <= HYSTERESIS
        assert event.severity == "notice"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [50, 200, 1000])
@pytest.mark.buses("dbus-daemon")
def test_filled_at_a_rate_and_emptied(setup, client, kind, rate):
    _, disk, path, levels = setup(kind)
    disk.write("file", disk.available() * 95 // 100, rate * MIB)
    check_below(client, path, levels)
    assert sorted(client.get("Crossed", path)) == sorted(levels)
    assert client.get("State", path) == "warning"

    disk.unlink("file")
    disk.sync()
    check_above(client, path, levels)
    assert client.get("Crossed", path) == []
    assert client.get("State", path) == "ok"
    assert names(client, "threshold-below", path) == list(levels)


@pytest.mark.parametrize("kind", KINDS)
def test_one_fallocate_crosses_all(setup, client, kind):
    _, disk, path, levels = setup(kind)
    disk.fallocate("file", disk.available() * 92 // 100)
    check_below(client, path, levels)
    disk.unlink("file")
    disk.sync()
    check_above(client, path, levels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.buses("dbus-daemon")
def test_filled_in_bursts(setup, client, kind):
    _, disk, path, levels = setup(kind)
    burst = disk.available() // 16
    for number in range(15):
        disk.write(f"file{number}", burst)
    check_below(client, path, levels)
    for number in range(15):
        disk.unlink(f"file{number}")
    disk.sync()
    check_above(client, path, levels)


@pytest.mark.buses("dbus-daemon")
def test_btrfs_tells_above_soon_after_the_commit(setup, client):
    _, disk, path, levels = setup("btrfs")
    disk.write("file", disk.available() * 95 // 100)
    check_below(client, path, levels)
    disk.unlink("file")
    disk.sync()
    committed = time.monotonic()
    above = client.wait_event("threshold-above", path, name="t1")
    check_took("the end of the alarm", above.time - committed, 1.0)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs"])
def test_no_repeat_while_the_level_oscillates(daemon, client, loopfs, kind, wait_for):
    disk = loopfs(kind, 128)
    level = disk.available() // 2 // MIB * MIB
    hysteresis = 16 * MIB
    daemon(f"[filesystem {disk.where}]\n"
           f"threshold = half space {level} warning hysteresis {hysteresis}\n")
    path = client.wait_filesystem(disk.where)
    block = client.get("BlockSize", path)

    def seen(low, high):
        return low <= client.usage(path)["available"] * block <= high

    disk.fallocate("file", disk.available() - level + 2 * MIB)
    client.wait_event("threshold-below", path)
    for _ in range(5):
        disk.fallocate("wave", 6 * MIB)
        wait_for(lambda: seen(level - 10 * MIB, level - 6 * MIB), what="the lower figure")
        disk.unlink("wave")
        wait_for(lambda: seen(level - 3 * MIB, level), what="the higher figure")
        disk.truncate("file", os.stat(disk.path("file")).st_size - 8 * MIB)
        wait_for(lambda: seen(level + 1, level + hysteresis), what="a figure inside the hysteresis")
        disk.fallocate("file", os.stat(disk.path("file")).st_size + 8 * MIB)
        wait_for(lambda: seen(level - 3 * MIB, level), what="the figure below again")
    assert len(client.events(path=path)) == 1

    disk.unlink("file")
    client.wait_event("threshold-above", path)
    assert [e.code for e in client.events(path=path)] == ["threshold-below", "threshold-above"]


def test_already_crossed_at_start_is_told_once_and_marked(daemon, client, loopfs, wait_for):
    disk = loopfs("ext4", 128)
    config, levels = five(disk)
    disk.fallocate("file", disk.available() * 70 // 100)
    running = daemon(config)
    path = client.wait_filesystem(disk.where)

    def below():
        return [e for e in client.history()[2] if (e.code, e.path) == ("threshold-below", path)]

    # In the history, since signals may have gone out before anybody could match the sender.
    wait_for(lambda: [e.name for e in below()] == ["t1", "t2", "t3"])
    assert all(e.details["initial"] is True for e in below())

    disk.fallocate("more", disk.available() - levels["t4"] + MIB)
    event = client.wait_event("threshold-below", path, name="t4")
    assert "initial" not in event.details
    running.hangup()
    disk.unlink("more")
    client.wait_event("threshold-above", path, name="t4")
    assert [e.name for e in below()] == ["t1", "t2", "t3", "t4"]


def test_inodes(daemon, client, loopfs):
    disk = loopfs("ext4", 32, mkfs=("-N", "1024"))
    daemon(f"[filesystem {disk.where}]\nthreshold = few inodes 200 critical hysteresis 20\n")
    path = client.wait_filesystem(disk.where)
    count = os.statvfs(disk.where).f_favail - 195
    for number in range(count):
        os.close(os.open(disk.path(f"f{number}"), os.O_CREAT | os.O_WRONLY))
    event = client.wait_event("threshold-below", path, name="few")
    assert event.severity == "critical"
    assert 0 < event.data <= 200
    assert client.get("State", path) == "critical"
    for number in range(40):
        os.unlink(disk.path(f"f{number}"))
    event = client.wait_event("threshold-above", path, name="few")
    assert event.data > 220


def test_history_tells_the_same(setup, client):
    _, disk, path, levels = setup("tmpfs", 64)
    disk.fallocate("file", disk.available() * 92 // 100)
    check_below(client, path, levels)
    told = [(e.id, e.code, e.data) for e in client.events("threshold-below", path)]
    _, newest, events, _ = client.history()
    assert [(e.id, e.code, e.data) for e in events if e.code == "threshold-below"
            and e.path == path] == told
    assert newest >= told[-1][0]
    _, _, later, _ = client.history(told[2][0])
    assert [e.id for e in later if e.id <= told[-1][0]] == [t[0] for t in told[3:]]


def test_private_details_name_the_writer_to_root_alone(setup, client, as_user, wait_for):
    _, disk, path, levels = setup("ext4", 128)
    user = as_user(65534)
    # Slow enough that it is still there when the processes are looked at.
    disk.write("file", disk.available() * 95 // 100, 40 * MIB)
    check_below(client, path, levels)

    def told():
        _, _, events, _ = client.history()
        return [e for e in events if "writers" in e.details]

    event = wait_for(told, what="writers in root's history")[0]
    assert any(comm.startswith("python3") for _, _, comm in event.details["writers"])
    _, _, others, _ = user.history()
    assert others and not any("writers" in e.details for e in others)
    assert not any("writers" in e.details for e in client.events())


def test_thresholds_set_at_run_time(setup, client):
    _, disk, path, _ = setup("tmpfs", 64)
    level = disk.available() // 2
    client.call("SetThresholds", "a(sstts)a{sv}",
                [("mine", "space", level, MIB, "critical")], {},
                path=path, interface="org.fsevents1.Filesystem")
    assert [tuple(t) for t in client.get("Thresholds", path)] \
        == [("mine", "space", level, MIB, "critical")]
    disk.fallocate("file", disk.available() - level + MIB)
    event = client.wait_event("threshold-below", path)
    assert (event.name, event.severity) == ("mine", "critical")
    assert client.get("State", path) == "critical"
