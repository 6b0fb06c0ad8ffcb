# SPDX-License-Identifier: GPL-2.0-or-later
"""
The tree as one knows it who has seen nothing but what a watch told.

A reader that is told of a directory from elsewhere, or of a loss, has to look for itself.
Here such a directory is `unknown`: what was told of it since must be true, the
rest is not compared, and is taken from the disk at the next barrier.
"""

import os
import stat

from actor import MOVED_IN
from watching import CREATE, DELETE, DIRECTORY, MERGED, MOUNT, MOVE, UNMOUNT, Lost


class Node:
    def __init__(self, inode, directory, unknown=False):
        self.inode = inode
        self.directory = directory
        self.unknown = unknown
        # Never told itself, only what happened below it.
        self.implied = False
        # What is told of it may be of these, which were there before.
        self.others = set()
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
            self.lose(name, node)
        return node

    def lose(self, name, node):
        """It was there."""
        node.follow(self.gone.get(name))
        self.gone[name] = node

    def follow(self, node):
        """What is told of it may be of @node."""
        if node and node is not self:
            self.others |= {node} | node.others - {self}

    def inodes(self):
        """All that it may be; 0 among them: any."""
        return {self.inode} | {other.inode for other in self.others}

    def may_be(self, inode):
        return not self.inodes().isdisjoint((0, inode))

    def learn(self, inode):
        """It was told which one it is."""
        self.inode = self.inode or inode

    def settle(self):
        """What is told from now on is of what is there."""
        self.others = set()
        for child in self.children.values():
            child.settle()

    def forget(self):
        self.unknown = True
        self.children.clear()
        self.gone.clear()


class Told:
    """
    A record with inodes for directories, as in the log of an actor: all that they may be, 0: any. Which one
    a directory is may be told only later.
    """

    def __init__(self, record, parent, name, former_parent, former):
        self.record = record
        self.inode, self.pid, self.mask = record.inode, record.pid, record.mask
        self.name, self.former = name, former
        self.bit = MOVE if former_parent else 0
        self.parents = parent, former_parent

    @property
    def directories(self):
        return self.parents[0].inodes()

    @property
    def former_directories(self):
        return self.parents[1].inodes()

    def __repr__(self):
        return f"<{self.record} in {self.directories}>"


class Replay:
    """Of a watch on the directory @root; `told` is all records that were applied."""

    def __init__(self, root):
        self.root = Node(os.stat(root).st_ino, True)
        self.where = os.fsencode(root)
        self.moved_in = set()
        self.told = []
        self.losses = []
        self.n_taken = self.n_there = 0
        self.passed_gone = False

    def directory(self, path, sure=True):
        """
        The node at @path; where not even that it is there is @sure, perhaps of no tree. `passed_gone`: there was
        another one.
        """
        here, self.passed_gone = self.root, False
        for name in path.split(b"/") if path else ():
            below = here.children.get(name)
            self.passed_gone |= name in here.gone
            if below is None and name in here.gone:
                # Of a directory that was there; what was in it nobody knows any more.
                if not here.gone[name].directory:
                    here.lose(name, Node(0, True))
                below = here.gone[name]
                below.unknown = True
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
        self.root.settle()
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
                # Then all of the directory above it has to be looked through, for other reasons.
                assert here.unknown or name in here.gone, f"{lost}: {name} was never told"
                break
            here = here.children[name]
        assert here.directory, f"{lost} is no directory to look through"
        here.forget()

    def _exchange(self, one, other):
        assert (one.name, one.former) == (other.former, other.name), f"{one} and {other}"
        (a, a_name), (b, b_name) = self.split(one.former), self.split(one.name)
        self.told += [Told(one, b, b_name, a, a_name), Told(other, a, a_name, b, b_name)]
        self._check_known(a, a_name, one)
        self._check_known(b, b_name, other)
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
            self._check_known(former_parent, former, record)
            node = former_parent.children.pop(former, None) or self._new(record)
            node.learn(record.inode)
            parent.put(name, node)
        elif record.mask & CREATE:
            self._create(parent, name, record)
        elif record.mask & DELETE:
            self._delete(parent, name, record)
        elif not record.mask & (MOUNT | UNMOUNT):
            # What is closed may be gone, and its directory with it: then the path is that of before.
            if self.passed_gone:
                parent = Node(0, True, unknown=True)
            self._check_known(parent, name, record)
            if name in parent.children and name not in parent.gone:
                parent.children[name].learn(record.inode)
        self.told.append(Told(record, parent, name, former_parent, former))

    def _check_known(self, parent, name, record):
        """What is told of something is told of what is there, or was."""
        there = [node for node in (parent.children.get(name), parent.gone.get(name)) if node]
        assert there or parent.unknown, f"{record}: {name} was never told"
        assert parent.unknown or any(node.may_be(record.inode) for node in there), f"{record}: {name} is another one"

    def _create(self, parent, name, record):
        directory, merged = bool(record.mask & DIRECTORY), bool(record.mask & MERGED)
        there = parent.children.get(name)
        if there and not (merged or there.implied or parent.others):
            assert there.may_be(record.inode), f"{record}: that {there.inodes()} is gone was not told"
            if directory and there.inode == record.inode:
                return
        if directory and merged:
            # The last state: what is told meanwhile may still be of the directory before it.
            node = Node(record.inode, True, unknown=True)
            parent.put(name, node)
            node.follow(parent.gone.get(name))
        else:
            node = Node(record.inode, directory, record.inode in self.moved_in)
            parent.put(name, node)

    def _delete(self, parent, name, record):
        if not record.mask & MERGED:
            self._check_known(parent, name, record)
        node = parent.take(name)
        if node and not record.mask & MERGED:
            node.learn(record.inode)
        elif not node or record.inode not in node.inodes():
            parent.lose(name, self._new(record))

    def check_tree(self):
        """What was told is what is on the disk; then take from there what is not known: `n_taken` of `n_there`."""
        self.n_taken = self.n_there = 0
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
        self.n_there += len(real)
        for name in real.keys() - node.children.keys():
            self.n_taken += 1
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
