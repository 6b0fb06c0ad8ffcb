# SPDX-License-Identifier: GPL-2.0-or-later
"""
Many FUSE filesystems in one process, none of which answers a STATFS: the
request is read and kept, so that whoever asked cannot even be killed.
"""

import ctypes
import json
import os
import select
import subprocess
import sys

from fusefs import GETATTR, STATFS, Server
from waiting import PATIENCE, wait_for


def main():
    mounts = json.loads(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    poller = select.poll()
    poller.register(0, select.POLLIN | select.POLLHUP)
    servers = {}
    for where, uid in mounts:
        fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        data = f"fd={fd},rootmode=40000,user_id={uid},group_id={uid},allow_other"
        if libc.mount(b"hung", where.encode(), b"fuse.hung", 0, data.encode()) < 0:
            sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
        servers[fd] = Server(fd)
        servers[fd].swallowing = {STATFS, GETATTR}
        poller.register(fd, select.POLLIN)
    print("mounted", flush=True)
    while True:
        for fd, _ in poller.poll():
            if fd == 0:
                return
            if not servers[fd].serve_one():
                poller.unregister(fd)


class HungFuses:
    """@mounts: [(where, uid)]; `asked()`: how many requests were swallowed."""

    def __init__(self, mounts):
        self.wheres = [where for where, _ in mounts]
        self.output = []
        for where in self.wheres:
            os.makedirs(where, exist_ok=True)
        self.process = subprocess.Popen(["/usr/bin/python3", "-B", os.path.abspath(__file__), json.dumps(mounts)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        wait_for(lambda: "mounted" in self.said(), what="the FUSE mounts")

    def said(self):
        data = self.process.stdout.read()
        if data:
            self.output += data.decode().split("\n")
        return self.output

    def asked(self):
        return sum(line.startswith("swallowed") for line in self.said())

    def release(self):
        """With the server all connections end, and whoever waits gets an error."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()
        for where in self.wheres:
            subprocess.run(["umount", "--lazy", where], check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
