# SPDX-License-Identifier: GPL-2.0-or-later
"""
The tree as one knows it who has seen nothing but what a watch told.

A reader that is told of a directory from elsewhere, or of a loss, has to look for itself.
Here such a directory is `unknown`: what was told of it since must be true, the
rest is not compared, and is taken from the disk at the next barrier.
"""

import os
import stat

from actor import ATTRIB_OF_DIRECTORY, MOVED_IN
from watching import ATTRIB, CLOSE_WRITE, CREATE, DELETE, DIRECTORY, MERGED, MOVE, Lost

NAMES = CREATE | DELETE | MOVE


class Node:
    def __init__(self, inode, directory, unknown=False):
        self.inode = inode
        self.directory = directory
        self.unknown = unknown
        # Never told itself, only what happened below it.
        self.implied = False
        self.children = {}
        # What was here: a record may stand behind the removal that it was merged over.
        self.gone = {}

    def put(self, name, node):
        self.take(name)
        node.implied = False
        self.children[name] = node

    def take(self, name):
        node = self.children.pop(name, None)
        if node:
            self.gone[name] = node
        return node

    def forget(self):
        self.unknown = True
        self.children.clear()
        self.gone.clear()


class Told:
    """A record with inodes for directories, as in the log of an actor; 0: not known."""

    def __init__(self, record, parent, name, former_parent, former):
        self.record = record
        self.key = (parent.inode, name, record.inode, record.pid)
        self.mask = record.mask
        self.former = (former_parent.inode, former) if former_parent else None

    def __repr__(self):
        return f"<{self.record} in {self.key[0]}>"


class Replay:
    """Of a watch on the directory @root; `told` is all records that were applied."""

    def __init__(self, root):
        self.root = Node(os.stat(root).st_ino, True)
        self.where = os.fsencode(root)
        self.moved_in = set()
        self.told = []
        self.losses = []

    def directory(self, path, sure=True):
        """The node at @path; where not even that it is there is @sure, perhaps of no tree."""
        here = self.root
        for name in path.split(b"/") if path else ():
            below = here.children.get(name)
            if below is None and name in here.gone:
                # Of a directory that was there; which one, what was merged does not say.
                below = here.gone[name] = Node(0, True, unknown=True)
            elif below is None:
                assert here.unknown or not sure, f"{path} was never told, at {name}"
                below = Node(0, True, unknown=True)
                below.implied = True
                if sure:
                    here.children[name] = below
            here = below
        assert here.directory, f"{path} is no directory"
        return here

    def split(self, path, sure=True):
        parent, _, name = path.rpartition(b"/")
        return self.directory(parent, sure), name

    def expect(self, deeds):
        """Of @deeds only what a reader has to find out by looking."""
        self.moved_in |= {deed.inode for deed in deeds if deed.bit == MOVED_IN}

    def apply(self, records):
        """All of @records in their order."""
        records = iter(records)
        for record in records:
            if isinstance(record, Lost):
                self._lose(record)
            elif record.cookie and record.mask & MOVE:
                other = next(records)
                assert other.cookie == record.cookie, f"{record} is one half of an exchange"
                self._exchange(record, other)
            elif record.name:
                self._change(record)

    def _lose(self, lost):
        self.losses.append(lost)
        here = self.root
        for name in lost.under.split(b"/") if lost.under else ():
            if name not in here.children:
                break
            here = here.children[name]
        here.forget()

    def _exchange(self, one, other):
        assert (one.name, one.former) == (other.former, other.name), f"{one} and {other}"
        (a, a_name), (b, b_name) = self.split(one.former), self.split(one.name)
        self.told += [Told(one, b, b_name, a, a_name), Told(other, a, a_name, b, b_name)]
        first, second = a.children.pop(a_name, None), b.children.pop(b_name, None)
        b.children[b_name] = first or self._new(one)
        a.children[a_name] = second or self._new(other)

    def _new(self, record):
        """What was not seen to be made is not known within."""
        return Node(record.inode, bool(record.mask & DIRECTORY), unknown=True)

    def _change(self, record):
        # That a name is gone may be found out when its directory is gone as well.
        parent, name = self.split(record.name, record.mask & (MERGED | DELETE) != MERGED | DELETE)
        former_parent = former = None
        if record.mask & MOVE:
            former_parent, former = self.split(record.former)
            node = former_parent.children.pop(former, None) or self._new(record)
            parent.put(name, node)
        elif record.mask & CREATE:
            self._create(parent, name, record)
        elif record.mask & DELETE:
            if not parent.take(name):
                parent.gone[name] = self._new(record)
        self.told.append(Told(record, parent, name, former_parent, former))

    def _create(self, parent, name, record):
        directory, merged = bool(record.mask & DIRECTORY), bool(record.mask & MERGED)
        there = parent.children.get(name)
        if there and directory and there.inode == record.inode and not merged:
            return
        if directory and merged:
            # The last state: what is told meanwhile may still be of the directory before it.
            parent.put(name, Node(0, True, unknown=True))
        else:
            parent.put(name, Node(record.inode, directory, record.inode in self.moved_in))

    def check_tree(self):
        """What was told is what is on the disk; then take from there what is not known."""
        self._check(self.root, self.where)

    def _check(self, node, path):
        real = {}
        with os.scandir(path) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                real[entry.name] = (status.st_ino, stat.S_ISDIR(status.st_mode))
        # That it is gone may have been told before, when what is above it had another name.
        for name in [name for name, child in node.children.items()
                     if child.implied and name not in real]:
            del node.children[name]
        for name, child in node.children.items():
            assert name in real, f"{path}/{name} was told and is not there"
            assert child.directory == real[name][1], f"{path}/{name} is something else"
            assert child.inode in (0, real[name][0]), f"{path}/{name} is another one"
        for name in real.keys() - node.children.keys():
            assert node.unknown, f"{path}/{name} is there and was not told"
            assert name not in node.gone, f"{path}/{name} is there and was told to be gone"
            inode, directory = real[name]
            node.children[name] = Node(inode, directory, unknown=directory)
        node.unknown = False
        node.gone.clear()
        for name, child in node.children.items():
            child.inode = real[name][0]
            child.implied = False
            if child.directory:
                self._check(child, os.path.join(path, name))


