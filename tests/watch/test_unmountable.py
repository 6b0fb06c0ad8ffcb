# SPDX-License-Identifier: GPL-2.0-or-later
"""Who watches files keeps no filesystem busy, and tells when one goes and comes."""

import json
import os
import subprocess

from disks import MKFS, MOUNTS, run
from waiting import PATIENCE, wait_for
from watching import CREATE, MOUNT, UNMOUNT, statistics

EVENTS = ["create", "delete", "move", "mount", "unmount"]
N_DISKS, CYCLES = 4, 250
USER = 1


def start(device, where, number):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cycles.py")
    path = os.path.abspath(os.path.join(os.path.dirname(script), "..", "bus"))
    return subprocess.Popen(["/usr/bin/python3", "-B", script, "ext4", device, where, str(CYCLES), str(number)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "PYTHONPATH": path})


def prepare(disk, where):
    """Its root is there for all to list, and holds what the watches are on."""
    disk.mount(where)
    os.chmod(where, 0o755)
    os.mkdir(os.path.join(where, "tree"))


def finish(process):
    output, said = process.communicate(timeout=20 * PATIENCE)
    assert process.returncode == 0, said
    return json.loads(output)


def test_a_thousand_umounts_under_watch(watching, client, loopfs, receive):
    """Watched by root and by a user, of whom it is to be asked what it may see, while names change."""
    watching()
    disks = [loopfs("ext4", 16, mount=False) for _ in range(N_DISKS)]
    places = [os.path.join(MOUNTS, f"cycle{n}") for n in range(N_DISKS)]
    receivers, devices, running = [], [], []
    for disk, where in zip(disks, places):
        prepare(disk, where)
        receivers.append([receive(where, EVENTS, uid=uid, stream=uid == 0) for uid in (0, USER)])
        run("umount", where)
        for one in receivers[-1]:
            one.wait("", UNMOUNT)
        devices.append(run("losetup", "--find", "--show", disk.image).strip())
    try:
        running = [start(device, where, n) for n, (device, where) in enumerate(zip(devices, places))]
        counts = [finish(process) for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    total = {key: sum(one[key] for one in counts) for key in ("cycles", "busy", "still_busy")}
    print(total, "longest", max(one["longest_ms"] for one in counts), "ms")

    for disk, device, where, told in zip(disks, devices, places, receivers):
        run("mount", device, where)
        for number, one in enumerate(told):
            # The last mount may be told behind others: what is made now is told in any case.
            path = os.path.join(where, "tree", f"new-{number}")

            def heard(path=path, one=one):
                os.mkdir(path)
                os.rmdir(path)
                return any(change.name.startswith(b"tree/new-") for change in one.changes())
            wait_for(heard, what="a record after all that", interval=0.1)
            n_told = {bit: sum(change.mask & bit == bit and not change.name for change in one.changes())
                      for bit in (MOUNT, UNMOUNT)}
            print(f"of {CYCLES} cycles {n_told[MOUNT]} mounts and {n_told[UNMOUNT]} unmounts told")
            # Most mounts are gone before anybody may touch them: of those nothing is told.
            assert n_told[UNMOUNT] > 5 and n_told[MOUNT] > 5
            assert any(change.mask & CREATE for change in one.changes())
            assert one.losses()
        run("umount", where)
        run("losetup", "--detach", device)
        run(*MKFS["ext4"], disk.image)
    assert statistics(client)["watches"] == 2 * N_DISKS
    assert total["cycles"] == N_DISKS * CYCLES
    assert total["busy"] <= total["cycles"] // 100
    assert total["still_busy"] == 0
