# SPDX-License-Identifier: GPL-2.0-or-later
"""fseventsctl history and monitor: nothing missing, nothing twice, over restarts too."""

import json
import os
import signal
import subprocess
import threading

import pytest

import disks
import service
from test_ctl import lines, place, tell  # noqa: F401  place is a fixture
from waiting import PATIENCE, wait_for

pytestmark = pytest.mark.buses("dbus-daemon")


class Monitor:
    """A running `fseventsctl monitor`: `lines` as they come."""

    def __init__(self, address, *arguments, text=False, **options):
        self.lines = []
        command = ["fseventsctl", "--bus=" + address, "monitor", *arguments]
        if not text:
            command.append("--json")
        self.process = subprocess.Popen(command, executable=service.executable(),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, **options)
        self.errors = []
        self.threads = [
            threading.Thread(target=self._collect, args=(self.process.stdout, self.lines)),
            threading.Thread(target=self._collect, args=(self.process.stderr, self.errors))]
        for thread in self.threads:
            thread.daemon = True
            thread.start()

    @staticmethod
    def _collect(file, into):
        for line in file:
            into.append(line.rstrip("\n"))

    def objects(self, kind="id"):
        """The lines of events, or of @kind: "amends", "lost", "reset"."""
        return [o for o in map(json.loads, list(self.lines)) if kind in o]

    def ids(self):
        return [int(o["id"]) for o in self.objects()]

    def codes(self):
        return {o["code"] for o in self.objects()}

    def stop(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            for thread in self.threads:
                thread.join(PATIENCE)


@pytest.fixture
def monitor(bus, client, place):
    """monitor(*arguments) -> Monitor that follows already"""
    made = []
    path = place[0]

    def make(*arguments, text=False, **options):
        one = Monitor(bus.address, *arguments, text=text, **options)
        made.append(one)

        def follows():
            # Until one comes, the monitor may not have asked yet.
            tell(client, path, 1, "thawed")
            return one.lines or one.process.poll() is not None
        if not arguments or arguments[0] == place[1].where:
            wait_for(follows, what="the monitor", interval=0.05)
        return one

    yield make
    for one in made:
        one.stop(signal.SIGKILL)


# --- history

def test_history(place, ctl, client):
    path, disk, _ = place
    tell(client, path, 3)
    events = client.history()[2]
    done = ctl("history")
    assert len(done.stdout.splitlines()) == len(events)
    assert done.stdout.splitlines()[-1].endswith(f"  #{events[-1].id}")
    assert f"Test: {disk.where}: " in done.stdout and not done.stderr
    found = lines(ctl("history", "--json"))
    assert [int(o["id"]) for o in found] == [e.id for e in events]
    assert found[-1]["filesystem"] == path and found[-1]["details"]["test"] is True
    assert found[-1]["details"]["where"] == disk.where and isinstance(found[-1]["pid"], int)

    since = events[-2].id
    assert [int(o["id"]) for o in lines(ctl("history", "--json", f"--since={since}"))] == \
        [events[-1].id]
    assert not ctl("history", "--since", str(events[-1].id)).stdout


def test_history_pages(place, ctl, client):
    path, _, _ = place
    # More than one answer holds: only real events are kept in such numbers.
    wheres = [os.path.join(disks.MOUNTS, f"tmpfs-{i:03}" + "x" * 150) for i in range(200)]
    for where in wheres:
        os.mkdir(where)
        disks.mount_raw("fsevents-test", where, "tmpfs")
    client.wait_filesystem(wheres[-1])
    for where in wheres:
        disks.umount_raw(where)
    wait_for(lambda: not client.find(wheres[-1]))
    tell(client, path, 60)
    wanted = []
    since = 0
    while True:
        page = client.history(since)[2]
        if not page:
            break
        wanted += [e.id for e in page]
        since = page[-1].id
    assert len(wanted) > 256
    # An ordinary user has to show that it reads, or is refused.
    for uid in (None, 65534, 65534, 65534):
        found = lines(ctl("history", "--json", uid=uid))
        assert [int(o["id"]) for o in found] == wanted


def test_history_reset(place, ctl, client):
    path, _, _ = place
    tell(client, path, 2)
    newest = client.history()[1]
    done = ctl("history", "--json", f"--since={newest + 1000}")
    reset, *events = lines(done)
    assert reset["reset"] is True and reset["epoch"]
    assert "anew" in done.stderr and int(events[-1]["id"]) == newest
    assert "anew" in ctl("history", f"--since={2**64 - 1}").stderr


def test_history_gap(place, ctl, client):
    path, _, _ = place
    tell(client, path, 1)
    first = client.history()[1]
    # More than the history keeps of tests.
    tell(client, path, 70)
    assert "no longer kept" in ctl("history", f"--since={first}").stderr
    assert not ctl("history", "--since=0").stderr
    assert "anew" in ctl("history", "--since=1").stderr


# --- monitor

def test_monitor_text(place, monitor, client):
    path, disk, _ = place
    one = monitor(text=True)
    tell(client, path, 1, "io-error")
    line = wait_for(lambda: next((l for l in one.lines if "input or output" in l), None))
    assert "critical" in line and disk.where in line and "\x1b" not in line
    assert one.stop() == 0 and not one.errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_monitor_ends_quietly(monitor, number):
    one = monitor()
    assert one.stop(number) == 0 and not one.errors


def test_monitor_is_the_history(place, monitor, client, ctl):
    path, disk, _ = place
    one = monitor()
    first = one.ids()[0]
    disk.fallocate("x", disk.available() - (15 << 20))
    client.wait_event("threshold-below", path, name="lower")
    disk.unlink("x")
    client.wait_event("threshold-above", path)
    newest = client.history()[1]
    wait_for(lambda: newest in one.ids())
    history = lines(ctl("history", "--json", f"--since={first - 1}"))
    told = one.objects()
    assert [o["id"] for o in told] == [o["id"] for o in history]
    for mine, kept in zip(told, history):
        kept["details"] = {k: v for k, v in kept["details"].items() if k in mine["details"]}
        assert mine == kept


def test_monitor_restart(place, monitor, client):
    path, disk, running = place
    one = monitor()
    tell(client, path, 5)
    jump = None
    for kill in (True, False):
        before = client.history()[1]
        wait_for(lambda: before in one.ids())
        (running.kill if kill else running.stop)()
        running.start()
        path = client.wait_filesystem(disk.where)
        tell(client, path, 5)
        newest = client.history()[1]
        assert newest > before
        wait_for(lambda: newest in one.ids(), what="the newest event")
        if kill:
            jump = {"first-id": str(before + 1), "amends": False, "unknown": True,
                    "last-id": str(client.history(before)[2][0].id - 1)}
    # Nothing was lost; that something may have been is told where it was killed, once.
    assert [o["lost"] for o in one.objects("lost")] == [jump]
    ids = one.ids()
    assert ids == sorted(set(ids))
    kept = [e.id for e in client.history(ids[0] - 1)[2]]
    assert not set(kept) - set(ids) and not one.objects("reset")
    assert sum("left" in line for line in one.errors) == 2
    assert one.stop() == 0


def test_monitor_follows_a_place(place, monitor, client, loopfs):
    path, disk, running = place
    other = loopfs("tmpfs", 4)
    other_path = client.wait_filesystem(other.where)
    one = monitor(disk.where)
    tell(client, other_path, 3)
    tell(client, path, 1, "io-error")
    wait_for(lambda: "io-error" in one.codes())
    assert {o["filesystem"] for o in one.objects()} == {path}

    disk.umount()
    client.wait_event("unmounted", path)
    disk.mount()
    path = client.wait_filesystem(disk.where)
    tell(client, path, 1, "corrupted")
    wait_for(lambda: "corrupted" in one.codes())
    assert {"unmounted", "mounted"} <= one.codes()

    running.stop()
    running.start()
    path = client.wait_filesystem(disk.where)
    tell(client, path, 1, "shutdown")
    wait_for(lambda: "shutdown" in one.codes())
    assert {o["details"]["where"] for o in one.objects()} == {disk.where}


def test_monitor_survives_the_bus(place, monitor, client, bus):
    _, disk, running = place
    one = monitor()
    bus.stop()
    bus.start()
    again = client.another()
    path = wait_for(lambda: again.name_owner() and again.find(disk.where))
    seen = len(one.lines)

    def follows():
        again.call("EmitTestEvent", "osa{sv}", path, "thawed", {})
        return len(one.lines) > seen
    wait_for(follows, what="an event after the bus came back", interval=0.1)
    assert running.running() and one.stop() == 0


def test_monitor_reader_leaves(place, bus, client):
    path, _, _ = place
    reader, writer = os.pipe()
    process = subprocess.Popen(["fseventsctl", "--bus=" + bus.address, "monitor"],
                               executable=service.executable(), stdout=writer,
                               stderr=subprocess.PIPE)
    os.close(writer)

    def told():
        tell(client, path, 1)
        return os.get_blocking(reader) is False and readable(reader)
    os.set_blocking(reader, False)
    wait_for(told, what="a line", interval=0.05)
    os.close(reader)
    # At once, and not with the next event only.
    assert process.wait(PATIENCE) == 0 and process.stderr.read() == b""
    process.stderr.close()


def readable(fd):
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return None


@pytest.mark.parametrize("shell, status", [
    ('"$@" history | head -n 1', 0), ('"$@" history >/dev/full', 1), ('"$@" history >&-', 1),
    ('"$@" --help >/dev/full', 1), ('"$@" list <&-', 0),
])
def test_output(place, bus, client, shell, status):
    tell(client, place[0], 60)
    link = os.path.join(os.path.dirname(bus.path), "fseventsctl")
    os.symlink(service.executable(), link)
    done = subprocess.run(["bash", "-c", "set -o pipefail; " + shell, "bash", link,
                           "--bus=" + bus.address], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == status
    assert done.stderr.count("\n") == status, done.stderr


def test_writers_are_for_root(place, monitor, client, bus):
    path, disk, _ = place
    one = monitor()
    other = monitor(user=65534, group=65534, extra_groups=[])
    disk.write("x", disk.available() - (15 << 20))
    client.wait_event("threshold-below", path, name="lower")
    tell(client, path, 1, "corrupted")
    for each in (one, other):
        wait_for(lambda: "corrupted" in each.codes())
    assert "writers" not in "".join(other.lines)
