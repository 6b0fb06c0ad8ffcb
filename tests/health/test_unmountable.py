# SPDX-License-Identifier: GPL-2.0-or-later
"""Who looks after filesystems keeps none of them busy."""

import json
import os
import subprocess

from disks import MKFS, MOUNTS, run
from faults import trigger
from test_gone import use_of
from waiting import wait_for

# Mounts of ext4 cost the processor, those of tmpfs hardly any: 10,000 in all.
EXT4, TMPFS = (4, 400), (12, 700)


def start(kind, number, cycles, source):
    where = os.path.join(MOUNTS, f"cycle-{kind}{number}")
    os.makedirs(where, exist_ok=True)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cycles.py")
    path = os.pathsep.join(os.path.abspath(p) for p in (os.path.join(os.path.dirname(script), "..", "bus"),))
    return subprocess.Popen(
        ["/usr/bin/python3", "-B", script, kind, source, where, str(cycles), str(number)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path})


def finish(process):
    output, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return json.loads(output)


def test_ten_thousand_cycles_under_load(rows, loopfs):
    table = rows("[daemon]\nre-evaluation = 5\n")
    broken = loopfs("ext4", 16, name="broken")
    disks = [loopfs("ext4", 16, mount=False) for _ in range(EXT4[0])]
    devices = [run("losetup", "--find", "--show", disk.image).strip() for disk in disks]
    running = []
    try:
        running = [start("ext4", n, EXT4[1], device) for n, device in enumerate(devices)]
        running += [start("tmpfs", n, TMPFS[1], "fsevents-test") for n in range(TMPFS[0])]
        while any(process.poll() is None for process in running):
            # Load: errors elsewhere, and levels crossed up and down.
            trigger(broken)
            broken.fallocate("file", broken.available() * 95 // 100)
            broken.unlink("file")
        counts = [finish(process) for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    total = {key: sum(one[key] for one in counts) for key in ("cycles", "busy_first", "busy_second")}
    print(total, "longest", max(one["longest_ms"] for one in counts), "ms")
    for disk, device in zip(disks, devices):
        run("losetup", "--detach", device)
        wait_for(lambda disk=disk: not use_of(disk.image))
        run(*MKFS["ext4"], disk.image)
    table.client.wait_event("corrupted")
    assert total["cycles"] >= 10000
    assert total["busy_first"] <= total["cycles"] // 1000
    assert total["busy_second"] == 0
