# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees where the kernel marks no filesystem as a whole: each directory is watched by itself."""

import ctypes
import os
import random
import shutil
import signal
import threading

import pytest

from disks import mount_raw, umount_raw, write
from overlays import Overlay
from service import NO_FILESYSTEMS
from waiting import wait_for
from watching import (ATTRIB, CLOSE_WRITE, CREATE, DELETE, DELETE_SELF, DIRECTORY, MODIFY, MOUNT, MOVE, NAMES, UNMOUNT,
                      UNSUPPORTED, Lost, Watch, check_invariant, refusal, statistics)

USER = 65534
TREE = {"recursive": ("b", True)}
EVENTS = [*NAMES, "attrib", "modify", "close-write", "delete-self", "unmount", "mount"]
pytestmark = pytest.mark.buses("dbus-daemon")


class Ram:
    """A ramfs, whose files have no handles either."""

    def __init__(self, where):
        self.where = where
        os.mkdir(where)

    def mount(self):
        mount_raw("none", self.where, "ramfs", 0, "mode=755")
        return self

    def umount(self):
        umount_raw(self.where)

    def path(self, name):
        return os.path.join(self.where, name)


@pytest.fixture(params=["overlay", "ramfs"])
def place(request, loopfs):
    disk = loopfs("ext4", 256)
    os.chmod(disk.where, 0o755)
    made = (Overlay(disk) if request.param == "overlay" else Ram(disk.path("ram"))).mount()
    yield made
    if os.path.ismount(made.where):
        made.umount()


def counts(watch):
    return watch.get("Directories"), watch.get("Unwatched")


def may_list(path, everybody):
    try:
        return everybody or os.stat(path).st_mode & 0o5 == 0o5
    except (FileNotFoundError, NotADirectoryError):
        return False


def tree_of(where, everybody=True, under=b""):
    """All names below, or those that others may list, and whether they are directories."""
    found, top = {}, os.path.join(os.fsencode(where), under)
    if not may_list(top, everybody):
        return found
    try:
        with os.scandir(top) as entries:
            for entry in entries:
                name = os.path.join(under, entry.name)
                found[name] = entry.is_dir(follow_symlinks=False)
                if found[name]:
                    found.update(tree_of(where, everybody, name))
    except (FileNotFoundError, NotADirectoryError):
        pass
    return found


class Replay:
    """
    What the receiver of @watch takes the tree below @where for, by what it is told alone: of what was lost,
    and of nothing else, it looks itself. @everybody: it may list all; else what is closed is none of its.
    """

    def __init__(self, watch, where, everybody=True):
        self.watch, self.where, self.everybody = watch, where, everybody
        self.names = tree_of(where, everybody)
        self.n_taken = self.n_lost = 0

    def below(self, under):
        return [name for name in self.names if under == b"" or name.startswith(under + b"/")]

    def forget(self, under):
        for name in self.below(under):
            del self.names[name]

    def remove(self, name):
        self.names.pop(name, None)
        self.forget(name)

    def move(self, former, name):
        self.remove(name)
        if former in self.names:
            self.names[name] = self.names.pop(former)
        for below in self.below(former):
            self.names[name + below[len(former):]] = self.names.pop(below)

    def take_change(self, change):
        if change.mask & MOVE:
            self.move(change.former, change.name)
        if change.mask & DELETE:
            self.remove(change.name)
        if change.mask & (CREATE | MOVE):
            self.names[change.name] = bool(change.mask & DIRECTORY)
            if not change.mask & DIRECTORY:
                self.forget(change.name)
        if change.mask & ATTRIB and not may_list(os.path.join(os.fsencode(self.where), change.name), self.everybody):
            self.forget(change.name)

    def take(self):
        told = self.watch.told()
        for one in told[self.n_taken:]:
            if isinstance(one, Lost):
                self.n_lost += 1
                self.forget(one.under)
                self.names.update(tree_of(self.where, self.everybody, one.under))
            else:
                self.take_change(one)
        self.n_taken = len(told)
        return self.names

    def check(self):
        try:
            wait_for(lambda: self.take() == tree_of(self.where, self.everybody), what="the tree")
        except AssertionError:
            real = tree_of(self.where, self.everybody)
            print("different:", set(self.names.items()) ^ set(real.items()), "told:", self.watch.told()[-200:])
            raise


