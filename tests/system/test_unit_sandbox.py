# SPDX-License-Identifier: GPL-2.0-or-later
"""The restrictions of the unit: that they hold, what they are worth, and that everything works below them."""

import errno
import json
import os
import re
import select
import subprocess
import time

import pytest

from machine import PATIENCE, wait

NAME = "org.fsevents1"
ROOT = "/org/fsevents1"
MANAGER = "org.fsevents1.Manager"
UNIT = "fseventsd.service"
DROPINS = "/run/systemd/system/fseventsd.service.d"
USER = "nobody"

# 4.0 is not to be had: all that is not set makes a mount namespace, or is what the service needs.
SCORE_MAX = 4.8
NAMESPACE = "makes a mount namespace, which keeps unmounted devices in use"
UNSET = {
    **dict.fromkeys(("PrivateDevices=", "PrivateMounts=", "PrivateTmp=", "ProcSubset=", "ProtectControlGroups=",
                     "ProtectHome=", "ProtectKernelLogs=", "ProtectKernelModules=", "ProtectKernelTunables=",
                     "ProtectProc=", "ProtectSystem=", "RootDirectory=/RootImage="), NAMESPACE),
    "PrivateNetwork=": "forks, accounting, block devices and the module are told in the first one alone",
    "PrivateUsers=": "marks and mounts belong to the first one",
    "User=/DynamicUser=": "the capabilities below, and ids that are not its own",
    "CapabilityBoundingSet=~CAP_SYS_ADMIN": "marks of filesystems, mounts that nobody sees",
    "CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)": "private folders, files by handle, no trace of a look",
    "CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)": "looking as a caller would",
    "CapabilityBoundingSet=~CAP_SYS_PTRACE": "who wrote most, the file of an exec, also of root's processes",
    "CapabilityBoundingSet=~CAP_NET_ADMIN": "events of processes, accounting, the module",
    "CapabilityBoundingSet=~CAP_KILL": "relayed signals",
    "CapabilityBoundingSet=~CAP_SYSLOG": "what the kernel logs of filesystems",
    "SystemCallFilter=~@privileged": "fanotify_init, open_by_handle_at, setfsuid, capset",
    "SystemCallFilter=~@mount": "fsopen, fsconfig, fsmount, open_tree",
    "RestrictSUIDSGID=": "openat2, which it refuses whatever it is to open: the lookups of watches",
    "RestrictAddressFamilies=~AF_NETLINK": "the kernel's events",
    "RestrictAddressFamilies=~AF_UNIX": "the bus and the journal",
    "DeviceAllow=": "the kernel's log; disks of which a subvolume is mounted once more",
}

# Without any restriction, to compare with.
FREE = """[Service]
CapabilityBoundingSet=
CapabilityBoundingSet=~
SystemCallFilter=
DevicePolicy=auto
DeviceAllow=
RestrictNamespaces=no
RestrictAddressFamilies=
MemoryDenyWriteExecute=no
NoNewPrivileges=no
"""


def show(machine, name):
    return machine.run("systemctl", "show", "--property=" + name, "--value", UNIT).stdout.strip()


def status_of(machine, pid):
    told = machine.run("cat", f"/proc/{pid}/status").stdout
    return dict(line.split(":\t", 1) for line in told.splitlines())


def statuses(machine):
    """/proc/PID/status of each process of the service."""
    found = machine.run("sh", "-c", f"grep -l {UNIT} /proc/[0-9]*/cgroup 2>/dev/null").stdout.split()
    return [status_of(machine, path.split("/")[2]) for path in found]


def sources(machine):
    done = machine.run("busctl", "--json=short", "get-property", NAME, ROOT, MANAGER, "Sources")
    return json.loads(done.stdout)["data"]


@pytest.fixture
def dropin(machine):
    """dropin(text): restart the service with @text."""
    def restart_with(text):
        machine.run("mkdir", "-p", DROPINS)
        machine.write(DROPINS + "/test.conf", text)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", UNIT)

    yield restart_with
    machine.run("rm", "-rf", DROPINS)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)


