# SPDX-License-Identifier: GPL-2.0-or-later
"""
Configuration that somebody planted: nothing is read from it, nothing waits
for it, the message names it, and the service runs with what it had.
"""

import os
import socket
import stat
import time

import pytest

from client import BusError
from waiting import check_took, wait_for

pytestmark = pytest.mark.buses("dbus-daemon")

BAD_CONFIGURATION = "org.fsevents1.Error.BadConfiguration"
PLANTED = "[limits]\nstreams = 77\n"
GOOD = "[limits]\nstreams = 5\n"


def clear(path):
    if os.path.islink(path) or os.path.isfile(path) or os.path.exists(path):
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)


def plant(path, kind):
    """Put something in the place of a file that could be read, and should not be."""
    clear(path)
    if kind == "fifo":
        os.mkfifo(path, 0o644)
        return
    if kind == "directory":
        os.mkdir(path)
        return
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path)
        return
    if kind == "device":
        os.mknod(path, 0o644 | stat.S_IFCHR, os.makedev(1, 5))
        return
    if kind == "link":
        with open(path + ".target", "w", encoding="ascii") as file:
            file.write(PLANTED)
        os.symlink(path + ".target", path)
        return
    with open(path, "w", encoding="ascii") as file:
        file.write(PLANTED + ("#" * 4000 + "\n") * (300 if kind == "huge" else 0))
    if kind == "writable":
        os.chmod(path, 0o666)
    elif kind == "group":
        os.chmod(path, 0o664)
    elif kind == "foreign":
        os.chown(path, 1000, 1000)


# What each is told to be, by a word of the message.
KINDS = {"fifo": "not a regular file", "directory": "not a regular file", "socket": "not a regular file",
         "device": "not a regular file", "link": "symbolic link", "writable": "everybody can write to it",
         "group": "its group can write to it", "foreign": "not owned by root", "huge": "at most 1 MiB"}


@pytest.fixture
def streams(client):
    return lambda: client.get("Limits")["streams-per-user"]


@pytest.mark.parametrize("kind", KINDS)
def test_planted_file_at_start_leaves_the_defaults(daemon, client, streams, kind):
    running = daemon(start=False)
    plant(running.config, kind)
    start = time.monotonic()
    running.start()
    check_took("the start", time.monotonic() - start, 1.0)
    assert streams() == 8
    said = running.wait_stderr(r"fsevents\.conf: .*").group()
    assert KINDS[kind] in said and "allowed is" in said


@pytest.mark.parametrize("kind", KINDS)
def test_planted_drop_in_at_start_is_left_out_alone(daemon, client, kind):
    running = daemon(start=False)
    running.configure("[daemon]\nhistory-size = 512\n", "10-good.conf")
    running.configure(GOOD, "50-planted.conf")
    plant(os.path.join(running.config + ".d", "50-planted.conf"), kind)
    running.start()
    assert client.get("Limits")["streams-per-user"] == 8
    assert client.get("Limits")["history-size"] == 512
    assert KINDS[kind] in running.wait_stderr(r"fsevents\.conf\.d/50-planted\.conf: .*").group()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dropin", [None, "50-planted.conf"])
def test_planted_on_reload_is_refused_by_name(daemon, client, streams, kind, dropin):
    running = daemon(GOOD)
    running.configure("", "50-planted.conf")
    path = os.path.join(running.config + ".d", dropin) if dropin else running.config
    assert streams() == 5
    plant(path, kind)
    with pytest.raises(BusError) as refused:
        client.call("Reload")
    assert refused.value.name == BAD_CONFIGURATION
    assert path + ": " in refused.value.message and KINDS[kind] in refused.value.message
    assert streams() == 5

    # The signal is the same: the former one stays, and the service is ready again.
    at, said = len(running.notifications), len(running.stderr())
    running.hangup()
    running.wait_stderr(KINDS[kind], start=said)
    wait_for(lambda: any("READY=1" in text for _, text in running.notifications[at:]), what="READY=1 again")
    assert streams() == 5

    clear(path)
    running.configure(GOOD.replace("5", "6"))
    client.call("Reload")
    assert streams() == 6


