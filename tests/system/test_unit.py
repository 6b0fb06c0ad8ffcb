# SPDX-License-Identifier: GPL-2.0-or-later
"""The installed service on a booted system: unit, bus activation, journal, users."""

import json
import os
import re
import select
import time
import xml.etree.ElementTree as ElementTree

import pytest

from machine import wait
from waiting import check_took

NAME = "org.fsevents1"
ROOT = "/org/fsevents1"
MANAGER = "org.fsevents1.Manager"
USER = "nobody"


def show(machine, name):
    return machine.run("systemctl", "show", "--property=" + name, "--value",
                       "fseventsd.service").stdout.strip()


def filesystem(machine, where="/srv"):
    done = machine.run("busctl", "--json=short", "call", NAME, ROOT, MANAGER, "GetFilesystem", "s",
                       where)
    return json.loads(done.stdout)["data"][0]


def test_unit_is_up_after_the_boot(machine):
    assert show(machine, "ActiveState") == "active"
    assert show(machine, "NRestarts") == "0"
    assert show(machine, "Type") == "notify"
    assert show(machine, "WatchdogUSec") == "3min"
    assert machine.run("systemctl", "is-enabled", "fseventsd").stdout.strip() == "enabled"


def test_start_said_nothing_that_worries(machine):
    done = machine.run("journalctl", "--boot", "--unit=fseventsd", "--priority=warning",
                       "--output=cat", "--quiet")
    assert done.stdout == ""


def test_everything_is_installed(machine):
    for path in ("/usr/sbin/fseventsd", "/usr/bin/fseventsctl", "/etc/fsevents.conf",
                 "/usr/lib/systemd/system/fseventsd.service",
                 "/usr/lib/systemd/catalog/fsevents.catalog",
                 "/usr/share/dbus-1/system.d/org.fsevents1.conf",
                 "/usr/share/dbus-1/system-services/org.fsevents1.service",
                 "/usr/share/dbus-1/interfaces/org.fsevents1.xml",
                 "/usr/share/man/man8/fseventsd.8", "/usr/share/man/man1/fseventsctl.1",
                 "/usr/share/man/man5/fsevents.conf.5", "/usr/share/man/man5/org.fsevents1.5",
                 "/usr/share/man/man7/fsevents.7",
                 "/usr/share/bash-completion/completions/fseventsctl"):
        assert machine.exists(path) or machine.exists(path + ".gz"), path


def test_it_shares_the_mounts_of_the_first_process(machine):
    pid = show(machine, "MainPID")
    namespaces = {machine.run("readlink", f"/proc/{p}/ns/mnt").stdout for p in ("1", pid)}
    assert len(namespaces) == 1, "a namespace of its own keeps unmounted devices in use"


def test_event_is_in_the_journal_with_its_catalog_text(machine):
    machine.run("fseventsctl", "test", "/srv", "enospc")
    entry = wait(lambda: machine.run("journalctl", "--quiet", "--output=json", "--reverse",
                                     "--lines=1", "FSEVENTS_CODE=enospc").stdout.strip())
    fields = json.loads(entry)
    assert fields["FSEVENTS_WHERE"] == "/srv"
    assert fields["SYSLOG_IDENTIFIER"] == "fseventsd"
    assert fields["_SYSTEMD_UNIT"] == "fseventsd.service"
    assert int(fields["FSEVENTS_ID"]) > 0
    assert re.fullmatch("[0-9a-f]{32}", fields["MESSAGE_ID"])

    told = machine.run("journalctl", "--quiet", "--catalog", "--reverse", "--lines=1",
                       "FSEVENTS_CODE=enospc").stdout
    essay = [line for line in told.splitlines() if line.startswith("░░") or line.startswith("--")]
    assert any("Subject" in line for line in essay), told
    assert sum(len(line) for line in essay) > 200, "no essay in the catalog"


def test_an_ordinary_user_reads(machine):
    path = filesystem(machine)
    done = machine.run("busctl", "get-property", NAME, path, "org.fsevents1.Filesystem", "Where",
                       user=USER)
    assert done.stdout.strip() == 's "/srv"'
    assert "/srv" in machine.run("fseventsctl", "status", user=USER).stdout
    machine.run("busctl", "call", NAME, ROOT, MANAGER, "GetEvents", "ta{sv}", "0", "0", user=USER)


def test_an_ordinary_user_is_told(machine):
    listener = machine.start("fseventsctl", "--json", "monitor", user=USER)
    try:
        seen = ""
        deadline = time.monotonic() + 60
        while "corrupted" not in seen and time.monotonic() < deadline:
            machine.run("fseventsctl", "test", "/srv", "corrupted")
            if select.select([listener.stdout], [], [], 0.5)[0]:
                seen += os.read(listener.stdout.fileno(), 65536).decode()
        assert '"corrupted"' in seen
    finally:
        listener.terminate()
        listener.wait(30)


@pytest.mark.parametrize("call", [
    ("Configure", "sa{sv}", "/srv G", "0"),
    ("Reload",),
    ("EmitTestEvent", "osa{sv}", "PATH", "enospc", "0"),
])
def test_an_ordinary_user_configures_nothing(machine, call):
    arguments = [filesystem(machine) if a == "PATH" else a for a in call]
    done = machine.run("busctl", "call", NAME, ROOT, MANAGER, *arguments, user=USER, check=False)
    assert done.returncode != 0
    assert re.search("denied|authoriz|permi|allowed", done.stderr, re.I), done.stderr


