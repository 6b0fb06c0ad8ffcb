# SPDX-License-Identifier: GPL-2.0-or-later
"""
The folders that KDE's views show: watched through the daemon, for a user who is
nobody special, and told by KDirNotify.
"""

import itertools
import os

import pytest

from desktop import Agent, View
from disks import write
from service import NO_FILESYSTEMS
from waiting import wait_for

pytestmark = pytest.mark.buses("dbus-broker")


@pytest.fixture
def view(session):
    """view() -> View"""
    made = []

    def make():
        made.append(View(session.address))
        return made[-1]

    yield make
    for one in made:
        one.close()


def watches(client):
    return client.get("Statistics")["watches"]


def wait_watches(client, n):
    wait_for(lambda: watches(client) == n, what=f"{n} watches")


def test_changes_are_told(daemon, client, agent, view, folder):
    daemon(NO_FILESYSTEMS)
    running = agent()
    where, shown = folder("a folder"), view()
    url = "file://" + where.replace(" ", "%20")
    shown.enter(url)
    running.wait_folders(1)

    write(os.path.join(where, "one"))
    shown.wait("FilesAdded", url)
    os.rename(os.path.join(where, "one"), os.path.join(where, "b#?%\n"))
    shown.wait("FileRenamed", url + "/one", url + "/b%23%3F%25%0A")
    shown.wait("FileRenamedWithLocalPath", url + "/one", url + "/b%23%3F%25%0A", "")
    write(os.path.join(where, "b#?%\n"), "more")
    shown.wait("FilesChanged", [url + "/b%23%3F%25%0A"])
    os.unlink(os.path.join(where, "b#?%\n"))
    shown.wait("FilesRemoved", [url + "/b%23%3F%25%0A"])
    os.rmdir(where)
    shown.wait("FilesRemoved", [url])
    wait_watches(client, 0)


def test_many_at_once_are_listed_again(daemon, client, agent, view, folder):
    daemon(NO_FILESYSTEMS)
    running = agent()
    where, shown = folder("many"), view()
    shown.enter("file://" + where)
    running.wait_folders(1)
    for i in range(2000):
        write(os.path.join(where, str(i)))
    for i in range(2000):
        os.unlink(os.path.join(where, str(i)))
    write(os.path.join(where, "last"))
    os.rename(os.path.join(where, "last"), os.path.join(where, "renamed"))

    def is_listed_last():
        told = list(shown.told)
        kinds = [i for i, signal in enumerate(told)
                 if signal[0] == "FilesAdded" or signal[-1] == f"file://{where}/renamed"]
        return kinds and told[kinds[-1]]
    wait_for(is_listed_last)
    print(f"{len(shown.told)} signals for 4002 changes")
    assert len(shown.told) < 4002


def test_left_and_gone_views(daemon, client, agent, view, folder):
    """Watched as long as one view shows it, however it ends."""
    daemon(NO_FILESYSTEMS)
    running = agent()
    where, other = folder("one"), folder("two")
    url = "file://" + where
    first, second = view(), view()
    first.enter(url, url + "/")
    second.enter(url)
    first.enter("file://" + other)
    running.wait_folders(2)
    first.leave(url)
    second.leave(url)
    write(os.path.join(where, "x"))
    second.wait("FilesAdded", url)
    first.leave(url)
    wait_watches(client, 1)
    first.close()
    wait_watches(client, 0)


