# SPDX-License-Identifier: GPL-2.0-or-later
"""
Real filesystems on loop devices and tmpfs, below /mnt of the private namespace.

Images lie on the tmpfs at /run: they use memory as they fill, are gone with
the namespace, and what a test writes is no space of the machine's disks.
"""

import ctypes
import os
import subprocess

IMAGES = "/run/fsevents-images"
MOUNTS = "/mnt"
MIB = 1 << 20

MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
SMALLEST_MB = {"ext4": 16, "xfs": 300, "btrfs": 128, "tmpfs": 1}


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout.decode(errors='replace')}"
    return done.stdout.decode(errors="replace")


def write(path, text="x"):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


class Disk:
    """A mounted filesystem: `where`, `kind`, `image`, and what tests do with it."""

    def __init__(self, kind, where, image=None):
        self.kind = kind
        self.where = where
        self.image = image
        self.mounted = False
        self.frozen = False

    def mount(self, where=None, options=None):
        """Mount (once more) at @where, by default where it was."""
        where = os.fsencode(where or self.where)
        os.makedirs(where, exist_ok=True)
        options = [*filter(None, [options, "loop" if self.image else None])]
        arguments = ["-t", self.kind]
        if options:
            arguments += ["-o", ",".join(options)]
        run("mount", *arguments, self.image or "fsevents-test", where)
        self.mounted = True
        return self

    def umount(self, *options):
        run("umount", *options, os.fsencode(self.where))
        self.mounted = False

    def path(self, name):
        return os.path.join(self.where, name)

    def fallocate(self, name, size):
        fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(fd, 0, int(size))
        finally:
            os.close(fd)

    def write(self, name, size, rate=None, sync=False):
        """Append @size bytes, at most @rate bytes a second."""
        command = ["/usr/bin/python3", "-B", os.path.join(os.path.dirname(__file__), "filler.py"),
                   self.path(name), str(int(size)), str(int(rate or 0)), "1" if sync else "0"]
        run(*command)

    def truncate(self, name, size=0):
        os.truncate(self.path(name), size)

    def unlink(self, name):
        os.unlink(self.path(name))

    def sync(self):
        """What was written or deleted so far is on the disk; on btrfs: a commit."""
        run("sync", "--file-system", self.where)

    def available(self):
        status = os.statvfs(self.where)
        return status.f_bavail * status.f_frsize

    def size(self):
        status = os.statvfs(self.where)
        return status.f_blocks * status.f_frsize

    def device(self):
        """(major, minor) as in mountinfo."""
        for line in mountinfo():
            fields = line.split(b" ")
            if fields[4] == escape(os.fsencode(self.where)):
                major, minor = fields[2].split(b":")
                return int(major), int(minor)
        raise AssertionError(f"{self.where} is not mounted")

    def _frozen_link(self):
        return os.path.join(os.environ["FSEVENTS_FROZEN"], os.path.basename(self.where))

    def freeze(self):
        """Tell the guard of private-namespace first: it thaws what is forgotten."""
        os.symlink(self.where, self._frozen_link())
        run("fsfreeze", "--freeze", self.where)
        self.frozen = True

    def thaw(self):
        run("fsfreeze", "--unfreeze", self.where)
        os.unlink(self._frozen_link())
        self.frozen = False

    def release(self):
        """After the test, whatever it did."""
        if self.frozen:
            self.thaw()
        if self.mounted:
            subprocess.run(["umount", "--lazy", os.fsencode(self.where)], check=False,
                           stderr=subprocess.DEVNULL)
        if self.image and os.path.exists(self.image):
            os.unlink(self.image)


def make_disk(kind, name, size_mb=None, options=None, mkfs=(), mount=True, where=None):
    """A filesystem of its own kind and size, empty and mounted at /mnt/@name."""
    size_mb = max(size_mb or 0, SMALLEST_MB[kind])
    where = where or os.path.join(MOUNTS, name)
    if kind == "tmpfs":
        disk = Disk(kind, where)
        options = ",".join(filter(None, [f"size={size_mb}M", options]))
    else:
        os.makedirs(IMAGES, exist_ok=True)
        disk = Disk(kind, where, os.path.join(IMAGES, name.replace("/", "_") + ".img"))
        with open(disk.image, "wb") as file:
            file.truncate(size_mb * MIB)
        run(*MKFS[kind], *mkfs, disk.image)
    return disk.mount(options=options) if mount else disk


def mountinfo(pid="self"):
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return file.read().splitlines()


def escape(path):
    """As the kernel writes it in mountinfo."""
    return b"".join(b"\\%03o" % c if c in b" \t\n\\" else bytes([c]) for c in path)


MS_BIND, MS_REC, MS_MOVE, MS_REMOUNT, MS_RDONLY = 4096, 16384, 8192, 32, 1
_libc = ctypes.CDLL(None, use_errno=True)


def mount_raw(source, target, kind, flags=0, data=None):
    """mount(2) itself: names as bytes that no tool interprets."""
    to_bytes = [v if v is None or isinstance(v, bytes) else os.fsencode(v)
                for v in (source, target, kind, data)]
    if _libc.mount(to_bytes[0], to_bytes[1], to_bytes[2], flags, to_bytes[3]) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def umount_raw(target, flags=0):
    if _libc.umount2(os.fsencode(target), flags) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)
