# SPDX-License-Identifier: GPL-2.0-or-later
"""
Waiting for a condition, never for a time.

How fast a machine is decides no test: what comes is waited for with PATIENCE,
and what a latency aims at is printed beside what it was.
"""

import select
import time

# Seconds after which what has not come will not come, on the slowest machine that there is.
PATIENCE = 30.0

# So many times its aim a latency may take; what is broken waits for a deadline, or for ever.
SLACK = 10


def pause(seconds):
    """The one place where time is let pass; for figures that only polling shows."""
    select.select([], [], [], seconds)


def wait_for(predicate, timeout=PATIENCE, what=None, interval=0.005):
    """Call until the result is true; give it. AssertionError when it never is, with WHAT or what WHAT() says."""
    deadline = time.monotonic() + timeout
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() >= deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {timeout} s: {said or predicate}")
        pause(interval)


def check_took(what, seconds, aim):
    """Print a measured latency, and fail when only a broken program can have been that late."""
    print(f"{what}: {seconds * 1000:.0f} ms, aim {aim * 1000:.0f} ms")
    assert seconds <= aim * SLACK, f"{what} took {seconds:.3f} s, aim {aim} s"
