# SPDX-License-Identifier: GPL-2.0-or-later
"""The relay: each fork is a queued signal to who registered, or counted as lost."""

import os
import struct
from collections import Counter

import pytest

from client import BusError
from programs import storm_pids
from waiting import PATIENCE, wait_for

USER, OTHER = 1, 65534
# The kernel counts what is pending per user, whatever other tests do as that one.
LONELY = 4
SIGNAL = 40
MANY = 100000
SLOW = 4 * PATIENCE
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INVALID = "org.freedesktop.DBus.Error.InvalidArgs"


class Receiver:
    """tests/process/receiver.c: blocks the signal; collect(), then finish() gives (parent, child) pairs."""

    def __init__(self, start, program, directory, *limit, uid=None):
        os.mkdir(directory, 0o755)
        if uid is not None:
            os.chown(directory, uid, uid)
        self.path = os.path.join(directory, "pairs")
        self.program = start(program, SIGNAL, self.path, *limit, uid=uid)
        self.pid = int(self.program.line().split()[1])

    def collect(self):
        self.program.tell()

    def finish(self):
        self.program.tell()
        count, others = map(int, self.program.line(SLOW).split()[1:])
        assert others == 0, "signals that were not queued by a process"
        assert self.program.wait() == 0
        with open(self.path, "rb") as file:
            pairs = list(struct.iter_unpack("=II", file.read()))
        assert len(pairs) == count
        return pairs


@pytest.fixture
def receiver(start, programs, scratch):
    """receiver(limit, uid=None) -> Receiver"""
    count = iter(range(100))
    return lambda *limit, uid=None: Receiver(start, programs("process", "receiver"),
                                             os.path.join(scratch, f"receiver{next(count)}"), *limit, uid=uid)


def relay(client, pid, number=SIGNAL):
    options = {}
    client.call("RelayForks", "uia{sv}", pid, number, options)


def listed(client):
    return {pid: (number, uid, lost) for pid, number, uid, lost in client.call("ListRelays")}


def run_storm(running):
    running.tell()
    assert int(running.line(SLOW)) > 0
    assert running.wait() == 0
    return storm_pids(running.pids)


def test_all_arrive(processes, storm, receiver, client):
    """To a willing receiver, each with parent and child, in the order of each parent."""
    processes()
    target = receiver()
    relay(client, target.pid)
    running = storm(MANY)
    target.collect()
    makers, children = run_storm(running)
    # One more, made after all others: with it everything has come.
    last = storm(1, cpus=("0",))
    _, last_children = run_storm(last)
    wait_for(lambda: arrived(target, last_children[0]), SLOW, "the last signal")
    pairs = target.finish()
    got = [pair for pair in pairs if pair[0] in makers]
    assert len(children) == MANY
    assert Counter(got) == Counter(children)
    for maker in makers:
        assert [child for parent, child in got if parent == maker] == \
            [child for parent, child in children if parent == maker]
    assert listed(client) in ({target.pid: (SIGNAL, 0, 0)}, {})


def arrived(target, pair):
    with open(target.path, "rb") as file:
        data = file.read()
    return struct.pack("=II", *pair) in data


@pytest.mark.parametrize("limit", (64,))
def test_full_queue_is_counted(processes, storm, receiver, client, as_user, limit):
    """A receiver whose queue takes 64 and that reads nothing: the rest is lost, and told."""
    processes()
    user = as_user(LONELY)
    target = receiver(limit, uid=LONELY)
    relay(user, target.pid)
    running = storm(1000, uid=LONELY)
    makers, children = run_storm(running)
    n_forks = len(children) + len(makers)
    wait_for(lambda: listed(user)[target.pid][2] == n_forks - limit, what="the loss to be counted")
    assert listed(client)[target.pid] == (SIGNAL, LONELY, n_forks - limit)
    target.collect()
    assert len(target.finish()) == limit


def test_own_forks_alone(processes, storm, receiver, as_user):
    """A user hears of its own processes, and of no other's."""
    processes()
    user = as_user(USER)
    target = receiver(uid=USER)
    relay(user, target.pid)
    target.collect()
    other_makers, _ = run_storm(storm(200, uid=OTHER))
    root_makers, _ = run_storm(storm(200))
    # On one processor: the last child is the last fork.
    makers, children = run_storm(storm(200, cpus=("0",), uid=USER))
    wait_for(lambda: listed(user)[target.pid][2] == 0)
    wait_for(lambda: arrived(target, children[-1]), what="the last signal")
    pairs = target.finish()
    assert Counter(pair for pair in pairs if pair[0] in makers) == Counter(children)
    assert not {parent for parent, _ in pairs} & (other_makers | root_makers)