def test_a_tree_that_stands(watching, client, place):
    watching()
    os.makedirs(place.path("a/b/c"))
    os.makedirs(place.path("d"))
    write(place.path("a/b/old"))
    watch = Watch(client, place.where, EVENTS, **TREE)
    assert watch.get("Source") == "inotify" and watch.get("Recursive")
    assert counts(watch) == (5, 0)
    for name in ("top", "a/file", "a/b/file", "a/b/c/file", "d/file"):
        write(place.path(name))
        watch.wait(name, CREATE)
        watch.wait(name, CLOSE_WRITE)
    write(place.path("a/b/old"), "more")
    watch.wait("a/b/old", MODIFY)
    os.rename(place.path("a/b/old"), place.path("a/b/new"))
    watch.wait("a/b/new", MOVE, former="a/b/old")
    # From one directory to another one it is two records.
    os.rename(place.path("a/b/new"), place.path("d/new"))
    watch.wait("a/b/new", DELETE)
    watch.wait("d/new", CREATE)
    os.chmod(place.path("a/b/c"), 0o700)
    watch.wait("a/b/c", ATTRIB)
    os.unlink(place.path("a/b/c/file"))
    watch.wait("a/b/c/file", DELETE)
    os.mkdir(place.path("last"))
    watch.wait("last", CREATE)
    watch.check_numbers()
    assert watch.losses() == []
    assert not any(change.mask & DELETE_SELF for change in watch.changes())
    of_mode = [change for change in watch.changes() if change.name == b"a/b/c" and change.mask & ATTRIB]
    assert len(of_mode) == 1, "once, though its own watch knows of it, too"
    check_invariant(client)


def test_directories_that_appear(watching, client, place):
    watching()
    watch = Watch(client, place.where, EVENTS, **TREE)
    replay = Replay(watch, place.where)
    # Nothing is lost where there is time.
    for name in ("one", "one/two", "one/two/three"):
        os.mkdir(place.path(name))
        watch.wait(name, CREATE)
        n = name.count("/") + 2
        wait_for(lambda n=n: counts(watch) == (n, 0), what=f"{n} directories")
    wait_for(lambda: told_in(watch, place, "one/two/three"), what="a file", interval=0.05)
    assert watch.losses() == []
    # And where there is none, that is said.
    for number in range(50):
        os.makedirs(place.path(f"deep{number}/a/b/c"))
        write(place.path(f"deep{number}/a/b/c/file"))
    replay.check()
    wait_for(lambda: counts(watch) == (4 + 200, 0), what="all directories")
    replay.check()
    for number in range(50):
        write(place.path(f"deep{number}/a/b/c/later"))
        watch.wait(f"deep{number}/a/b/c/later", CREATE)
    replay.check()
    print(f"{replay.n_lost} losses of 200 directories in 50 trees")
    check_invariant(client)


def told_in(watch, place, directory):
    """Whether it is watched by now."""
    write(place.path(f"{directory}/probe"))
    os.unlink(place.path(f"{directory}/probe"))
    return f"{directory}/probe".encode() in watch.names(CREATE) | watch.names(DELETE)


def test_made_and_removed_all_the_time(watching, client, place):
    """Several make, move and remove trees; after each barrier the replay is the tree."""
    watching()
    watch = Watch(client, place.where, NAMES, **TREE)
    replay = Replay(watch, place.where)

    def change(own):
        for number in range(40):
            top = place.path(f"{own}-{number % 3}")
            shutil.rmtree(top, ignore_errors=True)
            os.makedirs(f"{top}/x/y")
            write(f"{top}/x/y/file")
            os.rename(f"{top}/x", f"{top}/z")
            os.mkdir(f"{top}/z/more")
            write(f"{top}/z/more/file")
            if number % 4 == 0:
                shutil.rmtree(top)

    for _ in range(3):
        threads = [threading.Thread(target=change, args=(own,)) for own in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        replay.check()
    n_directories = sum(tree_of(place.where).values())
    wait_for(lambda: counts(watch) == (1 + n_directories, 0), what=f"{n_directories} directories")
    print(f"{len(watch.changes())} changes, {replay.n_lost} losses")
    replay.check()
    check_invariant(client)


class Changer:
    """Does things at random below @where, with names that are few."""

    def __init__(self, where, seed):
        self.where, self.random = where, random.Random(seed)
        self.deeds = []

    def directories(self):
        return [self.where] + [os.path.join(self.where, os.fsdecode(name))
                               for name, is_directory in tree_of(self.where).items() if is_directory]

    def name(self):
        return os.path.join(self.random.choice(self.directories()), self.random.choice("abcd"))

    def step(self):
        one, other = self.name(), self.name()
        deed = self.random.choice((self.make, self.make, self.make, os.rmdir, os.rename, os.rename, self.exchange,
                                   self.toggle, self.remove, self.write, self.write, os.unlink))
        try:
            deed(one, other) if deed in (os.rename, self.exchange) else deed(one)
            self.deeds.append((deed.__name__, os.path.relpath(one, self.where), os.path.relpath(other, self.where)))
        except OSError:
            pass

    def make(self, path):
        os.makedirs(os.path.join(path, self.random.choice("abcd")))

    def remove(self, path):
        if self.random.random() < 0.2:
            shutil.rmtree(path)

    @staticmethod
    def exchange(one, other):
        ctypes.CDLL(None, use_errno=True).renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2)

    @staticmethod
    def toggle(path):
        if os.path.isdir(path):
            os.chmod(path, os.stat(path).st_mode ^ 0o5)

    @staticmethod
    def write(path):
        write(path)


