# SPDX-License-Identifier: GPL-2.0-or-later
"""More events than the connector's buffer holds, while the daemon does not read."""

import os
import shutil
import signal
import subprocess

from followed import EXIT, FORK
from programs import storm_pids
from waiting import PATIENCE, wait_for

# Twice the events that the buffer of the daemon has room for, at the least.
CHILDREN = 120000
SLOW = 4 * PATIENCE

USER = 1

# Members that become root's, so that some of them execute while nobody knows it.
CHANGED = 100


def stop(daemon):
    daemon.signal(signal.SIGSTOP)

    def stopped():
        with open(f"/proc/{daemon.pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"
    wait_for(stopped, what="the daemon to stand still")


def touch_cpus():
    """How much was lost shows with the next number of each CPU."""
    for cpu in os.sched_getaffinity(0):
        subprocess.run(["taskset", "--cpu-list", str(cpu), "/bin/true"], check=True)
    return True


def test_lost_is_exact(processes, storm, follow, tree, witness):
    """What was told and what was lost are together what happened; members are right again."""
    daemon = processes("[limits]\nqueue-bytes = 32M\n")
    running = storm(CHILDREN)
    group = follow(running.leader)
    seen = witness()
    # A second group, of processes that stay: what it is after the loss is told by a scan alone.
    grown = tree(1, rounds=3)
    stayed = follow(grown.leader)

    stop(daemon)
    try:
        running.tell()
        assert int(running.line(SLOW)) > 0
        assert running.wait() == 0
        assert grown.go()
    finally:
        daemon.signal(signal.SIGCONT)
    wait_for(lambda: touch_cpus() and group.lost() and stayed.lost(), SLOW, "the loss to be told")
    live = grown.truth().live(grown.leader)
    wait_for(lambda: set(stayed.members()[1]) == live, SLOW, "the members after the loss")
    totals = group.wait_empty(SLOW)
    events = group.events()

    # Each child is made and ends; so do the two that make them, and the leader ends.
    makers, children = storm_pids(running.pids)
    n_true = 2 * len(children) + 2 * len(makers) + 1
    n_told = len([e for e in events if e.kind in (FORK, EXIT)])
    assert len(children) == CHILDREN and n_told < n_true
    wait_for(lambda: touch_cpus() and sum(stayed.lost()) >= n_true - n_told, SLOW, "the number of each CPU")
    while grown.go():
        live = grown.truth().live(grown.leader)
        wait_for(lambda: set(stayed.members()[1]) == live, what="the members of the checkpoint")
    stayed.wait_empty()
    lost = sum(stayed.lost())
    others = seen.stop()[0] - n_true
    print(f"{n_true} events, {n_told} told, lost {stayed.lost()}; {others} of other processes meanwhile")
    assert n_true - n_told <= lost <= n_true - n_told + others
    assert stayed.empty()["lost"] == lost and stayed.empty()["incomplete"] is True
    # What ended within the loss was told as much of it as was known then.
    assert totals["lost"] == sum(group.lost()) <= lost and totals["incomplete"] is True


def test_setuid_in_a_loss(processes, storm, start, follow, as_user, scratch):
    """That members became root's is lost, and they end before they are read: not even that they execute is told."""
    program = os.path.join(scratch, "setuid-env")
    shutil.copy("/usr/bin/env", program)
    os.chmod(program, 0o4755)
    fifo = os.path.join(scratch, "go")
    os.mkfifo(fifo)
    os.chmod(fifo, 0o644)
    becomes = f"read line; exec {program} /bin/sh -p -c 'echo root; read line <{fifo}; exec /bin/true'"
    daemon = processes()
    running = storm(CHILDREN)
    script = f"exec 3<&0; i=0; while [ $i -lt {CHANGED} ]; do ({becomes}) <&3 & i=$((i + 1)); done; wait"
    shell = start("/bin/sh", "-c", script, uid=USER)
    group = follow(shell.pid, ("exec",), client=as_user(USER), accounting=True)
    roots = follow(shell.pid, ("exec",))
    wait_for(lambda: group.get("Live") == 1 + CHANGED, what="the members")

    stop(daemon)
    try:
        running.tell()
        assert int(running.line(SLOW)) > 0
        for _ in range(CHANGED):
            shell.tell()
        for _ in range(CHANGED):
            assert shell.line() == "root"
    finally:
        daemon.signal(signal.SIGCONT)
    with open(fifo, "r+b", buffering=0) as go:
        for _ in range(CHANGED):
            go.write(b"\n")
            touch_cpus()
        totals = group.wait_empty(SLOW)
    print(f"root was told of {len(roots.events())} programs")
    assert group.lost() and not group.events()
    assert totals["execs"] == 0 and totals["incomplete"] is True


def test_nothing_lost_in_a_storm(processes, storm, follow):
    """As fast as two processors can, for a daemon that runs."""
    processes()
    running = storm(CHILDREN)
    group = follow(running.leader, ())
    running.tell()
    assert int(running.line(SLOW)) > 0
    totals = group.wait_empty(SLOW)
    makers, children = storm_pids(running.pids)
    assert totals["forks"] == len(children) + len(makers)
    assert totals["exits"] == totals["forks"] + 1
    assert totals["lost"] == 0 and not group.lost() and totals["incomplete"] is False


def test_slow_owner(processes, storm, follow, client):
    """Events past the queue of a group are dropped, counted and told in their place; the totals stay right."""
    processes("[limits]\nqueue-bytes = 65536\n")
    running = storm(20000)
    group = follow(running.leader, hold=True)
    running.tell()
    assert int(running.line(SLOW)) > 0
    wait_for(lambda: group.get("Live") == 0, SLOW, "the end of the storm")
    assert not group.events() and not group.lost()
    group.start()
    totals = group.wait_empty(SLOW)
    events, lost = group.events_and_lost()
    makers, children = storm_pids(running.pids)
    n_true = 2 * len(children) + 2 * len(makers) + 1
    assert 0 < events < n_true
    assert events + lost == n_true
    assert totals["forks"] == len(children) + len(makers) and totals["exits"] == totals["forks"] + 1
