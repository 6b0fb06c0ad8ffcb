# SPDX-License-Identifier: GPL-2.0-or-later
"""
A FUSE filesystem that misbehaves on request.

Run as a program it serves /dev/fuse by hand, with directories that are made in it,
empty at first, and statfs figures as told. Fuse is the handle that tests use. Ways to hang:
stop() (nobody reads the request: whoever waits can be killed) and swallow()
(the request was read and is never answered: nobody can).
"""

import ctypes
import errno
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading

from waiting import PATIENCE, wait_for

LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, RMDIR, STATFS, RELEASE, FLUSH = 1, 2, 3, 4, 9, 11, 17, 18, 25
INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS, INTERRUPT, DESTROY = 26, 27, 28, 29, 34, 36, 38
BATCH_FORGET = 42
SILENT = (FORGET, BATCH_FORGET, INTERRUPT)
NAMES = {LOOKUP: "LOOKUP", GETATTR: "GETATTR", STATFS: "STATFS", OPENDIR: "OPENDIR",
         READDIR: "READDIR", ACCESS: "ACCESS", FLUSH: "FLUSH", RELEASE: "RELEASE"}

FIGURES = {"blocks": 100000, "bfree": 50000, "bavail": 50000, "files": 1000, "ffree": 500,
           "bsize": 4096, "namelen": 255, "frsize": 4096}


class Server:
    """The kernel's counterpart: one request after the other."""

    def __init__(self, fd):
        self.fd = fd
        self.figures = dict(FIGURES)
        self.swallowing = set()
        self.only = None
        self.failing = set()
        self.withheld = []
        self.nodes = {}  # (parent, name): node
        self.modes = {1: 0o40755}
        self.drifts = False
        self.n_inodes = 1 << 20

    def reply(self, unique, data=b"", error=0):
        try:
            os.write(self.fd, struct.pack("=IiQ", 16 + len(data), -error, unique) + data)
        except OSError as failure:
            # The caller was killed or the connection is gone.
            if failure.errno not in (errno.ENOENT, errno.ENODEV):
                raise

    def attributes(self, node):
        self.n_inodes += 1
        inode = self.n_inodes if self.drifts and node > 1 else node
        return struct.pack("=QQQQQQIIIIIIIIII", inode, 0, 0, 0, 0, 0, 0, 0, 0, self.modes[node], 2, 0, 0, 0, 4096, 0)

    def entry(self, unique, node):
        self.reply(unique, struct.pack("=QQQQII", node, 0, 0, 0, 0, 0) + self.attributes(node))

    def entries(self, node, offset):
        data = b""
        for name in [name for parent, name in self.nodes if parent == node][offset:]:
            offset += 1
            data += struct.pack("=QQII", self.nodes[node, name], offset, len(name), 4) + name + bytes(-len(name) % 8)
        return data

    def answer_name(self, opcode, unique, node, body):
        name = body[8 if opcode == MKDIR else 0:].split(b"\0")[0]
        if opcode == MKDIR:
            made = max(self.modes) + 1
            self.nodes[node, name], self.modes[made] = made, 0o40755
        if (node, name) not in self.nodes:
            self.reply(unique, error=errno.ENOENT)
        elif opcode == RMDIR:
            del self.nodes[node, name]
            self.reply(unique)
        else:
            self.entry(unique, self.nodes[node, name])

    def answer(self, opcode, unique, node, body):
        if opcode == INIT:
            # Version 7.26 has all that is needed here; the kernel takes the lesser.
            self.reply(unique, struct.pack("=IIIIHHIIHHI7I", 7, 26, 65536, 0, 16, 12, 65536, 1,
                                           0, 0, 0, *[0] * 7))
        elif opcode in self.failing:
            self.reply(unique, error=errno.EIO)
        elif opcode in (GETATTR, SETATTR):
            if opcode == SETATTR and body[0] & 1:
                self.modes[node] = struct.unpack_from("=I", body, 68)[0]
            self.reply(unique, struct.pack("=QII", 0, 0, 0) + self.attributes(node))
        elif opcode == STATFS:
            f = self.figures
            self.reply(unique, struct.pack(
                "=QQQQQIIII6I", f["blocks"], f["bfree"], f["bavail"], f["files"], f["ffree"],
                f["bsize"], f["namelen"], f["frsize"], 0, *[0] * 6))
        elif opcode == OPENDIR:
            self.reply(unique, struct.pack("=QII", 0, 0, 0))
        elif opcode == READDIR:
            self.reply(unique, self.entries(node, struct.unpack_from("=QQ", body)[1]))
        elif opcode in (RELEASEDIR, ACCESS, FLUSH, RELEASE, DESTROY):
            self.reply(unique)
        elif opcode in (LOOKUP, MKDIR, RMDIR):
            self.answer_name(opcode, unique, node, body)
        else:
            self.reply(unique, error=errno.ENOSYS)

    def serve_one(self):
        """Return: False when the filesystem was unmounted."""
        try:
            request = os.read(self.fd, 1 << 17)
        except OSError as failure:
            if failure.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                return True
            return False
        _, opcode, unique, node = struct.unpack_from("=IIQQ", request)
        if opcode in SILENT:
            return True
        request = opcode, unique, node, request[40:]
        if (opcode in self.swallowing and self.only in (None, node)) or "all" in self.swallowing:
            self.withheld.append(request)
            print("swallowed", NAMES.get(opcode, opcode), flush=True)
        else:
            print("asked", NAMES.get(opcode, opcode), flush=True)
            self.answer(*request)
        return True

    def command(self, line):
        verb, _, rest = line.partition(" ")
        if verb == "figures":
            self.figures.update(json.loads(rest))
        elif verb == "swallow":
            self.swallowing = {"all"} if rest == "all" else {k for k, v in NAMES.items()
                                                             if v in rest.split()}
            self.only = next((int(word) for word in rest.split() if word.isdigit()), None)
        elif verb == "fail":
            self.failing = {k for k, v in NAMES.items() if v in rest.split()}
        elif verb == "drift":
            self.drifts = True
        elif verb == "answer":
            self.swallowing, self.failing = set(), set()
            for request in self.withheld:
                self.answer(*request)
            self.withheld = []
        print("done", verb, flush=True)


