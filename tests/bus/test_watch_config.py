# SPDX-License-Identifier: GPL-2.0-or-later
"""Sections [watch PATH]: changes as entries of the journal."""

import os
import shutil
import signal
import subprocess
import threading

import pytest

from disks import MS_BIND, mount_raw, run, write
from service import NO_FILESYSTEMS
from waiting import pause, wait_for

CHANGED = "f4b0e47fc52343019d3102ae80642516"
LOST = "24f53273903a4947a3fed4040181f4ed"
LEFT_OUT = "16b2ab69668645a793a501527b544210"
PRESENT = "462591005ea94de6ac27966d65eea2cc"
ABSENT = "7677ae610eb4474086942613f048144f"

RATE = 100


@pytest.fixture
def watching(daemon, journal):
    """watching(config_text="") -> Daemon whose entries @journal takes"""
    return lambda config="", **options: daemon(NO_FILESYSTEMS + config, journal=journal, **options)


def section(path, **keys):
    lines = [f"{key.replace('_', '-')} = {value}\n" for key, value in keys.items()]
    return f"[watch {path}]\n" + "".join(lines)


def entries(journal, message_id, path=None):
    found = journal.find(MESSAGE_ID=message_id)
    return [e for e in found if path is None or e["FSEVENTS_PATH"] == os.fsencode(path)]


def wait_told(journal, predicate, what):
    try:
        return wait_for(predicate, what=what)
    except AssertionError:
        print(what, "is not among", journal.entries[-40:])
        raise


def wait_entries(journal, message_id, path, n=1):
    wait_told(journal, lambda: len(entries(journal, message_id, path)) >= n,
              f"{n} of {message_id} for {path}")
    return entries(journal, message_id, path)


def wait_watched(journal, path, n=1):
    return wait_entries(journal, PRESENT, path, n)[n - 1]


def wait_change(journal, path, event):
    """The first entry of that path with that event."""
    def find():
        for entry in entries(journal, CHANGED, path):
            if event in entry["FSEVENTS_EVENTS"].decode().split(","):
                return entry
        return None
    return wait_told(journal, find, f"{event} of {path}")


def test_a_change_is_an_entry(watching, journal, disk):
    directory = disk.path("etc")
    os.mkdir(directory)
    os.mkdir(disk.path("etc/below"))
    watching(section(directory))
    assert wait_watched(journal, directory)["PRIORITY"] == b"6"

    write(f"{directory}/new")
    entry = wait_change(journal, f"{directory}/new", "create")
    assert entry["FSEVENTS_PID"] == str(os.getpid()).encode() and entry["PRIORITY"] == b"6"
    text = entry["MESSAGE"].decode()
    assert text.startswith(f"{directory}/new: created") and text.endswith(f"(pid {os.getpid()})")
    assert "FSEVENTS_FORMER_PATH" not in entry
    wait_change(journal, f"{directory}/new", "close-write")

    write(f"{directory}/below/hidden")
    os.rename(f"{directory}/new", f"{directory}/with space\n")
    entry = wait_change(journal, f"{directory}/with space\\012", "move")
    assert entry["FSEVENTS_FORMER_PATH"].decode() == f"{directory}/new"
    assert entry["MESSAGE"].decode() == (f"{directory}/with space\\012: moved, formerly "
                                         f"{directory}/new (pid {os.getpid()})")
    os.unlink(f"{directory}/with space\n")
    wait_change(journal, f"{directory}/with space\\012", "delete")
    assert not any(b"hidden" in e["FSEVENTS_PATH"] for e in entries(journal, CHANGED))


def test_recursive_and_level(watching, journal, disk):
    os.makedirs(disk.path("tree/a/b"))
    watching(section(disk.path("tree"), recursive="yes", events="create,delete", log_level="warning"))
    wait_watched(journal, disk.path("tree"))
    write(disk.path("tree/a/b/file"))
    entry = wait_change(journal, disk.path("tree/a/b/file"), "create")
    assert entry["PRIORITY"] == b"4" and entry["FSEVENTS_EVENTS"] == b"create"
    os.makedirs(disk.path("tree/c/d"))
    wait_change(journal, disk.path("tree/c/d"), "create")


