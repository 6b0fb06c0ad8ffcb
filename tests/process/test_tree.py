# SPDX-License-Identifier: GPL-2.0-or-later
"""Random trees of processes: what a group tells, against what they know of themselves."""

import os

import pytest

from followed import EXEC, check_against_truth, check_membership
from waiting import wait_for

SEEDS = (1, 2, 3, 4, 5, 6)
LEADER_STATUS = 7 << 8


def check_checkpoint(group, tree, begun_with, outside=()):
    """All are parked: sooner or later exactly they are members, and always what the events say."""
    live = tree.truth().live(tree.leader) - set(outside)
    try:
        wait_for(lambda: check_membership(group, begun_with) == live, what="the members of the checkpoint")
    except AssertionError as error:
        members = set(group.members()[1])
        raise AssertionError(f"missing {live - members}, too many {members - live}") from error


@pytest.mark.parametrize("seed", SEEDS)
def test_every_event_once_in_order(processes, tree, follow, seed):
    """By root: namespaces of processes too."""
    processes()
    one = tree(seed, options=("--spaces",))
    group = follow(one.leader)
    while one.go():
        check_checkpoint(group, one, {one.leader})
    totals = group.wait_empty()
    events, truth = group.events(), one.truth()
    check_against_truth(events, truth, one.leader)

    assert events[-1].pid == one.leader and events[-1].status == LEADER_STATUS
    assert not group.lost()
    assert totals["forks"] == len(truth.forks)
    assert totals["execs"] == len(truth.execs)
    assert totals["exits"] == len(truth.exits) + 1
    assert group.get("Leader") == one.leader and group.get("Live") == 0
    assert totals["lost"] == 0 and totals["incomplete"] is False
    # A moment late: who has ended by then has no file any more, but none has another's.
    assert {e.file for e in events if e.kind == EXEC} <= {b"", os.fsencode(one.program)}