class Union:
    """The bits told of each directory, name, inode and process."""

    def __init__(self, told):
        self.bits, self.inodes, self.formers, self.n_merged = {}, {}, {}, 0
        # Whose own attributes were told to have changed, by which process.
        self.directories = {one.key[2:] for one in told
                            if one.mask & DIRECTORY and one.mask & ATTRIB}
        for one in told:
            directory, name, inode, pid = one.key
            self.bits[one.key] = self.bits.get(one.key, 0) | one.mask
            self.inodes.setdefault((directory, name, pid), set()).add(inode)
            if one.former:
                self.formers.setdefault(one.key, set()).add(one.former)

    def _of(self, deed, directory, inode):
        """[(bits, former places)] of what may be @deed, if that was in @directory and of @inode, 0: any."""
        inodes = self.inodes.get((directory, deed.name, deed.pid), set())
        keys = [(directory, deed.name, one, deed.pid) for one in inodes if inode in (0, one)]
        return [(self.bits[key], self.formers.get(key, ())) for key in keys]

    def covers(self, deed):
        """
        Was @deed told? Of a directory that came from elsewhere the replay does not know which it is.
        What is told as merged is what is there in the end, and may be another inode.
        """
        came_from = {(deed.former_directory, deed.former), (0, deed.former)}
        for directory in (deed.directory, 0):
            for bits, formers in self._of(deed, directory, deed.inode):
                if bits & deed.bit and (deed.bit != MOVE or came_from & set(formers)):
                    return True
        for directory in (deed.directory, 0):
            if any(bits & MERGED for bits, _ in self._of(deed, directory, 0)):
                self.n_merged += 1
                return True
        return False


def missing(told, deeds):
    """(what of @deeds was not told, how much was told as merged)"""
    union = Union(told)
    removed = {(deed.directory, deed.name): deed.pid for deed in deeds if deed.bit == DELETE}

    def is_told(deed):
        if deed.bit == ATTRIB_OF_DIRECTORY:
            return (deed.inode, deed.pid) in union.directories
        # Where another process was quicker to remove it, what is closed has no name.
        return deed.bit < 0 or union.covers(deed) or (
            deed.bit == CLOSE_WRITE
            and removed.get((deed.directory, deed.name), deed.pid) != deed.pid)
    return [deed for deed in deeds if not is_told(deed)], union.n_merged


def invented(told, deeds):
    """What was told to be made, removed or moved, and nobody of @deeds did."""
    done = {}
    for deed in deeds:
        for directory in (deed.directory, 0) if deed.bit > 0 else ():
            key = (directory, deed.name, deed.pid)
            done[key] = done.get(key, 0) | deed.bit
    return [one for one in told if not one.mask & MERGED
            and one.mask & NAMES & ~done.get((one.key[0], one.key[1], one.key[3]), 0)]
