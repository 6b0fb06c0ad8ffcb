# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of execs, of which the kernel tells only that they were."""

from followed import EXEC, EXIT
from waiting import wait_for

N = 200


def test_short_programs_have_names(processes, start, follow):
    """/bin/true lives for a millisecond: some are seen in time, and none has the file of another."""
    processes()
    shell = start("/bin/dash", "-c", f"read line; i=0; while [ $i -lt {N} ]; do /bin/true; i=$((i + 1)); done")
    group = follow(shell.pid)
    shell.tell()
    wait_for(lambda: sum(e.kind == EXIT for e in group.events()) > N, what="all exits", interval=0.02)
    told = [e.file for e in group.events() if e.kind == EXEC]
    named = [file for file in told if file]
    print(f"{len(named)} of {len(told)} with a file")
    assert len(told) == N and set(named) == {b"/usr/bin/true"}
