# SPDX-License-Identifier: GPL-2.0-or-later
"""
Fixtures of the desktop tests: those of the bus tests, and a session with a screen.

Run by `./dev test desktop` inside tests/private-namespace.
"""

import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))

from mock import FileManager, Notifications  # noqa: E402
from programs import Desktop, FileView  # noqa: E402

pytest_plugins = "bus_fixtures"


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
