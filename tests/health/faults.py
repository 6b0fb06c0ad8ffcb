# SPDX-License-Identifier: GPL-2.0-or-later
"""
Ways to break a filesystem for real.

Each needs nothing but root and a loop device: metadata damaged on an unmounted
image, a backing file that has no room for what is written, the shutdown
calls of the filesystems, devices and superblocks made read-only.
"""

import ctypes
import fcntl
import os
import re
import struct
import subprocess

from disks import MIB, MKFS, MOUNTS, Disk, escape, mount_raw, mountinfo, run, umount_raw

BACKINGS = "/run/fsevents-backings"
EXT4_IOC_SHUTDOWN = 0x8004587D
SHUTDOWN_NOLOGFLUSH = 2
FS_IOC_FIEMAP = 0xC020660B
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_NOCOW_FL = 0x80086601, 0x40086602, 0x00800000
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE = 1, 2
MNT_DETACH = 2
CLONE_NEWNS = 0x00020000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class Backed(Disk):
    """A disk whose image lies on a tmpfs of its own, so that the backing can run out of room."""

    def __init__(self, kind, name, size_mb, mkfs=(), options=None):
        self.backing = os.path.join(BACKINGS, name)
        os.makedirs(self.backing, 0o755, exist_ok=True)
        # Some room for what the backing needs besides the image itself.
        mount_raw("backing", self.backing, "tmpfs", 0, f"size={size_mb + 1}M")
        super().__init__(kind, os.path.join(MOUNTS, name), os.path.join(self.backing, "image"))
        self._allocate(size_mb * MIB)
        # No discard, and no zeroes later on, which would be holes: what is allocated for the image stays.
        keep = {"ext4": ["-E", "nodiscard,lazy_itable_init=0"], "xfs": ["-K"], "btrfs": ["-K"]}[kind]
        block = ["-b", "4096"] if kind == "ext4" else []
        run(*MKFS[kind], *keep, *block, *mkfs, self.image)
        self._allocate(size_mb * MIB)
        discard = "nodiscard" if kind == "btrfs" else None
        self.mount(options=",".join(filter(None, (options, discard))))

    def _allocate(self, size):
        fd = os.open(self.image, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
        finally:
            os.close(fd)

    def lose(self, start, length):
        """From now on nothing can be written to this range of the device."""
        fd = os.open(self.image, os.O_RDWR | os.O_CLOEXEC)
        try:
            if _libc.fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, start, length) < 0:
                raise OSError(ctypes.get_errno(), "fallocate", self.image)
        finally:
            os.close(fd)
        fill(os.path.join(self.backing, "ballast"))

    def release(self):
        super().release()
        subprocess.run(["umount", "--lazy", self.backing], check=False)


