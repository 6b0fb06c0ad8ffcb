# SPDX-License-Identifier: GPL-2.0-or-later
"""
One process that changes a tree at random, and keeps a log of what it did.

    actor.py DIRECTORY NUMBER SEED LOG [mounts] [roomy]

It works in DIRECTORY/tree and takes things to and from DIRECTORY/outside. Each line
on its input is a number of steps; when they are done it says so. In the log each
line is what one call of the kernel did:

    [bit, directory, name, inode, former directory, former name]

with inodes for directories, so that it does not matter how they are called
meanwhile; an inode of 0 is one that others may have put in place of what was looked at.
Directories are everybody's, names of files each process has of its own; only
`rm -r` takes those of others. With "roomy" no name of a file comes again by chance, so
that the kernel can merge little.
"""

import ctypes
import errno
import fcntl
import json
import os
import random
import stat
import sys

SHARED = ("d0", "d1", "d2", "d3")
N_OWN = 6
DEPTH = 5
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
MNT_DETACH = 2
ATTRIB, CLOSE_WRITE, CREATE, DELETE, MOVE = 0x4, 0x8, 0x100, 0x200, 0x10000
# No bits. A directory that brings what nobody was told of; and of a directory itself: by whatever
# name, for the kernel merges what happened at the last one and at this; of one that another process was
# quicker to remove it may be told by the last one, or not at all.
MOVED_IN, ATTRIB_OF_DIRECTORY, ATTRIB_OF_REMOVED = -1, -2, -3

_libc = ctypes.CDLL(None, use_errno=True)


def renameat2(old_dir, old, new_dir, new, flags):
    if _libc.renameat2(old_dir, os.fsencode(old), new_dir, os.fsencode(new), flags) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), old)


def system_mount(source, target, kind, flags, data):
    if _libc.mount(source, os.fsencode(target), kind, flags, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


class Place:
    """A directory that is open: `fd` and `inode`."""

    def __init__(self, path, parent=None):
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                          dir_fd=parent.fd if parent else None)
        status = os.fstat(self.fd)
        self.inode, self.device = status.st_ino, status.st_dev

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def names(self):
        return sorted(os.listdir(self.fd))

    def inode_of(self, name):
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_ino


