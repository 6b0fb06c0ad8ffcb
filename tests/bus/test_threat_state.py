# SPDX-License-Identifier: GPL-2.0-or-later
"""The state directory and a crash loop: whatever is found there, the service starts and tells."""

import os
import random
import socket
import stat

import pytest

from client import BusError
from disks import MIB
from waiting import PATIENCE, pause

pytestmark = pytest.mark.buses("dbus-daemon")

DAMAGED = "The stored history was damaged"


def emit(client, path, code="enospc"):
    client.call("EmitTestEvent", "osa{sv}", path, code, {})
    return client.history()[1]


def stored(client):
    return [e.id for e in client.history()[2]]


@pytest.fixture
def before(daemon, client, loopfs):
    """A stopped daemon with a state of twenty events: .state .ids .disk"""
    class Before:
        disk = loopfs("tmpfs", 16)
        running = daemon()
        state = running.state
        ids = None

        def path_of(self, name):
            return os.path.join(self.state, name)

        def read(self, name):
            with open(self.path_of(name), "rb") as file:
                return file.read()

        def write(self, name, data, mode=0o600):
            with open(self.path_of(name), "wb") as file:
                file.write(data)
            os.chmod(self.path_of(name), mode)

        def start(self):
            """Started on that state: it tells, and no id is given twice."""
            self.running = daemon(state=self.state)
            path = client.wait_filesystem(self.disk.where)
            client.signals.clear()
            number = emit(client, path, "corrupted")
            assert number > self.ids[-1]
            assert client.wait_event("corrupted", path).id == number
            return self.running

    made = Before()
    path = client.wait_filesystem(made.disk.where)
    made.ids = [emit(client, path) for _ in range(20)]
    made.running.stop()
    assert sorted(os.listdir(made.state)) == ["history", "ids"]
    return made


def test_truncated_files_cost_the_end_at_most(before, client):
    whole = before.read("history")
    ids = before.read("ids")
    for length in (0, 1, 8, 17, 24, 25, len(whole) // 3, len(whole) // 2 + 1, len(whole) - 1):
        before.write("history", whole[:length])
        before.write("ids", ids)
        running = before.start()
        kept = [n for n in stored(client) if n in before.ids]
        assert kept == before.ids[:len(kept)], "a hole"
        assert len(kept) >= len(before.ids) * length // len(whole) - 2
        assert DAMAGED not in running.stderr() or length > 0
        running.stop()


def test_truncated_ids_are_no_reason_to_begin_below(before, client):
    ids = before.read("ids")
    for length in (0, 1, len(ids) // 2, len(ids) - 1):
        before.write("ids", ids[:length])
        before.start().stop()


@pytest.mark.parametrize("seed", range(6))
def test_random_bytes_are_set_aside_and_never_fatal(before, client, seed):
    bytes_of = random.Random(seed)
    whole = before.read("history")
    if seed % 2:
        before.write("history", bytes_of.randbytes(bytes_of.choice([100, 5000, 3 * MIB])))
        before.write("ids", bytes_of.randbytes(len(before.read("ids"))))
    else:
        at = bytes_of.randrange(len(whole) - 64)
        before.write("history", whole[:at] + bytes_of.randbytes(64) + whole[at + 64:])
    running = before.start()
    assert DAMAGED in running.stderr()
    assert any("corrupt" in name for name in os.listdir(before.state)), "no copy was kept"
    known = set(before.ids) | {n for n in stored(client) if n > before.ids[-1]}
    assert set(stored(client)) <= known, "an event was made up"
    running.stop()

    assert DAMAGED not in before.start().stderr(), "the same damage is told twice"


def test_copies_of_damaged_files_do_not_pile_up(before):
    for number in range(8):
        before.write("history", b"nonsense" * 1000 + bytes([number]))
        before.write("ids", b"nonsense" * 10)
        before.start().stop()
    names = os.listdir(before.state)
    assert len(names) <= 10, names


def replace_by(path, kind):
    os.unlink(path)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path)
    elif kind == "link":
        os.symlink("/run/fsevents-elsewhere", path)
    elif kind == "foreign":
        with open(path, "wb") as file:
            file.write(b"theirs")
        os.chown(path, 1000, 1000)
        os.chmod(path, 0o666)
    elif kind == "device":
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))


