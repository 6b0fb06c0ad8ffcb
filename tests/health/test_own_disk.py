# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk that dies is the one that the daemon's program lies on."""

import os
import re
import shutil
import subprocess

import pytest

import service
from faults import shut_down, trigger
from rows import Rows


def copy_program(disk):
    """The daemon and the libraries that it is linked with; the environment that makes it use them."""
    program, libraries = disk.path("fseventsd"), disk.path("lib")
    os.mkdir(libraries)
    shutil.copy(service.executable(), program)
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in re.findall(r"=> (/\S+)", linked):
        shutil.copy(path, libraries)
    os.chmod(disk.where, 0o755)
    disk.sync()
    return program, {"LD_LIBRARY_PATH": libraries}


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


@pytest.mark.skipif(service.SANITIZED, reason="a sanitizer keeps it from locking its memory")
def test_the_event_still_arrives(daemon, client, as_user, journal, loopfs):
    own, other, late = loopfs("xfs", name="own"), loopfs("ext4", 16, name="other"), None
    program, environment = copy_program(own)
    running = daemon("[daemon]\nre-evaluation = 5\n", env=environment, journal=journal, start=False)
    running.command = lambda: [program, "--bus=" + running.address, "--config", running.config]
    running.start()
    with open(f"/proc/{running.pid}/maps", encoding="ascii") as file:
        mapped = {line.split()[-1] for line in file if own.where in line}
    assert program in mapped and len(mapped) > 2, mapped

    table = Rows(running, client, as_user(1000), journal)
    paths = [client.wait_filesystem(disk.where) for disk in (own, other)]
    drop_caches()
    shut_down(own)
    # Not one page can be read from there any more.
    try:
        with open(program, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(os.path.getsize(program) // 2)
            readable = bool(file.read(4096))
    except OSError:
        readable = False
    print("the program is", "readable still" if readable else "unreadable")

    event = client.wait_event("shutdown", paths[0])
    assert event.severity == "critical"
    trigger(other)
    client.wait_event("corrupted", paths[1])
    assert client.get("ReadOnlyReason", paths[0]) == "shutdown"
    # One that comes only now, with all that this needs: workers too.
    late = loopfs("ext4", 16, name="late")
    path = client.wait_filesystem(late.where)
    assert client.usage(path)["blocks"]
    trigger(late)
    client.wait_event("corrupted", path)
    _, _, events, _ = table.user.history()
    assert {"shutdown", "corrupted"} <= {e.code for e in events}
    assert journal.wait(FSEVENTS_CODE="shutdown")
    assert running.running()
    # The end of the daemon: it lies on a filesystem that takes nothing any more.
    running.stop()
