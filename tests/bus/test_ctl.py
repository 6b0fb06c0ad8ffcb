# SPDX-License-Identifier: GPL-2.0-or-later
"""fseventsctl: every verb as text and as JSON, exit statuses, and hostile names."""

import base64
import json
import os
import pty
import subprocess
import time

import pytest

import disks
import service
from client import FILESYSTEM
from waiting import check_took, wait_for

NOBODY = 65534
ABSENT = "/org/fsevents1/filesystem/1_2_3"

# Everything in one: a line break, an escape sequence, an override of the
# direction of writing, a C1 control, bytes that are not UTF-8, wide characters.
HOSTILE = b"a\nb\x1b[31m\xe2\x80\xae\xc2\x9b\xff\xfe\xe6\xbc\xa2 \"\\q"
FORBIDDEN = (b"\x1b", b"\xe2\x80\xae", b"\xc2\x9b", b"\xff")

pytestmark = pytest.mark.buses("dbus-daemon")


@pytest.fixture
def place(daemon, client, loopfs):
    """(object path, disk, daemon)"""
    disk = loopfs("ext4", 64)
    running = daemon(f"[filesystem {disk.where}]\nthreshold = low space 30M warning\n"
                     "threshold = lower space 20M critical\n")
    return client.wait_filesystem(disk.where), disk, running


