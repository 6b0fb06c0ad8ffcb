# SPDX-License-Identifier: GPL-2.0-or-later
"""The package of the module where the headers of a kernel are: built, installed, removed. Nothing is loaded."""

import glob
import os
import subprocess
import tempfile

import pytest

import machine as machines

NAME = "fsevents"

pytestmark = pytest.mark.skipif("FSEVENTS_PACKAGES" not in os.environ, reason="no packages were built")


@pytest.fixture
def inside():
    """inside(*command) -> what it printed, in a Debian with dkms that is thrown away; .root is its directory"""
    root = machines.cached_root(os.environ["FSEVENTS_CACHE"], machines.PACKAGES_DKMS, "dkms")
    with tempfile.TemporaryDirectory(dir="/run") as work:
        merged, upper, scratch = (os.path.join(work, name) for name in ("root", "upper", "scratch"))
        for directory in (merged, upper, scratch):
            os.mkdir(directory)
        subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={root},upperdir={upper},workdir={scratch}",
                        "overlay", merged], check=True)

        def run(*command):
            done = subprocess.run(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--directory=" + merged,
                 "--setenv=DEBIAN_FRONTEND=noninteractive", "--setenv=LC_ALL=C.UTF-8", *command],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
                check=False)
            assert done.returncode == 0, f"{command}: {done.stdout}"
            return done.stdout

        run.root = merged
        try:
            yield run
        finally:
            subprocess.run(["umount", "--lazy", merged], check=False)


def left(inside):
    return inside("find", "/etc", "/lib/modules", "/usr", "/var/lib/dkms", "-iname", f"*{NAME}*").split()


def test_module_is_built_and_goes(inside):
    package, = glob.glob(os.path.join(os.environ["FSEVENTS_PACKAGES"], "fsevents-dkms_*.deb"))
    subprocess.run(["cp", package, os.path.join(inside.root, "module.deb")], check=True)
    kernel, = inside("ls", "/lib/modules").split()
    assert not left(inside)

    print(inside("dpkg", "--install", "/module.deb"))
    assert f"{kernel}, {os.uname().machine}: installed" in inside("dkms", "status", NAME)
    about = inside("modinfo", "-k", kernel, NAME)
    print(about)
    assert f"/lib/modules/{kernel}/updates/dkms/{NAME}.ko" in about
    # Loaded by whoever asks for the family, and only into that kernel.
    assert "net-pf-16-proto-16-family-fs_event" in about and f"vermagic:       {kernel} " in about

    inside("dpkg", "--remove", "fsevents-dkms")
    assert inside("dkms", "status", NAME).strip() == ""
    # There is no configuration that only a purge would take away.
    assert not left(inside)
    assert "fsevents-dkms" not in inside("dpkg-query", "--show")
