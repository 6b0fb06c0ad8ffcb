# SPDX-License-Identifier: GPL-2.0-or-later
"""One booted machine for all system tests; run by ./dev test system."""

import os
import tempfile

import pytest

import machine as machines


def pytest_configure(config):
    for name in ("FSEVENTS_PRIVATE_NAMESPACE", "FSEVENTS_CACHE", "FSEVENTS_BUILD"):
        if name not in os.environ:
            pytest.exit("to be run by ./dev test system", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        # For the results, should the second attempt pass.
        item.user_properties.append(("failed-attempt", f"{call.when}: {report.longreprtext[-4000:]}"))


@pytest.fixture(scope="session")
def booted():
    root = machines.cached_root(os.environ["FSEVENTS_CACHE"])
    with tempfile.TemporaryDirectory(dir="/run") as work:
        machine = machines.Machine(root, os.environ["FSEVENTS_BUILD"], work)
        try:
            machine.boot()
            yield machine
        finally:
            machine.halt()


@pytest.fixture
def machine(booted):
    """The machine with the service enabled and running."""
    booted.run("systemctl", "enable", "--quiet", "--now", "fseventsd.service")
    yield booted