def test_a_filling_filesystem_is_told_of(machine):
    machine.run("mkdir", "-p", "/etc/fsevents.conf.d")
    machine.write("/etc/fsevents.conf.d/test.conf",
                  "[filesystem /srv]\nthreshold = half space 50% warning\n")
    machine.run("systemctl", "reload", "fseventsd")
    wait(lambda: "half" in machine.run("fseventsctl", "--json", "show", "/srv").stdout)
    machine.run("fallocate", "-l", "40M", "/srv/file")
    try:
        wait(lambda: machine.run("journalctl", "--quiet", "--output=cat", "--lines=5",
                                 "FSEVENTS_CODE=threshold-below").stdout)
    finally:
        machine.run("rm", "/srv/file", "/etc/fsevents.conf.d/test.conf")
        machine.run("systemctl", "reload", "fseventsd")
    wait(lambda: machine.run("journalctl", "--quiet", "--output=cat",
                             "FSEVENTS_CODE=threshold-above").stdout)


def test_reload_keeps_the_process(machine):
    before = show(machine, "MainPID")
    machine.run("systemctl", "reload", "fseventsd")
    assert show(machine, "MainPID") == before
    assert show(machine, "ActiveState") == "active"


def test_stop_and_restart_do_not_take_long(machine):
    start = time.monotonic()
    machine.run("systemctl", "stop", "fseventsd")
    check_took("the stop", time.monotonic() - start, 1.0)
    assert show(machine, "Result") == "success"
    start = time.monotonic()
    machine.run("systemctl", "start", "fseventsd")
    check_took("the start", time.monotonic() - start, 1.5)
    before = show(machine, "MainPID")
    machine.run("systemctl", "restart", "fseventsd")
    assert show(machine, "MainPID") != before


def test_killed_it_comes_back(machine):
    before = show(machine, "MainPID")
    machine.run("kill", "-9", before)
    wait(lambda: show(machine, "ActiveState") == "active"
         and show(machine, "MainPID") not in ("0", before))
    assert filesystem(machine)


def test_the_bus_starts_it(machine):
    machine.run("systemctl", "stop", "fseventsd")
    machine.run("busctl", "call", NAME, ROOT, "org.freedesktop.DBus.Peer", "Ping", user=USER)
    assert show(machine, "ActiveState") == "active"


def test_disabled_the_bus_does_not_start_it(machine):
    machine.run("systemctl", "disable", "--quiet", "--now", "fseventsd")
    done = machine.run("gdbus", "call", "--system", "--dest", NAME, "--object-path", ROOT, "--method",
                       "org.freedesktop.DBus.Peer.Ping", user=USER, check=False)
    # The bus hands on what systemd says: there is no unit of that name.
    assert done.returncode != 0 and re.search("ServiceUnknown|NoSuchUnit", done.stderr), done.stderr
    assert show(machine, "ActiveState") == "inactive"


def test_calls_to_one_that_fails_start_it_once_a_second(machine):
    """Whoever calls all the time cannot make the machine busy with it."""
    dropins = "/run/systemd/system/fseventsd.service.d"
    machine.run("mkdir", "-p", dropins)
    machine.write(dropins + "/fails.conf", "[Service]\nExecStart=\nExecStart=/bin/false\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "stop", "fseventsd")

    def starts():
        return machine.run("journalctl", "--quiet", "--boot", "--unit=fseventsd", "--output=cat").stdout.count(
            "Failed with result 'exit-code'")

    before = starts()
    try:
        start, calls = time.monotonic(), 0
        while calls < 50 or time.monotonic() - start < 5:
            machine.run("busctl", "call", "--expect-reply=no", NAME, ROOT, "org.freedesktop.DBus.Peer", "Ping",
                        user=USER, check=False)
            calls += 1
        took = time.monotonic() - start
        started = starts() - before
        print(f"{calls} calls in {took:.1f} s, {started} starts")
        assert 2 <= started <= took + 2
    finally:
        machine.run("rm", "-r", dropins)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "fseventsd")
    assert filesystem(machine)


def members(text):
    """{interface: {(kind, name, types)}} of ours, of introspection data."""
    found = {}
    for interface in ElementTree.fromstring(text[text.index("<node"):]).iter("interface"):
        if interface.get("name").startswith(NAME):
            found[interface.get("name")] = {
                (member.tag, member.get("name"), member.get("type"),
                 tuple((arg.get("direction"), arg.get("type")) for arg in member.iter("arg")) if member.tag == "method"
                 else tuple(arg.get("type") for arg in member.iter("arg")))
                for member in interface if member.tag != "annotation"}
    return found


def test_introspection_is_what_the_contract_says(machine):
    contract = members(machine.read("/usr/share/dbus-1/interfaces/org.fsevents1.xml"))
    paths = machine.run("busctl", "--list", "tree", NAME, user=USER).stdout.split()
    assert ROOT in paths and filesystem(machine) in paths
    offered = {}
    for path in (ROOT, filesystem(machine)):
        told = machine.run("busctl", "--xml-interface", "introspect", NAME, path, user=USER).stdout
        offered.update(members(told))
        for interface in ("Properties", "Introspectable", "Peer"):
            assert f'"org.freedesktop.DBus.{interface}"' in told, path
    assert set(offered) == {MANAGER, NAME + ".Filesystem"}
    for name, found in offered.items():
        assert found == contract[name], name
    # As a person sees it, with the values.
    table = machine.run("busctl", "introspect", NAME, ROOT, user=USER).stdout
    assert re.search(r"^\.GetEvents +method +ta\{sv\} +tta\(ttossuta\{sv\}\)a\{sv\}", table, re.M), table
    assert re.search(r'^\.Version +property +s +"', table, re.M), table


def test_stopped_for_a_client_is_exit_status_3(machine):
    machine.run("systemctl", "disable", "--quiet", "--now", "fseventsd")
    assert machine.run("fseventsctl", "status", check=False).returncode == 3
