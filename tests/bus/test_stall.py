# SPDX-License-Identifier: GPL-2.0-or-later
"""Filesystems that do not answer, and a state directory that cannot be written."""

import os
import time

import pytest

from client import BusError, FILESYSTEM
from waiting import PATIENCE, check_took

STALLED = "org.fsevents1.Error.Stalled"


@pytest.fixture(params=["stopped", "swallowing"])
def hang(request):
    """hang(fuse): it answers no more; hang.end(fuse): it does again."""
    class Hang:
        kind = request.param

        def __call__(self, mounted):
            if self.kind == "stopped":
                mounted.stop()
            else:
                mounted.swallow()

        def end(self, mounted):
            if self.kind == "stopped":
                mounted.cont()
            else:
                mounted.answer()

    return Hang()


def test_hang_is_told_within_a_second_and_nothing_else_notices(daemon, client, fuse, loopfs, hang,
                                                               lateness):
    disk = loopfs("tmpfs", 64)
    mounted = fuse()
    level = disk.available() // 2
    running = daemon(f"[filesystem {disk.where}]\nthreshold = half space {level} warning\n")
    path = client.wait_filesystem(mounted.where)
    other = client.wait_filesystem(disk.where)
    assert client.usage(path)["blocks"]

    with lateness(running) as late:
        start = time.monotonic()
        hang(mounted)
        event = client.wait_event("stalled", path)
        check_took("the word of the hang", event.time - start, 1.0)
        assert event.severity == "warning"
        assert client.get("State", path) == "stalled"

        asked = time.monotonic()
        with pytest.raises(BusError) as refused:
            client.usage(path)
        assert refused.value.name == STALLED
        check_took("the refusal", time.monotonic() - asked, 1.0)

        disk.fallocate("file", disk.available() - level + (1 << 20))
        told = time.monotonic()
        check_took("the alarm of another", client.wait_event("threshold-below", other).time - told, 1.0)

        hang.end(mounted)
        client.wait_event("responding", path)
        assert client.get("State", path) == "ok"
    late.check()
    assert client.usage(path)["blocks"]
    assert len(client.events("stalled", path)) == 1


def test_usage_of_one_that_just_hung_is_refused_in_time(daemon, client, fuse, hang):
    mounted = fuse()
    daemon()
    path = client.wait_filesystem(mounted.where)
    client.usage(path)
    hang(mounted)
    start = time.monotonic()
    # Figures that were taken a moment before may still be given.
    with pytest.raises(BusError) as refused:
        while time.monotonic() - start < PATIENCE:
            client.usage(path)
    assert refused.value.name == STALLED
    check_took("the refusal", time.monotonic() - start, 1.0)


def test_stop_waits_for_none_that_hangs(daemon, client, fuse, hang):
    mounted = fuse()
    running = daemon()
    path = client.wait_filesystem(mounted.where)
    hang(mounted)
    client.wait_event("stalled", path)
    running.stop()


def test_after_kill_a_new_one_owns_the_name_at_once(daemon, client, fuse, hang, wait_for):
    mounted = fuse()
    running = daemon()
    path = client.wait_filesystem(mounted.where)
    hang(mounted)
    client.wait_event("stalled", path)
    before = client.name_owner()

    start = time.monotonic()
    running.kill()
    daemon(ready=False)
    wait_for(lambda: client.name_owner() not in (None, before), what="a new owner", interval=0.001)
    check_took("the next owner of the name", time.monotonic() - start, 1.0)


def test_many_hang_and_a_disk_is_told_of_all_the_same(daemon, client, fuse, loopfs):
    disk = loopfs("tmpfs", 64)
    mounted = [fuse(f"many{number}") for number in range(12)]
    level = disk.available() // 2
    daemon(f"[filesystem {disk.where}]\nthreshold = half space {level} warning\n")
    other = client.wait_filesystem(disk.where)
    for one in mounted:
        one.stop()
    for one in mounted:
        client.wait_event("stalled", where=one.where.encode())
    start = time.monotonic()
    disk.fallocate("file", disk.available() - level + (1 << 20))
    check_took("the alarm", client.wait_event("threshold-below", other).time - start, 1.0)