def lines(done):
    """The objects that --json printed."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def tell(client, path, count, code="io-error"):
    for _ in range(count):
        client.call("EmitTestEvent", "osa{sv}", path, code, {})


# --- use

@pytest.mark.parametrize("arguments", [
    (), ("nonsense",), ("--bogus",), ("list", "-x"), ("--since",), ("history", "--since", "x"),
    ("history", "--since=-1"), ("history", "--since=" + "9" * 30), ("history", "--since="),
    ("status", "--since=1"), ("monitor", "--since=1"), ("list", "extra"), ("show",),
    ("show", "a", "b"), ("show", ""), ("test", "/"), ("test", "/", "nonsense"), ("configure",),
    ("reload", "x"), ("check-config", "a", "b"), ("--json=1", "list"), ("--help", "nonsense"),
    ("configure", b"/\xff G"),
])
def test_wrong_use(bus, ctl, arguments):
    done = ctl(*arguments, check=False)
    assert done.returncode == 2 and done.stderr and not done.stdout


@pytest.mark.parametrize("address", ["", "nonsense"])
def test_wrong_bus(bus, ctl, address):
    done = ctl("--bus=" + address, "list", check=False)
    assert done.returncode == 2 and "--bus" in done.stderr


VERBS = ("status", "list", "show", "monitor", "history", "test", "configure", "check-config",
         "reload")


def test_help(bus, ctl):
    assert all(f"\n  {verb} " in ctl("--help").stdout for verb in VERBS)
    for verb in VERBS:
        done = ctl(verb, "--help")
        assert done.stdout.startswith(f"Usage: fseventsctl [OPTION...] {verb}") and not done.stderr
    assert ctl("--version").stdout.startswith("fseventsctl ")


@pytest.mark.parametrize("arguments", [
    ("status",), ("list",), ("show", "/"), ("monitor",), ("monitor", "/"), ("history",),
    ("test", "/", "io-error"), ("configure", ""), ("reload",), ("list", "--json"),
])
def test_no_daemon(bus, ctl, arguments):
    done = ctl(*arguments, check=False)
    assert done.returncode == 3 and done.stderr == "fseventsctl: the daemon is not running\n"
    assert not done.stdout


@pytest.mark.parametrize("address", ["unix:path=/nonexistent/bus", "session"])
def test_no_bus(bus, ctl, address):
    environment = {"DBUS_SESSION_BUS_ADDRESS": "", "XDG_RUNTIME_DIR": ""}
    done = ctl("--bus=" + address, "list", check=False, env=environment)
    assert done.returncode == 3 and "cannot connect" in done.stderr


# --- status, list, show

def test_status(place, ctl):
    path, disk, _ = place
    done = ctl("status", disk.where)
    head, line = done.stdout.splitlines()
    assert head.split() == ["FILESYSTEM", "TYPE", "SIZE", "AVAILABLE", "USE", "STATE"]
    assert line.split()[:2] == [disk.where, "ext4"] and line.endswith("  ok")
    assert head.index("  TYPE") == line.index("  ext4") and "\x1b" not in done.stdout
    assert disk.where in ctl("status").stdout

    found, = lines(ctl("status", "--json", disk.where))
    assert found["filesystem"] == path and found["type"] == "ext4" and found["state"] == "ok"
    assert [found["major"], found["minor"]] == list(disk.device())
    assert found["mount-points"] == [{"name": disk.where}] and found["read-only"] is False
    usage = found["usage"]
    assert int(usage["blocks"]) * int(found["block-size"]) == disk.size()
    assert all(isinstance(value, str) for value in usage.values())
    assert [t["name"] for t in found["thresholds"]] == ["low", "lower"]


def test_keys_are_those_of_the_bus(place, ctl, client):
    path, disk, _ = place
    found, = lines(ctl("show", "--json", disk.where))
    kebab = {"".join("-" + c.lower() if c.isupper() else c for c in name)[1:]
             for name in client.get_all(path, FILESYSTEM)}
    assert kebab - {"last-event"} <= set(found)


def test_selection(place, ctl):
    path, disk, _ = place
    for where in (disk.where, disk.where + "/deeper", path):
        assert [o["filesystem"] for o in lines(ctl("status", "--json", where))] == [path]
    several = lines(ctl("status", "--json", disk.where, path, disk.where))
    assert [o["filesystem"] for o in several] == [path]
    for arguments in (("status", ABSENT), ("show", ABSENT), ("monitor", ABSENT),
                      ("test", ABSENT, "io-error"), ("show", "/proc"), ("status", "/", "/proc"),
                      ("monitor", "/proc")):
        done = ctl(*arguments, check=False)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and not done.stdout


def test_relative_where(place, bus):
    _, disk, _ = place
    done = subprocess.run(["fseventsctl", "--bus=" + bus.address, "show", "."], cwd=disk.where,
                          executable=service.executable(), capture_output=True, text=True,
                          timeout=60, check=True)
    assert f"Mounted on: {disk.where}\n" in done.stdout


def test_list(place, ctl):
    path, disk, _ = place
    line = next(l for l in ctl("list").stdout.splitlines() if l.startswith(disk.where + " "))
    assert line.split()[1:3] == ["ext4", "{}:{}".format(*disk.device())]
    assert line.endswith(path)
    assert path in [o["filesystem"] for o in lines(ctl("list", "--json"))]


def test_show_crossed(place, ctl, client):
    path, disk, _ = place
    text = ctl("show", disk.where).stdout
    assert "crossed" not in text and "Filling" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    disk.fallocate("x", disk.available() - (25 << 20))
    client.wait_event("threshold-below", path, name="low")
    text = ctl("show", disk.where).stdout
    low = next(l for l in text.splitlines() if " low " in l)
    lower = next(l for l in text.splitlines() if " lower " in l)
    assert low.endswith("crossed") and not lower.endswith("crossed")
    assert "State: warning" in text and "Last event: " in text
    found, = lines(ctl("show", "--json", disk.where))
    assert found["crossed"] == ["low"] and found["last-event"]["code"] == "threshold-below"


def test_nothing_monitored(daemon, ctl):
    daemon("[filesystem *]\nignore = yes\n")
    for verb in ("status", "list"):
        assert ctl(verb).stdout == "No filesystem is monitored.\n"
        assert ctl(verb, "--json").stdout == ""


def test_stalled(daemon, fuse, client, ctl):
    daemon("[filesystem type:fuse.fsevents-test]\nignore = no\n")
    one = fuse()
    client.wait_filesystem(one.where)
    one.stop()

    def ask():
        # Figures that are fresh are given without asking again.
        start = time.monotonic()
        found = {o["where"]: o for o in lines(ctl("status", "--json"))}
        check_took("the status", time.monotonic() - start, 1.5)
        return found if found[one.where]["state"] == "stalled" else None
    found = wait_for(ask, what="the state", interval=0.1)
    text = ctl("status", one.where).stdout.splitlines()[1]
    assert "usage" not in found[one.where]
    assert found[one.where]["usage-error"] == "org.fsevents1.Error.Stalled"
    assert "usage" in found["/"]
    assert text.split()[2:] == ["-", "-", "-", "stalled"]
    assert "Usage: it does not answer" in ctl("show", one.where).stdout
    one.cont()


# --- names

def test_hostile_names(daemon, client, ctl):
    where = os.fsencode(disks.MOUNTS) + b"/" + HOSTILE
    os.mkdir(where)
    disks.mount_raw(b"s\n\x1b[31m\xff", where, b"tmpfs")
    try:
        daemon()
        path = client.wait_filesystem(where)
        tell(client, path, 1)
        for arguments in (("status",), ("list",), ("show", path), ("history",), ("show", where)):
            text = ctl(*arguments, text=False).stdout
            assert b"a\\012b" in text and not any(bad in text for bad in FORBIDDEN)
            text.decode()
        for verb in ("status", "list"):
            found = next(o for o in lines(ctl(verb, "--json")) if o["filesystem"] == path)
            place, = found["mount-points"]
            assert base64.b64decode(place["name-base64"]) == where
            assert "\\377\\376\u6f22" in place["name"] and place["name"] == found["where"]
        event = lines(ctl("history", "--json"))[-1]
        assert base64.b64decode(event["details"]["where-base64"]) == where
        done = ctl("show", where + b"/../\x1b", check=False, text=False)
        assert not any(bad in done.stdout + done.stderr for bad in FORBIDDEN)
        done = ctl("\x1b[31m", check=False)
        assert done.returncode == 2 and "\x1b" not in done.stderr
    finally:
        disks.umount_raw(where)


def test_wide_and_long_names(daemon, client, ctl):
    names = ["\u6f22\u5b57", "plain", "l" * 200]
    wheres = [os.path.join(disks.MOUNTS, name) for name in names]
    for where in wheres:
        os.mkdir(where)
        disks.mount_raw("fsevents-test", where, "tmpfs", data="size=1M")
    try:
        daemon()
        client.wait_filesystem(wheres[-1])
        text = ctl("status", env={"LC_ALL": "C.UTF-8"}).stdout.splitlines()
        wide = next(l for l in text if l.startswith(wheres[0]))
        plain = next(l for l in text if l.startswith(wheres[1]))
        # Two cells each, so two columns more than characters.
        assert wide.index("tmpfs") + 2 == plain.index("tmpfs") < 100
        assert any(l.startswith(wheres[2] + "  tmpfs") for l in text)
    finally:
        for where in wheres:
            disks.umount_raw(where)


@pytest.mark.parametrize("environment, colour", [
    ({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False),
])
def test_colour(place, bus, environment, colour):
    ours, theirs = pty.openpty()
    try:
        subprocess.run(["fseventsctl", "--bus=" + bus.address, "status"], stdout=theirs,
                       executable=service.executable(), timeout=60, check=True,
                       env={**os.environ, "TERM": "xterm", **environment})
        assert (b"\x1b[" in os.read(ours, 65536)) == colour
    finally:
        os.close(ours)
        os.close(theirs)


def test_many_filesystems(daemon, client, ctl):
    count = 1000
    base = os.path.join(disks.MOUNTS, "many")
    os.mkdir(base)
    for i in range(count):
        where = os.path.join(base, f"{i:04}")
        os.mkdir(where)
        disks.mount_raw("fsevents-test", where, "tmpfs", data="size=1M")
    try:
        running = daemon()
        client.wait_filesystem(where)
        for verb, uid in (("status", None), ("list", None), ("status", NOBODY), ("list", NOBODY),
                          ("status", NOBODY)):
            start = time.monotonic()
            done = ctl(verb, "--json", uid=uid)
            check_took(f"{verb} of {count}", time.monotonic() - start, 2.0)
            assert not done.stderr
            found = [o for o in lines(done) if o["where"].startswith(base)]
            assert [o["where"][-4:] for o in found] == [f"{i:04}" for i in range(count)]
            if verb == "status":
                without = [o for o in found if "usage" not in o]
                assert not without, [(o["where"], o.get("usage-error")) for o in without][:9]
        running.stop()
    finally:
        for i in range(count):
            disks.umount_raw(os.path.join(base, f"{i:04}"))


# --- requests

def test_test(place, ctl, client):
    path, disk, _ = place
    done = ctl("test", disk.where, "stalled")
    assert not done.stdout and not done.stderr
    assert client.wait_event("stalled", path).details["test"] is True
    done = ctl("test", disk.where, "nonsense", check=False)
    assert done.returncode == 2 and "\n  threshold-below\n" in done.stderr


def test_configure(place, ctl, client):
    path, disk, _ = place
    ctl("configure", f"{disk.where} T 300 200")
    assert len(client.get("Thresholds", path)) == 2
    before = client.call("GetConfiguration")
    done = ctl("configure", f"{disk.where} T 200 300", check=False)
    assert done.returncode == 1 and done.stderr.startswith("fseventsctl: configure: ")
    assert client.call("GetConfiguration") == before


def test_reload(place, ctl, client):
    path, disk, running = place
    running.configure(f"[filesystem {disk.where}]\nthreshold = other space 1M\n")
    assert not ctl("reload").stdout
    assert [t[0] for t in client.get("Thresholds", path)] == ["other"]
    running.configure("nonsense\n")
    done = ctl("reload", check=False)
    assert done.returncode == 1 and running.config + ":1:" in done.stderr
    assert [t[0] for t in client.get("Thresholds", path)] == ["other"]


def test_permission(place, ctl, client):
    _, disk, _ = place
    for verb in ("status", "list", "history"):
        assert ctl(verb, uid=NOBODY).returncode == 0
    for arguments in (("test", disk.where, "io-error"), ("configure", "/ G"), ("reload",)):
        done = ctl(*arguments, uid=NOBODY, check=False)
        assert done.returncode == 1 and "root" in done.stderr and not done.stdout
    assert not client.events("io-error")


# --- check-config

def test_check_config(bus, ctl, scratch):
    good = os.path.join(scratch, "good.conf")
    bad = os.path.join(scratch, "bad.conf")
    with open(good, "w", encoding="ascii") as file:
        file.write("[filesystem /]\nthreshold = a space 1G\n")
    with open(bad, "w", encoding="ascii") as file:
        file.write("[filesystem /]\nthreshold = a space 1X\n[limits]\nnonsense = 1\n")
    os.mkdir(good + ".d")
    with open(good + ".d/x.conf", "w", encoding="ascii") as file:
        file.write("")

    assert ctl("check-config", good).stdout == f"{good} is valid (with 1 drop-in)\n"
    assert ctl("check-config", "--json", good).stdout == ""
    done = ctl("check-config", bad, check=False)
    assert done.returncode == 1 and not done.stderr
    assert [line.split(" ")[0] for line in done.stdout.splitlines()] == [bad + ":2:", bad + ":4:"]
    done = ctl("check-config", "--json", bad, check=False)
    assert done.returncode == 1
    assert [(p["file"], p["line"]) for p in lines(done)] == [(bad, 2), (bad, 4)]
    assert all(p["key"] and p["message"] for p in lines(done))
    absent = ctl("check-config", os.path.join(scratch, "absent.conf"), check=False)
    assert absent.returncode == 1 and "absent.conf" in absent.stdout


def test_check_config_as_user(bus, scratch):
    draft = os.path.join(scratch, "draft")
    os.mkdir(draft)
    path = os.path.join(draft, "my.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write("[filesystem /]\nthreshold = a space 1G\n")
    for name in (draft, path):
        os.chown(name, NOBODY, NOBODY)
    done = subprocess.run(["fseventsctl", "check-config", "my.conf"], cwd=draft, user=NOBODY,
                          group=NOBODY, extra_groups=[], executable=service.executable(),
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "my.conf is valid\n", "")
