#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
caller.py UID - calls Configure() from one connection of that user, as told by lines

Its working directory has the socket of the bus. It prints its process id; then for each
line N it sends N calls, and prints what is answered, a name of an error or "done" a line.
"""

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))

from rawbus import ERROR, METHOD_RETURN, RawClient  # noqa: E402

ALLOW_INTERACTIVE = 4
ERRORS = b"org.freedesktop.DBus.Error."


def answers(raw):
    """Until the end; what is no answer is none."""
    while True:
        try:
            kind, _, message = raw.read(None)
        except OSError:
            return
        if kind == ERROR:
            print(message[message.index(ERRORS) + len(ERRORS):].split(b"\0")[0].decode(), flush=True)
        elif kind == METHOD_RETURN:
            print("done", flush=True)


def main():
    uid = int(sys.argv[1])
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    raw = RawClient("unix:path=system_bus_socket")
    threading.Thread(target=answers, args=(raw,), daemon=True).start()
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            raw.send("Configure", interface="org.fsevents1.Manager", signature="sa{sv}", body=bytes(16),
                     flags=ALLOW_INTERACTIVE)


if __name__ == "__main__":
    main()
