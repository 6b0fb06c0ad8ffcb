# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done to files in the usual way is told without asking the filesystem for each."""

import os

import pytest

from service import NO_FILESYSTEMS
from waiting import wait_for
from watching import CREATE, DELETE, MERGED, MOVE, Watch, statistics

FILES = 400
TREE = {"recursive": ("b", True)}


def renamed(where, i):
    """Made under another name, and gone before long."""
    with open(f"{where}/new-{i}", "w", encoding="ascii") as file:
        file.write("x")
    os.rename(f"{where}/new-{i}", f"{where}/file-{i}")
    os.unlink(f"{where}/file-{i}")


def saved(where, i):
    """Over and over in the way of an editor."""
    with open(f"{where}/new", "w", encoding="ascii") as file:
        file.write("x")
    os.rename(f"{where}/new", f"{where}/saved")
    if i == FILES - 1:
        os.unlink(f"{where}/saved")


def temporary(where, i):
    with open(f"{where}/temporary-{i}", "w", encoding="ascii") as file:
        file.write("x")
    os.unlink(f"{where}/temporary-{i}")


# Bits of one name are one record, and the end of an inode is in that of its last unlink.
@pytest.mark.parametrize("kind, size", [("ext4", 64), ("xfs", 320), ("btrfs", 128), ("tmpfs", 64)])
@pytest.mark.parametrize("deed, records, last", [
    (renamed, 4, f"file-{FILES - 1}"), (saved, 3, "saved"), (temporary, 2, f"temporary-{FILES - 1}")])
@pytest.mark.buses("dbus-daemon")
def test_nothing_is_asked_for_each_file(daemon, client, loopfs, kind, size, deed, records, last):
    daemon(NO_FILESYSTEMS)
    disk = loopfs(kind, size)
    where = disk.path("directory")
    os.mkdir(where)
    watch = Watch(client, disk.where, ["create", "delete", "move", "close-write"], **TREE)
    os.mkdir(f"{where}/known")
    watch.wait("directory/known", CREATE)
    before = statistics(client)
    for i in range(FILES):
        deed(where, i)
    watch.wait(f"directory/{last}", DELETE)
    wait_for(lambda: statistics(client)["watch-queued"] == 0)

    after = statistics(client)
    grown = {key: after[key] - before[key] for key in after if key.startswith("watch-")}
    print(f"{kind}, {deed.__name__}: {grown['watch-events']} records, {grown['watch-batches']} batches, "
          f"{grown['watch-questions']} questions")
    assert watch.losses() == []
    told = watch.changes()
    if deed is renamed:
        assert any(change.mask & MOVE for change in told if change.name.endswith(os.fsencode(last)))
        assert not any(change.mask & MERGED for change in told)
    # Where reading ends within what is done to a file, it may be more.
    assert grown["watch-questions"] <= 4 * grown["watch-batches"]
    assert grown["watch-events"] <= records * FILES + 4 * grown["watch-batches"]
