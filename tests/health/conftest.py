# SPDX-License-Identifier: GPL-2.0-or-later
"""
Fixtures of the health tests: those of the bus tests, and what breaks disks.

Run by `./dev test health` inside tests/private-namespace.
"""

import importlib.util
import os
import sys

import pytest

BUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus")
sys.path.insert(0, os.path.abspath(BUS))

from faults import Backed  # noqa: E402
from rows import Rows  # noqa: E402



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
def backed():
    """backed(kind, size_mb) -> Backed, a disk whose writes can be made to fail"""
    made = []

    def make(kind, size_mb=None, **kwargs):
        smallest = {"ext4": 32, "xfs": 300, "btrfs": 128}[kind]
        made.append(Backed(kind, f"backed{len(made)}", max(size_mb or 0, smallest), **kwargs))
        return made[-1]

    yield make
    for disk in reversed(made):
        disk.release()


@pytest.fixture
def rows(daemon, client, as_user, journal):
    """rows(config_text="") -> Rows: a daemon, and rows of what is done to disks and comes of it"""
    return lambda config="": Rows(daemon(config, journal=journal), client, as_user(1000), journal)
