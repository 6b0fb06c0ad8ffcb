# SPDX-License-Identifier: GPL-2.0-or-later
"""A name is told to who could list it, and to nobody else."""

import os
import shutil
import struct
import subprocess
import sys
import threading

import pytest

from client import BusError
from disks import MS_BIND, mount_raw, umount_raw, write
from waiting import PATIENCE, wait_for
from watching import CREATE, DELETE, KIND_WATCH, MOVE, Lost, check_numbers

EVENTS = ["create", "delete", "move", "attrib", "close-write"]
# Users that every Debian has: a bus lets in nobody else.
USER, OTHER, THIRD, GROUP = 1, 2, 3, 2000
KINDS = ["ext4", "xfs", "btrfs", "tmpfs"]


def directory(path, mode=0o755, uid=0, gid=0):
    os.mkdir(path)
    os.chown(path, uid, gid)
    os.chmod(path, mode)


def setfacl(*arguments):
    subprocess.run(["setfacl", *arguments], check=True)


@pytest.fixture
def disk(loopfs):
    made = loopfs("ext4", 64)
    os.chmod(made.where, 0o755)
    return made


def lay_out(disk):
    """{directory: who can list it and all above it}; a user with the group is "grouped"."""
    everybody = {"user", "other", "grouped"}
    told = {}

    def add(name, who, **how):
        directory(disk.path(name), **how)
        told[name] = who
    add("open", everybody)
    add("open/deep", everybody)
    add("private", {"user"}, mode=0o700, uid=USER)
    add("private/open", {"user"})
    add("private/open/deep", {"user"}, mode=0o777)
    add("crossed", set(), mode=0o711)
    add("crossed/open", set(), mode=0o777)
    add("listed", set(), mode=0o744)
    add("listed/open", set(), mode=0o755)
    add("ours", {"grouped"}, mode=0o750, gid=GROUP)
    add("ours/open", {"grouped"}, mode=0o755)
    add("ours/mine", set(), mode=0o700)
    add("granted", {"other"}, mode=0o700)
    add("granted/open", {"other"}, mode=0o755)
    setfacl("-m", f"u:{OTHER}:rx", disk.path("granted"))
    add("barred", everybody - {"user"}, mode=0o755)
    setfacl("-m", f"u:{USER}:---", disk.path("barred"))
    # Readable and not searchable: the names in it can be listed.
    told["listed"] = everybody
    return told


