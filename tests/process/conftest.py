# SPDX-License-Identifier: GPL-2.0-or-later
"""
Fixtures of the process tests: those of the bus tests, and trees of processes.

Run by `./dev test process` inside tests/private-namespace --initial-pids.
"""

import os
import shutil
import signal
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))

import service  # noqa: E402
from followed import Group  # noqa: E402
from programs import Program, Tree, Witness  # noqa: E402
from waiting import PATIENCE  # noqa: E402

pytest_plugins = "bus_fixtures"

# PROC_PID_INIT_INO of linux/proc_ns.h, which no other namespace can have.
INITIAL_NAMESPACE = "pid:[4026531836]"


def pytest_collection_modifyitems(items):
    """Of processes the kernel tells only in the initial namespace."""
    if os.readlink("/proc/self/ns/pid") != INITIAL_NAMESPACE:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs the initial namespace of processes"))


# Seconds for one test: what waits in it has limits of its own, but for a read that nobody thought of.
CEILING = int(8 * PATIENCE)


def _on_alarm(_signal, _frame):
    raise TimeoutError(f"the test was not over within {CEILING} s")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call():
    """One that hangs fails alone, and shows where."""
    before = signal.signal(signal.SIGALRM, _on_alarm)
    signal.alarm(CEILING)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def processes(daemon):
    """processes(config_text="", **options) -> Daemon that leaves this machine's filesystems alone"""
    return lambda config="", **options: daemon(service.NO_FILESYSTEMS + config, **options)


@pytest.fixture
def programs():
    """programs(NAME) -> path of a built program where every user can start it"""
    def copy(*name):
        os.makedirs(service.BINARIES, 0o755, exist_ok=True)
        path = os.path.join(service.BINARIES, name[-1])
        shutil.copy(service.built("tests", *name), path)
        os.chmod(path, 0o755)
        return path
    return copy


@pytest.fixture
def start():
    """start(*command, uid=None) -> Program, ended after the test"""
    made = []

    def make(*command, **options):
        made.append(Program(*command, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def tree(programs, scratch):
    """tree(seed, rounds=3, uid=None, options=()) -> Tree whose leader waits for go()"""
    made = []

    def make(seed, rounds=3, **options):
        directory = os.path.join(scratch, f"tree{len(made)}")
        os.mkdir(directory, 0o755)
        made.append(Tree(programs("process", "tree"), directory, seed, rounds, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def storm(programs, start, scratch):
    """storm(n, *options, uid=None) -> Program that has said "ready PID" and waits for a line; .pids is its file"""
    count = iter(range(100))

    def make(n, *options, cpus=("0", "1"), uid=None):
        directory = os.path.join(scratch, f"storm{next(count)}")
        os.mkdir(directory, 0o755)
        if uid is not None:
            os.chown(directory, uid, uid)
        pids = os.path.join(directory, "pids")
        online = [cpu for cpu in cpus if int(cpu) < os.cpu_count()]
        program = start(programs("bench", "storm"), "--hold", "--pids", pids, *options, str(n), *online, uid=uid)
        program.leader = int(program.line().split()[1])
        program.pids = pids
        return program
    return make


@pytest.fixture
def witness(programs):
    """witness() -> Witness, a reader of the connector that is no part of the daemon"""
    made = []

    def make():
        made.append(Witness(programs("bench", "eager")))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def follow(client):
    """follow(pid, events=..., client=None, **options) -> Group"""
    return lambda pid, *args, **options: Group(options.pop("client", None) or client, pid, *args, **options)
