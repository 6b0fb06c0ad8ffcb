# SPDX-License-Identifier: GPL-2.0-or-later
"""
The tree as one knows it who has seen nothing but what a watch told.

A reader that is told of a directory from elsewhere, or of a loss, has to look for itself.
Here such a directory is `unknown`: what was told of it since must be true, the
rest is not compared, and is taken from the disk at the next barrier.

A name with MERGED is told as it was when the daemon looked: what is told below it until the next barrier may
be of another directory that stood there before, or came later. Such a path is not held against what was
told: `n_excused` counts it where it differs. So is what is told of a file at a name that it left: a link back may
be in the record of its creation, and where the file has no name in the end nobody asks for it.
"""

import os
import stat
from collections import deque

from actor import MOVED_IN
from watching import CREATE, DELETE, DIRECTORY, MERGED, MOUNT, MOVE, UNMOUNT, Lost


class Node:
    def __init__(self, inode, directory, unknown=False):
        self.inode = inode
        self.directory = directory
        self.unknown = unknown
        # Never told itself, only what happened below it.
        self.implied = False
        # Told as it was when somebody looked, or moved from within such a one.
        self.merged = False
        # What is told of it may be of these, which were there before.
        self.others = set()
        self.children = {}
        # What was here: a record may stand behind the removal that it was merged over.
        self.gone = {}
        # Inodes that were renamed away from here, by name.
        self.left = {}

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
        self.left.clear()


class Side:
    """Where a record says that something is: @name in @parent, or @merged: perhaps in another one at that path."""

    def __init__(self, parent, name, merged):
        self.parent, self.name, self.merged = parent, name, merged

    def directories(self):
        return self.parent.inodes() | ({0} if self.merged else set())


class Told:
    """
    A record with inodes for directories, as in the log of an actor: all that they may be, 0: any. Which one
    a directory is may be told only later.
    """

    def __init__(self, record, side, former_side=None):
        self.record = record
        self.inode, self.pid, self.mask = record.inode, record.pid, record.mask
        self.side, self.former_side = side, former_side
        self.name, self.former = side.name, former_side and former_side.name
        self.bit = MOVE if former_side else 0

    @property
    def directories(self):
        return self.side.directories()

    @property
    def former_directories(self):
        return self.former_side.directories()

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
        self.n_taken = self.n_there = self.n_excused = 0
        self.passed_gone = self.passed_merged = False

    def _hold(self, true, excused, why):
        """It must be so, or @excused."""
        assert true or excused, why
        self.n_excused += not true

    def directory(self, path, sure=True, late=False):
        """
        The node at @path; where not even that it is there is @sure, perhaps of no tree. `passed_gone`: there was
        another one, of which it may be told @late; `passed_merged`: it may be another one.
        """
        here, self.passed_gone, self.passed_merged = self.root, False, False
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
                late = late and self.passed_gone
                self._hold(here.unknown or not sure, self.passed_merged or late, f"{path} was never told, at {name}")
                below = Node(0, True, unknown=True)
                below.implied = True
                if sure and not late:
                    here.children[name] = below
            here = below
            self.passed_merged |= here.merged
        assert here.directory, f"{path} is no directory"
        return here

    def split(self, path, sure=True, late=False):
        parent, _, name = path.rpartition(b"/")
        node = self.directory(parent, sure, late)
        return Side(node, name, self.passed_merged)

    def expect(self, deeds):
        """Of @deeds only what a reader has to find out by looking."""
        self.moved_in |= {deed.inode for deed in deeds if deed.bit == MOVED_IN}

    def apply(self, records):
        """All of @records in their order."""
        self.root.settle()
        rest, before = deque(records), None
        while rest:
            record = rest.popleft()
            if isinstance(record, Lost):
                self._lose(record)
            elif record.cookie and rest and getattr(rest[0], "cookie", 0) == record.cookie:
                self._exchange(record, rest.popleft())
            elif record.name:
                beside = (before, rest[0] if rest else None)
                assert not record.cookie or any(isinstance(one, Lost) for one in beside), f"{record} is one half"
                self._change(record)
            before = record

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
        a, b = self.split(one.former), self.split(one.name)
        self.told += [Told(one, b, a), Told(other, a, b)]
        self._check_known(a, one)
        self._check_known(b, other)
        first, second = self._leave(a, one), self._leave(b, other)
        b.parent.children[b.name], a.parent.children[a.name] = first, second

    def _leave(self, side, record):
        """What moves from @side."""
        node = side.parent.children.pop(side.name, None) or self._new(record)
        node.merged |= side.merged
        side.parent.left.setdefault(side.name, set()).add(record.inode)
        return node

    def _new(self, record):
        """What was not seen to be made is not known within."""
        return Node(record.inode, bool(record.mask & DIRECTORY), unknown=True)

    def _change(self, record):
        # That a name is gone may be found out when its directory is gone as well.
        here = self.split(record.name, record.mask & (MERGED | DELETE) != MERGED | DELETE,
                          not record.mask & (CREATE | DELETE | MOVE))
        former = None
        if record.mask & MOVE:
            former = self.split(record.former)
            self._check_known(former, record)
            node = self._leave(former, record)
            node.learn(record.inode)
            here.parent.put(here.name, node)
        elif record.mask & CREATE:
            self._create(here, record)
        elif record.mask & DELETE:
            self._delete(here, record)
        elif not record.mask & (MOUNT | UNMOUNT):
            # What is closed may be gone, and its directory with it: then the path is that of before.
            if self.passed_gone:
                here.parent = Node(0, True, unknown=True)
            self._check_known(here, record)
            if here.name in here.parent.children and here.name not in here.parent.gone:
                here.parent.children[here.name].learn(record.inode)
        self.told.append(Told(record, here, former))

    def _check_known(self, side, record):
        """What is told of something is told of what is there, or was."""
        parent, name = side.parent, side.name
        there = [node for node in (parent.children.get(name), parent.gone.get(name)) if node]
        back = not record.mask & DIRECTORY and record.inode in parent.left.get(name, ())
        self._hold(parent.unknown or any(node.may_be(record.inode) for node in there), side.merged or back,
                   f"{record}: {name} {'is another one' if there else 'was never told'}")

    def _create(self, side, record):
        directory, merged = bool(record.mask & DIRECTORY), bool(record.mask & MERGED)
        parent, name = side.parent, side.name
        there = parent.children.get(name)
        if there and not (merged or there.implied or parent.others):
            self._hold(there.may_be(record.inode), side.merged,
                       f"{record}: that {there.inodes()} is gone was not told")
            if directory and there.inode == record.inode:
                return
        node = Node(record.inode, directory, directory and merged or record.inode in self.moved_in)
        parent.put(name, node)
        # The last state: what is told meanwhile may still be of the directory before it.
        if merged:
            node.merged = True
            node.follow(parent.gone.get(name) if directory else None)

    def _delete(self, side, record):
        parent, name, merged = side.parent, side.name, bool(record.mask & MERGED)
        if not merged:
            self._check_known(side, record)
        node = parent.take(name)
        if node and not merged:
            node.learn(record.inode)
        elif not node or record.inode not in node.inodes():
            parent.lose(name, self._new(record))
        parent.gone[name].merged |= merged

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
        node.left.clear()
        for name, child in node.children.items():
            child.inode = real[name][0]
            child.implied = child.merged = False
            if child.directory:
                self._check(child, os.path.join(path, name))
