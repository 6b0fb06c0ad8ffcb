# SPDX-License-Identifier: GPL-2.0-or-later
"""fseventsctl watch: what changes in files, for people and for programs."""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import threading

import pytest

import service
from disks import write
from overlays import Overlay
from service import NO_FILESYSTEMS
from waiting import PATIENCE, wait_for

pytestmark = pytest.mark.buses("dbus-daemon")

USER = 65534


class Watcher:
    """A running `fseventsctl watch`: `lines` and `errors` as they come, in bytes."""

    def __init__(self, address, arguments, uid=None):
        options = {"user": uid, "group": uid, "extra_groups": []} if uid is not None else {}
        self.lines, self.errors = [], []
        self.process = subprocess.Popen(["fseventsctl", "--bus=" + address, "watch", *arguments],
                                        executable=service.executable(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.threads = [
            threading.Thread(target=self._collect, args=(self.process.stdout, self.lines)),
            threading.Thread(target=self._collect, args=(self.process.stderr, self.errors))]
        for thread in self.threads:
            thread.daemon = True
            thread.start()

    @staticmethod
    def _collect(file, into):
        for line in file:
            into.append(line.rstrip(b"\n"))

    def objects(self):
        return [json.loads(line) for line in list(self.lines)]

    def told(self):
        """(events, rest of the line) of each line of text about a change."""
        found = []
        for line in list(self.lines):
            if line.startswith(b"..."):
                continue
            match = re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  (\S+) +(.*)", line.decode())
            assert match, line
            found.append((match[1].split(","), match[2]))
        return found

    def _wait(self, find, what):
        try:
            return wait_for(find, what=what)
        except AssertionError:
            print(what, "is not among", self.lines)
            raise

    def wait(self, event, rest):
        """The events of the first line that has @event and ends so."""
        def find():
            for events, text in self.told():
                if event in events and text == rest:
                    return events
            return None
        return self._wait(find, f"{event} {rest}")

    def wait_object(self, event, path):
        def find():
            for one in self.objects():
                if event in one["events"] and one["path"] == path:
                    return one
            return None
        return self._wait(find, f"{event} {path}")

    def ended(self):
        """Its exit status, once all that it said was read."""
        status = self.process.wait(PATIENCE)
        for thread in self.threads:
            thread.join(PATIENCE)
        return status

    def stop(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()


@pytest.fixture
def running(daemon):
    return daemon(NO_FILESYSTEMS)


@pytest.fixture
def watcher(bus):
    """watcher(*arguments, uid=None, probe=()) -> Watcher that watches already; @probe: directories for --json"""
    made = []

    def make(*arguments, uid=None, probe=()):
        one = Watcher(bus.address, arguments, uid)
        made.append(one)
        if not probe:
            wait_for(lambda: one.errors or one.process.poll() is not None, what="the watcher")
            return one
        for n, where in enumerate(probe):
            path = os.path.join(where, f"probe{n}")

            def heard(path=path):
                write(path)
                os.unlink(path)
                return any(o["path"] == path for o in one.objects())
            wait_for(heard, what="the watcher", interval=0.1)
        return one

    yield make
    for one in made:
        one.process.kill()
        one.ended()


@contextlib.contextmanager
def watch_into_pipe(running, where):
    """(process, reader): one that watches already, and the other end of what it prints to"""
    reader, writer = os.pipe()
    process = subprocess.Popen(["fseventsctl", "--bus=" + running.address, "watch", where],
                               executable=service.executable(), stdin=subprocess.DEVNULL,
                               stdout=writer, stderr=subprocess.PIPE)
    try:
        os.close(writer)
        assert process.stderr.readline().startswith(b"Watching")
        yield process, reader
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_text(running, watcher, disk):
    one = watcher(disk.where)
    assert one.errors == [b"Watching 1 place; interrupt to end."]
    me = f"  [{os.getpid()}]"
    write(disk.path("file"))
    assert "create" in one.wait("create", disk.path("file") + me)
    os.mkdir(disk.path("dir"))
    one.wait("create", disk.path("dir") + "/" + me)
    write(disk.path("dir/hidden"))
    os.rename(disk.path("file"), disk.path("new"))
    one.wait("move", f"{disk.path('file')} -> {disk.path('new')}{me}")
    os.unlink(disk.path("new"))
    one.wait("delete", disk.path("new") + me)
    assert not any(b"hidden" in line for line in one.lines)
    # A pipe has no colours.
    assert not any(b"\x1b" in line for line in one.lines)
    assert one.stop(signal.SIGINT) == 0
    assert len(one.errors) == 1


def test_ends_with_sigterm_and_without_a_reader(running, watcher, disk):
    assert watcher(disk.where).stop(signal.SIGTERM) == 0
    with watch_into_pipe(running, disk.where) as (process, reader):
        os.close(reader)
        assert process.wait(PATIENCE) == 0


def test_recursive_where_each_directory_is_watched(running, watcher, disk):
    overlay = Overlay(disk).mount()
    try:
        os.makedirs(overlay.path("dir/below"))
        watcher("-r", "--json", overlay.where, probe=[overlay.path("dir/below")])
    finally:
        overlay.umount()


def test_recursive_and_chosen_events(running, watcher, disk):
    os.makedirs(disk.path("a/b"))
    one = watcher("-r", "-e", "create,delete", disk.where)
    write(disk.path("a/b/file"))
    me = f"  [{os.getpid()}]"
    one.wait("create", disk.path("a/b/file") + me)
    os.chmod(disk.path("a/b/file"), 0o600)
    os.unlink(disk.path("a/b/file"))
    one.wait("delete", disk.path("a/b/file") + me)
    assert {event for events, _ in one.told() for event in events} <= {"create", "delete"}


def test_json(running, watcher, disk):
    one = watcher("--json", "-r", disk.where, probe=[disk.where])
    os.mkdir(disk.path("dir"))
    found = one.wait_object("create", disk.path("dir"))
    assert found["directory"] is True and found["name"] == "dir" and found["watch"] == disk.where
    assert found["pid"] == os.getpid() and int(found["inode"]) == os.stat(disk.path("dir")).st_ino
    os.rename(disk.path("dir"), disk.path("other"))
    found = one.wait_object("move", disk.path("other"))
    assert found["former-path"] == disk.path("dir") and found["former-name"] == "dir"
    numbers = [int(o["seq"]) for o in one.objects()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert one.errors == [] and one.stop() == 0


def test_several_paths(running, watcher, disk, loopfs):
    second = loopfs("tmpfs", 16, name="second")
    write(disk.path("file"))
    os.mkdir(disk.path("dir"))
    one = watcher(disk.path("file"), disk.path("dir"), second.where)
    assert one.errors == [b"Watching 3 places; interrupt to end."]
    me = f"  [{os.getpid()}]"
    write(disk.path("file"), "more")
    write(disk.path("dir/x"))
    write(second.path("y"))
    one.wait("close-write", disk.path("file") + me)
    one.wait("create", disk.path("dir/x") + me)
    one.wait("create", second.path("y") + me)


def test_unmounted_and_back(running, watcher, disk):
    one = watcher("-r", disk.where)
    disk.umount()
    one.wait("unmount", disk.where + "/")
    disk.mount()
    one.wait("mount", disk.where + "/")
    wait_for(lambda: any(line.startswith(b"... changes were lost") for line in one.lines),
             what="the loss")


LEFT = b"fseventsctl: the daemon left; waiting for it"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_daemon_restarts(running, watcher, disk, end):
    me = f"  [{os.getpid()}]"
    places = [disk.path("one"), disk.path("two")]
    for place in places:
        os.mkdir(place)
    one = watcher("-e", "create", *places)
    for again in range(2):
        os.mkdir(os.path.join(places[0], f"before{again}"))
        one.wait("create", os.path.join(places[0], f"before{again}/") + me)
        seen = len(one.lines)
        getattr(running, end)()
        wait_for(lambda n=2 + again: len(one.errors) == n, what="that it waits")
        os.mkdir(os.path.join(places[0], f"meanwhile{again}"))
        running.start()
        wait_for(lambda n=seen + 2: len(one.lines) >= n, what="the losses")
        write(os.path.join(places[1], f"after{again}"))
        one.wait("create", os.path.join(places[1], f"after{again}") + me)
        # Nothing before them, and nothing else.
        assert one.lines[seen:seen + 2] == [
            f"... changes were lost, nobody knows how many: look again through {place}".encode() for place in places]
        assert len(one.lines) == seen + 3
    assert one.errors == [b"Watching 2 places; interrupt to end.", LEFT, LEFT]
    assert one.stop() == 0


@pytest.mark.parametrize("arguments", [["--json"], []])
def test_loss_of_a_restart_is_that_of_the_daemon(running, watcher, disk, arguments):
    """Who reads it has one kind of loss to know."""
    def lost():
        return [line for line in list(one.lines) if b"lost" in line]
    one = watcher(*arguments, "-r", disk.where, probe=[disk.where] if arguments else ())
    disk.umount()
    disk.mount()
    wait_for(lost, what="the daemon's loss")
    before = lost()
    running.kill()
    running.start()
    wait_for(lambda: len(lost()) > len(before), what="the loss of the restart")
    assert set(lost()) == {before[0]}
    write(disk.path("file"))
    if arguments:
        found = one.wait_object("create", disk.path("file"))
        assert found["name"] == "file" and found["watch"] == disk.where
        assert one.wait_object("lost", disk.where)["count"] == "0"
    else:
        one.wait("create", disk.path("file") + f"  [{os.getpid()}]")


def test_place_is_gone_after_a_restart(running, watcher, disk):
    places = [disk.path("gone"), disk.path("stays")]
    for place in places:
        os.mkdir(place)
    one = watcher("--json", "-e", "create", *places, probe=places)
    running.kill()
    wait_for(lambda: one.errors == [LEFT], what="that it waits")
    os.rmdir(places[0])
    running.start()
    one.wait_object("lost", places[1])
    write(os.path.join(places[1], "file"))
    one.wait_object("create", os.path.join(places[1], "file"))
    assert not any("lost" in o["events"] and o["watch"] == places[0] for o in one.objects())
    said = [f"fseventsctl: {place}: No such file or directory".encode() for place in places]
    assert one.errors == [LEFT, said[0]]

    running.kill()
    wait_for(lambda: len(one.errors) == 3, what="that it waits again")
    os.rename(places[1], disk.path("elsewhere"))
    running.start()
    assert one.ended() == 1
    assert one.errors == [LEFT, said[0], LEFT, said[1]]


def test_ends_while_it_waits(running, watcher, disk):
    one = watcher(disk.where)
    with watch_into_pipe(running, disk.where) as (other, reader):
        running.kill()
        wait_for(lambda: LEFT in one.errors, what="that it waits")
        assert other.stderr.readline().rstrip() == LEFT
        assert one.stop(signal.SIGINT) == 0
        os.close(reader)
        assert other.wait(PATIENCE) == 0


def test_bus_restarts(running, watcher, bus, disk):
    one = watcher("--json", disk.where, probe=[disk.where])
    bus.stop()
    bus.start()
    one.wait_object("lost", disk.where)
    write(disk.path("after"))
    one.wait_object("create", disk.path("after"))
    assert one.errors == [LEFT] and running.running() and one.stop() == 0


def test_no_daemon(bus, ctl, scratch):
    done = ctl("watch", scratch, check=False)
    assert done.returncode == 3 and "running" in done.stderr


def test_what_cannot_be_watched(running, ctl, disk):
    write(disk.path("file"))
    done = ctl("watch", disk.path("missing"), check=False)
    assert done.returncode == 1 and disk.path("missing") in done.stderr
    assert "No such file" in done.stderr
    done = ctl("watch", "-r", disk.path("file"), check=False)
    assert done.returncode == 1 and "Only a directory" in done.stderr
    done = ctl("watch", "/proc/self/status", check=False)
    assert done.returncode == 1 and "cannot be watched" in done.stderr
    done = ctl("watch", disk.path("missing\n\x1b[31m"), check=False)
    assert done.returncode == 1 and "\\012\\033[31m" in done.stderr and "\x1b" not in done.stderr


def test_dead_fuse_is_not_a_daemon_that_is_gone(running, ctl, fuse):
    hung = fuse()
    hung.kill()
    done = ctl("watch", os.path.join(hung.where, "file"), check=False)
    assert done.returncode == 1 and "not connected" in done.stderr


def test_wrong_use(running, ctl, disk):
    done = ctl("watch", "-e", "create,explode", disk.where, check=False)
    assert done.returncode == 2 and '"explode"' in done.stderr and "close-write" in done.stderr
    assert ctl("watch", check=False).returncode == 2
    assert ctl("watch", "--latency=soon", disk.where, check=False).returncode == 2


def test_hostile_names(running, watcher, disk):
    name = b"a\n\x1b[2J\\ \xff"
    path = os.fsencode(disk.where) + b"/" + name
    text = watcher(disk.where)
    objects = watcher("--json", disk.where, probe=[disk.where])
    with open(path, "wb"):
        pass
    shown = disk.path("a\\012\\033[2J\\134 \\377")
    text.wait("create", f"{shown}  [{os.getpid()}]")
    found = objects.wait_object("create", shown)
    assert base64.b64decode(found["path-base64"]) == path
    assert base64.b64decode(found["name-base64"]) == name


def test_another_user_is_told_what_it_may_see(running, watcher, ctl, disk):
    os.mkdir(disk.path("open"))
    os.mkdir(disk.path("closed"), 0o700)
    one = watcher("-r", disk.where, uid=USER)
    write(disk.path("closed/secret"))
    os.rename(disk.path("closed/secret"), disk.path("open/told"))
    write(disk.path("closed/secret2"))
    write(disk.path("open/last"))
    # By whom is for root and that user.
    one.wait("create", disk.path("open/told"))
    one.wait("create", disk.path("open/last"))
    assert not any(b"secret" in line for line in one.lines)
    done = ctl("watch", disk.path("closed"), check=False, uid=USER)
    assert done.returncode == 1 and "no such file" in done.stderr.lower()
