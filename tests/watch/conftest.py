# SPDX-License-Identifier: GPL-2.0-or-later
"""
Fixtures of the watch tests: those of the bus tests, and processes that change files.

Run by `./dev test watch` inside tests/private-namespace.
"""

import itertools
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))

from actors import Actors  # noqa: E402
from receivers import Receiver  # noqa: E402

pytest_plugins = "bus_fixtures"


@pytest.fixture
def actors(scratch):
    """actors(directory, seeds, steps) -> Actors, ended after the test"""
    made = []

    def make(directory, seeds, steps, **options):
        log = os.path.join(scratch, f"actors{len(made)}")
        os.mkdir(log, 0o755)
        made.append(Actors(directory, log, seeds, steps, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def receive(bus, scratch):
    """receive(where, events, uid=0, stream=False, **options) -> Receiver in a process of that user"""
    made, numbers = [], itertools.count()

    def make(where, events, **options):
        directory = os.path.join(scratch, f"receiver{next(numbers)}")
        os.mkdir(directory, 0o755)
        made.append(Receiver(bus.address, directory, where, events, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
