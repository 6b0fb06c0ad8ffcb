# SPDX-License-Identifier: GPL-2.0-or-later
"""
The root of a virtual machine: busybox, the kernel's modules that the tests
need, our module, our programs and the libraries that they ask for
"""

import os
import re
import shutil
import subprocess

MODULES = ("virtio_pci", "virtio_blk", "ext4", "xfs", "btrfs", "loop", "fuse", "crc32c_generic",
           "crc32c_intel", "libcrc32c", "xxhash_generic", "blake2b_generic", "sha256_generic")
DIRECTORIES = ("bin", "dev", "lib", "lib64", "mnt", "proc", "sys", "tmp", "root")


def available(kernel):
    """Module name -> file, of all that the kernel has."""
    found = {}
    for directory, _, names in os.walk(os.path.join(kernel.modules, "kernel")):
        for name in names:
            match = re.match(r"(.*)\.ko(\.xz)?$", name)
            if match:
                found[match.group(1).replace("-", "_")] = os.path.join(directory, name)
    return found


def modinfo(field, path):
    return subprocess.run(["modinfo", "-F", field, path], check=True, text=True,
                          stdout=subprocess.PIPE, timeout=60).stdout


def needed(files):
    """With what they depend on, also softly; what is built in has no file."""
    wanted, queue = set(), list(MODULES)
    while queue:
        name = queue.pop().replace("-", "_")
        if name in wanted or name not in files:
            continue
        wanted.add(name)
        queue += modinfo("depends", files[name]).strip().split(",")
        queue += re.sub(r"\b(pre|post):", "", modinfo("softdep", files[name])).split()
    return wanted


def add_modules(root, kernel):
    target = os.path.join(root, "lib", "modules", kernel.version, "kernel")
    os.makedirs(target)
    files = available(kernel)
    for name in sorted(needed(files)):
        path = files[name]
        plain = os.path.join(target, os.path.basename(path).removesuffix(".xz"))
        if path.endswith(".xz"):
            with open(plain, "wb") as file:
                subprocess.run(["xz", "-dc", path], check=True, stdout=file, timeout=60)
        else:
            shutil.copy(path, plain)
    for name in ("modules.builtin", "modules.order"):
        shutil.copy(os.path.join(kernel.modules, name), os.path.dirname(target))
    subprocess.run(["depmod", "-b", root, kernel.version], check=True, timeout=60,
                   stderr=subprocess.DEVNULL)


def libraries(program, extra):
    """Path in the root -> file here, of what a program is linked with."""
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(extra)}
    lines = subprocess.run(["ldd", program], check=True, text=True, stdout=subprocess.PIPE,
                           env=environment, timeout=60).stdout.splitlines()
    found = {}
    for line in lines:
        match = re.match(r"\s*(?:(\S+) => )?(/\S+) \(0x", line)
        if not match:
            continue
        name, path = match.groups()
        if name is None or name.startswith("/"):
            found[name or path] = path
        elif "/lib32/" in path or "i386" in path:
            found["/lib32/" + name] = path
        else:
            found["/lib/" + name] = path
    return found


def add_program(root, path, extra=()):
    shutil.copy(path, os.path.join(root, "bin"))
    for target, source in libraries(path, extra).items():
        target = root + target
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            shutil.copy(source, target)


def pack(root, path):
    with open(path, "wb") as file:
        names = subprocess.run(["find", ".", "-print0"], cwd=root, check=True,
                               stdout=subprocess.PIPE, timeout=60).stdout
        archive = subprocess.run(["cpio", "-o", "-0", "-H", "newc", "--quiet", "-R", "0:0"],
                                 input=names, cwd=root, check=True, stdout=subprocess.PIPE,
                                 timeout=60).stdout
        subprocess.run(["gzip", "-1"], input=archive, check=True, stdout=file, timeout=60)


def build(path, kernel, init, modules, programs, extra=()):
    root = path + ".root"
    shutil.rmtree(root, ignore_errors=True)
    for name in DIRECTORIES:
        os.makedirs(os.path.join(root, name))
    # The kernel itself looks for modprobe there.
    os.symlink("bin", os.path.join(root, "sbin"))
    shutil.copy("/bin/busybox", os.path.join(root, "bin", "busybox"))
    shutil.copy(init, os.path.join(root, "init"))
    if kernel.modules:
        add_modules(root, kernel)
    for module in modules:
        shutil.copy(module, root)
    for program in programs:
        add_program(root, program, extra)
    pack(root, path)
    shutil.rmtree(root)
