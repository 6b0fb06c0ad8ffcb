#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command, and end whatever processes it leaves behind.

    reaper.py COMMAND...

For tests that cannot have a namespace of processes of their own. Also when it
is told to end (SIGTERM) it takes all its descendants with it.
"""

import ctypes
import os
import signal
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def children():
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def end_all():
    """Whoever loses its parent becomes ours, and is next."""
    while True:
        try:
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
        except ProcessLookupError:
            pass


def on_end(number, _frame):
    """Once: the next one must not end the ending."""
    for other in ENDS:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit(f"reaper: {os.strerror(ctypes.get_errno())}")
    for number in ENDS:
        signal.signal(number, on_end)
    try:
        command = subprocess.Popen(sys.argv[1:])
        while True:
            pid, status = os.wait()
            if pid == command.pid:
                command.returncode = os.waitstatus_to_exitcode(status)
                return 128 - command.returncode if command.returncode < 0 else command.returncode
    finally:
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        end_all()


if __name__ == "__main__":
    sys.exit(main())