@pytest.mark.parametrize("stream", [False, True], ids=["signals", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_hears_of_what_it_could_list(watching, loopfs, receive, kind, stream):
    watching()
    disk = loopfs(kind, 300)
    os.chmod(disk.where, 0o755)
    told = lay_out(disk)
    receivers = {"user": receive(disk.where, EVENTS, uid=USER, stream=stream),
                 "other": receive(disk.where, EVENTS, uid=OTHER, stream=stream),
                 "grouped": receive(disk.where, EVENTS, uid=THIRD, groups=[GROUP], stream=stream)}
    names = {}
    for number, place in enumerate(told):
        # Names that occur nowhere else, in any byte that is sent.
        names[place] = f"name-{number:02d}-{os.urandom(4).hex()}"
        write(disk.path(f"{place}/{names[place]}"))
        os.chmod(disk.path(f"{place}/{names[place]}"), 0o600)
    write(disk.path("last"))
    for who, receiver in receivers.items():
        receiver.wait("last", CREATE)
        heard = {name.decode() for name in receiver.names()}
        for place, whom in told.items():
            path = f"{place}/{names[place]}"
            if who in whom:
                assert path in heard, f"{who} was not told of {path}"
            else:
                assert names[place].encode() not in receiver.everything(), f"{who} was told of {path}"
        assert not receiver.losses()
        assert all(one.pid == 0 for one in receiver.changes())
        check_numbers(receiver.told)


def test_moves_between_what_is_seen_and_what_is_not(watching, disk, receive):
    watching()
    directory(disk.path("private"), 0o700, USER)
    directory(disk.path("open"), 0o777)
    user, other = (receive(disk.where, EVENTS, uid=uid) for uid in (USER, OTHER))
    write(disk.path("private/secret-a"))
    os.rename(disk.path("private/secret-a"), disk.path("open/shown"))
    os.rename(disk.path("open/shown"), disk.path("private/secret-b"))
    directory(disk.path("open/dir"))
    write(disk.path("open/dir/file"))
    os.rename(disk.path("open/dir"), disk.path("private/secret-dir"))
    write(disk.path("private/secret-dir/secret-file"))
    os.rename(disk.path("private/secret-dir"), disk.path("open/back"))
    write(disk.path("open/back/again"))
    write(disk.path("last"))
    user.wait("last", CREATE)
    other.wait("last", CREATE)
    assert any(one.mask & MOVE and one.former == b"private/secret-a" and one.name == b"open/shown"
               for one in user.changes())
    assert user.wait("open/back", MOVE).former == b"private/secret-dir"
    assert b"secret" not in other.everything()
    bits = [(one.name, one.mask & (CREATE | DELETE | MOVE)) for one in other.changes()]
    for name, bit in ((b"open/shown", CREATE), (b"open/shown", DELETE), (b"open/dir", CREATE),
                      (b"open/dir", DELETE), (b"open/back", CREATE), (b"open/back/again", CREATE)):
        assert (name, bit) in bits, bits
    assert not any(bit & MOVE for _, bit in bits)


def test_links_lead_nowhere_else(watching, disk, receive):
    """A symlink is no path of what it leads to, a hard link is one name, a bind mount is the same directory."""
    watching()
    directory(disk.path("private"), 0o700, USER)
    directory(disk.path("open"), 0o777)
    directory(disk.path("bound"))
    write(disk.path("private/secret-file"))
    os.symlink(disk.path("private"), disk.path("open/link"))
    os.link(disk.path("private/secret-file"), disk.path("open/name"))
    mount_raw(disk.path("private"), disk.path("bound"), None, MS_BIND)
    other = receive(disk.where, EVENTS, uid=OTHER)
    with pytest.raises(BusError) as refused:
        receive(disk.path("open/link"), EVENTS, uid=OTHER)
    assert refused.value.name.endswith(("FileNotFound", "AccessDenied"))
    write(disk.path("open/link/secret-through"))
    write(disk.path("bound/secret-bound"))
    os.chmod(disk.path("private/secret-file"), 0o640)
    os.chmod(disk.path("open/name"), 0o600)
    write(disk.path("open/name"))
    write(disk.path("last"))
    other.wait("last", CREATE)
    assert b"open/name" in other.names()
    assert b"secret" not in other.everything()
    umount_raw(disk.path("bound"))


def test_modes_that_change_count_from_then_on(watching, disk, receive):
    """Inside of the window of a change either is right; behind a record that was told after it, one is."""
    watching()
    directory(disk.path("dir"))
    directory(disk.path("dir/deep"))
    other = receive(disk.where, EVENTS, uid=OTHER)

    def barrier(name):
        write(disk.path(name))
        other.wait(name, CREATE)
    for number, (close, reopen) in enumerate((
            (lambda: os.chmod(disk.path("dir"), 0o700), lambda: os.chmod(disk.path("dir"), 0o755)),
            (lambda: setfacl("-m", f"u:{OTHER}:---", disk.path("dir")),
             lambda: setfacl("-b", disk.path("dir"))),
            (lambda: os.chmod(disk.path("dir"), 0o711), lambda: os.chmod(disk.path("dir"), 0o755)))):
        write(disk.path(f"dir/deep/before-{number}"))
        barrier(f"one-{number}")
        close()
        barrier(f"two-{number}")
        write(disk.path(f"dir/deep/secret-{number}"))
        write(disk.path(f"dir/secret-{number}"))
        barrier(f"three-{number}")
        reopen()
        barrier(f"four-{number}")
        write(disk.path(f"dir/deep/after-{number}"))
        barrier(f"five-{number}")
        assert {b"dir/deep/before-%d" % number, b"dir/deep/after-%d" % number} <= other.names()
        assert b"secret" not in other.everything()


def test_directory_moved_below_a_closed_one(watching, disk, receive):
    watching()
    directory(disk.path("closed"), 0o700)
    directory(disk.path("dir"))
    directory(disk.path("dir/deep"))
    other = receive(disk.where, EVENTS, uid=OTHER)
    write(disk.path("dir/deep/before"))
    other.wait("dir/deep/before", CREATE)
    os.rename(disk.path("dir"), disk.path("closed/secret-dir"))
    other.wait("dir", DELETE)
    write(disk.path("closed/secret-dir/deep/secret-file"))
    os.rename(disk.path("closed/secret-dir/deep"), disk.path("deep"))
    write(disk.path("deep/after"))
    other.wait("deep/after", CREATE)
    assert b"secret" not in other.everything()
    check_numbers(other.told)


WRITER = """
import os, sys
os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
os.close(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT, 0o644))
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("stream", [False, True], ids=["signals", "stream"])
def test_process_is_told_to_its_own_user(watching, disk, receive, stream):
    watching()
    directory(disk.path("open"), 0o777)
    receivers = {uid: receive(disk.where, EVENTS, uid=uid, stream=stream) for uid in (0, USER, OTHER)}
    for uid in receivers:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(uid), disk.path(f"open/of-{uid}")],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert writer.stdout.readline() == "done\n"
        # Whose it is can be found out as long as it lives.
        told = {who: one.wait(f"open/of-{uid}", CREATE).pid for who, one in receivers.items()}
        writer.communicate(timeout=PATIENCE)
        assert told == {who: writer.pid if who in (0, uid) else 0 for who in receivers}, uid


def record_of(receiver):
    """All that came but the times and the inodes, which the filesystem gives as it likes."""
    return [("lost", one.count, one.under) if isinstance(one, Lost)
            else (one.seq, one.mask, one.name, one.former, one.pid, bool(one.cookie))
            for one in receiver.read()]


def bytes_of(receiver):
    """
    The stream as it came, record for record, without times and the inodes, which the filesystem gives as it
    likes. How many records a packet has is a matter of time.
    """
    data, found = receiver.everything(), b""
    while data:
        n_packet = struct.unpack_from("=I", data)[0]
        packet, data = bytearray(data[4:4 + n_packet]), data[4 + n_packet:]
        at = 0
        while at < len(packet):
            size, _, kind = struct.unpack_from("=IHH", packet, at)
            if kind == KIND_WATCH:
                # Behind the head and the number of the record: realtime_usec, inode.
                packet[at + 16:at + 32] = bytes(16)
            at += size
        found += packet
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["signals", "stream"])
def test_what_is_hidden_leaves_no_trace(watching, loopfs, receive, stream):
    """With a storm in a directory of another user all is told as without it, to the last byte."""
    watching()
    records, streams = [], []
    for storm in (False, True):
        disk = loopfs("ext4", 64)
        os.chmod(disk.where, 0o755)
        directory(disk.path("private"), 0o700, USER)
        directory(disk.path("open"))
        other = receive(disk.where, EVENTS, uid=OTHER, stream=stream)
        stop = threading.Event()

        def rage(disk=disk, stop=stop):
            number = 0
            while not stop.is_set():
                path = disk.path(f"private/secret-{number}")
                os.makedirs(path + "/secret-deep", exist_ok=True)
                write(path + "/secret-file")
                os.rename(path, path + "-moved")
                shutil.rmtree(path + "-moved")
                number += 1
        thread = threading.Thread(target=rage)
        if storm:
            thread.start()
        try:
            for number in range(30):
                write(disk.path(f"open/file-{number}"))
                other.wait(f"open/file-{number}", CREATE)
        finally:
            stop.set()
            if storm:
                thread.join()
        write(disk.path("last"))
        other.wait("last", CREATE)
        assert b"secret" not in other.everything()
        records.append(record_of(other))
        if stream:
            streams.append(bytes_of(other))
        other.close()
    assert records[0] == records[1]
    assert not stream or (streams[0] == streams[1] and len(streams[0]) > 30 * 64)
    assert not other.losses() and len(records[0]) > 30


def test_errors_do_not_tell_what_is_there(watching, disk, as_user, receive):
    """A hidden path is refused in the very words of a missing one."""
    watching()
    directory(disk.path("private"), 0o700, USER)
    directory(disk.path("private/there"))
    write(disk.path("private/file"))
    os.symlink(disk.path("open"), disk.path("private/link"))

    def refusal(name, **options):
        with pytest.raises(BusError) as refused:
            receive(disk.path(name), EVENTS, uid=OTHER, **options)
        return refused.value.name, refused.value.message
    missing = refusal("missing")
    for name in ("private/there", "private/file", "private/link", "private/missing",
                 "private/there/missing", "private/file/below"):
        assert refusal(name) == missing, name
    user = as_user(OTHER)
    texts = []
    for name in ("private/there", "private/missing"):
        with pytest.raises(BusError) as refused:
            user.call("WatchPath", "sasa{sv}", disk.path(name), EVENTS, {})
        texts.append((refused.value.name, refused.value.message))
    assert texts[0] == texts[1]


def test_group_of_the_caller_counts_as_it_was(watching, disk, receive):
    """Another connection of the same user without the group sees what that may see."""
    watching()
    directory(disk.path("ours"), 0o750, 0, GROUP)
    inside = receive(disk.where, EVENTS, uid=USER, groups=[GROUP])
    outside = receive(disk.where, EVENTS, uid=USER)
    write(disk.path("ours/secret"))
    write(disk.path("last"))
    for receiver in (inside, outside):
        receiver.wait("last", CREATE)
    assert b"ours/secret" in inside.names()
    assert b"secret" not in outside.everything()
    wait_for(lambda: inside.names() > outside.names(), what="more for the group")