def test_ends_with_exec(processes, start, client):
    """Another program is not who asked: nothing is sent to it."""
    processes()
    shell = start("/bin/sh", "-c", f"trap '' {SIGNAL}; trap : {SIGNAL}; echo ready; read line; exec /bin/cat")
    assert shell.line() == "ready"
    relay(client, shell.pid)
    assert listed(client)[shell.pid][0] == SIGNAL
    shell.tell()
    wait_for(lambda: not listed(client), what="the relay to end")
    # What it executed does not catch the signal and would have been ended by it.
    start("/bin/true").wait()
    shell.tell("still here")
    assert shell.line() == "still here"


def test_ends_with_uids(processes, start, client):
    """So with other uids."""
    processes()
    script = (f"import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [{SIGNAL}]);"
              f"print('ready', flush=True); sys.stdin.readline(); os.setuid({USER});"
              "print('changed', flush=True); sys.stdin.readline();"
              f"print({SIGNAL} in signal.sigpending(), flush=True)")
    program = start("/usr/bin/python3", "-c", script)
    assert program.line() == "ready"
    relay(client, program.pid)
    # What the machine does besides comes too, so far.
    program.tell()
    assert program.line() == "changed"
    wait_for(lambda: not listed(client), what="the relay to end")


WEARER = f"""
import os, sys
def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    print(pid, flush=True)
for saved in (0, {USER}):
    sys.stdin.readline()
    os.setresuid({USER}, {USER}, saved)
    fork()
"""


def test_saved_uid_of_root(processes, start, storm, receiver, as_user):
    """A process of root that can take a user's uids off again is not that user's, until it cannot."""
    processes()
    user = as_user(USER)
    target = receiver(uid=USER)
    wearer = start("/usr/bin/python3", "-c", WEARER)
    relay(user, target.pid)
    target.collect()
    wearer.tell()
    hidden = int(wearer.line())
    # One of the user's own behind it: with it all before has been looked at.
    _, last = run_storm(storm(1, cpus=("0",), uid=USER))
    wait_for(lambda: arrived(target, last[0]), SLOW, "the signal behind it")
    wearer.tell()
    shown = int(wearer.line())
    wait_for(lambda: arrived(target, (wearer.pid, shown)), SLOW, "the fork of who is the user's now")
    assert (wearer.pid, hidden) not in target.finish()
    assert wearer.wait() == 0


def test_ends_with_the_process(processes, receiver, client):
    processes()
    target = receiver()
    relay(client, target.pid)
    assert set(listed(client)) == {target.pid}
    target.collect()
    target.finish()
    wait_for(lambda: not listed(client), what="the relay to end")


def test_stop(processes, receiver, client, as_user):
    """By its user and root; another's is as none."""
    processes()
    user, other = as_user(USER), as_user(OTHER)
    target = receiver(uid=USER)
    relay(user, target.pid)
    assert not listed(other) and set(listed(user)) == set(listed(client)) == {target.pid}
    refusals = []
    for pid in (target.pid, 4194303):
        with pytest.raises(BusError) as error:
            other.call("StopRelay", "u", pid)
        refusals.append((error.value.name, error.value.message.replace(str(pid), "PID")))
    assert refusals[0] == refusals[1]
    user.call("StopRelay", "u", target.pid)
    assert not listed(client)


@pytest.mark.parametrize("number", (1, 9, 31, 32, 33, 65, 0, -1))
def test_signals_refused(processes, receiver, client, number):
    processes()
    target = receiver()
    with pytest.raises(BusError) as error:
        relay(client, target.pid, number)
    assert error.value.name == INVALID
    if number in (32, 33):
        assert "C library" in error.value.message or "glibc" in error.value.message, error.value.message


def test_processes_refused(processes, client, start, as_user):
    """Process 1 to nobody, those that the signal would end, and others' without the right to."""
    processes()
    for pid in (1, 2):
        with pytest.raises(BusError):
            relay(client, pid, 38)
    plain = start("/bin/cat")
    with pytest.raises(BusError) as error:
        relay(client, plain.pid)
    assert error.value.name not in (DENIED,)
    plain.tell("alive")
    assert plain.line() == "alive"
    with pytest.raises(BusError) as error:
        relay(as_user(USER), plain.pid)
    assert error.value.name == DENIED
    assert not listed(client)