class Actor:
    def __init__(self, directory, number, seed, log, mounts=False, roomy=False):
        self.root = os.path.join(directory, "tree")
        self.outside = os.path.join(directory, "outside", f"p{number}")
        os.mkdir(self.outside)
        self.lock = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        self.prefix = f"p{number}-"
        self.n_own = 1 << 30 if roomy else N_OWN
        self.random = random.Random(f"{seed} {number}")
        self.log = open(log, "w", encoding="ascii", buffering=1 << 16)
        self.mount_point = os.path.join(self.root, f"m{number}") if mounts else None
        self.mounted = False
        self.brought = 0
        steps = {self.make: 16, self.append: 6, self.mode: 6, self.rename: 10, self.exchange: 4,
                 self.link: 6, self.unlink: 10, self.unnamed: 4, self.make_directories: 10,
                 self.rename_directory: 5, self.exchange_directories: 2, self.remove_directory: 4,
                 self.remove_tree: 2, self.mode_of_directory: 3, self.take_out: 3, self.bring_in: 3}
        if mounts:
            steps[self.mount] = 6
        self.steps, self.weights = list(steps), list(steps.values())

    def note(self, bit, place, name, inode, former=None, former_name=""):
        self.log.write(json.dumps([bit, place.inode, name, inode, former.inode if former else 0,
                                   former_name]) + "\n")

    def place(self, depth=DEPTH):
        """Some directory of the tree."""
        here = Place(self.root)
        device = here.device
        while depth > 0 and self.random.random() < 0.6:
            there = [name for name in here.names() if name in SHARED]
            if not there:
                break
            try:
                below = Place(self.random.choice(there), here)
            except OSError:
                break
            if below.device != device:
                os.close(below.fd)
                break
            os.close(here.fd)
            here = below
            depth -= 1
        return here

    def own_name(self):
        return f"{self.prefix}{self.random.randrange(self.n_own)}"

    def own(self, place):
        """A file of its own there; ENOENT where there is none."""
        there = [name for name in place.names() if name.startswith(self.prefix)]
        if not there:
            raise FileNotFoundError(errno.ENOENT, "none of its own")
        return self.random.choice(there)

    def shared(self, place):
        there = [name for name in place.names() if name in SHARED]
        if not there:
            raise FileNotFoundError(errno.ENOENT, "no directory there")
        return self.random.choice(there)

    # Files

    def make(self):
        with self.place() as place:
            name = self.own_name()
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644,
                         dir_fd=place.fd)
            inode = os.fstat(fd).st_ino
            os.write(fd, b"text")
            os.close(fd)
            self.note(CREATE, place, name, inode)
            self.note(CLOSE_WRITE, place, name, inode)

    def append(self):
        with self.place() as place:
            name = self.own(place)
            fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, dir_fd=place.fd)
            inode = os.fstat(fd).st_ino
            os.write(fd, b"more")
            os.close(fd)
            self.note(CLOSE_WRITE, place, name, inode)

    def mode(self):
        with self.place() as place:
            name = self.own(place)
            inode = place.inode_of(name)
            os.chmod(name, self.random.choice((0o600, 0o640, 0o644)), dir_fd=place.fd)
            self.note(ATTRIB, place, name, inode)

    def rename(self):
        with self.place() as old, self.place() as new:
            name, new_name = self.own(old), self.own_name()
            inode = old.inode_of(name)
            try:
                if new.inode_of(new_name) == inode:
                    return  # names of one file: nothing happens
            except FileNotFoundError:
                pass
            os.rename(name, new_name, src_dir_fd=old.fd, dst_dir_fd=new.fd)
            self.note(MOVE, new, new_name, inode, old, name)

    def exchange(self):
        with self.place() as one, self.place() as other:
            name, other_name = self.own(one), self.own(other)
            inode, other_inode = one.inode_of(name), other.inode_of(other_name)
            if inode == other_inode:
                return
            renameat2(one.fd, name, other.fd, other_name, RENAME_EXCHANGE)
            self.note(MOVE, other, other_name, inode, one, name)
            self.note(MOVE, one, name, other_inode, other, other_name)

    def link(self):
        with self.place() as old, self.place() as new:
            name, new_name = self.own(old), self.own_name()
            inode = old.inode_of(name)
            os.link(name, new_name, src_dir_fd=old.fd, dst_dir_fd=new.fd)
            self.note(CREATE, new, new_name, inode)

    def unlink(self):
        with self.place() as place:
            name = self.own(place)
            inode = place.inode_of(name)
            os.unlink(name, dir_fd=place.fd)
            self.note(DELETE, place, name, inode)

    def unnamed(self):
        """A file that gets its name when it is written."""
        with self.place() as place:
            name = self.own_name()
            fd = os.open(".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o644, dir_fd=place.fd)
            try:
                os.write(fd, b"text")
                inode = os.fstat(fd).st_ino
                os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=place.fd, follow_symlinks=True)
            finally:
                os.close(fd)
            self.note(CREATE, place, name, inode)

    # Directories

    def make_directories(self):
        """As mkdir -p does, beside others that do the same."""
        place = self.place(DEPTH - 2)
        for _ in range(self.random.randrange(1, 4)):
            name = self.random.choice(SHARED)
            try:
                try:
                    os.mkdir(name, 0o755, dir_fd=place.fd)
                    self.note(CREATE, place, name, 0)
                except FileExistsError:
                    pass
                below = Place(name, place)
            except OSError:
                break
            os.close(place.fd)
            place = below
        os.close(place.fd)

    def rename_directory(self):
        with self.place() as old, self.place(DEPTH - 2) as new:
            name, new_name = self.shared(old), self.random.choice(SHARED)
            if old.inode == new.inode and name == new_name:
                return
            os.rename(name, new_name, src_dir_fd=old.fd, dst_dir_fd=new.fd)
            self.note(MOVE, new, new_name, 0, old, name)

    def exchange_directories(self):
        with self.place() as one, self.place() as other:
            name, other_name = self.shared(one), self.shared(other)
            if one.inode == other.inode and name == other_name:
                return
            renameat2(one.fd, name, other.fd, other_name, RENAME_EXCHANGE)
            self.note(MOVE, other, other_name, 0, one, name)
            self.note(MOVE, one, name, 0, other, other_name)

    def remove_directory(self):
        with self.place() as place:
            name = self.shared(place)
            os.rmdir(name, dir_fd=place.fd)
            self.note(DELETE, place, name, 0)

    def mode_of_directory(self):
        with self.place() as place:
            name = self.shared(place)
            with Place(name, place) as below:
                os.fchmod(below.fd, self.random.choice((0o700, 0o750, 0o755)))
                there = os.fstat(below.fd).st_nlink > 0
                self.note(ATTRIB_OF_DIRECTORY if there else ATTRIB_OF_REMOVED, place, name, below.inode)

    def remove_tree(self):
        with self.place() as place:
            self._remove(place, self.shared(place))

    def _remove(self, place, name):
        with Place(name, place) as below:
            for child in below.names():
                try:
                    if stat.S_ISDIR(os.stat(child, dir_fd=below.fd, follow_symlinks=False).st_mode):
                        self._remove(below, child)
                    else:
                        os.unlink(child, dir_fd=below.fd)
                        self.note(DELETE, below, child, 0)
                except OSError:
                    pass  # somebody else was quicker
        os.rmdir(name, dir_fd=place.fd)
        self.note(DELETE, place, name, 0)

    # To and from where nobody watches

    def take_out(self):
        with self.place() as place, Place(self.outside) as outside:
            name = self.shared(place) if self.random.random() < 0.5 else self.own(place)
            self.brought += 1
            os.rename(name, f"{self.brought}", src_dir_fd=place.fd, dst_dir_fd=outside.fd)
            self.note(DELETE, place, name, 0)

    def bring_in(self):
        with self.place(DEPTH - 2) as place, Place(self.outside) as outside:
            there = outside.names()
            if not there:
                raise FileNotFoundError(errno.ENOENT, "nothing is outside")
            name = self.random.choice(there)
            status = os.stat(name, dir_fd=outside.fd, follow_symlinks=False)
            directory = stat.S_ISDIR(status.st_mode)
            new_name = self.random.choice(SHARED) if directory else self.own_name()
            if directory:
                self.note(MOVED_IN, place, new_name, status.st_ino)
            renameat2(outside.fd, name, place.fd, new_name, RENAME_NOREPLACE)
            self.note(CREATE, place, new_name, status.st_ino)

    def mount(self):
        """Over a directory of the tree: what is done there is done elsewhere."""
        if self.mounted:
            self.umount()
            return
        if not os.path.isdir(self.mount_point):
            with Place(self.root) as root:
                os.mkdir(self.mount_point)
                self.note(CREATE, root, os.path.basename(self.mount_point), 0)
        system_mount(b"fsevents-test", self.mount_point, b"tmpfs", 0, b"size=1M")
        self.mounted = True
        with open(os.path.join(self.mount_point, "elsewhere"), "w", encoding="ascii") as file:
            file.write("text")

    def umount(self):
        if self.mounted and _libc.umount2(os.fsencode(self.mount_point), MNT_DETACH) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), self.mount_point)
        self.mounted = False

    def run(self, n):
        """@n steps; how many of them did something."""
        done = 0
        for step in self.random.choices(self.steps, self.weights, k=n):
            # What is taken out must not be what somebody is working in: that would be done outside.
            fcntl.flock(self.lock, fcntl.LOCK_EX if step == self.take_out else fcntl.LOCK_SH)
            try:
                step()
                done += 1
            except OSError as error:
                # What the others, or chance, made impossible.
                if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL,
                                       errno.ENOTDIR, errno.EBUSY, errno.ESTALE, errno.EPERM):
                    raise
            finally:
                fcntl.flock(self.lock, fcntl.LOCK_UN)
        self.umount()
        self.log.flush()
        return done


def main():
    directory, number, seed, log = sys.argv[1:5]
    os.umask(0o022)
    actor = Actor(directory, int(number), seed, log, **{option: True for option in sys.argv[5:]})
    print("ready", flush=True)
    for line in sys.stdin:
        print(actor.run(int(line)), flush=True)


if __name__ == "__main__":
    main()