def main():
    options = json.loads(sys.argv[1])
    where = os.fsencode(options["where"])
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    data = f"fd={fd},rootmode=40000,user_id={options['uid']},group_id={options['uid']},allow_other"
    data += ",default_permissions" if options["permissions"] else ""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(options["source"].encode(), where, options["type"].encode(),
                  options.get("flags", 0), data.encode()) < 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")

    server = Server(fd)
    server.figures.update(options["figures"])
    print("mounted", flush=True)
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    poller.register(0, select.POLLIN | select.POLLHUP)
    pending = b""
    while True:
        for ready, _ in poller.poll():
            if ready == fd and not server.serve_one():
                return
            if ready == 0:
                received = os.read(0, 65536)
                if not received:
                    return
                *lines, pending = (pending + received).split(b"\n")
                for line in lines:
                    server.command(line.decode())


class Fuse:
    """
    A mounted one: `where`, `pid`, `said` (lines: "asked STATFS", "swallowed STATFS", ...).

    @uid: user_id of the mount; other than 0 it counts as an ordinary user's.
    @permissions: the kernel goes by the modes.
    """

    def __init__(self, where, uid=0, source="fsevents-fuse", kind="fuse.fsevents-test", permissions=False, **figures):
        self.where = where
        self.said = []
        os.makedirs(os.fsencode(where), exist_ok=True)
        options = {"where": os.fsdecode(where), "uid": uid, "source": source, "type": kind,
                   "permissions": permissions, "figures": figures}
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", os.path.abspath(__file__), json.dumps(options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self._collect, args=(self.process.stdout,), daemon=True).start()
        wait_for(lambda: self._check() and "mounted" in self.said, what="the FUSE mount")

    def _check(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the FUSE server ended: {self.said}")
        return True

    def _collect(self, file):
        for line in file:
            self.said.append(line.decode().strip())

    @property
    def pid(self):
        return self.process.pid

    def _command(self, line):
        before = self.said.count("done " + line.split()[0])
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        wait_for(lambda: self.said.count("done " + line.split()[0]) > before, what=line)

    def figures(self, **figures):
        """What statfs tells from now on: blocks bfree bavail files ffree bsize frsize."""
        self._command("figures " + json.dumps(figures))

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)

    def cont(self):
        os.kill(self.pid, signal.SIGCONT)

    def swallow(self, what="STATFS"):
        """Read requests of these kinds ("all": all) and keep them; with a number: those for that node."""
        self._command("swallow " + what)

    def fail(self, what):
        """Requests of these kinds fail."""
        self._command("fail " + what)

    def drift(self):
        """Directories have another inode number each time."""
        self._command("drift")

    def answer(self):
        """Answer what was kept, and all that comes."""
        self._command("answer")

    def asked(self, what="STATFS"):
        """How often a request was read."""
        return sum(line in ("asked " + what, "swallowed " + what) for line in list(self.said))

    def kill(self):
        """The server dies: whoever waits gets an error (ENOTCONN)."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def umount(self):
        subprocess.run(["umount", "--lazy", os.fsencode(self.where)], check=False,
                       stderr=subprocess.DEVNULL)

    def release(self):
        self.kill()
        self.process.stdin.close()
        self.umount()


if __name__ == "__main__":
    main()
