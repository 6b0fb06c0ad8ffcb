# SPDX-License-Identifier: GPL-2.0-or-later
"""
Fixtures of the health tests: those of the bus tests, and what breaks disks.

Run by `./dev test health` inside tests/private-namespace.
"""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))

from faults import Backed  # noqa: E402
from rows import Rows  # noqa: E402

pytest_plugins = "bus_fixtures"


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
