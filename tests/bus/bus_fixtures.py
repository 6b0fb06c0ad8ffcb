# SPDX-License-Identifier: GPL-2.0-or-later
"""
Fixtures of all tests of the built daemon, on private buses and real filesystems.

A plugin of pytest's, which the conftest of a suite names; that adds what is its own.
HACKING.md describes how to use them.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import buses
import disks
import service
from client import Client
from desktop import Agent, Session
from fusefs import Fuse
from journal import Journal
from lateness import Lateness
from layer import Layer
from polkit import Polkit
from rawbus import RawClient
from user import UserClient
from waiting import wait_for as wait_for_condition

HERE = pathlib.Path(__file__).resolve().parent
POLICY = os.path.join(service.SOURCE, "dbus", "org.fsevents1.conf")
SCRATCH = "/run/fsevents-test"


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "buses(*kinds): run on these buses only (default: all in tests/bus, else dbus-daemon)")
    if os.environ.get("FSEVENTS_PRIVATE_NAMESPACE") != "1":
        pytest.exit("to be run inside tests/private-namespace (./dev test bus)", 2)


def pytest_generate_tests(metafunc):
    """What a bus does with messages is shown by the bus tests: elsewhere one is enough."""
    if "bus_kind" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("buses")
        kinds = buses.KINDS if metafunc.definition.path.resolve().parent == HERE else ("dbus-daemon",)
        metafunc.parametrize("bus_kind", marker.args if marker else kinds)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if call.when == "setup":
        item.report_call = None
    elif call.when == "call":
        item.report_call = report
    if report.failed:
        # For the results, should the second attempt pass.
        item.user_properties.append(("failed-attempt", f"{call.when}: {report.longreprtext[-4000:]}"))


@pytest.fixture
def scratch():
    """A directory of the test that every user can enter and root alone can write."""
    os.makedirs(SCRATCH, 0o755, exist_ok=True)
    path = tempfile.mkdtemp(dir=SCRATCH)
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def bus(bus_kind, scratch):
    """A private bus with the policy of a system bus and the project's: .address, .kind, .stop(), .start()."""
    directory = os.path.join(scratch, "bus.d")
    os.mkdir(directory, 0o755)
    running = buses.Bus(bus_kind, directory, POLICY).start()
    yield running
    running.stop()


@pytest.fixture
def daemon(request, bus, scratch):
    """
    daemon(config_text="", args=(), env=None, state=None, journal=None, ready=True) -> Daemon

    Started and ready (unless ready=False: then only started; start=False: not even that). At the
    end of the test each one that still runs gets SIGTERM and must end.
    """
    made = []

    def make(config_text="", args=(), env=None, state=None, journal=None, ready=True, start=True,
             address=None):
        directory = os.path.join(scratch, f"daemon{len(made)}")
        os.mkdir(directory, 0o755)
        new = service.Daemon(address or bus.address, directory, config_text, args, env, state,
                             journal)
        made.append(new)
        if start:
            new.start(ready)
        return new

    yield make
    problems = []
    for one in made:
        try:
            if one.running():
                one.stop()
            if os.path.exists(one.stderr_path):
                one.check_reports()
        except AssertionError as problem:
            problems.append(str(problem))
        finally:
            one.kill()
            if os.path.exists(one.stderr_path):
                print(f"--- the daemon's stderr ---\n{one.stderr()[-20000:]}")
    # After a failed test the end of the daemon is no second failure.
    report = request.node.report_call
    if problems and not (report and report.failed):
        pytest.fail("\n".join(problems))


@pytest.fixture
def watching(daemon):
    """watching(config_text="", **options) -> Daemon that leaves the space of filesystems alone"""
    return lambda config="", **options: daemon(service.NO_FILESYSTEMS + config, **options)


@pytest.fixture
def client(bus, request):
    """A Client of root's on the bus. client.another() gives a further one."""
    made = []

    def another(**kwargs):
        made.append(Client(bus.address, **kwargs))
        return made[-1]

    first = another()
    first.another = another
    yield first
    for one in made:
        one.close()


