# SPDX-License-Identifier: GPL-2.0-or-later
"""
A booted Debian with fseventsd installed: root directory, boot, commands in it.

The root is made once by mmdebstrap and kept in the cache directory; each run
boots an overlay of it that lives in memory.
"""

import hashlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "bus"))

import waiting  # noqa: E402

# Seconds; what is booted and emulated beside others is slow.
PATIENCE = 90

PACKAGES = ("systemd", "systemd-sysv", "dbus", "polkitd", "libsystemd0", "libinih1", "libmnl0",
            "libnl-genl-3-200", "mount", "util-linux", "procps", "e2fsprogs", "libglib2.0-bin",
            "systemd-journal-remote")
# Where the module is built as on somebody's machine; big, and never booted.
PACKAGES_DKMS = ("dkms", "linux-headers-" + {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "generic"))


def wait(predicate, what=None, timeout=PATIENCE):
    return waiting.wait_for(predicate, timeout, what, 0.05)


def os_release(key):
    with open("/etc/os-release", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.strip().partition("=")
            if name == key:
                return value.strip('"')
    return ""


def apt_sources(codename):
    """The files of this machine that name its own release: the packages come from the same place."""
    folder = "/etc/apt/sources.list.d"
    candidates = ["/etc/apt/sources.list"]
    if os.path.isdir(folder):
        candidates += sorted(os.path.join(folder, name) for name in os.listdir(folder)
                             if name.endswith((".list", ".sources")))
    found = []
    for path in candidates:
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line for line in file if not line.startswith("#")]
            if any(codename in line and "debian" in "".join(lines) for line in lines):
                found.append(path)
    return found


def apt_options():
    """What this machine needs to reach its packages: proxies, dates."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    wanted = ("::Proxy", "Check-Valid-Until", "Check-Date", "::Retries", "::CaInfo")
    return "\n".join(line for line in dump.stdout.splitlines()
                     if line.startswith("Acquire::") and any(w in line for w in wanted))


def cached_root(cache, packages=PACKAGES, kind="root"):
    """The directory of a Debian root of that @kind, made when it is not there or its packages changed."""
    codename = os_release("VERSION_CODENAME") or "bookworm"
    key = hashlib.sha256(" ".join((codename, *packages)).encode()).hexdigest()[:12]
    root = os.path.join(cache, f"{kind}-{key}")
    if os.path.isdir(root):
        return root

    for name in os.listdir(cache):
        if name.startswith(kind + "-"):
            shutil.rmtree(os.path.join(cache, name))
    building = tempfile.mkdtemp(prefix=kind + "-building-", dir=cache)
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as options:
            options.write(apt_options())
            options.flush()
            subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", "--aptopt=" + options.name,
                 "--include=" + ",".join(packages), codename, building + "/root",
                 *apt_sources(codename)],
                stdin=subprocess.DEVNULL, check=True, timeout=900)
        os.rename(building + "/root", root)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return root


class Machine:
    """
    One boot, with what is in the build directory @build installed. run() executes in it.

    Its network is that of the test, or the namespace at the path @network.
    """

    def __init__(self, root, build, work, name="fsevents-test", network=None):
        self.name = name
        self.network = ["--network-namespace-path=" + network] if network else []
        self.root = os.path.join(work, "root")
        self.log_path = os.path.join(work, "console")
        self.process = None
        self.leader = None
        upper, scratch = os.path.join(work, "upper"), os.path.join(work, "scratch")
        for directory in (self.root, upper, scratch):
            os.mkdir(directory)
        self._host("mount", "-t", "overlay", "-o",
                   f"lowerdir={root},upperdir={upper},workdir={scratch}", "overlay", self.root)
        if build:
            self._host("meson", "install", "-C", build, "--no-rebuild", "--quiet",
                       env={**os.environ, "DESTDIR": self.root})
            self._host("journalctl", "--root=" + self.root, "--update-catalog")
            self._host("systemctl", "--root=" + self.root, "enable", "fseventsd.service")
        with open(os.path.join(self.root, "etc/hostname"), "w", encoding="ascii") as file:
            file.write(name + "\n")
        # A filesystem that the daemon serves by default; the root is an overlay.
        with open(os.path.join(self.root, "etc/fstab"), "w", encoding="ascii") as file:
            file.write("scratch /srv tmpfs size=64M 0 0\n")

    @staticmethod
    def _host(*command, **kwargs):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
                              **kwargs)
        assert done.returncode == 0, f"{command}: {done.stdout}"

    def boot(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
                 "--console=pipe", "--capability=all", "--machine=" + self.name, *self.network,
                 "--directory=" + self.root],
                # The container's own filter refuses what a real machine allows.
                # What restricts devices is a program of the second hierarchy of control groups.
                env={**os.environ, "SYSTEMD_SECCOMP": "0", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait(self._find_leader, 60, "a first process")
        self._wait(self._is_up, 240, "the end of the boot")

    def _find_leader(self):
        ours = os.readlink("/proc/self/ns/pid")
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(path, encoding="ascii") as file:
            for pid in file.read().split():
                if os.readlink(f"/proc/{pid}/ns/pid") != ours:
                    self.leader = int(pid)
        return self.leader

    def _is_up(self):
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def _wait(self, predicate, timeout, what):
        deadline = time.monotonic() + timeout
        while True:
            try:
                if predicate():
                    return
            except (OSError, ValueError):
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the machine did not come to {what}:\n{self.console()}")
            select.select([], [], [], 0.1)

    def console(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def command(self, *command, user=None):
        """The command line that runs @command inside."""
        inside = ["nsenter", "--target", str(self.leader), "--all", "--wd=/", "--"]
        if user:
            inside += ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups",
                       "--inh-caps=-all", "--"]
        return [*inside, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                "TERM=dumb", "SYSTEMD_PAGER=cat", *command]

    def run(self, *command, check=True, user=None, timeout=120):
        done = subprocess.run(self.command(*command, user=user), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, \
            f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self, *command, user=None):
        """A command that goes on; the caller ends it."""
        return subprocess.Popen(self.command(*command, user=user), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def write(self, path, text):
        with open(f"/proc/{self.leader}/root{path}", "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, path):
        with open(f"/proc/{self.leader}/root{path}", encoding="utf-8") as file:
            return file.read()

    def exists(self, path):
        return os.path.exists(f"/proc/{self.leader}/root{path}")

    def halt(self):
        """systemd powers off on SIGRTMIN+4."""
        if self.process and self.process.poll() is None:
            if self.leader:
                os.kill(self.leader, signal.SIGRTMIN + 4)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)
        subprocess.run(["umount", "--lazy", self.root], check=False)