def fill(path):
    """Append until there is no room. Give what was written."""
    written, chunk = 0, bytes(MIB)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        while True:
            try:
                written += os.write(fd, chunk)
            except OSError:
                if len(chunk) == 1:
                    return written
                chunk = chunk[:len(chunk) // 4096 or 1]
    finally:
        os.close(fd)


def extent_of(path):
    """(start, length) on the device of a file's first extent."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        request = bytearray(struct.pack("=QQIIII", 0, (1 << 64) - 1, 1, 0, 1, 0) + bytes(56))
        fcntl.ioctl(fd, FS_IOC_FIEMAP, request)
    finally:
        os.close(fd)
    assert struct.unpack_from("=I", request, 20)[0], f"{path} has no extent"
    _, physical, length = struct.unpack_from("=QQQ", request, 32)
    return physical, length


def device(disk):
    """The kernel's name of its block device, "loop3"."""
    for line in mountinfo():
        fields = line.split(b" ")
        if fields[4] == escape(os.fsencode(disk.where)):
            return os.path.basename(os.fsdecode(fields[fields.index(b"-") + 2]))
    raise AssertionError(f"{disk.where} is not mounted")


def read_error(path):
    """Read a file as cat does, in a process of its own; its pid and what it said."""
    process = subprocess.Popen(["cat", "--", path], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    _, said = process.communicate(timeout=60)
    return process.pid, said.decode(errors="replace")


# --- damaged metadata

def damage_ext4(disk, name="damaged", options=None):
    """A file whose extents make no sense; give its inode. The disk is mounted again."""
    inode = _file(disk, name)
    disk.umount()
    run("debugfs", "-w", "-R", f"set_inode_field <{inode}> block[0] 0x1234", disk.image)
    disk.mount(options=options)
    return inode


def damage_ext4_directory(disk, name="directory"):
    """A directory that does not fit its checksum; give its inode."""
    os.mkdir(disk.path(name))
    with open(disk.path(f"{name}/file"), "wb"):
        pass
    inode = os.stat(disk.path(name)).st_ino
    disk.umount()
    block = int(run("debugfs", "-R", f"bmap <{inode}> 0", disk.image).splitlines()[-1])
    with open(disk.image, "r+b") as image:
        # The directory's own entry and its parent's stay.
        image.seek(block * block_size(disk) + 24)
        image.write(b"\xa5" * 64)
    disk.mount(options="errors=continue")
    return inode


def block_size(disk):
    text = run("dumpe2fs", "-h", disk.image)
    return int(re.search(r"(?m)^Block size:\s+(\d+)$", text).group(1))


def damage_xfs(disk, name="damaged"):
    """A file whose inode has a wrong magic number."""
    inode = _file(disk, name)
    # In a chunk of inodes of its own, so that the root directory stays readable.
    disk.umount()
    run("xfs_db", "-x", "-c", f"inode {inode}", "-c", "write -d core.magic 0x1111", disk.image)
    disk.mount()
    return inode


def damage_btrfs(disk, name="damaged"):
    """A file whose data does not fit its checksum."""
    inode = _file(disk, name)
    disk.umount()
    with open(disk.image, "r+b") as image:
        content = image.read()
        at = content.find(_content(name))
        assert at >= 0, "the data of the file is not in the image"
        while at >= 0:
            image.seek(at)
            image.write(b"\xff" * 16)
            at = content.find(_content(name), at + 1)
    disk.mount()
    return inode


def _content(name):
    return b"content of " + os.fsencode(name) + b" " * 4096


def _file(disk, name):
    path = disk.path(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if disk.kind == "xfs":
        # Inodes come in chunks of 64, and the first has the root directory.
        for i in range(128):
            with open(disk.path(f"before{i}"), "wb"):
                pass
    with open(path, "wb") as file:
        # One block that is damaged: of many, the kernel's log would leave some out.
        file.write(_content(name))
    disk.sync()
    return os.stat(path).st_ino


# --- a device that takes no writes

def lose_journal(disk):
    """Nothing can be written to ext4's journal any more, besides its first blocks."""
    text = run("debugfs", "-R", "dump_extents <8>", disk.image)
    first, last = map(int, re.search(r"(?m)^\s*0/\s*0.*?\s(\d+)\s+-\s+(\d+)\s+\d+\s*$", text).groups())
    disk.lose((first + 8) * 4096, (last - first - 7) * 4096)


def lose_log(disk):
    """Likewise xfs' log."""
    text = run("xfs_db", "-r", "-c", "sb 0", "-c", "print logstart logblocks agblklog agblocks",
               disk.image)
    value = {name: int(number) for name, number in re.findall(r"(\w+) = (\d+)", text)}
    group = value["logstart"] >> value["agblklog"]
    block = group * value["agblocks"] + (value["logstart"] & ((1 << value["agblklog"]) - 1))
    disk.lose((block + 64) * 4096, (value["logblocks"] - 64) * 4096)


def lose_data(disk, name, size=MIB):
    """A file that can be written to and whose data is lost at writeback; give its inode."""
    path = disk.path(name)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        if disk.kind == "btrfs":
            # In place, so that it is known where the data goes.
            flags = bytearray(fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8)))
            fcntl.ioctl(fd, FS_IOC_SETFLAGS,
                        struct.pack("=q", struct.unpack("=q", flags)[0] | FS_NOCOW_FL))
        os.write(fd, bytes(size))
        os.fsync(fd)
    finally:
        os.close(fd)
    disk.sync()
    disk.lose(*extent_of(path))
    return os.stat(path).st_ino


def overwrite(path, size=MIB):
    """Write in place and wait for it; the errno of that, 0 for none."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(fd, b"\x55" * size, 0)
        os.fsync(fd)
    except OSError as error:
        return error.errno
    finally:
        os.close(fd)
    return 0


def lose_everything(disk):
    """Nothing can be written where nothing was written before, as on btrfs everything is."""
    size, zeros = os.stat(disk.image).st_size, bytes(65536)
    fd = os.open(disk.image, os.O_RDWR | os.O_CLOEXEC)
    try:
        for at in range(0, size, len(zeros)):
            if os.pread(fd, len(zeros), at) == zeros:
                _libc.fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, at, len(zeros))
    finally:
        os.close(fd)
    fill(os.path.join(disk.backing, "ballast"))


def change(disk, name="change"):
    """A change of data and metadata, written to the disk as far as that goes."""
    for step in (_write_through, _make_directory, lambda disk, _: disk.sync()):
        try:
            step(disk, name)
        except (OSError, AssertionError):
            pass


def _write_through(disk, name):
    with open(disk.path(name), "wb") as file:
        file.write(b"x" * 8192)
        file.flush()
        os.fsync(file.fileno())


def _make_directory(disk, name):
    os.mkdir(disk.path(name + ".d"))


# --- shut down, read-only

def shut_down(disk):
    if disk.kind == "xfs":
        run("xfs_io", "-x", "-c", "shutdown", disk.where)
        return
    fd = os.open(disk.where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("=I", SHUTDOWN_NOLOGFLUSH))
    finally:
        os.close(fd)


def remount(disk, *options):
    run("mount", "-o", ",".join(["remount", *options]), disk.where)


def remount_elsewhere(disk, *options):
    """By a process with a mount namespace of its own: no mount of ours changes."""
    run("unshare", "--mount", "--propagation", "private", "--",
        "mount", "-o", ",".join(["remount", *options]), disk.where)


def set_device(disk, read_only):
    run("blockdev", "--setro" if read_only else "--setrw", "/dev/" + device(disk))


def trigger(disk, text="provoked", times=1):
    """ext4's own hook for tests: an error with this text."""
    with open(f"/sys/fs/ext4/{device(disk)}/trigger_fs_error", "w", encoding="ascii",
              buffering=1) as file:
        for _ in range(times):
            file.write(text + "\n")
            file.flush()


# --- exhausted

def use_up_space(disk, name="filler"):
    """All that is available to whoever writes; what was written."""
    written = fill(disk.path(name))
    if disk.kind == "btrfs":
        disk.sync()
        written += fill(disk.path(name))
        disk.sync()
    return written


def use_up_inodes(disk, directory="inodes"):
    """Create files until there is no inode; how many, and the errno at the end."""
    os.makedirs(disk.path(directory), exist_ok=True)
    made = 0
    while True:
        try:
            os.close(os.open(disk.path(f"{directory}/{made:07}"),
                             os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        except OSError as error:
            return made, error.errno
        made += 1


def use_up_metadata(disk, directory="names"):
    """Empty files with long names, which btrfs keeps with its metadata, until there is no room."""
    os.makedirs(disk.path(directory), exist_ok=True)
    made = 0
    while True:
        try:
            os.close(os.open(disk.path(f"{directory}/{made:07}" + "n" * 240),
                             os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        except OSError as error:
            return made, error.errno
        made += 1


def detach(disk):
    umount_raw(disk.where, MNT_DETACH)
    disk.mounted = False


class KernelLog:
    """What the kernel logs from now on."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self.fd, 0, os.SEEK_END)
        self.records = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def read(self):
        while True:
            try:
                self.records.append(os.read(self.fd, 8192).decode(errors="replace"))
            except BlockingIOError:
                return self.records
            except BrokenPipeError:
                pass  # overwritten: the next read goes on after that

    def has(self, *parts):
        return any(all(part in record for part in parts) for record in self.read())
