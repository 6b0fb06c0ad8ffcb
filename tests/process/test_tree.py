# SPDX-License-Identifier: GPL-2.0-or-later
"""Random trees of processes: what a group tells, against what they know of themselves."""

import json
import os

import pytest

import service
from client import BusError
from followed import EXEC, FORK, INTERFACE, Follower, Stream, check_against_truth, check_membership
from waiting import wait_for

SEEDS = (1, 2, 3, 4, 5, 6)
LEADER_STATUS = 7 << 8
USER = 1


def check_members(group, tree, live, members):
    """All are parked: sooner or later exactly those that live are members."""
    try:
        wait_for(lambda: members() == live, what="the members of the checkpoint")
    except AssertionError as error:
        now = members()
        wrong = [fork for fork in tree.truth().forks if fork[2] in live ^ now]
        raise AssertionError(f"missing {live - now}, too many {now - live}; (maker, order, pid, flags): {wrong}; "
                             f"incomplete: {group.get('Incomplete')}") from error


def check_checkpoint(group, tree, begun_with, outside=()):
    """And always they are what the events say."""
    live = tree.truth().live(tree.leader) - set(outside)
    check_members(group, tree, live, lambda: check_membership(group, begun_with))


def check_checkpoint_alone(group, tree):
    check_members(group, tree, tree.truth().live(tree.leader), lambda: set(group.members()[1]))


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


@pytest.mark.parametrize("seed", (11, 12, 13))
def test_by_its_user(processes, tree, follow, as_user, seed):
    """An ordinary user's own tree, in its own group: nothing is left out."""
    processes()
    one = tree(seed, uid=USER)
    group = follow(one.leader, client=as_user(USER))
    while one.go():
        check_checkpoint(group, one, {one.leader})
    totals = group.wait_empty()
    check_against_truth(group.events(), one.truth(), one.leader)
    assert totals["incomplete"] is False and totals["lost"] == 0


@pytest.mark.parametrize("seed", (21, 22, 23))
def test_followed_while_it_grows(processes, tree, follow, seed):
    """Asked for between two checkpoints: from then on no member is missed, whatever was going on."""
    processes()
    one = tree(seed, rounds=4)
    assert one.go()
    one.tell()
    # Held: nothing is told before the members were asked for the first time.
    group = follow(one.leader, hold=True)
    next_seq, members = group.members()
    group.start()
    assert one.line(), "the tree failed"
    begun_with = None
    if next_seq == 1:
        begun_with = set(members)
        check_checkpoint(group, one, begun_with)
    else:
        check_checkpoint_alone(group, one)
    while one.go():
        check_checkpoint_alone(group, one)
    group.wait_empty()
    assert not group.lost()
    if begun_with is not None:
        follower = Follower(begun_with)
        follower.take(group.events())
        assert not follower.members
    # All that was done after the checkpoint before the call was told, for members that were known then.
    told = {(e.pid, e.other) for e in group.events() if e.kind == FORK}
    truth = one.truth()
    assert told <= {(pid, child) for pid, _, child, _ in truth.forks}


def test_beside_the_leader(processes, tree, follow):
    """A CLONE_PARENT child of the leader is its parent's: the stated limit of the connector."""
    processes()
    one = tree(31, options=("--beside",))
    group = follow(one.leader)
    while one.go():
        pass
    group.wait_empty()
    truth = one.truth()
    beside = {child for parent, child in truth.made_for() if parent == one.pid}
    assert len(beside) == 1
    events = group.events()
    assert not beside & {e.pid for e in events} and not beside & {e.other for e in events if e.kind == FORK}
    check_against_truth(events, truth, one.leader, outside=beside)


def test_others_listen(processes, tree, follow, programs, witness):
    """Programs that begin and stop to listen are no loss."""
    processes()
    one = tree(41)
    group = follow(one.leader)
    while one.go():
        witness().stop()
    group.wait_empty()
    check_against_truth(group.events(), one.truth(), one.leader)
    assert not group.lost() and group.get("Incomplete") is False


def test_counters_alone(processes, tree, follow):
    """Without events only the counters, and Empty."""
    processes()
    one = tree(51)
    group = follow(one.leader, ())
    one.run()
    totals = group.wait_empty()
    truth = one.truth()
    assert not group.events()
    assert (totals["forks"], totals["execs"], totals["exits"]) == \
        (len(truth.forks), len(truth.execs), len(truth.exits) + 1)
    assert (group.get("Forks"), group.get("Execs"), group.get("Exits")) == \
        (totals["forks"], totals["execs"], totals["exits"])
    group.release()
    with pytest.raises(BusError) as error:
        group.get("Live")
    assert error.value.name == "org.freedesktop.DBus.Error.UnknownObject"


@pytest.mark.parametrize("seed", (61, 62))
def test_by_stream(processes, tree, follow, client, seed):
    """The same over OpenStream; with hold from the first event on, and then by no signal."""
    processes()
    one = tree(seed, options=("--spaces",))
    group = follow(one.leader, hold=True)
    _, fds = client.call_with_fds("OpenStream", "a{sv}", {}, path=group.path, interface=INTERFACE)
    stream = Stream(fds[0])
    one.run()
    wait_for(stream.is_over, what="the end of the stream")
    events = stream.events()
    stream.close()
    follower = Follower({one.leader})
    follower.take(events)
    assert not follower.members
    check_against_truth(events, one.truth(), one.leader)
    assert not group.events()


@pytest.mark.parametrize("seed", (71,))
def test_by_command_line(processes, tree, bus, start, seed):
    """fseventsctl track --json of the leader: the same forks, execs and ends, and the totals."""
    processes()
    one = tree(seed)
    track = start(service.executable().replace("fseventsd", "fseventsctl"), "--bus=" + bus.address,
                  "track", "--json", one.leader)
    lines = [json.loads(track.line())]
    assert lines[0]["event"] == "member" and lines[0]["pid"] == one.leader
    one.run()
    while line := track.line():
        lines.append(json.loads(line))
    assert track.wait() == 0
    truth = one.truth()
    forks = {(line["pid"], line["child"]) for line in lines if line["event"] == "fork"}
    assert forks == {(pid, child) for pid, _, child, _ in truth.forks}
    ends = {line["pid"]: line for line in lines if line["event"] == "exit"}
    assert set(ends) == truth.born() | {one.leader}
    assert len([line for line in lines if line["event"] == "exec"]) == len(truth.execs)