@pytest.fixture
def disk(machine):
    """disk(image): a loop device of the machine with a copy of that file."""
    devices = []

    def attach(image):
        inside = f"/srv/{len(devices)}.img"
        subprocess.run(["cp", "--sparse=always", image, f"/proc/{machine.leader}/root{inside}"], check=True)
        for path, kind, numbers in (("/dev/loop-control", "c", ("10", "237")),
                                    *((f"/dev/loop{n}", "b", ("7", str(n))) for n in range(16))):
            if not machine.exists(path):
                machine.run("mknod", "-m", "0660", path, kind, *numbers)
        device = machine.run("losetup", "--find", "--show", inside).stdout.strip()
        devices.append((device, inside))
        return device

    yield attach
    for device, inside in devices:
        machine.run("umount", "--quiet", "--all-targets", device, check=False)
        machine.run("losetup", "--detach", device, check=False)
        machine.run("rm", "-f", inside)


@pytest.fixture
def image(tmp_path):
    """image(type, megabytes): a file with such a filesystem, sparse."""
    def make(kind, megabytes):
        path = str(tmp_path / kind)
        with open(path, "wb") as file:
            os.truncate(file.fileno(), megabytes << 20)
        subprocess.run(["mkfs." + kind, "-q", path], check=True, stdin=subprocess.DEVNULL, capture_output=True)
        return path

    return make


def test_score(machine):
    """All that can be set is set, and what is not has its reason."""
    told = json.loads(machine.run("systemd-analyze", "security", "--no-pager", "--json=short", UNIT).stdout)
    costs = {one["name"]: float(one["exposure"]) for one in told if one["exposure"] and float(one["exposure"]) > 0}
    for name, exposure in sorted(costs.items(), key=lambda cost: -cost[1]):
        print(f"{exposure:.1f} {name} {UNSET.get(name, '?')}")
    for_namespace = sum(exposure for name, exposure in costs.items() if UNSET.get(name) == NAMESPACE)
    line = machine.run("systemd-analyze", "security", "--no-pager", UNIT).stdout.strip().splitlines()[-1]
    print(f"{line}; {for_namespace:.1f} of {sum(costs.values()):.1f} for mount namespaces")
    assert set(costs) == set(UNSET)
    assert float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", line).group(1)) <= SCORE_MAX


def test_every_process_is_restricted(machine):
    allowed = sum(1 << number for number in (2, 3, 5, 6, 7, 12, 19, 21, 34))
    first, each = status_of(machine, 1), statuses(machine)
    # The daemon, the process that makes workers, and one of those at least.
    assert len(each) >= 3
    for status in each:
        assert int(status["CapBnd"], 16) == allowed, status["Name"]
        assert int(status["CapPrm"], 16) == allowed, status["Name"]
        assert status["NoNewPrivs"] == "1", status["Name"]
        # The container has some of its own, which the first process has too.
        assert int(status["Seccomp_filters"]) > int(first["Seccomp_filters"]), status["Name"]


def test_no_source_is_lost_by_it(machine, dropin):
    restricted = sources(machine)
    dropin(FREE)
    assert int(statuses(machine)[0]["CapBnd"], 16).bit_count() > 30
    free = sources(machine)
    print(json.dumps(free, indent=1))
    assert restricted == free


# In the service's group: opens each device, and says which it could.
OPEN_ALL = """
echo $$ >/sys/fs/cgroup%s/cgroup.procs
: </dev/null && echo null
(: </dev/kmsg) && echo kmsg
(: >>/dev/kmsg) && echo kmsg-write
(: </dev/fuse) && echo fuse
(: <%s) && echo disk
(: >>%s) && echo disk-write
true
"""


def test_devices_are_restricted(machine, disk, image):
    device = disk(image("ext4", 16))
    for path, *numbers in (("/dev/kmsg", "c", "1", "11"), ("/dev/fuse", "c", "10", "229")):
        if not machine.exists(path):
            machine.run("mknod", "-m", "0600", path, *numbers)
    machine.run("systemctl", "restart", UNIT)
    assert sources(machine)["kernel-messages"] == "kmsg"
    done = machine.run("sh", "-c", OPEN_ALL % (show(machine, "ControlGroup"), device, device))
    assert done.stdout.split() == ["null", "kmsg", "disk", "disk-write"], done.stderr


