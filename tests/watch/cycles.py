# SPDX-License-Identifier: GPL-2.0-or-later
"""
cycles.py KIND SOURCE WHERE CYCLES SEED - mount, change files in many directories, unmount, count what umount says

Prints {"cycles", "busy", "still_busy", "longest_ms"} as JSON; `still_busy`: for longer than STILL.
"""

import errno
import json
import os
import random
import shutil
import sys
import time

from disks import mount_raw, umount_raw
from waiting import pause

# A mount lives for up to as many seconds.
LIFE = 0.12
# Milliseconds; who is at it is done in less than one, if it gets a processor.
STILL = 1000


def is_busy(where):
    try:
        umount_raw(where)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return True
    return False


def change(where, chance):
    """Names in directories that nobody knows yet, so that somebody has to look."""
    root = os.path.join(where, "tree", f"d{chance.randrange(8)}")
    deep = os.path.join(root, "a", "b")
    os.makedirs(deep, exist_ok=True)
    for number in range(10):
        path = os.path.join(deep, f"f{number}")
        with open(path, "wb") as file:
            file.write(b"x")
        os.rename(path, path + "-moved")
    os.chmod(root, 0o755)
    shutil.rmtree(root)


def main():
    kind, source, where, cycles, seed = sys.argv[1:]
    chance = random.Random(int(seed))
    counts = {"cycles": 0, "busy": 0, "still_busy": 0, "longest_ms": 0.0}
    for _ in range(int(cycles)):
        mount_raw(source, where, kind, 0, "")
        until = time.monotonic() + chance.uniform(0, LIFE)
        change(where, chance)
        while time.monotonic() < until:
            change(where, chance)
            pause(0.005)
        start = time.monotonic()
        busy = is_busy(where)
        was_busy = busy
        counts["busy"] += busy
        while busy:
            pause(0.001)
            busy = is_busy(where)
        took = (time.monotonic() - start) * 1000
        counts["still_busy"] += was_busy and took > STILL
        counts["longest_ms"] = max(counts["longest_ms"], took)
        counts["cycles"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
