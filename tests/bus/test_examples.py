# SPDX-License-Identifier: GPL-2.0-or-later
"""The small programs under examples/ as they are: what they print, and that they outlive the daemon."""

import os
import re
import shutil
import subprocess
import threading

import pytest

import service
from disks import write
from waiting import PATIENCE, wait_for

pytestmark = pytest.mark.buses("dbus-daemon")

USER = 65534
EXAMPLES = os.path.join(service.SOURCE, "examples")
HALF = "[filesystem {}]\nthreshold = half space 50% warning\n"


class Example:
    """One that runs; `lines` is what it printed."""

    def __init__(self, command, uid, env, errors):
        self.lines = []
        options = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.STDOUT if errors else None,
                                        env={**os.environ, **env}, start_new_session=True, **options)
        self.thread = threading.Thread(target=lambda: self.lines.extend(map(str.strip, self.process.stdout)))
        self.thread.daemon = True
        self.thread.start()

    def wait(self, pattern, since=0, times=1):
        """Lines from number @since on that are whole @pattern."""
        def find():
            return [line for line in self.lines[since:] if re.fullmatch(pattern, line)]
        wait_for(lambda: len(find()) >= times or self.process.poll() is not None, what=f"{pattern} in {self.lines}")
        assert len(find()) >= times, f"ended with {self.process.returncode}: {self.lines}"
        return find()

    def close(self):
        """With what a shell started for it."""
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait(PATIENCE)
        self.thread.join(PATIENCE)
        self.process.stdout.close()


@pytest.fixture
def example(bus):
    """example(name, *arguments, uid=None, errors=False) -> Example; those in C are the built ones"""
    made = []
    tools = os.path.join(service.BINARIES, "examples")
    os.makedirs(tools, 0o755, exist_ok=True)
    ctl = os.path.join(tools, "fseventsctl")
    if not os.path.lexists(ctl):
        os.symlink(service.executable(), ctl)

    def start(name, *arguments, uid=USER, errors=False):
        source = os.path.join(EXAMPLES, name) if "." in name else service.built("examples", name)
        if not os.path.exists(source):
            pytest.fail(f"not built: {source}")
        path = os.path.join(tools, name)
        shutil.copy(source, path)
        os.chmod(path, 0o755)
        before = ["/usr/bin/python3", "-B"] if name.endswith(".py") else []
        made.append(Example([*before, path, *map(str, arguments)], uid,
                            {"DBUS_SYSTEM_BUS_ADDRESS": bus.address, "PATH": tools + ":" + os.environ["PATH"]}, errors))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def place(loopfs):
    disk = loopfs("tmpfs", 64)
    os.chmod(disk.where, 0o777)
    return disk


@pytest.fixture
def own(scratch):
    """A directory of the user's."""
    path = os.path.join(scratch, "own")
    os.mkdir(path)
    os.chown(path, USER, USER)
    return path


def test_low_space_in_c(daemon, client, place, example):
    daemon(HALF.format(place.where))
    path = client.wait_filesystem(place.where)
    low = example("low-space")
    low.wait("ready")
    place.fallocate("file", 40 << 20)
    event = client.wait_event("threshold-below", path, name="half")
    low.wait(rf"warning: threshold-below on {place.where}, {event.data} left")
    os.unlink(place.path("file"))
    event = client.wait_event("threshold-above", path)
    low.wait(rf"\w+: threshold-above on {place.where}, {event.data} left")
    assert len(low.lines) == 3


def test_low_space_in_shell(daemon, client, place, example):
    running = daemon(HALF.format(place.where))
    path = client.wait_filesystem(place.where)
    low = example("low-space.sh", "echo", "Low:", errors=True)
    # It has begun to listen when it tells of something.
    wait_for(lambda: client.call("EmitTestEvent", "osa{sv}", path, "threshold-below", {}) == ()
             and any(line == f"Low: {place.where}" for line in low.lines), interval=0.2, what="the first line")
    running.stop()
    before = len(low.lines)
    running = daemon(HALF.format(place.where), state=running.state)
    path = client.wait_filesystem(place.where)
    place.fallocate("file", 40 << 20)
    client.wait_event("threshold-below", path, name="half")
    low.wait(f"Low: {place.where}", since=before)
    # What happened just before may not have been kept.
    running.kill()
    running.start()
    low.wait("events are missing: fseventsctl status", since=before)


