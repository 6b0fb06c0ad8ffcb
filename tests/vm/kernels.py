# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's kernels with their headers, unpacked below the cache: nothing of them
is installed, so that no other kernel is ever booted because of a test
"""

import hashlib
import os
import re
import shutil
import subprocess

# What the module is for, by the packages of each.
SERIES = {
    "6.1": re.compile(r"^linux-image-(6\.1\.0-\d+-amd64)$"),
    "6.12": re.compile(r"^linux-image-(6\.12\.\d+\+deb12-amd64)$"),
}
LIMIT = 600


def output(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, timeout=LIMIT, **options).stdout


def version_key(name):
    return [int(part) for part in re.findall(r"\d+", name)]


def update():
    subprocess.run(["apt-get", "-q", "update"], check=False, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, timeout=LIMIT)


def newest(series):
    """The newest version of a series that the machine's sources have."""
    pattern = SERIES[series]
    for attempt in range(2):
        found = [match.group(1) for match in map(pattern.match, output("apt-cache", "pkgnames").split())
                 if match]
        if found:
            return max(found, key=version_key)
        if attempt == 0:
            update()
    raise RuntimeError(f"no kernel {series} in this machine's package sources")


def depends(package, pattern):
    for line in output("apt-cache", "depends", "--no-recommends", package).splitlines():
        match = re.match(r"\s*\|?Depends: (.*)$", line)
        if match and re.match(pattern, match.group(1)):
            return match.group(1)
    raise RuntimeError(f"{package} depends on nothing like {pattern}")


def packages(version):
    headers = f"linux-headers-{version}"
    return [f"linux-image-{version}", headers, depends(headers, r"linux-headers-.*-common$"),
            depends(headers, r"linux-kbuild-")]


def download(names, directory, options=()):
    subprocess.run(["apt-get", "-q", *options, "-o", "APT::Sandbox::User=root", "download", *names],
                   check=True, cwd=directory, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, timeout=LIMIT)


def unpack(directory, root):
    for name in sorted(os.listdir(directory)):
        if name.endswith(".deb"):
            subprocess.run(["dpkg-deb", "-x", os.path.join(directory, name), root], check=True,
                           timeout=LIMIT)


def fetch(cache, name, get):
    """A directory of the cache, made whole by get(directory) or not at all."""
    path = os.path.join(cache, name)
    if not os.path.isdir(path):
        scratch = path + ".new"
        shutil.rmtree(scratch, ignore_errors=True)
        os.makedirs(os.path.join(scratch, "debs"))
        get(scratch)
        shutil.rmtree(os.path.join(scratch, "debs"))
        os.rename(scratch, path)
    return path


def build_debug(root):
    """Debian's 6.1 with what finds mistakes; everything that the tests mount is built in."""
    debs = os.path.join(root, "debs")
    download(["linux-source-6.1"], debs)
    unpack(debs, debs)
    subprocess.run(["tar", "-xf", os.path.join(debs, "usr/src/linux-source-6.1.tar.xz"), "-C", root],
                   check=True, timeout=LIMIT)
    tree = os.path.join(root, "linux-source-6.1")
    config = os.path.join(os.path.dirname(os.path.abspath(__file__)), "debug.config")
    for arguments in (["allnoconfig", "KCONFIG_ALLCONFIG=" + config],
                      [f"-j{os.cpu_count()}", "bzImage", "modules"]):
        subprocess.run(["make", "-s", *arguments], check=True, cwd=tree, timeout=3600,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


class DebugKernel:
    """As Kernel; there are no modules."""

    series = "debug"

    def __init__(self, cache):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "debug.config"),
                  "rb") as file:
            key = hashlib.sha256(file.read()).hexdigest()[:12]
        root = fetch(cache, f"debug-{key}", build_debug)
        self.build = os.path.join(root, "linux-source-6.1")
        with open(os.path.join(self.build, "include/config/kernel.release"),
                  encoding="utf-8") as file:
            self.version = file.read().strip()
        self.image = os.path.join(self.build, "arch/x86/boot/bzImage")
        self.modules = None


class Kernel:
    """One kernel, unpacked: .image, .modules, .build (for external modules)."""

    def __init__(self, series, cache):
        self.series = series
        self.version = newest(series)
        try:
            root = fetch(cache, self.version, self._get)
        except subprocess.CalledProcessError:
            # Of an older list, which names what is no longer there.
            update()
            self.version = newest(series)
            root = fetch(cache, self.version, self._get)
        self.image = os.path.join(root, "boot", "vmlinuz-" + self.version)
        modules = os.path.join(root, "usr" if os.path.isdir(os.path.join(root, "usr/lib/modules"))
                               else "", "lib", "modules")
        self.modules = os.path.join(modules, self.version)
        self.build = os.path.join(root, "usr/src", "linux-headers-" + self.version)

    def _get(self, root):
        debs = os.path.join(root, "debs")
        download(packages(self.version), debs)
        unpack(debs, root)
        # Written for /usr/src: this copy stands elsewhere.
        makefile = os.path.join(root, "usr/src", "linux-headers-" + self.version, "Makefile")
        with open(makefile, encoding="utf-8") as file:
            text = file.read()
        final = os.path.join(root.removesuffix(".new"), "usr/src/")
        with open(makefile, "w", encoding="utf-8") as file:
            file.write(text.replace("/usr/src/", final))
        # The kbuild package installs below /usr/lib, and links say ../../lib.
        target = os.path.join(root, "usr/lib")
        for entry in os.listdir(os.path.join(root, "lib")) if os.path.isdir(
                os.path.join(root, "lib")) else ():
            if entry.startswith("linux-kbuild"):
                os.makedirs(target, exist_ok=True)
                os.symlink(os.path.join("../../lib", entry), os.path.join(target, entry))


def libmnl32(cache):
    """Debian's libmnl for 32-bit programs; None where the sources do not have it."""
    def get(root):
        lists = os.path.join(root, "lists")
        os.makedirs(os.path.join(lists, "partial"))
        options = ("-o", f"Dir::State::lists={lists}", "-o", "APT::Architectures::=amd64",
                   "-o", "APT::Architectures::=i386")
        subprocess.run(["apt-get", "-q", *options, "update"], check=False, timeout=LIMIT,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        download(["libmnl0:i386", "libmnl-dev:i386"], os.path.join(root, "debs"), options)
        unpack(os.path.join(root, "debs"), root)
        shutil.rmtree(lists)

    try:
        return fetch(cache, "libmnl-i386", get)
    except (subprocess.CalledProcessError, OSError):
        return None
