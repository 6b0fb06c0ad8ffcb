# SPDX-License-Identifier: GPL-2.0-or-later
"""
The bits told of each directory, name, inode and process, beside those that were done.

Of what the kernel merged the order is not known: its names are told once, marked, as they
are in the end. Who has a name there answers the replay; here each side of such a deed must have
been told with that mark, by that process, and not oftener than something was done to it.
All other bits are exact, of merged records too. In a directory that the reader has to
look through it cannot say which one it is: there the name and the process must do.
What was excused so is counted.
"""

from collections import Counter

from actor import ATTRIB_OF_DIRECTORY, ATTRIB_OF_REMOVED
from watching import ATTRIB, CLOSE_WRITE, CREATE, DELETE, DIRECTORY, MERGED, MOVE

NAMES = CREATE | DELETE | MOVE
BITS = (CREATE, DELETE, MOVE, ATTRIB, CLOSE_WRITE)


def same(one, other):
    """0 is one that is not known."""
    return 0 in (one, other) or one == other


def within(directory, directories):
    """May it be, as far as the reader knows? Of several in a row it may have missed one."""
    return directory in directories or 0 in directories or len(directories) > 1


def sides(deed):
    """The (directory, name) that it is about."""
    here = [(deed.directory, deed.name)]
    return here + [(deed.former_directory, deed.former)] if deed.bit == MOVE else here


class Union:
    """
    `untold` deeds, `made_up` and `repeated` of what was told, `counts` of how deeds were told: "exact",
    "brief" (made and removed by one process, in one record), "merged", "unplaced" (by name and process, in a
    directory of which the reader does not know which it is), "nameless" (not: another process had removed it).
    """

    def __init__(self, told, deeds):
        self.told = [one for one in told if one.name]
        self.deeds = [deed for deed in deeds if deed.bit > 0]
        self.counts = Counter()
        self._index(deeds)
        self.untold = [deed for deed in deeds if not self._is_told(deed)]
        self.made_up = [one for one in self.told if not self._was_done(one)]
        self.repeated = self._repeated()

    def _index(self, deeds):
        self.of_name, self.merged, self.done, self.touched = {}, {}, {}, {}
        self.removers = {}
        self.attributes = Counter((deed.inode, deed.pid) for deed in deeds
                                  if deed.bit in (ATTRIB_OF_DIRECTORY, ATTRIB_OF_REMOVED))
        self.attributes_told = Counter((one.inode, one.pid) for one in self.told if is_of_directory(one))
        for one in self.told:
            self.of_name.setdefault((one.name, one.pid), []).append(one)
            if one.mask & MERGED and one.mask & NAMES:
                self.merged.setdefault((one.name, one.pid), []).append(one)
        for deed in self.deeds:
            self.done.setdefault((deed.name, deed.pid), []).append(deed)
            if deed.bit & NAMES:
                for directory, name in sides(deed):
                    for pid in (deed.pid, 0):
                        self.touched.setdefault((name, pid), []).append(directory)
            if deed.bit == DELETE:
                self.removers.setdefault((deed.directory, deed.name), set()).add(deed.pid)

    # What was done and not told

    def _is_brief(self, deed):
        """Both bits are in one record, of which the last is told."""
        both = {bit for bit in (CREATE, DELETE) for other in self.done[deed.name, deed.pid]
                if other.bit == bit and other.directory == deed.directory and same(other.inode, deed.inode)}
        return len(both) == 2 and any(
            one.mask & DELETE and deed.directory in one.directories and one.inode and same(one.inode, deed.inode)
            for one in self.merged.get((deed.name, deed.pid), ()))

    def _is_merged(self, deed):
        return all(any(within(directory, one.directories) for one in self.merged.get((name, deed.pid), ()))
                   for directory, name in sides(deed))

    def _is_told(self, deed):
        if deed.bit == ATTRIB_OF_DIRECTORY:
            return self.attributes_told[deed.inode, deed.pid] > 0
        if deed.bit < 0:
            return True
        found = [one for one in self.of_name.get((deed.name, deed.pid), ()) if tells(one, deed)]
        if any(deed.directory in one.directories and
               (deed.bit != MOVE or deed.former_directory in one.former_directories) for one in found):
            how = "exact"
        elif found:
            how = "unplaced"
        elif deed.bit in (CREATE, DELETE) and self._is_brief(deed):
            how = "brief"
        elif deed.bit & NAMES and self._is_merged(deed):
            how = "merged"
        # Where another process was quicker to remove it, what is closed has no name.
        elif deed.bit == CLOSE_WRITE and \
                self.removers.get((deed.directory, deed.name), set()) - {deed.pid}:
            how = "nameless"
        else:
            return False
        self.counts[how] += 1
        return True

    # What was told and not done

    def _was_done(self, one):
        done = self.done.get((one.name, one.pid), ())
        if is_of_directory(one) and not self.attributes[one.inode, one.pid] and not self.is_replaced(one):
            return False
        if one.mask & MERGED and one.mask & NAMES and not any(
                within(directory, one.directories) for directory in self.touched.get((one.name, one.pid), ())):
            return False
        bits = [bit for bit in exact_bits(one) if not (one.mask & MERGED and bit & NAMES)]
        return all(any(tells(one, deed) for deed in done if deed.bit == bit) for bit in bits)

    def _repeated(self):
        """[(name or inode, process, bit, how often told, how often done)]"""
        told, done = Counter(), Counter()
        for one in self.told:
            if one.mask & MERGED and one.mask & NAMES:
                told[one.name, one.pid, NAMES] += 1
            for bit in exact_bits(one):
                if bit & NAMES and one.mask & MERGED:
                    continue
                told[one.name, one.pid, bit] += 1
                for name in (one.name, one.former) if bit & NAMES else ():
                    if name is not None:
                        told[name, one.pid, NAMES] += 1
        for deed in self.deeds:
            done[deed.name, deed.pid, deed.bit] += 1
            if deed.bit & NAMES:
                for _, name in sides(deed):
                    done[name, deed.pid, NAMES] += 1
        # What belongs to no process is a name that another one's deed made doubtful.
        found = [(*key, n, done[key]) for key, n in told.items() if key[1] and n > done[key]]
        for (inode, pid), n in self.attributes_told.items():
            n_done = self.attributes[inode, pid] + any(
                self.is_replaced(one) for one in self.told
                if is_of_directory(one) and (one.inode, one.pid) == (inode, pid))
            if n > n_done:
                found.append((inode, pid, ATTRIB, n, n_done))
        return found

    def is_replaced(self, one):
        """The attributes of an empty directory change, too, when another one takes its place."""
        return any(deed.bit == MOVE for deed in self.done.get((one.name, one.pid), ()))


def is_of_directory(one):
    """Its own attributes, told by its name."""
    return one.mask & DIRECTORY and one.mask & ATTRIB


def exact_bits(one):
    return [bit for bit in BITS if one.mask & bit and not (bit == ATTRIB and one.mask & DIRECTORY)]


def tells(one, deed):
    """Is it @deed that was told by @one, which has its name and its process?"""
    if not one.mask & deed.bit or not within(deed.directory, one.directories) or not same(one.inode, deed.inode):
        return False
    if deed.bit & NAMES and one.mask & MERGED:
        return False
    return deed.bit != MOVE or (one.former == deed.former and
                                within(deed.former_directory, one.former_directories))