@pytest.fixture
def as_user(bus):
    """as_user(uid, gid=None, groups=()) -> UserClient"""
    made = []

    def make(uid, gid=None, groups=()):
        made.append(UserClient(bus.address, uid, gid, groups))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def raw_user(bus):
    """raw_user(uid) -> RawClient of that user"""
    made = []

    def make(uid):
        made.append(RawClient(bus.address, uid=uid))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def polkit(bus):
    """A stand-in for polkit on the bus; without it there is none."""
    one = Polkit(bus.address)
    yield one
    one.close()


@pytest.fixture
def busctl(bus):
    """busctl(*arguments, check=True, uid=None) -> CompletedProcess with text"""
    def run(*arguments, check=True, uid=None, timeout=60):
        command = ["busctl", "--address=" + bus.address, *map(str, arguments)]
        options = {"user": uid, "group": uid, "extra_groups": []} if uid is not None else {}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, check=False, **options)
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done
    return run


@pytest.fixture
def ctl(bus):
    """ctl(*arguments, check=True) -> CompletedProcess of fseventsctl on this bus"""
    path = os.path.join(os.path.dirname(service.executable()), "fseventsctl")

    def run(*arguments, check=True, timeout=60, text=True, env=None, uid=None):
        options = {"user": uid, "group": uid, "extra_groups": []} if uid is not None else {}
        done = subprocess.run(["fseventsctl", "--bus=" + bus.address, *arguments],
                              executable=path if os.path.exists(path) else service.executable(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=text,
                              timeout=timeout, check=False, env={**os.environ, **(env or {})},
                              **options)
        assert not check or done.returncode == 0, f"{arguments}: {done.returncode}: {done.stderr}"
        return done
    return run


@pytest.fixture
def loopfs(request):
    """
    loopfs(kind, size_mb=None, options=None, name=None, mkfs=(), mount=True) -> Disk

    kind: ext4 xfs btrfs tmpfs. Mounted below /mnt, released after the test.
    """
    made = []

    def make(kind, size_mb=None, options=None, name=None, mkfs=(), mount=True, where=None):
        name = name or f"{kind}{len(made)}"
        made.append(disks.make_disk(kind, name, size_mb, options, mkfs, mount, where))
        return made[-1]

    yield make
    for disk in reversed(made):
        disk.release()


@pytest.fixture
def disk(loopfs):
    """A Disk with ext4"""
    return loopfs("ext4", 64)


@pytest.fixture
def fuse():
    """fuse(name="fuse0", uid=0, source=..., kind=..., **figures) -> Fuse, mounted at /mnt/NAME"""
    made = []

    def make(name=None, **kwargs):
        where = os.path.join(disks.MOUNTS, name or f"fuse{len(made)}")
        made.append(Fuse(where, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.release()


@pytest.fixture
def journal():
    """A stand-in for journald; give it to daemon(journal=journal)."""
    one = Journal()
    yield one
    one.close()


@pytest.fixture
def layer(bus):
    """layer(address=None, connected=True, **env) -> Layer, the bus layer alone"""
    made = []

    def make(address=None, connected=True, **env):
        made.append(Layer(address or bus.address, env))
        if connected:
            assert made[-1].turn() == "connected"
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.stop()


@pytest.fixture
def lateness(bus):
    """with lateness(daemon) as l: ...; then l.max_ms, l.count, l.over_ms"""
    return lambda daemon: Lateness(bus.address, [daemon.pid, *bus.pids()])


@pytest.fixture
def wait_for():
    """wait_for(predicate, timeout=PATIENCE, what=None): the predicate's result once it is true"""
    return wait_for_condition


@pytest.fixture
def session(scratch):
    """A Session of an ordinary user's"""
    one = Session(scratch)
    yield one
    one.stop()


@pytest.fixture
def agent(request, session, bus, scratch):
    """agent(following=True) -> Agent, started; one for each test, stopped at its end."""
    one = Agent(session, bus.address, scratch)
    yield one.start
    report = request.node.report_call
    try:
        if not (report and report.failed):
            one.stop()
    finally:
        one.close()
        if os.path.exists(one.stderr_path):
            print(f"--- the agent's stderr ---\n{one.stderr()[-20000:]}")


@pytest.fixture
def folder(loopfs, session):
    """folder(name) -> a directory of the user's on a disk of its own, .disk"""
    disk = loopfs("ext4", 64, name="disk")

    def make(name):
        path = disk.path(name)
        os.mkdir(path)
        os.chown(path, session.uid, session.uid)
        return path

    make.disk = disk
    return make