def test_reload_adds_removes_and_keeps(watching, journal, client, disk):
    for name in "abc":
        os.mkdir(disk.path(name))
    a, b, c = (disk.path(name) for name in "abc")
    running = watching(section(a) + section(b))
    wait_watched(journal, a)
    wait_watched(journal, b)

    running.configure(NO_FILESYSTEMS + section(a, events="delete") + section(c))
    client.call("Reload")
    wait_watched(journal, c)
    write(f"{b}/file")
    write(f"{a}/file")
    os.unlink(f"{a}/file")
    write(f"{c}/file")
    wait_change(journal, f"{a}/file", "delete")
    wait_change(journal, f"{c}/file", "create")
    assert entries(journal, CHANGED, f"{b}/file") == []
    assert {e["FSEVENTS_EVENTS"] for e in entries(journal, CHANGED, f"{a}/file")} == {b"delete"}
    # One that stays is the same watch: nothing is begun anew.
    assert len(entries(journal, PRESENT, a)) == 1
    wait_for(lambda: client.get("Statistics")["watches"] == 2, what="two watches")

    running.configure(NO_FILESYSTEMS)
    client.call("Reload")
    wait_for(lambda: client.get("Statistics")["watches"] == 0, what="no watch")


def test_path_that_appears_later(watching, journal, disk, loopfs):
    running = watching(section(disk.path("late/file")) + section("/mnt/second/dir") +
                       "[daemon]\nre-evaluation = 5\n")
    for path in (disk.path("late/file"), "/mnt/second/dir"):
        entry = wait_entries(journal, ABSENT, path)[0]
        assert entry["PRIORITY"] == b"5" and b"no such file" in entry["MESSAGE"]

    # With the tick ...
    os.mkdir(disk.path("late"))
    write(disk.path("late/file"))
    assert wait_watched(journal, disk.path("late/file"))["PRIORITY"] == b"5"
    write(disk.path("late/file"), "more")
    wait_change(journal, disk.path("late/file"), "close-write")

    # ... and when its filesystem comes.
    second = loopfs("ext4", 16, name="second", mount=False)
    second.mount()
    os.mkdir(second.path("dir"))
    wait_watched(journal, "/mnt/second/dir")
    write(second.path("dir/file"))
    wait_change(journal, "/mnt/second/dir/file", "create")
    assert len(entries(journal, ABSENT)) == 2
    assert running.running()


def test_file_that_is_replaced_is_followed(watching, journal, disk):
    path = disk.path("file")
    write(path)
    watching(section(path))
    wait_watched(journal, path)
    for n in (2, 3):
        write(disk.path("new"))
        os.rename(disk.path("new"), path)
        wait_watched(journal, path, n)
        known = len(entries(journal, CHANGED, path))
        write(path, "more")
        wait_for(lambda: any(b"close-write" in e["FSEVENTS_EVENTS"]
                             for e in entries(journal, CHANGED, path)[known:]), what="close-write")
    # Held open by somebody: gone from the path all the same.
    with open(path, encoding="ascii"):
        os.unlink(path)
        wait_entries(journal, ABSENT, path)
    write(path)
    wait_watched(journal, path, 4)


def test_unmounted_and_mounted_again(watching, journal, disk):
    os.mkdir(disk.path("dir"))
    watching(section(disk.path("dir"), recursive="yes", events="create,mount,unmount"))
    wait_watched(journal, disk.path("dir"))
    disk.umount()
    wait_change(journal, disk.path("dir"), "unmount")
    wait_entries(journal, ABSENT, disk.path("dir"))
    disk.mount()
    wait_change(journal, disk.path("dir"), "mount")
    wait_watched(journal, disk.path("dir"), 2)
    write(disk.path("dir/file"))
    wait_change(journal, disk.path("dir/file"), "create")


