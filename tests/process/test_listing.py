# SPDX-License-Identifier: GPL-2.0-or-later
"""ListMembers of many: when each started, and the loop is not kept by reading that."""

import subprocess
import time

from waiting import PATIENCE, wait_for

MEMBERS = 5000


def start_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rsplit(")", 1)[1].split()[19])


def test_thousands_of_members(processes, follow, lateness):
    daemon = processes("[limits]\nqueue-bytes = 4M\n")
    # Its children wait for the end of what it reads from.
    shell = subprocess.Popen(
        ["sh", "-c", f"read _; i=0; while [ $i -lt {MEMBERS} ]; do (read _ <&3) & i=$((i + 1)); done 3<&0; wait"],
        stdin=subprocess.PIPE)
    try:
        group = follow(shell.pid, events=["exit"])
        shell.stdin.write(b"go\n")
        shell.stdin.flush()
        wait_for(lambda: group.get("Live") == MEMBERS + 1, 6 * PATIENCE, "its children")
        with lateness(daemon) as late:
            # Enough pings before it.
            for _ in range(20):
                group.get("Live")
            began = time.monotonic()
            next_seq, members = group.members()
            first_ms = (time.monotonic() - began) * 1000
            began = time.monotonic()
            again = group.members()
            print(f"{len(members)} members in {first_ms:.0f} ms, again in {(time.monotonic() - began) * 1000:.0f} ms")
        late.check()
        assert again == (next_seq, members) and next_seq == 1
        assert len(members) == MEMBERS + 1
        assert members == {pid: start_ticks(pid) for pid in members}
        shell.stdin.close()
        assert shell.wait(6 * PATIENCE) == 0
        wait_for(lambda: group.get("Live") == 0, 6 * PATIENCE, "their end")
    finally:
        shell.stdin.close()
        shell.kill()
        shell.wait(PATIENCE)
