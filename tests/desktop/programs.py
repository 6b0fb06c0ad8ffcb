# SPDX-License-Identifier: GPL-2.0-or-later
"""
A screen without a screen, and programs of Debian's that a person would have on it.

Each runs as the user of the session, with a home of its own. What is on the screen is
read as a screen reader does it, and kept as a picture.
"""

import json
import os
import re
import signal
import subprocess
import sys

from desktop import Session
from waiting import PATIENCE, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKETS = "/tmp/.X11-unix"
DISPLAY = ":99"
SIZE = "1280x720x24"


def stop(process):
    """As at the end of a session."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)


class Screen:
    """An X server that draws into memory; its socket is in a directory that nobody else sees."""

    def __init__(self, directory):
        self.made = not os.path.isdir(SOCKETS)
        if self.made:
            os.mkdir(SOCKETS)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "screen", SOCKETS], check=True)
        self.log_path = os.path.join(directory, "screen.log")
        ready, written = os.pipe()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["Xvfb", DISPLAY, "-nolock", "-screen", "0", SIZE, "-wr", "-ac", "-nolisten", "tcp",
                 "-nolisten", "local", "-noreset", "-displayfd", str(written)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[written])
        os.close(written)
        with open(ready, "rb") as file:
            assert file.readline(), "the screen did not start"

    def picture(self, path):
        """All that is on it, as a file."""
        subprocess.run(["import", "-display", DISPLAY, "-window", "root", "png:" + path], check=True,
                       stdin=subprocess.DEVNULL, timeout=PATIENCE)

    def close(self):
        stop(self.process)
        subprocess.run(["umount", SOCKETS], check=True)
        if self.made:
            os.rmdir(SOCKETS)


class Desktop(Session):
    """A session with a screen, and who reads what is on it."""

    def __init__(self, directory):
        super().__init__(directory)
        self.logs = os.path.join(self.directory, "logs")
        self.home = os.path.join(self.directory, "home")
        for path in (self.logs, self.home):
            os.mkdir(path, 0o700)
            os.chown(path, self.uid, self.uid)
        self.screen = Screen(directory)
        self.programs = []
        self.start("at-spi", ["/usr/libexec/at-spi-bus-launcher", "--launch-immediately"])
        self.wait_name("org.a11y.Bus")

    def environment(self):
        kept = {key: os.environ[key] for key in ("PATH",) if key in os.environ}
        return {**kept, "LANG": "C.UTF-8", "HOME": self.home, "XDG_RUNTIME_DIR": self.runtime,
                "DISPLAY": DISPLAY, "DBUS_SESSION_BUS_ADDRESS": self.address,
                # No bus but this one is there for what runs here.
                "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/fsevents-test/nowhere",
                "XDG_CURRENT_DESKTOP": "KDE", "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1"}

    def start(self, name, command):
        """A program of the user's; ended with the session."""
        with open(os.path.join(self.logs, name), "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       cwd="/", env=self.environment(), **self.user())
        self.programs.append((name, process))
        return process

    def log(self, name):
        with open(os.path.join(self.logs, name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def run(self, *command):
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              cwd="/", timeout=PATIENCE, check=False, env=self.environment(),
                              **self.user())

    def busctl(self, *arguments):
        return self.run("busctl", "--address=" + self.address, *arguments).stdout.strip()

    def wait_name(self, name):
        """Until somebody owns it."""
        wait_for(lambda: self.busctl("call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "NameHasOwner", "s", name) == "b true",
                 what=f"{name} on the session's bus", interval=0.05)

    def names(self, application):
        """[(role, name)] of all that has a name in its windows."""
        done = self.run(sys.executable, "-B", os.path.join(HERE, "accessible.py"), "names",
                        application)
        return [tuple(json.loads(line)) for line in done.stdout.splitlines()]

    def shows(self, application, text):
        return any(text == name for _, name in self.names(application))

    def wait_shows(self, application, text, shown=True):
        """Until a person would see it, or would not any more."""
        wait_for(lambda: self.shows(application, text) == shown, interval=0.1,
                 what=f"{text!r} {'in' if shown else 'out of'} {application}")

    def press(self, application, button):
        done = self.run(sys.executable, "-B", os.path.join(HERE, "accessible.py"), "press",
                        application, button)
        assert done.returncode == 0, f"{button!r} of {application}: {done.stderr}"

    def close(self):
        for _, process in reversed(self.programs):
            stop(process)
        self.stop()
        self.screen.close()


class FileView:
    """Dolphin, with its window at a folder; @blind: the user's inotify watches are used up."""

    NAME = "dolphin"
    numbers = 0

    def __init__(self, session, folder, blind):
        FileView.numbers += 1
        self.session = session
        self.name = f"dolphin{FileView.numbers}"
        command = [self.NAME, "--new-window", folder]
        if blind:
            # The limit is one of the user namespace: that of the machine stays as it is.
            command = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c",
                       'echo 0 >/proc/sys/user/max_inotify_watches && '
                       'exec setpriv --inh-caps=-all --ambient-caps=-all "$@"', "sh", *command]
        self.process = session.start(self.name, command)

    def log(self):
        return self.session.log(self.name)

    def close(self):
        stop(self.process)

    def is_refused(self, folder):
        """Whether the kernel refused to watch it by inotify, as the program itself says."""
        return re.search(r"inotify_add_watch\(" + re.escape(folder) + r"\) failed: "
                         r"\(No space left on device\)", self.log())