def test_another_filesystem_over_it(watching, journal, loopfs, disk):
    """What the path leads to is watched, whatever is mounted there."""
    watching(section(disk.where, events="create"))
    wait_watched(journal, disk.where)
    over = loopfs("tmpfs", 16, name="over", where=disk.where)
    wait_watched(journal, disk.where, 2)
    write(over.path("above"))
    wait_change(journal, f"{disk.where}/above", "create")
    over.umount()
    wait_watched(journal, disk.where, 3)
    write(disk.path("below"))
    wait_change(journal, f"{disk.where}/below", "create")


@pytest.mark.buses("dbus-daemon")
def test_rate_is_bounded(watching, journal, disk):
    watching(section(disk.where, events="create,delete"))
    wait_watched(journal, disk.where)
    for i in range(1500):
        write(disk.path(f"file{i}"))
    wait_for(lambda: len(entries(journal, CHANGED)) >= RATE - 1, what="a full window")
    entry = wait_entries(journal, LEFT_OUT, disk.where)[0]
    told = len(entries(journal, CHANGED)) + len(entries(journal, PRESENT))
    more = sum(int(e["FSEVENTS_COUNT"]) for e in entries(journal, LEFT_OUT))
    assert told <= 2 * RATE, told
    assert entry["MESSAGE"].decode().endswith(f"... and {entry['FSEVENTS_COUNT'].decode()} more")
    # Nothing of it is missing.
    assert len(entries(journal, CHANGED)) + more >= 1500 or entries(journal, LOST)


@pytest.mark.buses("dbus-daemon")
def test_entries_that_cause_changes_are_bounded(watching, journal, disk):
    """A journal that writes files below the watched tree for each entry, as another process."""
    watching(section(disk.where, recursive="yes", events="create"))
    wait_watched(journal, disk.where)
    over = threading.Event()

    def answer():
        seen = 0
        while not over.is_set():
            if len(journal.entries) > seen:
                seen += 1
                subprocess.run(["sh", "-c", f"for i in 1 2 3 4; do : >{disk.where}/{seen}.$i; done"],
                               check=False)
            else:
                pause(0.01)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        write(disk.path("first"))
        wait_entries(journal, LEFT_OUT, disk.where)
        windows = len(entries(journal, LEFT_OUT)) + 1
        assert len(journal.entries) <= windows * RATE + 20
    finally:
        over.set()
        thread.join()


def test_directories_of_the_journal_and_of_the_daemon_are_left_out(watching, journal, disk):
    """Whichever way leads there."""
    os.makedirs(disk.path("other"))
    os.makedirs("/run/log/journal", exist_ok=True)
    os.mkdir(disk.path("state"), 0o700)
    os.symlink(disk.where, "/run/fsevents-test/state-link")
    watching("".join(section(path, recursive="yes", events="create,delete,modify,close-write,open")
                     for path in ("/run/log", disk.where)),
             state="/run/fsevents-test/state-link/state")
    wait_watched(journal, "/run/log")
    wait_watched(journal, disk.where)
    os.makedirs("/run/log/journal/1", exist_ok=True)
    write("/run/log/journal/1/system.journal")
    write("/run/log/journals")
    write(disk.path("state/file"))
    write(disk.path("other/file"))
    try:
        wait_change(journal, "/run/log/journals", "create")
        wait_change(journal, disk.path("other/file"), "create")
        told = {e["FSEVENTS_PATH"] for e in entries(journal, CHANGED)}
        assert not any(b"/journal/" in path or b"/state" in path for path in told), told
    finally:
        shutil.rmtree("/run/log/journal")
        os.unlink("/run/log/journals")
        os.unlink("/run/fsevents-test/state-link")


