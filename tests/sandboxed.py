#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
sandboxed.py COMMAND... - run a command with the restrictions of conf/fseventsd.service.in

Capabilities, system calls, address families and namespaces are those of the unit,
without systemd: so that the tests which need scratch filesystems and the initial
namespace of processes show that nothing needs more. Devices and addresses, which
belong to a control group, are left to the tests of the booted system.
"""

import ctypes
import errno
import os
import re
import socket
import subprocess
import sys

UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conf", "fseventsd.service.in")

# prctl() and libseccomp, by number.
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
EQUAL, MASKED = 4, 7
CLONE_NEW = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
PROT_WRITE_EXEC = 0x6


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp"""
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int),
                ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def settings(path=UNIT):
    """Key -> its values, each line's on its own."""
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            # Without what is filled in when it is built: calls that this systemd does not know.
            key, equals, value = re.sub(" @[a-z_]+@", "", line.strip()).partition("=")
            if equals and re.fullmatch("[A-Za-z]+", key):
                found.setdefault(key, []).append(value.split())
    return found


def groups():
    """Name of a group of system calls -> what is in it."""
    told = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter"], capture_output=True, text=True,
                          check=True).stdout
    found, name = {}, None
    for line in told.splitlines():
        if line.startswith("@"):
            name = line.strip()
            found[name] = set()
        elif name and line.startswith("    ") and not line.strip().startswith("#"):
            found[name].add(line.strip())
    return found


def expanded(names, known):
    calls = set()
    for name in names:
        calls |= expanded(known[name], known) if name.startswith("@") else {name}
    return calls


def refused_calls(lines):
    """What begins with a deny list goes on adding to it with ~ and taking away without."""
    known, refused = groups(), set()
    assert lines[0][0].startswith("~"), "the list is expected to begin with what is refused"
    for words in lines:
        text = " ".join(words)
        if text.startswith("~"):
            refused |= expanded(text[1:].split(), known)
        else:
            refused -= expanded(text.split(), known)
    return refused


class Filter:
    """A filter of libseccomp, which systemd uses too."""

    def __init__(self):
        self.lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.lib.seccomp_init(ctypes.c_uint32(ALLOW)))

    def refuse(self, name, *compare):
        number = self.lib.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            return
        rules = (Compare * len(compare))(*compare)
        result = self.lib.seccomp_rule_add_array(self.context, ctypes.c_uint32(REFUSE), number,
                                                 len(compare), rules)
        # Of another architecture: has no number here.
        assert result in (0, -errno.EDOM, -errno.EINVAL), f"{name}: {result}"

    def load(self):
        result = self.lib.seccomp_load(self.context)
        assert result == 0, f"seccomp_load: {result}"


def capabilities_keep(names):
    lib = ctypes.CDLL(None, use_errno=True)
    with open("/usr/include/linux/capability.h", encoding="ascii") as file:
        numbers = {name: int(value) for name, value in
                   re.findall(r"#define (CAP_[A-Z_]+)\s+(\d+)$", file.read(), re.M)}
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        last = int(file.read())
    kept = {numbers[name] for name in names}
    for number in range(last + 1):
        if number not in kept:
            assert lib.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
    assert lib.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0


def main():
    unit = settings()
    kept = [name for line in unit["CapabilityBoundingSet"] for name in line]
    families = {int(getattr(socket, name)) for name in unit["RestrictAddressFamilies"][0]}

    rules = Filter()
    refused = refused_calls(unit["SystemCallFilter"])
    for name in sorted(refused):
        rules.refuse(name)
    if "socket" not in refused:
        for family in range(64):
            if family not in families:
                rules.refuse("socket", Compare(0, EQUAL, family, 0))
    if unit["RestrictNamespaces"] == [["yes"]]:
        rules.refuse("setns")
        for flag in CLONE_NEW:
            rules.refuse("unshare", Compare(0, MASKED, flag, flag))
            rules.refuse("clone", Compare(0, MASKED, flag, flag))
    if unit["MemoryDenyWriteExecute"] == [["yes"]]:
        rules.refuse("mmap", Compare(2, MASKED, PROT_WRITE_EXEC, PROT_WRITE_EXEC))
        rules.refuse("mprotect", Compare(2, MASKED, 0x4, 0x4))

    capabilities_keep(kept)
    rules.load()
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
