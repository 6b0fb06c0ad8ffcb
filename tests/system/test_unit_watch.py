# SPDX-License-Identifier: GPL-2.0-or-later
"""Watches by the installed service: beside the journal that it writes, and with little memory."""

import json

import pytest

from machine import wait
from test_unit import show
from waiting import pause

CHANGED = "f4b0e47fc52343019d3102ae80642516"
PRESENT = "462591005ea94de6ac27966d65eea2cc"
SECTION = """
[watch /srv]
recursive = yes
events = create,delete,move,attrib,modify,close-write
"""
CONFIG = "/etc/fsevents.conf.d/watch.conf"
IDLE = 20
STOPPED = 10
MEMORY_MAX = 48 << 20
# Whoever reads what it is told, and nobody else; the shell ends with it.
STORM = r"""
my $end = time + $ARGV[0];
for (my $i = 0; time < $end; $i++) {
    my $path = "/srv/storm/$i";
    open(my $file, ">", $path) or die;
    close($file);
    rename($path, "$path-moved");
    unlink("$path-moved");
    $n = $i + 1;
}
print "$n\n";
"""


def journal(machine, *fields):
    """The entries of the service in this boot with those fields."""
    machine.run("journalctl", "--sync")
    done = machine.run("journalctl", "--quiet", "--boot", "--output=json", "--all", "--unit=fseventsd", *fields)
    return [json.loads(line) for line in done.stdout.splitlines()]


def changes(machine):
    return [entry["FSEVENTS_PATH"] for entry in journal(machine, "MESSAGE_ID=" + CHANGED)]


@pytest.fixture
def journal_below(machine):
    """The journal is kept on the filesystem that is watched, in a directory of the tree."""
    machine.run("mkdir", "-p", "/srv/journal", "/var/log/journal", "/etc/fsevents.conf.d")
    machine.run("mount", "--bind", "/srv/journal", "/var/log/journal")
    # Where it looks for that directory; all that write to it go on.
    machine.run("systemctl", "restart", "systemd-journald")
    machine.write(CONFIG, SECTION)
    machine.run("systemctl", "restart", "fseventsd")
    yield machine
    machine.run("rm", CONFIG)
    machine.run("systemctl", "restart", "fseventsd")
    machine.run("journalctl", "--relinquish-var")
    machine.run("umount", "/var/log/journal")
    machine.run("rm", "-rf", "/var/log/journal")
    machine.run("systemctl", "restart", "systemd-journald")
    machine.run("rm", "-rf", "/srv/journal")


def test_what_is_told_to_the_journal_is_not_told_again(journal_below):
    """Each entry changes files of the tree that is watched; without end, were that told."""
    machine = journal_below
    assert machine.run("sh", "-c", "ls /srv/journal/*/*.journal").stdout
    wait(lambda: any(entry["FSEVENTS_PATH"] == "/srv" for entry in journal(machine, "MESSAGE_ID=" + PRESENT)))
    machine.run("touch", "/srv/first")
    wait(lambda: "/srv/first" in changes(machine))
    machine.run("journalctl", "--rotate")
    machine.run("logger", "something else")
    before = len(changes(machine))
    pause(IDLE)
    after = changes(machine)
    print(f"{before} entries, and {len(after) - before} more in {IDLE} idle seconds")
    assert len(after) == before, after[before:]
    # It does watch, and what it says itself is not among it.
    machine.run("touch", "/srv/second")
    wait(lambda: "/srv/second" in changes(machine))
    told = set(changes(machine))
    assert told == {"/srv/first", "/srv/second"}, told
    machine.run("rm", "/srv/first", "/srv/second")


def memory_file(machine, name):
    """Of the service's control group; None: memory is not controlled here."""
    path = "/sys/fs/cgroup" + show(machine, "ControlGroup") + "/" + name
    done = machine.run("cat", path, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


@pytest.fixture
def little_memory(machine):
    machine.run("systemctl", "set-property", "--runtime", "fseventsd", f"MemoryMax={MEMORY_MAX}")
    machine.run("systemctl", "restart", "fseventsd")
    machine.run("mkdir", "-p", "/srv/storm")
    yield machine
    machine.run("rm", "-rf", "/srv/storm")
    machine.run("systemctl", "revert", "fseventsd")
    machine.run("systemctl", "restart", "fseventsd")


def test_stopped_in_a_storm_with_little_memory(little_memory):
    """The kernel queues for a daemon that stands still, but not without a bound; the daemon tells the loss."""
    machine = little_memory
    pid, restarts = show(machine, "MainPID"), show(machine, "NRestarts")
    limit = memory_file(machine, "memory.max")
    assert limit in (None, str(MEMORY_MAX))
    output = "/run/watched"
    machine.run("sh", "-c", f"fseventsctl watch -r -e create,delete,move --json /srv/storm >{output} 2>&1 & "
                            "echo $! >/run/watching")
    machine.run("touch", "/srv/storm/before")

    def told():
        return [json.loads(line) for line in machine.read(output).splitlines() if line.startswith("{")]

    def hears(name):
        def heard():
            path = f"/srv/storm/{name}"
            machine.run("sh", "-c", f"touch {path}; rm {path}")
            return any(name in json.dumps(one) for one in told())
        try:
            wait(heard)
        except AssertionError:
            print(machine.read(output)[-2000:])
            raise
    try:
        hears("alive")
        machine.run("kill", "-STOP", pid)
        try:
            n = int(machine.run("perl", "-e", STORM, str(STOPPED)).stdout)
        finally:
            machine.run("kill", "-CONT", pid)
        wait(lambda: any("lost" in json.dumps(one) for one in told()))
        hears("again")
    finally:
        machine.run("sh", "-c", "kill $(cat /run/watching)")
    peak = next(int(line.split()[1]) for line in machine.run("cat", f"/proc/{pid}/status").stdout.splitlines()
                if line.startswith("VmHWM"))
    used = memory_file(machine, "memory.peak")
    print(f"{n} files in {STOPPED} s; resident at the most {peak} KiB; the control group {used} of {limit}")
    assert show(machine, "MainPID") == pid and show(machine, "NRestarts") == restarts
    assert show(machine, "Result") == "success"
    assert peak << 10 < MEMORY_MAX