@pytest.mark.parametrize("name", ["history", "ids"])
@pytest.mark.parametrize("kind", ["fifo", "directory", "socket", "link", "foreign", "device"])
def test_what_was_planted_in_place_of_a_file_is_neither_followed_nor_waited_for(before, kind, name):
    elsewhere = "/run/fsevents-elsewhere"
    with open(elsewhere, "wb") as file:
        file.write(b"precious")
    replace_by(before.path_of(name), kind)
    running = before.start()
    pause(0.3)
    running.stop()
    with open(elsewhere, "rb") as file:
        assert file.read() == b"precious"


@pytest.mark.parametrize("kind", ["link", "file", "writable", "foreign"])
def test_a_state_directory_that_is_not_ours_is_not_used(daemon, client, loopfs, scratch, kind):
    disk = loopfs("tmpfs", 16)
    state, elsewhere = os.path.join(scratch, "planted"), os.path.join(scratch, "elsewhere")
    os.mkdir(elsewhere, 0o755)
    if kind == "link":
        os.symlink(elsewhere, state)
    elif kind == "file":
        with open(state, "wb"):
            pass
    else:
        os.mkdir(state)
        os.chmod(state, 0o777 if kind == "writable" else 0o755)
        if kind == "foreign":
            os.chown(state, 1000, 1000)
    running = daemon(env={"STATE_DIRECTORY": state})
    path = client.wait_filesystem(disk.where)
    emit(client, path)
    client.wait_event("enospc", path)
    running.wait_stderr("(?i)history|state")
    pause(0.3)
    assert os.listdir(elsewhere) == []
    if kind in ("writable", "foreign"):
        assert os.listdir(state) == []


def test_a_full_disk_for_the_state_costs_nothing_but_durability(daemon, client, loopfs):
    """Events go on to be told; once there is room again, what was kept in memory is stored."""
    disk, full = loopfs("tmpfs", 16), loopfs("tmpfs", 1, name="state")
    state = full.path("fsevents")
    os.mkdir(state, 0o700)
    running = daemon("[filesystem /mnt/state]\nignore = yes\n", state=state)
    path = client.wait_filesystem(disk.where)
    first = emit(client, path)
    running.wait_stored(first)
    full.write("filler", 2 * MIB)
    told = [emit(client, path, "corrupted") for _ in range(40)]
    assert told == list(range(first + 1, first + 41))
    said = running.wait_stderr("(?i)history .*No space left|No space left")
    assert said and running.stderr().count("No space left") <= 3, "the journal is flooded"
    full.unlink("filler")
    for number in told:
        running.wait_stored(number)
    running.kill()
    daemon("[filesystem /mnt/state]\nignore = yes\n", state=state)
    client.wait_filesystem(disk.where)
    assert set(told) <= set(stored(client))


def test_a_dying_disk_for_the_state_is_no_end(daemon, client, loopfs, lateness):
    """A filesystem whose device gives I/O errors: nothing waits, everything is told."""
    disk = loopfs("tmpfs", 16)
    images = loopfs("tmpfs", 24, name="images")
    image = images.path("disk")
    with open(image, "wb") as file:
        file.truncate(64 * MIB)
    from disks import Disk, MKFS, run
    run(*MKFS["ext4"], image)
    dying = Disk("ext4", "/mnt/dying", image)
    dying.mount()
    try:
        state = dying.path("fsevents")
        os.mkdir(state, 0o700)
        running = daemon(state=state)
        path = client.wait_filesystem(disk.where)
        emit(client, path)
        # From now on no new block of the image can be written.
        images.write("filler", 64 * MIB)
        try:
            with open(dying.path("more"), "wb") as file:
                file.write(os.urandom(8 * MIB))
        except OSError:
            pass
        with lateness(running) as late:
            for _ in range(50):
                emit(client, path, "corrupted")
                pause(0.02)
        late.check()
        assert client.wait_event("corrupted", path)
        running.stop()
    finally:
        dying.release()