def test_only_folders_of_this_machine(daemon, client, agent, view, folder, session):
    """What is no folder, or not the user's to see, is passed over; and so is a flood."""
    daemon(NO_FILESYSTEMS)
    running = agent()
    shown, last = view(), folder("last")
    closed, file = folder("closed"), os.path.join(folder("plain"), "file")
    write(file)
    os.chown(closed, 0, 0)
    os.chmod(closed, 0o700)
    shown.enter("", "smb://server/share", "http:///mnt", "file://host/mnt", "/mnt", "file:mnt",
                "file:///mnt/../mnt", "file:///mnt%00", "file:///mnt%zz", "file:///nowhere",
                "file://" + file, "file://" + closed, "file:///" + "a" * 5000)
    shown.enter("file://" + last)
    running.wait_folders(1)
    wait_watches(client, 1)

    limit = client.get("Limits")["watches-per-user"]
    directories = [folder(str(i)) for i in range(limit)]
    shown.enter(*(f"file://{directories[i % limit]}" for i in range(10000)))
    running.wait_folders(limit // 2)
    wait_watches(client, limit // 2)
    # What was entered last is among them, as soon as all has been read.
    newest = directories[9999 % limit]
    numbers = itertools.count()

    def is_told():
        write(os.path.join(newest, str(next(numbers))))
        return ("FilesAdded", "file://" + newest) in list(shown.told)
    wait_for(is_told, what=f"{newest}, not {shown.told}", interval=0.1)
    folder_of_fds = f"/proc/{running.process.pid}/fd"
    held = {os.readlink(os.path.join(folder_of_fds, fd)) for fd in os.listdir(folder_of_fds)}
    assert not [name for name in held if name.startswith("/mnt")], held
    assert session.uid == os.stat(f"/proc/{running.process.pid}").st_uid


def test_daemon_restarts(daemon, client, agent, view, folder):
    """What changed meanwhile is found by listing, and what changes then is told."""
    running = daemon(NO_FILESYSTEMS)
    watcher = agent()
    where, shown = folder("one"), view()
    url = "file://" + where
    shown.enter(url)
    watcher.wait_folders(1)
    running.kill()
    write(os.path.join(where, "meanwhile"))
    running.start()
    shown.wait("FilesAdded", url)
    watcher.wait_folders(1)
    os.unlink(os.path.join(where, "meanwhile"))
    shown.wait("FilesRemoved", [url + "/meanwhile"])


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_agent_restarts(daemon, client, agent, view, folder, end):
    """Views say once what they show: who comes after knows it, without those that are gone."""
    daemon(NO_FILESYSTEMS)
    running = agent()
    first, second = view(), view()
    where, other, left = folder("a \\b"), folder("other"), folder("left")
    url = f"file://{where}".replace(" ", "%20").replace("\\", "%5C")
    first.enter(url, url, f"file://{left}", f"file://{other}")
    second.enter(f"file://{other}")
    running.wait_folders(3)
    first.leave(f"file://{left}", f"file://{other}")
    running.wait_folders(2)
    if end == "kill":
        wait_for(lambda: (text := running.kept("folders")) and text.count("\n") == 3
                 and "/left " not in text, what="two folders that are kept")
    getattr(running, end)()
    second.close()
    wait_watches(client, 0)
    write(os.path.join(where, "meanwhile"))

    agent()
    first.wait("FilesAdded", url)
    running.wait_folders(1)
    os.unlink(os.path.join(where, "meanwhile"))
    first.wait("FilesRemoved", [url + "/meanwhile"])
    # It entered twice.
    first.leave(url)
    write(os.path.join(where, "last"))
    wait_for(lambda: first.told.count(("FilesAdded", url)) == 2)
    first.leave(url)
    running.wait_folders(0)


def test_kept_nonsense(daemon, client, agent, view, folder, session):
    """What another bus left, or nobody ever wrote, is passed over."""
    daemon(NO_FILESYSTEMS)
    running = agent()
    where, shown = folder("one"), view()
    shown.enter("file://" + where)
    running.wait_folders(1)
    running.stop()
    text = running.kept("folders")
    bus, line = text.splitlines()
    for other in (f"{'0' * 32}\n{line}\n", "", bus, f"{bus}\n\n\\\n relative :1.0/1\n{where}\n"
                  f"{where} :1.0\n{where} :1.99999/1\n{where} org.freedesktop.DBus/1\n"
                  f"{where} :/1 /1 :1.0/x\n", f"{bus}\n" + "/x :1.99999/1\n" * 1000):
        with open(os.path.join(session.runtime, "fsevents-agent", "folders"), "w",
                  encoding="utf-8") as file:
            file.write(other)
        agent()
        assert running.property("Folders") == "u 0"
        running.stop()


def test_hanging_folder(daemon, client, agent, view, folder, fuse, session):
    """A server that does not answer holds up nobody who looks elsewhere."""
    daemon(NO_FILESYSTEMS)
    running = agent()
    where, shown = folder("one"), view()
    server = fuse("hung", uid=session.uid)
    server.stop()
    shown.enter(*(f"file:///mnt/hung/{i}" for i in range(3)), "file://" + where)
    running.wait_folders(1)
    write(os.path.join(where, "x"))
    shown.wait("FilesAdded", "file://" + where)
    assert running.following() == "b true"
    server.cont()


def test_not_wanted(daemon, client, session, bus, scratch, view, folder):
    """With --no-folders none is watched."""
    daemon(NO_FILESYSTEMS)
    one = Agent(session, bus.address, scratch, "--no-folders")
    try:
        one.start()
        shown, where = view(), folder("one")
        shown.enter("file://" + where)
        # By the same way, after it.
        assert one.following() == "b true"
        assert watches(client) == 0
        one.stop()
    finally:
        one.close()
