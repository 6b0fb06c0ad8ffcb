# SPDX-License-Identifier: GPL-2.0-or-later
"""Who and what is not of the machine's own mounts: callers elsewhere, mounts that change owners, autofs."""

import ctypes
import os
import subprocess
import sys

import pytest

from client import BusError, variant
from disks import MS_BIND, mount_raw, run
from waiting import PATIENCE, wait_for
from watching import CREATE, DENIED, NAMES, UNSUPPORTED, Watch, statistics

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = {"recursive": ("b", True)}

# As in <linux/mount.h>; the numbers of the calls are the same on all machines but alpha.
MOUNT_SETATTR, OPEN_TREE, MOVE_MOUNT = 442, 428, 429
MOUNT_ATTR_IDMAP = 0x00100000
OPEN_TREE_CLONE, AT_EMPTY_PATH, MOVE_MOUNT_F_EMPTY_PATH = 1, 0x1000, 4
AT_FDCWD = -100

_libc = ctypes.CDLL(None, use_errno=True)


class MountAttr(ctypes.Structure):
    _fields_ = [("attr_set", ctypes.c_uint64), ("attr_clr", ctypes.c_uint64),
                ("propagation", ctypes.c_uint64), ("userns_fd", ctypes.c_uint64)]


def syscall(number, *arguments):
    result = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def user_namespace():
    """A descriptor of one in which the users are 10,000 higher."""
    inside = subprocess.Popen(["unshare", "--user", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    own = os.readlink("/proc/self/ns/user")
    try:
        wait_for(lambda: os.readlink(f"/proc/{inside.pid}/ns/user") != own, what="a namespace of users")
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{inside.pid}/{name}", "w", encoding="ascii") as file:
                file.write("0 10000 65536\n")
        return os.open(f"/proc/{inside.pid}/ns/user", os.O_RDONLY)
    finally:
        inside.stdin.close()
        inside.wait(PATIENCE)


def bind_idmapped(source, where):
    namespace = user_namespace()
    tree = syscall(OPEN_TREE, AT_FDCWD, os.fsencode(source), OPEN_TREE_CLONE | os.O_CLOEXEC)
    try:
        attr = MountAttr(attr_set=MOUNT_ATTR_IDMAP, userns_fd=namespace)
        syscall(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attr), ctypes.sizeof(attr))
        os.makedirs(where, exist_ok=True)
        syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(where), MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)
        os.close(namespace)


def watch_descriptor(client, path, **options):
    fd = os.open(path, os.O_PATH)
    try:
        return client.call_with_fds("Watch", "hasa{sv}", 0, NAMES, options, fds=[fd])[0]
    finally:
        os.close(fd)


@pytest.fixture
def mounts(disk):
    """One directory by a mount that changes its owners, and by one that does not."""
    os.mkdir(disk.path("dir"))
    idmapped, plain = "/mnt/idmapped", "/mnt/plain"
    bind_idmapped(disk.path("dir"), idmapped)
    os.makedirs(plain, exist_ok=True)
    mount_raw(disk.path("dir"), plain, None, MS_BIND)
    yield idmapped, plain
    run("umount", idmapped)
    run("umount", plain)


@pytest.mark.parametrize("options", [{}, TREE], ids=["directory", "tree"])
def test_idmapped_mount_is_refused(watching, client, mounts, options):
    """Who may list what there is another question than the filesystem's own."""
    idmapped, plain = mounts
    assert os.stat(idmapped).st_uid == 10000
    watching()
    by_descriptor = {name: variant(*value) for name, value in options.items()}
    for call in (lambda: watch_descriptor(client, idmapped, **by_descriptor),
                 lambda: Watch(client, idmapped, NAMES, **options)):
        with pytest.raises(BusError) as refused:
            call()
        assert refused.value.name == UNSUPPORTED, refused.value
    wait_for(lambda: statistics(client)["watches"] == 0, what="the refused ones to be gone")
    # By its other mounts the filesystem is watched as ever.
    watch = Watch(client, plain, NAMES, **options)
    os.mkdir(os.path.join(plain, "made"))
    watch.wait("made", CREATE)


def test_autofs_is_refused(watching, client):
    """A lookup below it may wait for a daemon of somebody's."""
    with open("/proc/filesystems", encoding="ascii") as file:
        if "\tautofs\n" not in file.read():
            pytest.skip("no autofs in this kernel")
    watching()
    where = "/mnt/auto"
    os.makedirs(where, exist_ok=True)
    read_end, write_end = os.pipe()
    mount_raw("fsevents-test", where, "autofs", 0,
              f"fd={write_end},pgrp={os.getpid()},minproto=5,maxproto=5,indirect")
    try:
        for call in (lambda: watch_descriptor(client, where), lambda: Watch(client, where, NAMES)):
            with pytest.raises(BusError) as refused:
                call()
            assert refused.value.name == UNSUPPORTED, refused.value
        wait_for(lambda: statistics(client)["watches"] == 0, what="the refused ones to be gone")
    finally:
        run("umount", where)
        os.close(read_end)
        os.close(write_end)


# A caller that leaves for another root directory, or another mount namespace, once it is connected.
CALLER = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[1])
from client import BusError, Client
client = Client(sys.argv[2])
uid, how, where = int(sys.argv[3]), sys.argv[4], sys.argv[5]
if how == "root":
    os.chroot("/mnt")
    where = where.removeprefix("/mnt")
try:
    print(client.call("WatchPath", "sasa{sv}", where, ["create"], {}))
except BusError as error:
    print(error.name)
"""


@pytest.mark.parametrize("uid", [0, 65534])
@pytest.mark.parametrize("how", ["here", "namespace", "root"])
def test_paths_of_callers_elsewhere_are_refused(watching, client, disk, bus, how, uid):
    """What a path means there is not known here; a descriptor says it."""
    watching()
    os.chmod(disk.where, 0o755)
    prefix = ["unshare", "--mount"] if how == "namespace" else []
    if uid and how != "root":
        prefix += ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
    done = subprocess.run([*prefix, sys.executable, "-B", "-c", CALLER, HERE, bus.address, str(uid), how, disk.where],
                          check=False, timeout=4 * PATIENCE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = "/org/fsevents1/watch/" if how == "here" else DENIED
    assert done.stdout.startswith(expected), done.stdout
    assert statistics(client)["watch-denied"] == 0
