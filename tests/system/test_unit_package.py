# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian packages in a booted Debian: installed, upgraded, removed, purged; and what is in them."""

import glob
import json
import os
import subprocess
import tempfile

import pytest

import machine as machines
from machine import wait

NAME = "org.fsevents1"
ROOT = "/org/fsevents1"
MANAGER = "org.fsevents1.Manager"
UNIT = "fseventsd.service"
CONFIG = "/etc/fsevents.conf"
ADDED = "[filesystem /srv]\nthreshold = half space 50% warning\n"

# Where Debian has them -> where they are by default.
MOVED = {"lib/systemd/system/": "usr/lib/systemd/system/",
         "usr/share/zsh/vendor-completions/": "usr/share/zsh/site-functions/"}


needs_packages = pytest.mark.skipif("FSEVENTS_PACKAGES" not in os.environ, reason="no packages were built")


def package(name):
    found = glob.glob(os.path.join(os.environ["FSEVENTS_PACKAGES"], name + "_*.deb"))
    assert len(found) == 1, found
    return found[0]


def contents(name):
    """Paths of the files and links in the package, without what documents it."""
    told = subprocess.run(["dpkg-deb", "--fsys-tarfile", package(name)], check=True, capture_output=True).stdout
    listed = subprocess.run(["tar", "--list"], input=told, check=True, capture_output=True).stdout.decode()
    paths = {path[2:] for path in listed.splitlines() if not path.endswith("/")}
    return {path for path in paths if not path.startswith("usr/share/doc/")}


def newer(name, version, directory):
    """The package once more, as a later version whose configuration file differs too."""
    tree = os.path.join(directory, "tree")
    made = os.path.join(directory, "newer.deb")
    subprocess.run(["dpkg-deb", "--raw-extract", package(name), tree], check=True)
    control = os.path.join(tree, "DEBIAN", "control")
    with open(control, encoding="utf-8") as file:
        text = file.read()
    lines = [f"Version: {version}" if line.startswith("Version: ") else line for line in text.splitlines()]
    with open(control, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    with open(tree + CONFIG, "a", encoding="utf-8") as file:
        file.write("# later\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, made], check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def bare():
    """A machine of its own with none of ours installed."""
    root = machines.cached_root(os.environ["FSEVENTS_CACHE"])
    with tempfile.TemporaryDirectory(dir="/run") as work:
        one = machines.Machine(root, None, work)
        try:
            one.boot()
            yield one
        finally:
            one.halt()


def install(machine, path):
    inside = "/root/" + os.path.basename(path)
    subprocess.run(["cp", path, f"/proc/{machine.leader}/root{inside}"], check=True)
    done = machine.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold", "--install", inside)
    print(done.stdout, done.stderr)
    return done.stdout


def events(machine):
    """Newest id and epoch of the history."""
    done = machine.run("busctl", "--json=short", "call", NAME, ROOT, MANAGER, "GetEvents", "ta{sv}", "0", "0")
    data = json.loads(done.stdout)["data"]
    return data[1], data[3]["epoch"]["data"]


def active(machine):
    return machine.run("systemctl", "is-active", UNIT, check=False).stdout.strip()


@needs_packages
def test_packages_have_what_meson_installs():
    packaged = set()
    for path in contents("fseventsd") | contents("fsevents-dev"):
        for there, here in MOVED.items():
            if path.startswith(there):
                path = here + path[len(there):]
        packaged.add(path.removesuffix(".gz"))
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["meson", "install", "-C", os.environ["FSEVENTS_BUILD"], "--no-rebuild", "--quiet"],
                       check=True, env={**os.environ, "DESTDIR": directory}, stdin=subprocess.DEVNULL)
        installed = {os.path.relpath(os.path.join(folder, name), directory)
                     for folder, _, names in os.walk(directory) for name in names}
    assert packaged == installed


@needs_packages
def test_module_package_has_what_its_build_needs():
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "kmod")
    inside = {os.path.basename(path) for path in contents("fsevents-dkms") if "/kmod/" in path}
    wanted = {name for name in os.listdir(source) if name.endswith((".c", ".h")) or name in ("Kbuild", "Makefile")}
    assert inside == wanted
    assert any(path.endswith("/dkms.conf") for path in contents("fsevents-dkms"))
    assert any(path.endswith("/include/fs_event.h") for path in contents("fsevents-dkms"))


@needs_packages
def test_life_of_the_packages(bare, tmp_path):
    install(bare, package("fseventsd"))
    install(bare, package("fsevents-dev"))
    assert active(bare) == "active"
    assert bare.run("systemctl", "is-enabled", UNIT).stdout.strip() == "enabled"
    for action in ("configure", "read-details"):
        assert f"org.fsevents1.{action}" in bare.run("pkaction").stdout
    bare.run("fseventsctl", "test", "/srv", "corrupted")
    assert "░░" in wait(lambda: bare.run("journalctl", "--quiet", "--catalog", "FSEVENTS_CODE=corrupted").stdout,
                        "the entry in the journal"), "no catalog"

    bare.write(CONFIG, bare.read(CONFIG) + ADDED)
    bare.run("systemctl", "reload", UNIT)
    before, epoch = events(bare)
    pid = bare.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout
    install(bare, newer("fseventsd", "99.0", str(tmp_path)))
    assert active(bare) == "active"
    assert bare.run("systemctl", "show", "--property=MainPID", "--value", UNIT).stdout != pid
    assert ADDED in bare.read(CONFIG) and "# later" in bare.read(CONFIG + ".dpkg-dist")
    wait(lambda: "half" in bare.run("fseventsctl", "--json", "show", "/srv", check=False).stdout, "what was edited")
    bare.run("fseventsctl", "test", "/srv", "enospc")
    after, same = events(bare)
    assert after > before and same == epoch, "the history did not go on"

    # What the administrator disabled stays so.
    bare.run("systemctl", "disable", "--now", "--quiet", UNIT)
    (tmp_path / "again").mkdir()
    install(bare, newer("fseventsd", "99.1", str(tmp_path / "again")))
    assert active(bare) == "inactive"
    assert bare.run("systemctl", "is-enabled", UNIT, check=False).stdout.strip() == "disabled"

    bare.run("systemctl", "enable", "--now", "--quiet", UNIT)
    bare.run("dpkg", "--remove", "fseventsd", "fsevents-dev")
    assert active(bare) != "active"
    assert not bare.exists("/usr/sbin/fseventsd") and bare.exists(CONFIG)
    bare.run("dpkg", "--purge", "fseventsd", "fsevents-dev")
    left = bare.run("find", "/etc", "/usr", "/var/lib", "-iname", "*fsevents*").stdout
    left = [line for line in left.splitlines() if not line.startswith("/var/lib/systemd/")]
    assert not left
