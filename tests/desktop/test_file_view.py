# SPDX-License-Identifier: GPL-2.0-or-later
"""
A file manager of KDE's with its window on a screen, where inotify is used up: without the
agent it does not see what changes, with it it does, and a person is told of a full disk.
"""

import os
import time

from disks import write
from service import NO_FILESYSTEMS
from waiting import check_took, pause, wait_for

# Critical: what is less a server takes away after some seconds.
LEVELS = "threshold = low space 50% critical hysteresis 5%\n"
SERVER = ["/usr/lib/notification-daemon/notification-daemon"]

# What a view aims at from a change to the screen, with the reading of the screen.
SHOWN_AIM = 1.5

# Longer than whatever a view does where it cannot be told: it looks each half a second, or never.
BLIND_FOR = 5


def test_inotify_is_used_up(session, file_view, folder):
    """Without the agent: a view that has inotify shows what is made, and one that has not does not."""
    where = folder("Reports")
    write(os.path.join(where, "first.txt"))

    sighted = file_view(where, blind=False)
    session.wait_shows(sighted.NAME, "first.txt")
    start = time.monotonic()
    write(os.path.join(where, "second.txt"))
    session.wait_shows(sighted.NAME, "second.txt")
    print(f"with inotify: {time.monotonic() - start:.2f} s")
    assert not sighted.is_refused(where)
    sighted.close()

    blind = file_view(where, blind=True)
    session.wait_shows(blind.NAME, "second.txt")
    write(os.path.join(where, "third.txt"))
    pause(BLIND_FOR)
    assert not session.shows(blind.NAME, "third.txt")
    assert blind.is_refused(where), blind.log()

    # All that it lacks is to be told.
    session.busctl("emit", "/", "org.kde.KDirNotify", "FilesAdded", "s", "file://" + where)
    session.wait_shows(blind.NAME, "third.txt")


def test_view_is_right_and_person_is_told(daemon, client, session, file_view, folder, agent,
                                          picture):
    """What is made, renamed and removed is seen; a notice is shown, and opens the place."""
    where, disk = folder("Reports"), folder.disk
    for name in ("budget.txt", "minutes.txt"):
        write(os.path.join(where, name))
    daemon(f"[filesystem {disk.where}]\n{LEVELS}")
    client.wait_filesystem(disk.where)
    running = agent()
    session.start("notification-daemon", SERVER)
    session.wait_name("org.freedesktop.Notifications")
    disk.fallocate("holidays.raw", disk.available() * 60 // 100)
    session.wait_shows("notification-daemon", "Disk space is low")

    view = file_view(where, blind=True)
    session.wait_shows(view.NAME, "minutes.txt")
    running.wait_folders(1)
    start = time.monotonic()
    write(os.path.join(where, "made-just-now.txt"))
    session.wait_shows(view.NAME, "made-just-now.txt")
    check_took("a file is made and seen", time.monotonic() - start, SHOWN_AIM)
    os.rename(os.path.join(where, "budget.txt"), os.path.join(where, "renamed-just-now.txt"))
    session.wait_shows(view.NAME, "renamed-just-now.txt")
    session.wait_shows(view.NAME, "budget.txt", shown=False)
    os.unlink(os.path.join(where, "minutes.txt"))
    session.wait_shows(view.NAME, "minutes.txt", shown=False)
    assert view.is_refused(where), view.log()
    picture("file-view")

    session.press("notification-daemon", "Open")
    session.wait_shows(view.NAME, "holidays.raw")
    picture("opened")


def test_view_that_was_there_before(daemon, session, file_view, folder, agent):
    """An agent that ended knows nothing more; the one after it knows which folders are shown."""
    where = folder("Reports")
    write(os.path.join(where, "first.txt"))
    daemon(NO_FILESYSTEMS)
    running = agent()
    view = file_view(where, blind=True)
    session.wait_shows(view.NAME, "first.txt")
    running.wait_folders(1)

    running.stop()
    write(os.path.join(where, "meanwhile.txt"))
    agent()
    session.wait_shows(view.NAME, "meanwhile.txt")
    write(os.path.join(where, "after.txt"))
    session.wait_shows(view.NAME, "after.txt")
    assert view.is_refused(where), view.log()


def test_names_are_text(daemon, client, session, loopfs, agent, picture):
    """What looks like markup is shown as it is, and Mute takes the notice back."""
    disk = loopfs("ext4", 64, name="<b>sales&costs<i>")
    daemon(f"[filesystem {disk.where}]\n{LEVELS}")
    client.wait_filesystem(disk.where)
    running = agent()
    session.start("notification-daemon", SERVER)
    session.wait_name("org.freedesktop.Notifications")
    disk.fallocate("holidays.raw", disk.available() * 60 // 100)
    session.wait_shows("notification-daemon", "Disk space is low")
    assert [name for _, name in session.names("notification-daemon")
            if name.startswith(disk.where + ": ")], session.names("notification-daemon")
    picture("names")
    session.press("notification-daemon", "Mute this filesystem")
    session.wait_shows("notification-daemon", "Disk space is low", shown=False)
    wait_for(lambda: disk.where in (running.file("muted") or ""), what="the list of what is muted")
