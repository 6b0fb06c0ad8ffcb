# SPDX-License-Identifier: GPL-2.0-or-later
"""Two machines on a network of their own, as fsevents(7) tells to set them up: one question for both."""

import json
import os
import subprocess
import tempfile

import pytest

import machine as machines
from machine import wait
import page

HOSTS = {"disk1": "192.0.2.1", "disk2": "192.0.2.2"}
# On the same cable, and none of the fleet's network.
STRANGERS = {"disk1": "198.51.100.1", "disk2": "198.51.100.2"}
COLLECTOR = "disk1"
REMOTE = "/var/log/journal/remote"


def host(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.fixture(scope="module")
def network():
    """Two namespaces with a cable between them, and nothing else."""
    for name in HOSTS:
        host("ip", "netns", "add", name)
    first, second = HOSTS
    host("ip", "-n", first, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", second)
    for name, address in HOSTS.items():
        for one in (address, STRANGERS[name]):
            host("ip", "-n", name, "addr", "add", one + "/24", "dev", "cable")
        for link in ("lo", "cable"):
            host("ip", "-n", name, "link", "set", link, "up")
    yield lambda name: "/run/netns/" + name
    for name in HOSTS:
        host("ip", "netns", "del", name)


def certificates(directory):
    """key.pem and certificate.pem of each machine and of the collector, and the authority's."""
    def make(name, *arguments):
        os.mkdir(os.path.join(directory, name))
        host("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", "/CN=" + name, "-days", "2", "-keyout", f"{directory}/{name}/key.pem",
             "-out", f"{directory}/{name}/certificate.pem", *arguments)

    make("authority")
    signed = ("-CA", f"{directory}/authority/certificate.pem", "-CAkey", f"{directory}/authority/key.pem",
              "-addext", "basicConstraints=critical,CA:FALSE")
    make("collector", *signed, "-addext", "subjectAltName=DNS:collector")
    for name in HOSTS:
        make(name, *signed)


def give(machine, made, name, folder, group):
    """A key and what goes with it, to be read by that group."""
    machine.run("mkdir", "-p", folder)
    for source, target in ((f"{name}/key.pem", "key.pem"), (f"{name}/certificate.pem", "certificate.pem"),
                           ("authority/certificate.pem", "authority.pem")):
        with open(os.path.join(made, source), encoding="ascii") as file:
            machine.write(f"{folder}/{target}", file.read())
        machine.run("chgrp", group, f"{folder}/{target}")
        machine.run("chmod", "0640", f"{folder}/{target}")


def follow(machine, what):
    """What the page says for "on the collector" or "on each machine"."""
    for command in page.blocks("fsevents.7", "run")[what].splitlines():
        machine.run("sh", "-c", command)


def write_files(machine, beginning):
    for path, text in page.blocks("fsevents.7", "file").items():
        if path.startswith(beginning):
            machine.run("mkdir", "-p", os.path.dirname(path))
            machine.write(path, text)


@pytest.fixture(scope="module")
def fleet(network, tmp_path_factory):
    """{name: Machine}, booted, with the recipe of the page."""
    root = machines.cached_root(os.environ["FSEVENTS_CACHE"])
    made = str(tmp_path_factory.mktemp("certificates"))
    certificates(made)
    booted = {}
    with tempfile.TemporaryDirectory(dir="/run") as work:
        try:
            for name in HOSTS:
                os.mkdir(os.path.join(work, name))
                booted[name] = machines.Machine(root, os.environ["FSEVENTS_BUILD"], os.path.join(work, name), name,
                                                network(name))
                booted[name].boot()
                booted[name].write("/etc/hosts", f"127.0.0.1 localhost\n{HOSTS[COLLECTOR]} collector\n")
            give(booted[COLLECTOR], made, "collector", "/etc/journal-remote", "systemd-journal-remote")
            write_files(booted[COLLECTOR], "/etc/systemd/journal-remote")
            write_files(booted[COLLECTOR], "/etc/systemd/system/systemd-journal-remote")
            follow(booted[COLLECTOR], "on the collector")
            for name, machine in booted.items():
                give(machine, made, name, "/etc/journal-upload", "systemd-journal")
                write_files(machine, "/etc/systemd/journal-upload")
                write_files(machine, "/etc/systemd/system/systemd-journal-upload")
                follow(machine, "on each machine")
            yield booted
        finally:
            for machine in booted.values():
                machine.halt()


def ask(fleet, *more, query=0):
    """The entries that the page's question finds on the collector."""
    command = page.blocks("fsevents.7", "query")[""].splitlines()[query].split()
    done = fleet[COLLECTOR].run(*command, *more, "--quiet", "--output=json", check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def state(fleet):
    """Why nothing came."""
    told = [machine.run("journalctl", "--quiet", "--lines=15", "-u", "systemd-journal-upload", "-u",
                        "systemd-journal-remote").stdout for machine in fleet.values()]
    return "\n".join(told)


def test_one_question_for_all(fleet):
    for machine in fleet.values():
        machine.run("fseventsctl", "test", "/srv", "corrupted")
    wait(lambda: {entry["_HOSTNAME"] for entry in ask(fleet)} == set(HOSTS), lambda: state(fleet))
    found = ask(fleet)
    assert {(entry["_HOSTNAME"], entry["FSEVENTS_WHERE"], entry["_SYSTEMD_UNIT"]) for entry in found} == {
        (name, "/srv", "fseventsd.service") for name in HOSTS}
    # By the number of the message too; one for all machines.
    assert len({entry["MESSAGE_ID"] for entry in found}) == 1
    one = found[0]["MESSAGE_ID"]
    assert {entry["_HOSTNAME"] for entry in ask(fleet, "MESSAGE_ID=" + one)} == set(HOSTS)
    assert {entry["_HOSTNAME"] for entry in ask(fleet, query=1)} == {"disk2"}


def test_nothing_is_missing_after_a_break(fleet):
    """What happens while the collector is away comes when it is back."""
    fleet[COLLECTOR].run("systemctl", "stop", "systemd-journal-remote.socket", "systemd-journal-remote.service")
    fleet["disk2"].run("fseventsctl", "test", "/srv", "io-error")
    wait(lambda: fleet["disk2"].run("systemctl", "show", "--property=NRestarts", "--value",
                                    "systemd-journal-upload").stdout.strip() != "0", "the upload to fail")
    fleet[COLLECTOR].run("systemctl", "start", "systemd-journal-remote.socket")

    def codes():
        command = ("journalctl", "-D", REMOTE, "--quiet", "--output=json", "_HOSTNAME=disk2", "FSEVENTS_CODE=io-error")
        return fleet[COLLECTOR].run(*command, check=False).stdout.splitlines()

    wait(codes, lambda: state(fleet))
    assert len(codes()) == 1


def test_a_stranger_does_not_reach_it(fleet):
    """Of another network, by the same cable; and that it could be reached otherwise."""
    def reach(address, seconds="60"):
        return fleet["disk2"].run("timeout", seconds, "bash", "-c", f": </dev/tcp/{address}/19532",
                                  check=False).returncode

    fleet[COLLECTOR].run("systemctl", "start", "systemd-journal-remote.socket")
    assert reach(HOSTS[COLLECTOR]) == 0
    assert reach(STRANGERS[COLLECTOR], "3") != 0
    fleet[COLLECTOR].run("rm", "-r", "/etc/systemd/system/systemd-journal-remote.socket.d")
    fleet[COLLECTOR].run("systemctl", "daemon-reload")
    fleet[COLLECTOR].run("systemctl", "stop", "systemd-journal-remote.service")
    fleet[COLLECTOR].run("systemctl", "restart", "systemd-journal-remote.socket")
    assert reach(STRANGERS[COLLECTOR]) == 0
