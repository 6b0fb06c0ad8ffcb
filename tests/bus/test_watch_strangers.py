# SPDX-License-Identifier: GPL-2.0-or-later
"""What one user does elsewhere on a filesystem is no loss for the watch of another one."""

import os
import subprocess
import sys

import pytest

from service import NO_FILESYSTEMS
from waiting import PATIENCE, wait_for
from watching import CREATE, Watch, check_invariant, statistics

TREE = {"recursive": ("b", True)}

# Deep directories that are gone before anybody can ask for them.
DEEP = """
import os, sys, time
base, n, depth = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.setuid(int(sys.argv[4]))
os.chdir(base)
for i in range(n):
    for k in range(depth):
        os.mkdir(f"{i}-{k}")
        os.chdir(f"{i}-{k}")
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, 0o644))
    for k in reversed(range(depth)):
        os.unlink("file")
        os.chdir("..")
        os.rmdir(f"{i}-{k}")
"""


# Each of them comes back to names that it left, and takes what is in it along.
TURNING = """
import os, sys
base, n, depth = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.setuid(int(sys.argv[4]))
os.chdir(base)
for i in range(n):
    for k in range(depth):
        os.mkdir(f"a{i}")
        os.mkdir(f"a{i}/b")
        os.rename(f"a{i}", "c")
        os.rename("c/b", "d")
        os.close(os.open("d/file", os.O_WRONLY | os.O_CREAT, 0o644))
        os.rename("c", f"a{i}")
        os.rename("d", f"a{i}/b")
        os.rename(f"a{i}", "c")
        os.rename("c/b/file", "file")
        os.rename("file", "c/b/file")
        os.unlink("c/b/file")
        os.rmdir("c/b")
        os.rmdir("c")
"""


@pytest.mark.parametrize("program", [DEEP, TURNING], ids=["deep", "turning"])
@pytest.mark.parametrize("kind, size", [("ext4", 64), ("tmpfs", 64)])
@pytest.mark.buses("dbus-daemon")
def test_directories_elsewhere(daemon, client, loopfs, as_user, kind, size, program):
    daemon(NO_FILESYSTEMS)
    disk = loopfs(kind, size)
    os.chmod(disk.where, 0o755)
    inside, elsewhere = disk.path("inside"), disk.path("elsewhere")
    os.mkdir(inside)
    os.mkdir(elsewhere, 0o755)
    os.chown(elsewhere, 1, 1)
    watch = Watch(as_user(2), inside, ["create", "delete", "move"], **TREE)
    before = statistics(client)
    strangers = []
    for i in range(2):
        os.mkdir(f"{elsewhere}/{i}")
        os.chown(f"{elsewhere}/{i}", 1, 1)
        strangers.append(subprocess.Popen([sys.executable, "-c", program, f"{elsewhere}/{i}", "150", "20", "1"]))
    n = 0
    while any(stranger.poll() is None for stranger in strangers):
        os.mkdir(f"{inside}/{n}")
        watch.wait(str(n), CREATE)
        n += 1
    assert all(stranger.wait(PATIENCE) == 0 for stranger in strangers)
    with open(f"{inside}/last", "w", encoding="ascii"):
        watch.wait("last", CREATE)
    grown = {key: value - before[key] for key, value in statistics(client).items() if key.startswith("watch-")}
    print(f"{kind}: {n} of ours beside {grown['watch-events']} records, {grown['watch-questions']} questions, "
          f"{grown['watch-gaps']} gaps, {grown['watch-overflows']} overflows")
    # Who reads too late is told so by the kernel, whoever filled its queue.
    if grown["watch-overflows"] == 0:
        assert watch.losses() == []
    wait_for(lambda: statistics(client)["watch-queued"] == 0, PATIENCE)
    check_invariant(client)