@pytest.mark.parametrize("seed", [0, 7, 9, 20])
def test_at_random(watching, client, as_user, place, seed):
    """Who may list all and who may not: after each barrier what they were told, or lost, is the tree."""
    watching()
    events = [*NAMES, "attrib"]
    replays = [Replay(Watch(client, place.where, events, **TREE), place.where),
               Replay(Watch(as_user(USER), place.where, events, **TREE), place.where, everybody=False)]
    changer = Changer(place.where, seed)
    for steps in (20, 50, 100, 50):
        for _ in range(steps):
            changer.step()
        try:
            for replay in replays:
                replay.check()
        except AssertionError:
            print("done:", changer.deeds)
            raise
    print(f"{[(len(one.watch.changes()), one.n_lost) for one in replays]} changes and losses")
    check_invariant(client)


def test_a_tree_that_is_renamed(watching, client, place):
    watching()
    os.makedirs(place.path("in/a/b"))
    os.makedirs(place.path("in/other"))
    os.makedirs(place.path("out"))
    watch = Watch(client, place.path("in"), EVENTS, **TREE)
    replay = Replay(watch, place.path("in"))
    assert counts(watch) == (4, 0)
    # Where it was and where it is, and what is below is to be looked through where there is something.
    os.rename(place.path("in/a"), place.path("in/c"))
    watch.wait("c", MOVE, former="a")
    wait_for(lambda: b"c" in {one.under for one in watch.losses()}, what="a loss below it")
    wait_for(lambda: counts(watch) == (4, 0), what="all directories again")
    write(place.path("in/c/b/file"))
    watch.wait("c/b/file", CREATE)
    assert b"a/b/file" not in watch.names(CREATE)
    # Into another directory, out, and in again.
    os.rename(place.path("in/c"), place.path("in/other/c"))
    watch.wait("other/c", CREATE)
    wait_for(lambda: told_below(watch, place, "other/c/b"), what="its new place")
    os.rename(place.path("in/other/c"), place.path("out/c"))
    watch.wait("other/c", DELETE)
    wait_for(lambda: counts(watch) == (2, 0), what="two directories")
    write(place.path("out/c/b/secret"))
    os.rename(place.path("out/c"), place.path("in/back"))
    watch.wait("back", CREATE)
    wait_for(lambda: told_below(watch, place, "back/b"), what="its new place")
    replay.check()
    assert not any(b"secret" in name for name in watch.names(CREATE))
    # Two that change places.
    os.makedirs(place.path("in/other/deep"))
    replay.check()
    check_invariant(client)


def told_below(watch, place, directory):
    write(place.path(f"in/{directory}/probe"))
    os.unlink(place.path(f"in/{directory}/probe"))
    return f"{directory}/probe".encode() in watch.names(CREATE) | watch.names(DELETE)