def test_a_frozen_state_written_by_two_instances_loses_nothing(daemon, client, loopfs):
    """
    The first one's worker hangs in a write when its daemon is killed, and ends it after the thaw,
    while the second one's stores its own events: neither writes over the other.
    """
    disk, frozen = loopfs("tmpfs", 16), loopfs("ext4", 32, name="state")
    state = frozen.path("fsevents")
    os.mkdir(state, 0o700)
    running = daemon(state=state)
    path = client.wait_filesystem(disk.where)
    running.wait_stored(emit(client, path))
    frozen.freeze()
    try:
        for _ in range(5):
            emit(client, path, "io-error")
        pause(0.5)
        running.kill()
        running = daemon(state=state)
        path = client.wait_filesystem(disk.where)
        told = [emit(client, path, "corrupted") for _ in range(3)]
        pause(0.5)
    finally:
        frozen.thaw()
    pause(3.0)
    told.append(emit(client, path))
    for number in told:
        running.wait_stored(number)
    running.kill()

    running = daemon(state=state)
    client.wait_filesystem(disk.where)
    assert set(told) <= set(stored(client)), "what was stored is gone"
    assert DAMAGED not in running.stderr()
    assert set(os.listdir(state)) <= {"history", "ids", "ids.new"}
    running.stop()


@pytest.fixture
def runtime(scratch):
    path = os.path.join(scratch, "runtime")
    os.mkdir(path, 0o755)
    return path


def test_a_crash_loop_ends_in_a_safe_mode_that_says_so(daemon, client, loopfs, runtime):
    """Three times killed within a minute: then mountinfo and statfs only, and no stored event is read."""
    disk = loopfs("tmpfs", 64)
    level = disk.available() // 2
    config = f"[filesystem {disk.where}]\nthreshold = half space {level} warning\n"
    env = {"RUNTIME_DIRECTORY": runtime}
    state, newest = None, 0
    for number in range(4):
        running = daemon(config, env=env, state=state)
        state = running.state
        sources = client.get("Sources")
        assert ("safe-mode" in sources) == (number == 3)
        path = client.wait_filesystem(disk.where)
        told = emit(client, path)
        assert told > newest
        newest = told
        if number < 3:
            assert sources["write-gate"] == "fanotify"
            pause(0.3)
            running.kill()

    assert "safe mode" in running.stderr()
    assert sources["write-gate"] == "none" and "fanotify" not in sources["mounts"]
    assert sources["processes"] == sources["accounting"] == "none: safe mode after crashes"
    assert stored(client) == [newest], "the stored history was read"
    disk.fallocate("file", disk.available() - level + MIB)
    assert client.wait_event("threshold-below", path).name == "half"
    newest = client.history()[1]
    # Still in a loop: what crashes in safe mode stays in it.
    running.kill()
    running = daemon(config, env=env, state=state)
    assert "safe-mode" in client.get("Sources")
    running.stop()

    # Ended in order: all is well again, and the former history is there.
    running = daemon(config, env=env, state=state)
    assert "safe-mode" not in client.get("Sources")
    assert len([e for e in client.history()[2] if e.code == "enospc"]) == 4
    assert emit(client, client.wait_filesystem(disk.where)) > newest


@pytest.mark.parametrize("plant", ["random", "fifo", "directory", "link", "future", "socket"])
def test_what_is_planted_for_the_count_of_starts_is_nothing(daemon, client, runtime, plant):
    starts = os.path.join(runtime, "starts")
    with open(starts, "wb") as file:
        file.write(random.Random(1).randbytes(24) if plant == "random" else b"\xff" * 24)
    if plant not in ("random", "future"):
        replace_by(starts, plant)
    daemon(env={"RUNTIME_DIRECTORY": runtime})
    assert "safe-mode" not in client.get("Sources")


def test_a_missing_runtime_directory_is_no_crash_loop(daemon, client):
    for _ in range(5):
        running = daemon(env={"RUNTIME_DIRECTORY": "/nonexistent"})
        assert "safe-mode" not in client.get("Sources")
        running.kill()


def test_wrong_use_is_no_crash(daemon, client, runtime):
    """A second instance that is refused five times takes the first one's next start not into safe mode."""
    running = daemon(env={"RUNTIME_DIRECTORY": runtime})
    for _ in range(5):
        second = daemon(env={"RUNTIME_DIRECTORY": runtime}, ready=False)
        assert second.wait(PATIENCE) == 1
    running.kill()
    daemon(env={"RUNTIME_DIRECTORY": runtime})
    assert "safe-mode" not in client.get("Sources")


def test_no_event_is_invented_by_an_id_above_all(before, client):
    before.start()
    with pytest.raises(BusError):
        client.call("GetEvents", "t", 0)
    _, newest, events, info = client.history(2**64 - 1)
    assert info["reset"] and events[-1].id == newest
