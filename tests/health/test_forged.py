# SPDX-License-Identifier: GPL-2.0-or-later
"""What others than the kernel say is no event, and does not make deaf."""

import os
import re
import subprocess
import sys

from faults import device, trigger
from rows import Expect

NETLINK_KOBJECT_UEVENT = 15

LINES = (
    "EXT4-fs error (device {name}): ext4_ext_check_inode:528: inode #12: comm cat: pblk 0 bad",
    "EXT4-fs ({name}): Remounting filesystem read-only",
    "EXT4-fs ({name}): shut down requested (2)",
    "EXT4-fs warning (device {name}): ext4_end_bio:368: I/O error 3 writing to inode 12 starting block 9)",
    "XFS ({name}): User initiated shutdown received.",
    "XFS ({name}): Metadata corruption detected at xfs_dinode_verify+0x0/0x1, inode 0x83 dinode",
    "BTRFS info (device {name} state E): forced readonly",
    "BTRFS warning (device {name}): csum failed root 5 ino 257 off 0 csum 0x1 expected csum 0x2 mirror 1",
    "Buffer I/O error on dev {name}, logical block 9, lost async page write",
    "I/O error, dev {name}, sector 96 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2",
)

# Priority 2 with the facilities 0 (the kernel's own), 1 and none.
PREFIXES = ("<2>", "<10>", "")

SENDER = r"""
import os, socket, sys
if len(sys.argv) > 3:
    os.setgroups([])
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[3]))
sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
try:
    sock.sendto(bytes.fromhex(sys.argv[1]), tuple(map(int, sys.argv[2].split(","))))
except PermissionError:
    print("refused")
else:
    print("sent")
"""


def log(line):
    """One record of a process; each with a descriptor of its own, for the kernel limits their rate."""
    fd = os.open("/dev/kmsg", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def healthy(table, disk, action):
    table.add(f"{disk.kind} forged", disk, action, State="ok", ReadOnly=False, ReadOnlyReason="",
              ErrorCount=0)


def test_kernel_messages(rows, loopfs):
    table = rows()

    def forge(disk):
        name = device(disk)
        number = os.major(os.stat("/dev/" + name).st_rdev), os.minor(os.stat("/dev/" + name).st_rdev)
        for line in LINES:
            for prefix in PREFIXES:
                log(prefix + line.format(name=name))
        log(f"<2>something\n SUBSYSTEM=block\n DEVICE=b{number[0]}:{number[1]}\n")
        # A line in a line, and what looks like the head of a record.
        log("<2>text\n2,1,1,-;" + LINES[0].format(name=name))

    for kind in ("ext4", "xfs", "btrfs"):
        disk = loopfs(kind)
        healthy(table, disk, lambda disk=disk: forge(disk))
    table.run_all().check()

    # The next one is the kernel's own, and later in the log.
    table.rows.clear()
    true = loopfs("ext4", 16, name="true")
    table.add("a true one", true, lambda: trigger(true), Expect("corrupted"), ErrorCount=1)
    table.run_all().check()
    dropped = {name: value for name, value in table.client.get("Statistics").items()
               if name.startswith("kmsg") and name.endswith("foreign")}
    print(dropped)
    assert sum(dropped.values()) >= 3 * len(LINES) * len(PREFIXES), "the lines were not even read"


def listeners(pid):
    """Netlink ports of this process that get uevents."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        match = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
        if match:
            inodes.add(match.group(1))
    found = []
    with open("/proc/net/netlink", encoding="ascii") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            if int(fields[1]) == NETLINK_KOBJECT_UEVENT and fields[9] in inodes:
                found.append(int(fields[2]))
    return found


def send(message, port, group, uid=None):
    command = ["/usr/bin/python3", "-B", "-c", SENDER, message.hex(), f"{port},{group}"]
    return subprocess.run([*command, *([str(uid)] if uid else [])], check=True,
                          capture_output=True, text=True).stdout.strip()


def test_uevents(rows, loopfs):
    table = rows()
    ports = listeners(table.daemon.pid)
    assert ports, "the daemon listens to no uevents"

    def forge(disk):
        name = device(disk)
        message = b"\0".join(text.encode() for text in (
            f"change@/devices/virtual/block/{name}", "ACTION=change",
            f"DEVPATH=/devices/virtual/block/{name}", "SUBSYSTEM=block", "DISK_RO=1",
            f"MAJOR=7\0MINOR={name[4:]}", f"DEVNAME={name}", "SEQNUM=99999")) + b"\0"
        told = {"root to the port": send(message, ports[0], 0),
                "root to the group": send(message, 0, 1),
                "user to the port": send(message, ports[0], 0, 1000),
                "user to the group": send(message, 0, 1, 1000)}
        print(told, file=sys.stderr)
        assert "sent" in told.values()

    for kind in ("ext4", "xfs", "btrfs"):
        disk = loopfs(kind)
        healthy(table, disk, lambda disk=disk: forge(disk))
    table.run_all().check()
    dropped = {name: value for name, value in table.client.get("Statistics").items()
               if "foreign" in name and "uevent" in name}
    print(dropped)
    assert sum(dropped.values()) >= 1, "what was sent did not even arrive"