def test_a_tree_that_is_removed(watching, client, as_user, place):
    watching()
    for number in range(20):
        os.makedirs(place.path(f"dir/sub{number}/deep"))
        write(place.path(f"dir/sub{number}/deep/file"))
    watches = [Watch(one, place.path("dir"), EVENTS, **TREE) for one in (client, as_user(USER))]
    for watch in watches:
        assert counts(watch) == (41, 0)
    shutil.rmtree(place.path("dir"))
    root, user = watches
    root.wait_count(DELETE_SELF, 1)
    # What nobody asked for while it was there cannot be asked for any more.
    wait_for(lambda: user.names(DELETE_SELF) or user.losses(), what="the end of it, or a loss")
    for watch in watches:
        wait_for(lambda w=watch: counts(w) == (1, 0), what="nothing below")
    assert root.losses() == []
    assert {b"sub%d/deep/file" % number for number in range(20)} <= root.names(DELETE)
    assert {b"sub%d" % number for number in range(20)} <= root.names(DELETE)
    check_invariant(client)


def test_only_what_its_receiver_may_list(watching, client, as_user, place):
    watching()
    for name in ("open/below", "closed/below", "search/below"):
        os.makedirs(place.path(name))
    os.chmod(place.path("closed"), 0o700)
    os.chmod(place.path("search"), 0o711)
    user = Watch(as_user(USER), place.where, EVENTS, **TREE)
    root = Watch(client, place.where, EVENTS, **TREE)
    assert counts(user) == (3, 0) and counts(root) == (7, 0)

    def secrets(number):
        """In each directory, and what root was told of, everybody was who may."""
        for name in ("open", "open/below", "closed", "closed/below", "search", "search/below"):
            write(place.path(f"{name}/{number}"))
            root.wait(f"{name}/{number}", CREATE)
        write(place.path(f"marker{number}"))
        user.wait(f"marker{number}", CREATE)
    secrets(1)
    assert {name for name in user.names(CREATE) if name.endswith(b"1")} == {b"open/1", b"open/below/1", b"marker1"}

    # What is above is closed: nothing of what is below is told from then on.
    os.chmod(place.path("open"), 0o700)
    secrets(2)
    assert {name for name in user.names(CREATE) if name.endswith(b"2")} == {b"marker2"}
    wait_for(lambda: counts(user) == (1, 0), what="one directory")
    # What is opened is to be looked through.
    before = len(user.losses())
    os.chmod(place.path("closed"), 0o755)
    os.chmod(place.path("open"), 0o755)
    wait_for(lambda: counts(user) == (5, 0), what="five directories")
    wait_for(lambda: {b"closed", b"open"} <= {one.under for one in user.losses()[before:]}, what="both")
    secrets(3)
    wait_for(lambda: {b"open/3", b"open/below/3", b"closed/3", b"closed/below/3"} <= user.names(CREATE),
             what="all that is open")
    assert not any(b"search/" in name for name in user.names(CREATE))
    # The top itself.
    os.chmod(place.where, 0o700)
    secrets_of_top(root, place, 4)
    os.chmod(place.where, 0o755)
    wait_for(lambda: counts(user) == (5, 0), what="five directories again")
    write(place.path("marker5"))
    user.wait("marker5", CREATE)
    assert not any(name.endswith(b"/4") for name in user.names(CREATE))
    check_invariant(client)


def secrets_of_top(root, place, number):
    for name in ("open/below", "closed/below"):
        write(place.path(f"{name}/{number}"))
        root.wait(f"{name}/{number}", CREATE)


def test_attributes_that_change_nothing(watching, as_user, place):
    """Who still may list it misses nothing that is not told as lost."""
    watching()
    os.makedirs(place.path("dir/below"))
    user = Watch(as_user(USER), place.where, EVENTS, **TREE)
    for number in range(100):
        os.utime(place.path("dir"))
        write(place.path(f"dir/below/{number}"))
    write(place.path("dir/last"))
    user.wait("dir/last", CREATE)
    lost = {one.under for one in user.losses()}
    told = {name for name in user.names(CREATE) if name.startswith(b"dir/below/")}
    print(f"{100 - len(told)} of 100 names were lost")
    assert lost <= {b"dir", b""} and (lost or len(told) == 100)
    wait_for(lambda: told_in(user, place, "dir/below"), what="what comes after it", interval=0.05)