def test_umount_of_a_hung_one_ends_it(daemon, client, fuse, hang, wait_for):
    mounted = fuse()
    daemon()
    path = client.wait_filesystem(mounted.where)
    hang(mounted)
    client.wait_event("stalled", path)
    mounted.umount()
    client.wait_event("unmounted", path)
    wait_for(lambda: client.find(mounted.where) is None)


def emit(client, path, code="enospc"):
    client.call("EmitTestEvent", "osa{sv}", path, code, {})


@pytest.fixture
def frozen_state(loopfs):
    """A filesystem for the state; thawed at the end in any case."""
    disk = loopfs("ext4", 32, name="state")
    directory = os.path.join(disk.where, "fsevents")
    os.mkdir(directory, 0o700)
    disk.directory = directory
    return disk


def test_frozen_state_delays_nothing(daemon, client, loopfs, frozen_state, lateness):
    disk = loopfs("tmpfs", 16)
    running = daemon(state=frozen_state.directory)
    path = client.wait_filesystem(disk.where)
    emit(client, path)
    client.wait_event("enospc", path)

    with lateness(running) as late:
        frozen_state.freeze()
        start = time.monotonic()
        emit(client, path, "corrupted")
        check_took("the event", client.wait_event("corrupted", path).time - start, 0.5)
        disk.fallocate("file", disk.available())
        client.wait_event("threshold-below", path)
        for number in range(100):
            emit(client, path, "io-error")
            assert len(client.history()[2]) > 2, number
    late.check()
    running.stop()


def test_frozen_state_holds_up_no_new_instance(daemon, client, frozen_state, loopfs, wait_for):
    disk = loopfs("tmpfs", 16)
    running = daemon(state=frozen_state.directory)
    path = client.wait_filesystem(disk.where)
    frozen_state.freeze()
    for _ in range(20):
        emit(client, path)
    last = client.wait_event("enospc", path)
    before = client.name_owner()

    start = time.monotonic()
    running.kill()
    daemon(state=frozen_state.directory, ready=False)
    wait_for(lambda: client.name_owner() not in (None, before), what="a new owner", interval=0.001)
    check_took("the next owner of the name", time.monotonic() - start, 1.0)

    path = client.wait_filesystem(disk.where)
    emit(client, path, "corrupted")
    assert client.wait_event("corrupted", path).id > last.id


def test_kill_while_the_state_is_written_loses_no_id(daemon, client, loopfs, scratch):
    disk = loopfs("tmpfs", 16)
    state = os.path.join(scratch, "state")
    newest = 0
    for number in range(5):
        running = daemon(state=state)
        path = client.wait_filesystem(disk.where)
        _, _, events, _ = client.history()
        kept = [e.id for e in events]
        assert kept == sorted(set(kept))
        for _ in range(10):
            client.call("EmitTestEvent", "osa{sv}", path, "enospc", {})
        told = client.wait_event("enospc", path, after=None)
        assert told.id > newest
        newest = max(e.id for e in client.events("enospc"))
        running.kill()
        client.signals.clear()
    assert number == 4


def test_a_read_only_state_directory_is_no_end(daemon, client, loopfs, frozen_state):
    from disks import MS_RDONLY, MS_REMOUNT, mount_raw
    disk = loopfs("tmpfs", 16)
    mount_raw("none", frozen_state.where, "ext4", MS_REMOUNT | MS_RDONLY)
    running = daemon(state=frozen_state.directory)
    path = client.wait_filesystem(disk.where)
    emit(client, path)
    client.wait_event("enospc", path)
    assert running.running()


def test_usage_is_what_the_server_says(daemon, client, fuse):
    mounted = fuse(blocks=1000, bfree=400, bavail=300, files=50, ffree=20)
    daemon()
    path = client.wait_filesystem(mounted.where)
    usage = client.call("GetUsage", "a{sv}", {}, path=path, interface=FILESYSTEM)
    wanted = {"blocks": 1000, "free": 400, "available": 300, "files": 50, "files-available": 20}
    assert {key: usage.get(key) for key in wanted} == wanted
    assert client.get("BlockSize", path) == 4096
