#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Includes point downwards only.

main, manager and what stands beside it may use every layer; bus, output,
source and worker use the core and not each other; the core is pure: itself
and the C library, no system service; ctl and agent speak D-Bus and know the core.
"""

import os
import re
import subprocess
import sys

INCLUDE = re.compile(r'^#include\s+([<"])([^>"]+)[>"]', re.M)
BESIDE = {"bus", "output", "source", "worker"}
# Names and plain types that stand outside of all layers.
COMMON = {"names.h"}
IMPURE = re.compile(r"systemd/|^libnl|^netlink|^libmnl|sys/epoll|sys/socket|sys/fanotify|sys/mount")
# Arrows that are wanted: who writes the history asks its worker for it, and
# everybody tells the journal.
ALLOWED = {("output", "worker"), ("bus", "output"), ("source", "output"), ("worker", "output"),
           ("source", "worker")}
# How a client reads what the daemon says.
SHARED = {"daemon/ctl/client.h", "daemon/ctl/packet.h"}
# check-config reads files as the daemon does, what a btrfs has promised to
# its next commit belongs to the figures that the worker takes, and a root that
# is broken tells its mount by fdinfo and statmount() alone.
ALLOWED_FILES = {("daemon/ctl/check.c", "daemon/worker/conffile.h"),
                 ("daemon/worker/job-statfs.c", "daemon/source/btrfs.h"),
                 ("daemon/worker/mountpoint.c", "daemon/bus/fdinfo.h"),
                 ("daemon/worker/mountpoint.c", "daemon/source/kernel.h")}


def layer(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ""


def problems(path):
    own = layer(path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for bracket, name in INCLUDE.findall(text):
        if bracket == "<":
            if own == "core" and IMPURE.search(name):
                yield f"<{name}> in the pure core"
            continue
        if not os.path.exists(name):
            yield f'"{name}" is not written from the root of the tree'
            continue
        if not name.startswith("daemon/"):
            continue
        target = layer(name)
        if target == own or os.path.basename(name) in COMMON or (path, name) in ALLOWED_FILES:
            continue
        if own == "core":
            yield f'"{name}": the core uses itself alone'
        elif own == "ctl" and target != "core":
            yield f'"{name}": the client knows only the core'
        elif own == "agent" and target != "core" and name not in SHARED:
            yield f'"{name}": the agent knows the core, and how the client reads'
        elif own in BESIDE and target != "core" and (own, target) not in ALLOWED:
            yield f'"{name}": {own} and {target or "the manager"} meet in the manager'


def main():
    files = subprocess.run(["lint-files", "daemon/*.c", "daemon/*.h"], check=True,
                           capture_output=True, text=True).stdout.split()
    found = [f"{path}: {problem}" for path in files for problem in problems(path)]
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