def test_no_more_than_allowed(watching, client, as_user, place):
    watching()
    for number in range(1030):
        os.mkdir(place.path(f"dir{number:04}"))
    watch = Watch(client, place.where, EVENTS, **TREE)
    assert counts(watch) == (1024, 7)
    wait_for(watch.losses, what="a loss")
    numbers = statistics(client)
    assert (numbers["watch-directories"], numbers["watch-directories-left"]) == (1024, 7)
    # What is not watched is told as a name, and not what is in it.
    os.makedirs(place.path("more/below"))
    watch.wait("more", CREATE)
    wait_for(lambda: counts(watch) == (1024, 8), what="one more")
    shutil.rmtree(place.path("more"))
    watch.wait("more", DELETE)
    wait_for(lambda: counts(watch) == (1024, 7), what="as before")
    assert [one.under for one in watch.losses()] == [b""], "told once"
    # What goes makes room.
    for number in range(0, 1030, 4):
        os.rmdir(place.path(f"dir{number:04}"))
    n_left = sum(tree_of(place.where).values())
    wait_for(lambda: counts(watch) == (1 + n_left, 0), what=f"{n_left} directories")
    wait_for(lambda: told_in(watch, place, "dir1029"), what="what had no room", interval=0.05)
    # One user's have a limit together.
    user = as_user(USER)
    watches = [Watch(user, place.where, NAMES, **TREE) for _ in range(8192 // n_left + 1)]
    assert sum(counts(one)[0] - 1 for one in watches) == 8192
    assert counts(watches[-1])[1] > 0
    wait_for(watches[-1].losses, what="a loss")
    for one in watches:
        one.call("Remove")

    def room():
        watch = Watch(user, place.where, NAMES, **TREE)
        found = counts(watch)
        watch.call("Remove")
        return found == (1 + n_left, 0)
    wait_for(room, what="room again", interval=0.1)
    check_invariant(client)


def test_mounted_again(watching, client, as_user, place):
    running = watching()
    os.makedirs(place.path("dir/below"))
    watches = [Watch(one, place.where, EVENTS, **TREE) for one in (client, as_user(USER))]
    # None of the directories is kept busy.
    place.umount()
    for watch in watches:
        watch.wait_count(UNMOUNT, 1)
        assert watch.get("Source").startswith("none") and counts(watch) == (0, 0)
    place.mount()
    for watch in watches:
        watch.wait_count(MOUNT, 1)
        assert any(one.under == b"" for one in watch.losses())
    os.makedirs(place.path("dir/below"), exist_ok=True)
    for watch in watches:
        wait_for(lambda w=watch: told_in(w, place, "dir/below"), what="a file", interval=0.05)
    check_invariant(client)
    running.stop()


def test_two_of_one_tree(watching, client, place):
    """Each directory has one watch, whoever asked for it: what one asks for the others are not told, nor keeps it."""
    watching()
    os.makedirs(place.path("a/b"))
    whole, part = Watch(client, place.where, NAMES, **TREE), Watch(client, place.path("a"), NAMES, **TREE)
    single = Watch(client, place.path("a/b"), EVENTS)
    for number in range(10):
        write(place.path(f"a/b/{number}"))
        whole.wait(f"a/b/{number}", CREATE)
        part.wait(f"b/{number}", CREATE)
        single.wait(f"{number}", CLOSE_WRITE)
        part.call("Remove")
        part = Watch(client, place.path("a"), NAMES, **TREE)
        assert counts(part) == (2, 0)
    assert not any(change.mask & CLOSE_WRITE for change in whole.changes())
    os.rename(place.path("a"), place.path("c"))
    wait_for(lambda: told_in(whole, place, "c/b"), what="its new place", interval=0.05)
    check_invariant(client)


def test_what_is_mounted_inside_is_not_entered(watching, client, loopfs, place):
    watching()
    os.makedirs(place.path("here/below"))
    inner = loopfs("tmpfs", 4, where=place.path("here"), name="inner")
    os.makedirs(inner.path("deep"))
    watch = Watch(client, place.where, NAMES, **TREE)
    assert counts(watch) == (1, 0)
    name, text = refusal(lambda: Watch(client, place.where, NAMES, **TREE, **{"cross-mounts": ("b", True)}))
    assert name == UNSUPPORTED and "across mounts" in text
    write(inner.path("deep/file"))
    write(place.path("marker"))
    watch.wait("marker", CREATE)
    assert watch.names(CREATE) == {b"marker"}
    umount_raw(inner.where)
    # The other way round: what cannot be followed is told so.
    outer = os.path.dirname(place.where)
    across = Watch(client, outer, NAMES, **TREE, **{"cross-mounts": ("b", True)})
    wait_for(lambda: os.fsencode(os.path.basename(place.where)) in {one.under for one in across.losses()},
             what="a loss where the overlay is")


def test_other_events_from_now_on(watching, client, place):
    watching()
    names = [f"dir{number}" for number in range(300)]
    for name in names:
        os.mkdir(place.path(name))
        write(place.path(f"{name}/file"))
    watch = Watch(client, place.where, ["create"], **TREE)
    assert counts(watch) == (301, 0)
    watch.call("SetEvents", "as", ["modify", "delete"])

    def told():
        """Who wrote just before the mark was there tries again."""
        for name in names:
            write(place.path(f"{name}/file"), "more")
        return {f"{name}/file".encode() for name in names} <= watch.names(MODIFY)
    wait_for(told, what="all of them", interval=0.1)
    shutil.rmtree(place.path("dir7"))
    watch.wait("dir7/file", DELETE)
    watch.wait("dir7", DELETE)
    assert watch.names(CREATE) == set()


def test_more_than_the_kernel_keeps(watching, client, as_user, place):
    """All is walked again, and told to be looked through."""
    running = watching()
    os.makedirs(place.path("old/below"))
    watches = [Watch(one, place.where, NAMES, **TREE) for one in (client, as_user(USER))]
    replays = [Replay(watch, place.where) for watch in watches]
    os.kill(running.pid, signal.SIGSTOP)
    try:
        os.rename(place.path("old/below"), place.path("elsewhere"))
        with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
            most = int(file.read())
        for number in range(most // 2 + 100):
            write(place.path(f"file{number % 10}"))
            os.unlink(place.path(f"file{number % 10}"))
        # Of this nothing is told.
        shutil.rmtree(place.path("old"))
        os.makedirs(place.path("new/below"))
    finally:
        os.kill(running.pid, signal.SIGCONT)
    for watch, replay in zip(watches, replays):
        wait_for(lambda w=watch: any(one.under == b"" for one in w.losses()), what="a loss of all")
        wait_for(lambda w=watch: counts(w) == (4, 0), what="what is there now")
        wait_for(lambda w=watch: told_in(w, place, "new/below"), what="a file", interval=0.05)
        wait_for(lambda w=watch: told_in(w, place, "elsewhere"), what="a file", interval=0.05)
        replay.check()
    assert statistics(client)["watch-overflows"] > 0
    check_invariant(client)


def test_a_server_that_hangs_on_the_way(watching, client, fuse):
    """The watch is there, and says that it does not have all; what hung is looked into later."""
    watching("[daemon]\nre-evaluation = 5\n")
    server = fuse()
    server.swallow("READDIR")
    try:
        watch = Watch(client, server.where, NAMES, **TREE)
        assert counts(watch) == (1, 1)
        wait_for(watch.losses, what="a loss")
        assert [one.under for one in watch.losses()] == [b""]
    finally:
        server.answer()
    wait_for(lambda: counts(watch) == (1, 0), what="what is there")
    assert len(watch.losses()) == 1


def test_one_that_cannot_be_watched(watching, client, fuse):
    """That is told once, and tried again now and then."""
    watching("[daemon]\nre-evaluation = 5\n")
    server = fuse()
    os.mkdir(os.path.join(server.where, "dir"))
    server.drift()
    watch = Watch(client, server.where, NAMES, **TREE)
    assert counts(watch) == (1, 1)
    wait_for(watch.losses, what="a loss")
    before = server.asked("OPENDIR")
    wait_for(lambda: server.asked("OPENDIR") >= before + 6, what="another try")
    assert [one.under for one in watch.losses()] == [b""]
    os.rmdir(os.path.join(server.where, "dir"))
    wait_for(lambda: counts(watch) == (1, 0), what="nothing left out")


def test_one_that_goes_where_nothing_is_known(watching, client, fuse):
    watching("[daemon]\nre-evaluation = 5\n")
    server = fuse()
    for name in ("dir", "other"):
        os.mkdir(os.path.join(server.where, name))
    server.fail("READDIR")
    watch = Watch(client, server.where, NAMES, **TREE)
    assert counts(watch) == (1, 1)
    os.rmdir(os.path.join(server.where, "dir"))
    watch.wait("dir", DELETE)
    assert counts(watch) == (1, 1), "nobody knows whether there are more"
    server.answer()
    wait_for(lambda: counts(watch) == (2, 0), what="the other one")


def test_one_that_is_closed_while_it_is_listed(watching, as_user, fuse):
    watching()
    server = fuse(permissions=True)
    watch = Watch(as_user(USER), server.where, NAMES, **TREE)
    path = os.path.join(server.where, "dir")
    server.swallow("GETATTR 3")
    try:
        os.mkdir(path)
        os.mkdir(os.path.join(path, "below"))
        wait_for(lambda: "swallowed GETATTR" in server.said, what="the look at what is in there")
        os.chmod(path, 0o700)
    finally:
        server.answer()
    wait_for(lambda: counts(watch) == (1, 0), what="the top alone")


def test_one_that_cannot_be_looked_at(watching, client, fuse):
    watching("[daemon]\nre-evaluation = 5\n")
    server = fuse()
    os.mkdir(os.path.join(server.where, "dir"))
    server.fail("LOOKUP")
    watch = Watch(client, server.where, NAMES, **TREE)
    assert counts(watch) == (1, 1)
    wait_for(watch.losses, what="a loss")
    server.answer()
    wait_for(lambda: counts(watch) == (2, 0), what="the directory")


def test_what_was_watched_is_lost_after_others(watching, as_user, fuse):
    """One cannot be watched, which was told; then the others cannot be looked at any more."""
    watching()
    server = fuse(permissions=True)
    os.mkdir(os.path.join(server.where, "dir"))
    watch = Watch(as_user(USER), server.where, NAMES, **TREE)
    assert counts(watch) == (2, 0)
    server.drift()
    os.mkdir(os.path.join(server.where, "other"))
    wait_for(lambda: counts(watch) == (2, 1) and watch.losses(), what="one that is left out")
    before = len(watch.losses())
    server.fail("READDIR")
    os.chmod(server.where, 0o755)
    wait_for(lambda: counts(watch) == (1, 1), what="the top alone")
    wait_for(lambda: len(watch.losses()) > before, what="another loss")


def test_a_section_with_all_below(daemon, journal, place):
    os.makedirs(place.path("dir/below"))
    daemon(NO_FILESYSTEMS + f"[watch {place.where}]\nrecursive = yes\nevents = create\n", journal=journal)

    def entries(name):
        return [one for one in journal.find(MESSAGE_ID="f4b0e47fc52343019d3102ae80642516")
                if one["FSEVENTS_PATH"] == os.fsencode(place.path(name))]

    def told(name):
        """Nobody says when it begins."""
        write(place.path(name))
        if entries(name):
            return True
        os.unlink(place.path(name))
        return False
    wait_for(lambda: told("dir/below/file"), what="an entry", interval=0.1)
    os.mkdir(place.path("dir/new"))
    wait_for(lambda: entries("dir/new"), what="the directory")
    wait_for(lambda: told("dir/new/file"), what="what is in it", interval=0.1)


def n_marks(running):
    """Of inotify, that the daemon has."""
    n = 0
    for name in os.listdir(f"/proc/{running.pid}/fdinfo"):
        try:
            with open(f"/proc/{running.pid}/fdinfo/{name}", encoding="ascii") as file:
                n += sum(line.startswith("inotify ") for line in file)
        except FileNotFoundError:
            pass
    return n


def test_nothing_is_left_of_those_that_go(watching, client, as_user, place):
    """Whole trees at once, by removal and by leaving the bus, while another watch goes on."""
    running = watching()
    os.mkdir(place.path("kept"))
    for tree in range(4):
        for number in range(800):
            os.makedirs(place.path(f"tree{tree}/{number}"))
    kept = Watch(client, place.path("kept"), NAMES)
    before = n_marks(running)
    watches = [Watch(client, place.path(f"tree{tree}"), NAMES, **TREE) for tree in range(3)]
    user = as_user(USER)
    left = [Watch(user, place.path(f"tree{tree}"), NAMES, **TREE) for tree in range(4)]
    assert [counts(watch) for watch in watches + left] == [(801, 0)] * 7
    assert n_marks(running) == before + 4 * 801
    for watch in watches:
        watch.call("Remove")
    user.close()
    wait_for(lambda: n_marks(running) == before, what="the end of the marks")
    write(place.path("kept/file"))
    kept.wait("file", CREATE)
    check_invariant(client)
