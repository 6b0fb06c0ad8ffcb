# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for a condition, never for a time."""

import select
import time


def pause(seconds):
    """The one place where time is let pass; for figures that only polling shows."""
    select.select([], [], [], seconds)


def wait_for(predicate, timeout=5.0, what=None, interval=0.005):
    """Call until the result is true; give it. AssertionError when it never is."""
    deadline = time.monotonic() + timeout
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} s: {what or predicate}")
        pause(interval)
