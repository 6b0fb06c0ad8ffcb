# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is in more groups than can be asked for is refused, and is not taken for somebody else."""

import os

from service import NO_FILESYSTEMS
from watching import CREATE, EXCEEDED, Watch, refusal

GROUPS_MAX = 1024
FIRST = 20000


def test_groups_are_bounded(daemon, client, loopfs, as_user):
    daemon(NO_FILESYSTEMS)
    disk = loopfs("tmpfs", 16)
    os.chmod(disk.where, 0o750)
    # The last one of those that count opens it. The own group is one of them.
    os.chown(disk.where, 0, FIRST + GROUPS_MAX - 2)
    member = as_user(1, groups=range(FIRST, FIRST + GROUPS_MAX - 1))
    watch = Watch(member, disk.where, ["create"])
    with open(disk.path("file"), "w", encoding="ascii"):
        watch.wait("file", CREATE)

    crowded = as_user(1, groups=range(FIRST, FIRST + GROUPS_MAX + 1))
    name, message = refusal(lambda: Watch(crowded, disk.where, ["create"]))
    assert name == EXCEEDED
    assert str(GROUPS_MAX) in message
