# SPDX-License-Identifier: GPL-2.0-or-later
"""
A tour of a minute on scratch filesystems; run by ./dev demo.

Starts the daemon on a bus of its own, follows it with fseventsctl monitor,
and does to the filesystems what the text says.
"""

import os
import subprocess
import sys
import tempfile

import buses
import disks
import service
from fusefs import Fuse
from waiting import PATIENCE, pause

MIB = 1 << 20
CONFIG = """[filesystem /mnt/data]
threshold = half space 50% notice
threshold = low space 25% warning hysteresis 5%
threshold = critical space 10% critical hysteresis 5%
"""
BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def tell(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


class Tour:
    """What runs during the tour; stop() ends all of it."""

    def __init__(self, directory):
        self.disk = disks.make_disk("ext4", "data", 400)
        self.server = Fuse("/mnt/server", source="fileserver:/export", blocks=1 << 20,
                           bfree=1 << 19, bavail=1 << 19)
        self.bus = buses.Bus("dbus-daemon", directory,
                             os.path.join(service.SOURCE, "dbus", "org.fsevents1.conf")).start()
        self.daemon = service.Daemon(self.bus.address, directory, CONFIG).start()
        self.monitor = None

    def ctl(self, *arguments):
        return subprocess.Popen(["fseventsctl", "--bus=" + self.bus.address, *arguments],
                                executable=service.executable(), stdin=subprocess.DEVNULL)

    def follow(self):
        self.monitor = self.ctl("monitor")
        pause(0.5)

    def stop(self):
        if self.monitor:
            self.monitor.terminate()
            self.monitor.wait(PATIENCE)
        self.daemon.stop()
        self.bus.stop()
        self.server.release()
        self.disk.release()


def space(tour):
    size = tour.disk.available()
    tell("A process now fills /mnt/data at 40 MB a second. Each threshold is told as it is\n"
         "crossed, although nobody polls:")
    tour.disk.write("backup", size * 96 // 100, 40 * MIB)
    pause(1.5)

    tell("A little is freed and filled again; inside the hysteresis nothing is repeated.")
    tour.disk.truncate("backup", size * 93 // 100)
    pause(1.5)
    tour.disk.write("backup", size * 3 // 100)
    pause(1.5)

    tell("The file is deleted. What was crossed downwards is crossed upwards:")
    tour.disk.unlink("backup")
    pause(2)

    tell("One fallocate of nearly everything: all three at once, in order:")
    tour.disk.fallocate("image", size * 95 // 100)
    pause(1.5)
    tour.disk.unlink("image")
    pause(2)


def mounts(tour):
    tell("A filesystem is mounted on a name with a line break and an escape sequence in it,\n"
         "and unmounted again:")
    where = b"/mnt/odd\nname\x1b[31m"
    os.makedirs(where)
    disks.mount_raw(b"scratch", where, "tmpfs", 0, "size=1M")
    pause(1.5)
    disks.umount_raw(where)
    pause(1)
    tour.ctl("status").wait(PATIENCE)


def stall(tour):
    tell("The server behind /mnt/server is stopped. Whoever asks it for its free space waits\n"
         "for ever; the daemon says so within a second:")
    tour.server.stop()
    pause(3)

    tell("Meanwhile all others are told of as before:")
    tour.disk.fallocate("image", tour.disk.available() * 60 // 100)
    pause(2)
    tour.ctl("status").wait(PATIENCE)

    tell("The server goes on:")
    tour.server.cont()
    pause(4)
    tour.disk.unlink("image")
    pause(2)


def main():
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        os.chmod(directory, 0o755)
        tour = Tour(directory)
        try:
            tell("Scratch filesystems: an ext4 on a loop device, and a FUSE server")
            tour.ctl("status").wait(PATIENCE)
            tour.follow()
            space(tour)
            mounts(tour)
            stall(tour)
            tell("Who comes late reads the history (the last lines of it):")
            history = subprocess.run(
                ["fseventsctl", "--bus=" + tour.bus.address, "history"],
                executable=service.executable(), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, check=True, timeout=PATIENCE)
            print("\n".join(history.stdout.splitlines()[-6:]), flush=True)
        finally:
            tour.stop()
    tell("That was all; nothing of it is left.")


if __name__ == "__main__":
    main()