@pytest.mark.parametrize("kind", ["writable", "foreign", "link", "file"])
def test_directory_of_drop_ins_that_others_could_fill(daemon, client, streams, kind):
    running = daemon(GOOD)
    running.configure(PLANTED, "50-planted.conf")
    directory = running.config + ".d"
    if kind == "writable":
        os.chmod(directory, 0o777)
    elif kind == "foreign":
        os.chown(directory, 1000, 1000)
    else:
        os.rename(directory, directory + "-elsewhere")
        if kind == "link":
            os.symlink(directory + "-elsewhere", directory)
        else:
            with open(directory, "wb"):
                pass
    with pytest.raises(BusError) as refused:
        client.call("Reload")
    assert refused.value.name == BAD_CONFIGURATION and directory + ": " in refused.value.message
    assert streams() == 5

    running.stop()
    running.start()
    assert streams() == 5
    assert running.wait_stderr(r"fsevents\.conf\.d: .*")


@pytest.mark.parametrize("kind", ["writable", "foreign"])
def test_file_in_a_directory_that_others_could_change(daemon, client, streams, scratch, kind):
    """The file itself is in order, but whoever can rename in its directory chooses what it is."""
    running = daemon(GOOD, start=False)
    before = os.stat(running.directory)
    try:
        if kind == "writable":
            os.chmod(running.directory, 0o777)
        else:
            os.chown(running.directory, 1000, 1000)
        running.start()
        assert streams() == 8
        said = running.wait_stderr(r"daemon0: .*").group()
        assert "allowed is a directory that root owns" in said
    finally:
        os.chown(running.directory, before.st_uid, before.st_gid)
        os.chmod(running.directory, stat.S_IMODE(before.st_mode))
    client.call("Reload")
    assert streams() == 5


def test_link_to_nothing_is_an_empty_file(daemon, client, streams):
    running = daemon(GOOD)
    running.configure(PLANTED, "50-masked.conf")
    clear(os.path.join(running.config + ".d", "50-masked.conf"))
    os.symlink("/dev/null", os.path.join(running.config + ".d", "50-masked.conf"))
    client.call("Reload")
    assert streams() == 5
    clear(running.config)
    os.symlink("/dev/null", running.config)
    client.call("Reload")
    assert streams() == 8


def test_file_that_was_named_must_be_there(daemon, client, streams):
    running = daemon(GOOD)
    clear(running.config)
    with pytest.raises(BusError) as refused:
        client.call("Reload")
    assert refused.value.name == BAD_CONFIGURATION and running.config in refused.value.message
    assert streams() == 5
    running.stop()
    running.start()
    assert streams() == 8
    assert "No such file" in running.stderr()


def test_names_that_are_no_drop_ins_are_not_looked_at(daemon, client, streams):
    running = daemon(GOOD)
    for name in (".hidden.conf", "readme", "50-old.conf~", "50-new.conf.dpkg-new", ".conf"):
        running.configure("nonsense", name)
        plant(os.path.join(running.config + ".d", name), "fifo")
    client.call("Reload")
    assert streams() == 5


def test_files_on_a_disk_that_does_not_answer(daemon, client, fuse, streams):
    """The reading waits in a worker, and the caller and the loop do not."""
    mounted = fuse()
    running = daemon(GOOD)
    directory = running.config + ".d"
    os.makedirs(directory, exist_ok=True)
    from disks import mount_raw, umount_raw
    mount_raw(mounted.where, directory, None, 4096)
    try:
        client.call("Reload")
        mounted.swallow("all")
        start = time.monotonic()
        with pytest.raises(BusError) as refused:
            client.call("Reload")
        assert refused.value.name == BAD_CONFIGURATION and "does not answer" in refused.value.message
        check_took("the refusal", time.monotonic() - start, 2.0)
        check_took("a ping", client.ping(), 0.2)
        assert streams() == 5
    finally:
        mounted.answer()
        umount_raw(directory, 2)
    client.call("Reload")