def test_nothing_was_refused(machine, disk, image):
    """Alarm with writers, a tree watched on ext4 and btrfs, and their unmount."""
    machine.run("mkdir", "-p", "/mnt/ext4", "/mnt/btrfs", "/etc/fsevents.conf.d")
    machine.write("/etc/fsevents.conf.d/test.conf", "[filesystem /mnt/ext4]\nthreshold = half space 50% warning\n")
    machine.run("systemctl", "restart", UNIT)
    try:
        for kind, size in (("ext4", 32), ("btrfs", 128)):
            machine.run("mount", disk(image(kind, size)), "/mnt/" + kind)
            machine.run("chmod", "777", "/mnt/" + kind)
        check_alarm(machine)
        for kind in ("ext4", "btrfs"):
            check_watch(machine, "/mnt/" + kind)
            wait(lambda where="/mnt/" + kind: machine.run("umount", where, check=False).returncode == 0,
                 f"the end of {kind}")
    finally:
        machine.run("rm", "/etc/fsevents.conf.d/test.conf")
        machine.run("systemctl", "reload", UNIT)


def history(machine, **kwargs):
    done = machine.run("fseventsctl", "--json", "history", **kwargs)
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_alarm(machine):
    wait(lambda: "half" in machine.run("fseventsctl", "--json", "show", "/mnt/ext4", check=False).stdout,
         "the threshold")
    machine.run("sh", "-c", "head -c 24M /dev/zero >/mnt/ext4/file; sync -f /mnt/ext4")
    wait(lambda: [e for e in history(machine) if e.get("code") == "threshold-below" and "/mnt/ext4" in str(e)],
         "the alarm")


def check_watch(machine, where):
    watch = machine.start("fseventsctl", "--json", "watch", "-r", where, user=USER)
    try:
        seen, number = "", 0
        deadline = time.monotonic() + PATIENCE
        while '"create"' not in seen and time.monotonic() < deadline:
            number += 1
            machine.run("touch", f"{where}/file{number}", user=USER)
            if select.select([watch.stdout], [], [], 0.5)[0]:
                seen += os.read(watch.stdout.fileno(), 65536).decode()
            assert watch.poll() is None, seen
        assert '"create"' in seen, f"nothing told of {where}: {seen}"
    finally:
        watch.terminate()
        watch.wait(30)


def reusable(machine, device):
    """Whether one who wants it alone can have the device, as mkfs does."""
    try:
        os.close(os.open(f"/proc/{machine.leader}/root{device}", os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        assert error.errno == errno.EBUSY
        return False
    return True


@pytest.fixture
def private(machine):
    """A folder whose mounts and unmounts no other namespace is told of."""
    machine.run("mkdir", "-p", "/mnt/private")
    machine.run("mount", "-t", "tmpfs", "-o", "mode=755", "private", "/mnt/private")
    machine.run("mount", "--make-private", "/mnt/private")
    machine.run("mkdir", "/mnt/private/disk")
    yield "/mnt/private/disk"
    machine.run("umount", "--recursive", "/mnt/private")


def test_a_mount_from_before_the_start_can_go(machine, disk, image, private):
    device = disk(image("ext4", 16))
    machine.run("systemctl", "stop", UNIT)
    machine.run("mount", device, private)
    machine.run("systemctl", "start", UNIT)
    machine.run("fseventsctl", "show", private)
    wait(lambda: machine.run("umount", private, check=False).returncode == 0, "the unmount")
    wait(lambda: reusable(machine, device), "the device")
    machine.run("mke2fs", "-q", "-t", "ext4", device)


def test_with_a_namespace_of_its_own_it_could_not(machine, disk, image, private, dropin):
    """That the test above can fail."""
    device = disk(image("ext4", 16))
    machine.run("mount", device, private)
    dropin("[Service]\nPrivateTmp=yes\n")
    machine.run("umount", private)
    assert not reusable(machine, device)
    machine.run("systemctl", "stop", UNIT)
    wait(lambda: reusable(machine, device), "the device")