def test_directories_that_are_mounted_elsewhere_are_left_out(watching, journal, disk):
    """The journal is kept in the watched tree, and reached by a mount of that directory."""
    for name in ("journal", "journals", "state"):
        os.mkdir(disk.path(name), 0o700)
    mounted = {"/run/log/journal": disk.path("journal"), "/run/fsevents-test/bound-state": disk.path("state")}
    for where, source in mounted.items():
        os.makedirs(where, exist_ok=True)
        mount_raw(source, where, None, MS_BIND)
    try:
        running = watching(section(disk.where, recursive="yes", events="create,delete,modify,close-write"),
                           state="/run/fsevents-test/bound-state")
        wait_watched(journal, disk.where)
        for directory in ("/run/log/journal", disk.path("journal"), disk.path("state")):
            write(f"{directory}/hidden-{len(directory)}")
        write(disk.path("journals/shown"))
        wait_change(journal, disk.path("journals/shown"), "create")
        told = {e["FSEVENTS_PATH"] for e in entries(journal, CHANGED)}
        assert told == {os.fsencode(disk.path("journals/shown"))}, told
        running.stop()
    finally:
        for where in mounted:
            run("umount", where)


def test_what_cannot_be_watched(watching, journal, disk):
    write(disk.path("file"))
    os.mkfifo(disk.path("pipe"))
    os.mkdir(disk.path("good"))
    watching(section(disk.path("file"), recursive="yes") + section(disk.path("pipe")) +
             section("/proc/self") + section(disk.path("good")) +
             section(disk.path("nothing"), events="none"))
    wait_watched(journal, disk.path("good"))
    assert b"Only a directory" in wait_entries(journal, ABSENT, disk.path("file"))[0]["MESSAGE"]
    assert b"cannot be watched" in wait_entries(journal, ABSENT, disk.path("pipe"))[0]["MESSAGE"]
    wait_entries(journal, ABSENT, "/proc/self")
    assert entries(journal, ABSENT, disk.path("nothing")) == []
    write(disk.path("good/file"))
    wait_change(journal, disk.path("good/file"), "create")


def test_sections_are_nobodys_watches(watching, journal, client, disk):
    """Limits of users do not hold for them, nor are they seen on the bus."""
    for i in range(100):
        os.mkdir(disk.path(f"d{i}"))
    watching("".join(section(disk.path(f"d{i}")) for i in range(100)) + "[limits]\nwatches = 0\n")
    for i in range(100):
        wait_watched(journal, disk.path(f"d{i}"))
    write(disk.path("d77/file"))
    wait_change(journal, disk.path("d77/file"), "create")
    assert not any("/watch/" in path for path in client.objects())


def test_switched_off_is_told_once(watching, journal, disk):
    watching(section(disk.where) + section(disk.path("b")) + "[daemon]\nsources = gate\n")
    entry = wait_for(lambda: journal.find(MESSAGE_ID=ABSENT), what="why not")[0]
    assert b"switched off by the configuration" in entry["MESSAGE"]
    assert len(journal.find(MESSAGE_ID=ABSENT)) == 1


def storm(where, n):
    """In one process, past the kernel's queue."""
    for i in range(n):
        path = f"{where}/{i}"
        write(path)
        os.unlink(path)


def test_what_was_lost_is_told(watching, journal, disk):
    """The queue of the kernel ran over: the entry says where to look, and what comes after is told."""
    with open("/proc/sys/fs/fanotify/max_queued_events", encoding="ascii") as file:
        bound = int(file.read())
    if bound > 100000:
        pytest.skip("the queue is too long to be filled")
    tree = disk.path("tree")
    os.mkdir(tree)
    running = watching(section(tree, recursive="yes", events="create,delete", log_level="notice"))
    wait_watched(journal, tree)
    os.kill(running.pid, signal.SIGSTOP)
    try:
        storm(tree, bound)
    finally:
        os.kill(running.pid, signal.SIGCONT)
    # What was queued before it fills the rate of the section; then the loss is told, of all of it.
    entry = wait_entries(journal, LOST, tree)[0]
    assert entry["PRIORITY"] == b"5" and "FSEVENTS_COUNT" not in entry
    assert entry["MESSAGE"].decode() == f"{tree}: an unknown number of changes there or below were lost"

    def heard():
        write(f"{tree}/after")
        os.unlink(f"{tree}/after")
        return entries(journal, CHANGED, f"{tree}/after")
    # More would not be written.
    wait_for(heard, what="a change after it", interval=0.2)