def test_directory_in_c(daemon, client, place, example):
    running = daemon()
    os.mkdir(place.path("deep"))
    follow = example("follow-directory", place.where)
    follow.wait('look through "" again')
    write(place.path("deep/file"))
    follow.wait(r"\+ deep/file ?")
    os.rename(place.path("deep/file"), place.path("moved"))
    follow.wait("> moved deep/file")
    os.unlink(place.path("moved"))
    follow.wait(r"- moved ?")
    running.stop()
    before = len(follow.lines)
    daemon()
    follow.wait('look through "" again', since=before)
    write(place.path("again"))
    follow.wait(r"\+ again ?", since=before)


def test_directory_in_shell(daemon, place, example):
    running = daemon()
    follow = example("follow-directory.sh", place.where, "echo", "Complete:")
    number = iter(range(1000))

    def told():
        name = f"file{next(number)}"
        write(place.path(name))
        return any(line.startswith("Complete: ") for line in follow.lines)

    wait_for(told, interval=0.2, what="the first file")
    os.mkdir(place.path("sub"))
    write(place.path("sub/.part"))
    os.rename(place.path("sub/.part"), place.path("sub/whole"))
    follow.wait(f"Complete: {place.where}/sub/whole")
    assert f"Complete: {place.where}/sub" not in follow.lines

    running.stop()
    before = len(follow.lines)
    write(place.path("sub/meanwhile"))
    running.start()
    follow.wait(f"Complete: {place.where}/sub/meanwhile", since=before)
    # All was looked through, and after that the watch goes on.
    write(place.path("sub/after"))
    follow.wait(f"Complete: {place.where}/sub/after", since=before)
    assert f"Complete: {place.where}/sub" not in follow.lines


def printed(lines):
    """Numbers of the events."""
    return [int(line.split()[0]) for line in lines if line[0].isdigit()]


def test_history_in_python(daemon, client, place, own, example):
    running = daemon()
    path = client.wait_filesystem(place.where)
    client.call("EmitTestEvent", "osa{sv}", path, "corrupted", {})
    kept = os.path.join(own, "last")
    history = example("read-history.py", kept)
    history.wait(rf"\d+ critical corrupted {place.where}")
    client.call("EmitTestEvent", "osa{sv}", path, "io-error", {})
    history.wait(rf"\d+ \w+ io-error {place.where}")

    # What it was not there for, and what the daemon was not there for.
    def is_kept():
        with open(kept, encoding="ascii") as file:
            return file.read() == str(printed(history.lines)[-1])

    wait_for(is_kept, what="the number of the last one in its file")
    history.close()
    client.call("EmitTestEvent", "osa{sv}", path, "shutdown", {})
    again = example("read-history.py", kept)
    again.wait(rf"\d+ \w+ shutdown {place.where}")
    running.stop()
    daemon(state=running.state)
    path = client.wait_filesystem(place.where)
    client.call("EmitTestEvent", "osa{sv}", path, "enospc", {})
    again.wait(rf"\d+ \w+ enospc {place.where}")
    both = printed(history.lines) + printed(again.lines)
    assert both == sorted(set(both)), "an event was printed twice"
    stored = [event.id for event in client.history()[2]]
    assert [number for number in stored if number <= both[-1]] == both, "an event is missing"


def test_history_in_shell(daemon, client, place, own, example):
    daemon()
    path = client.wait_filesystem(place.where)
    kept = os.path.join(own, "last")

    def run():
        one = example("read-history.sh", kept)
        assert one.process.wait(PATIENCE) == 0
        one.thread.join(PATIENCE)
        return one.lines

    for code in ("corrupted", "io-error"):
        client.call("EmitTestEvent", "osa{sv}", path, code, {})
    newest = client.history()[1]
    first = run()
    assert first[-2:] == [f"{newest - 1} critical corrupted {path}", first[-1]]
    assert printed(first) == [event.id for event in client.history()[2]] and printed(first)[-1] == newest
    assert run() == []
    client.call("EmitTestEvent", "osa{sv}", path, "enospc", {})
    assert re.fullmatch(rf"{newest + 1} \w+ enospc {path}", *run())
