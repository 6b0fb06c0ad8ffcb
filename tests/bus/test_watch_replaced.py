# SPDX-License-Identifier: GPL-2.0-or-later
"""A watched directory that another one takes the place of is gone, which no event of its own says."""

import os

import pytest

from service import NO_FILESYSTEMS
from watching import CREATE, DELETE_SELF, NAMES, Watch

TREE = {"recursive": ("b", True)}


@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
@pytest.mark.parametrize("options", [{}, TREE], ids=["directory", "tree"])
def test_watched_directory_that_is_replaced(daemon, client, loopfs, kind, options):
    daemon(NO_FILESYSTEMS)
    disk = loopfs(kind, 64)
    for name in ("watched", "other"):
        os.mkdir(disk.path(name))
    watch = Watch(client, disk.path("watched"), NAMES + ["delete-self"], **options)
    above = Watch(client, disk.where, NAMES, **TREE)
    os.mkdir(disk.path("watched/known"))
    watch.wait("known", CREATE)
    os.rmdir(disk.path("watched/known"))
    os.rename(disk.path("other"), disk.path("watched"))
    watch.wait("", DELETE_SELF)
    # Of what is there now it is told nothing.
    os.mkdir(disk.path("watched/new"))
    above.wait("watched/new", CREATE)
    assert b"new" not in watch.names(CREATE)
    assert sum(bool(change.mask & DELETE_SELF) for change in watch.changes()) == 1
