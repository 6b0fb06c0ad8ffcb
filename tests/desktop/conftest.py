# SPDX-License-Identifier: GPL-2.0-or-later
"""
Fixtures of the desktop tests: those of the bus tests, and a session with a screen.

Run by `./dev test desktop` inside tests/private-namespace.
"""

import importlib.util
import os
import subprocess
import sys

import pytest

BUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus")
sys.path.insert(0, os.path.abspath(BUS))

from desktop import Agent  # noqa: E402
from mock import FileManager, Notifications  # noqa: E402
from programs import Desktop, FileView  # noqa: E402


def _load_bus_fixtures():
    """Two files called conftest cannot import each other; as a plugin its fixtures are tests/bus' alone."""
    spec = importlib.util.spec_from_file_location("bus_fixtures", os.path.join(BUS, "conftest.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


globals().update(_load_bus_fixtures())


def pytest_generate_tests(metafunc):
    """What a bus does with messages is shown by the bus tests: here one is enough."""
    if "bus_kind" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("buses")
        metafunc.parametrize("bus_kind", marker.args if marker else ("dbus-daemon",))


@pytest.fixture
def session(request, scratch):
    """A Desktop"""
    one = Desktop(scratch)
    yield one
    report = request.node.report_call
    if report and report.failed:
        keep(one, request.node.originalname + "-failed")
        for name, _ in one.programs:
            print(f"--- {name} ---\n{one.log(name)[-8000:]}")
    one.close()


def keep(session, name):
    """A picture of the screen among the results."""
    results = os.environ.get("FSEVENTS_RESULTS", "/run/fsevents-test")
    path = os.path.join(results, f"desktop-{name}.png")
    session.screen.picture(path)
    print(f"the screen: {path}")
    return path


@pytest.fixture
def picture(session):
    """picture(name) -> path of a picture of the screen as it is now, among the results"""
    return lambda name: keep(session, name)


@pytest.fixture
def file_view(session):
    """file_view(folder, blind) -> FileView"""
    if subprocess.run(["unshare", "--user", "--map-current-user", "true"], stderr=subprocess.DEVNULL,
                      user=session.uid, check=False).returncode != 0:
        pytest.skip("users can make no namespace here, in which inotify could be used up")
    return lambda folder, blind: FileView(session, folder, blind)


@pytest.fixture
def notifications(session):
    """notifications(capabilities=None) -> Notifications, of python-dbusmock"""
    made = []

    def make(**options):
        made.append(Notifications(session, **options))
        return made[-1]

    return make


@pytest.fixture
def file_manager(session):
    """A FileManager, of python-dbusmock"""
    return FileManager(session)


@pytest.fixture
def folder(loopfs, session):
    """folder(name) -> a directory of the user's on a disk of its own"""
    disk = loopfs("ext4", 64, name="disk")

    def make(name):
        path = disk.path(name)
        os.mkdir(path)
        os.chown(path, session.uid, session.uid)
        return path

    make.disk = disk
    return make


@pytest.fixture
def agent(request, session, bus, scratch):
    """agent(*options) -> Agent, started; stopped at the end of the test."""
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
