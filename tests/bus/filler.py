# SPDX-License-Identifier: GPL-2.0-or-later
"""
filler.py FILE SIZE RATE SYNC - append SIZE bytes, at most RATE bytes a second (0: as fast as it goes)

A process of its own, so that the test sees what happens meanwhile. Data that
no filesystem can compress. Stops without complaint when the disk is full.
"""

import errno
import os
import select
import sys
import time

CHUNK = 1 << 20


def main():
    path, size, rate, sync = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1"
    data = os.urandom(CHUNK)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    start, written = time.monotonic(), 0
    while written < size:
        try:
            written += os.write(fd, data[:size - written])
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return
            raise
        if rate:
            ahead = written / rate - (time.monotonic() - start)
            if ahead > 0:
                select.select([], [], [], ahead)
    if sync:
        os.fsync(fd)


if __name__ == "__main__":
    main()
