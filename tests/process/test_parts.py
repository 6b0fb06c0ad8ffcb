# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts that only the initial namespace of processes can show, each by its own program (tests/io)."""

import subprocess

import pytest

import service

SKIPPED = 77


@pytest.mark.parametrize("name", ("connector", "processes", "taskstats"))
def test_part(name):
    done = subprocess.run([service.built("tests", "io", f"test-io-{name}")], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=360, check=False)
    print(done.stdout)
    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0
