# SPDX-License-Identifier: GPL-2.0-or-later
"""
cycles.py KIND SOURCE WHERE CYCLES SEED - mount, use, unmount, and count what umount says

Prints {"cycles", "busy_first", "busy_second", "longest_ms"} as JSON. A mount
lives for up to 120 ms: as long as the daemon may want to look at it.
"""

import errno
import json
import os
import random
import sys
import time

from disks import mount_raw, umount_raw
from waiting import pause

LIFE = 0.12


def umount(where):
    try:
        umount_raw(where)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def use(where):
    with open(os.path.join(where, "file"), "wb") as file:
        file.write(bytes(20000))
    os.unlink(os.path.join(where, "file"))


def main():
    kind, source, where, cycles, seed = sys.argv[1:]
    chance = random.Random(int(seed))
    counts = {"cycles": 0, "busy_first": 0, "busy_second": 0, "longest_ms": 0.0}
    data = "size=64k" if kind == "tmpfs" else None
    for _ in range(int(cycles)):
        mount_raw(source, where, kind, 0, data)
        use(where)
        pause(chance.uniform(0, LIFE))
        use(where)
        start = time.monotonic()
        if not umount(where):
            counts["busy_first"] += 1
            pause(0.002)
            if not umount(where):
                counts["busy_second"] += 1
                while not umount(where):
                    pause(0.002)
            counts["longest_ms"] = max(counts["longest_ms"], (time.monotonic() - start) * 1000)
        counts["cycles"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
