# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is calling comes from the bus: nothing is read from /proc, no name service is asked."""

import re
import shutil
import subprocess

import pytest

from client import BusError
from waiting import PATIENCE, wait_for

FORBIDDEN = re.compile(r'"/proc/(?!self/)\d+/|/etc/(passwd|group|nsswitch\.conf)|nscd|/run/systemd/userdb')


def test_callers_are_known_by_the_bus_alone(daemon, client, loopfs, as_user, scratch):
    assert shutil.which("strace"), "strace is needed"
    disk = loopfs("tmpfs", 16)
    running = daemon()
    path = client.wait_filesystem(disk.where)
    trace = f"{scratch}/trace"
    tracer = subprocess.Popen(
        ["strace", "-f", "-q", "-e", "trace=file,connect,sendmsg", "-o", trace, "-p", str(running.process.pid)],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        def is_traced():
            with open(f"/proc/{running.process.pid}/status", encoding="ascii") as status:
                return "TracerPid:\t0\n" not in status.read()
        wait_for(is_traced, what="the tracer")

        user = as_user(65534)
        assert user.call("GetEvents", "ta{sv}", 0, {})
        assert user.call("GetUsage", "a{sv}", {}, path=path, interface="org.fsevents1.Filesystem")
        with pytest.raises(BusError) as refusal:
            user.call("Configure", "sa{sv}", "", {})
        assert refusal.value.name.endswith("AccessDenied")
        client.call("Configure", "sa{sv}", f"{disk.where} G", {})
    finally:
        tracer.terminate()
        tracer.wait(PATIENCE)

    with open(trace, encoding="utf-8", errors="replace") as file:
        lines = file.readlines()
    assert any("sendmsg(" in line for line in lines), "the answers were not traced"
    seen = [line for line in lines if "sendmsg(" not in line and FORBIDDEN.search(line)]
    assert not seen, seen
