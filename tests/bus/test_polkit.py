# SPDX-License-Identifier: GPL-2.0-or-later
"""
What is asked of polkit and what follows from its answers, with a stand-in for it and a
manager of cardboard (tests/io/bus-fixture.c).
"""

import os
import struct
import time

import pytest
from gi.repository import GLib

from client import BusError, FILESYSTEM, MANAGER
from polkit import CHALLENGE, DIE, ERROR, HANG, NO, YES, Polkit
from waiting import wait_for

FIRST = "/org/fsevents1/filesystem/7_0_1"
LAST = "/org/fsevents1/filesystem/7_2_3"
USER, OTHER = 1, 65534
ERRORS = "org.freedesktop.DBus.Error."
DENIED, INTERACTIVE = ERRORS + "AccessDenied", ERRORS + "InteractiveAuthorizationRequired"
INVALID, LIMITS = ERRORS + "InvalidArgs", ERRORS + "LimitsExceeded"
UNKNOWN = ERRORS + "UnknownObject"
ALLOW_INTERACTIVE, ERROR_REPLY = 4, 3
CONFIGURE = ("Configure", "sa{sv}", "", {})
CONFUSED = "52bdeacfee9a4505aecead4e20e3fdf9"


def refused(call, *args, **kwargs):
    """(name, message) of the error."""
    with pytest.raises(BusError) as raised:
        call(*args, **kwargs)
    return raised.value.name, raised.value.message


def send_configure(raw):
    """Of a user who would type a password."""
    return raw.send("Configure", interface=MANAGER, signature="sa{sv}", body=bytes(16),
                    flags=ALLOW_INTERACTIVE)


def error_of(message):
    """The name of the error; None where it is none."""
    kind, raw = message
    if kind != ERROR_REPLY:
        return None
    return next(name for name in (DENIED, INTERACTIVE, LIMITS, INVALID) if name.encode() in raw)


@pytest.mark.parametrize("says, interactive, name, word", [
    (YES, False, None, None),
    (YES, True, None, None),
    (NO, False, DENIED, "do not have"),
    (NO, True, DENIED, "do not have"),
    (CHALLENGE, False, INTERACTIVE, "cannot be asked"),
    (CHALLENGE, True, INTERACTIVE, "cannot be asked"),
    (ERROR, False, DENIED, "no polkit"),
    (DIE, True, DENIED, "no polkit"),
    # What makes no sense: other types, nothing, too little.
    (GLib.Variant("(s)", ("yes",)), False, DENIED, "no polkit"),
    (GLib.Variant("(bba{ss})", (True, False, {})), False, DENIED, "no polkit"),
    (GLib.Variant("((bb))", ((True, False),)), False, DENIED, "no polkit"),
    (GLib.Variant("(a(bba{ss}))", ([(True, False, {})],)), False, DENIED, "no polkit"),
    (GLib.Variant("((ssa{ss}))", (("true", "false", {}),)), False, DENIED, "no polkit"),
], ids=str)
def test_answers(layer, polkit, as_user, says, interactive, name, word):
    one, user = layer(), as_user(USER)
    polkit.otherwise = says
    if name:
        got, text = refused(user.call, *CONFIGURE, interactive=interactive)
        assert got == name and word in text and "org.fsevents1.configure" in text
    else:
        user.call(*CONFIGURE, interactive=interactive)
    assert polkit.questions[0].subject == ("system-bus-name", {"name": polkit.questions[0].caller})
    assert polkit.asked() == [("configure", USER, interactive)]
    stats = one.stats()
    assert stats["asked"] == 1 and stats["denied"] == (1 if name else 0)


def test_a_confused_polkit_is_in_the_journal(daemon, polkit, journal, as_user):
    """What it said, and of whom; not a flood, and nothing where it only said no or is not there."""
    daemon(journal=journal)
    user = as_user(USER)

    def refuse(said):
        polkit.otherwise = said
        assert refused(user.call, *CONFIGURE)[0] in (DENIED, INTERACTIVE)

    for said in (NO, CHALLENGE, ERROR, GLib.Variant("(s)", ("\x1b[31myes",))):
        refuse(said)
    wait_for(lambda: len(journal.find(MESSAGE_ID=CONFUSED)) == 2, what="both answers that make no sense")
    texts = [entry["MESSAGE"].decode() for entry in journal.find(MESSAGE_ID=CONFUSED)]
    assert "Action is not registered" in texts[0], texts
    assert all("org.fsevents1.configure" in text and f"uid {USER}" in text for text in texts), texts
    for _ in range(30):
        refuse(ERROR)
    polkit.leave()
    refuse(ERROR)
    user.ping()
    assert len(journal.find(MESSAGE_ID=CONFUSED)) <= 10


def test_without_polkit_root_alone(layer, client, as_user):
    one = layer()
    name, text = refused(as_user(USER).call, *CONFIGURE, interactive=True)
    assert name == DENIED and "no polkit" in text
    client.call(*CONFIGURE)
    assert one.stats()["asked"] == 1


def test_root_is_not_asked_for(layer, polkit, client):
    layer()
    polkit.otherwise = NO
    client.call(*CONFIGURE)
    client.call("EmitTestEvent", "osa{sv}", FIRST, "enospc", {})
    assert client.history()[2][-1].details["path"] == "/mnt/secret-name"
    assert polkit.asked() == []


def test_polkit_that_comes_back(layer, polkit, bus, as_user):
    """Whoever owns the name is asked."""
    layer()
    user = as_user(USER)
    polkit.leave()
    assert refused(user.call, *CONFIGURE)[0] == DENIED
    second = Polkit(bus.address)
    try:
        second.otherwise = YES
        user.call(*CONFIGURE)
        assert second.asked() == [("configure", USER, False)]
    finally:
        second.close()


def test_the_call_is_the_one_that_was_asked_for(layer, polkit, as_user, client):
    """What is carried out after the answer is what was sent, on what is there by then."""
    one, user = layer(), as_user(USER)
    polkit.otherwise = HANG
    user.begin("SetThresholds", "a(sstts)a{sv}", [("mine", "space", 4096, 4096, "info")], {}, path=LAST,
               interface=FILESYSTEM)
    first = polkit.wait_questions(1)[0]
    assert client.get("Thresholds", LAST)[0][0] == "low"
    polkit.answer(first, YES)
    user.finish()
    assert [t[0] for t in client.get("Thresholds", LAST)] == ["mine"]

    user.begin("SetEvents", "asa{sv}", [], {}, path=LAST, interface=FILESYSTEM)
    second = polkit.wait_questions(2)[1]
    one.do("remove")
    polkit.answer(second, YES)
    assert refused(user.finish)[0] == UNKNOWN
    # Arguments are looked at by then, and not before.
    user.begin("SetEvents", "asa{sv}", ["nonsense"], {}, path=FIRST, interface=FILESYSTEM)
    third = polkit.wait_questions(3)[2]
    polkit.answer(third, YES)
    assert refused(user.finish)[0] == INVALID


def test_a_caller_that_leaves_is_asked_for_no_longer(layer, polkit, raw_user, client):
    one = layer()
    polkit.otherwise = HANG
    leaving, staying = raw_user(USER), raw_user(USER)
    serials = [send_configure(raw) for raw in (leaving, leaving, staying, staying)]
    questions = polkit.wait_questions(4)
    left = [q for q in questions if q.caller == leaving.name]
    stays = [q for q in questions if q.caller == staying.name]
    assert len(left) == len(stays) == 2
    leaving.close()
    wait_for(lambda: len(polkit.cancelled) == 2, what="the end of two questions")
    assert sorted(polkit.cancelled) == sorted(q.id for q in left)
    # Too late for these; what the other asked for is still open.
    for question in questions:
        polkit.answer(question, YES)
    assert [error_of(staying.wait_reply(serial)) for serial in serials[2:]] == [None, None]
    client.ping()
    assert one.stats()["asked"] == 4
    # Its room is given back.
    again = raw_user(USER)
    for _ in range(4):
        send_configure(again)
    polkit.wait_questions(8)


def test_a_person_may_take_long_but_not_for_ever(layer, polkit, as_user):
    """The fixture has less patience than the daemon."""
    layer()
    polkit.otherwise = HANG
    start = time.monotonic()
    name, text = refused(as_user(USER).call, *CONFIGURE, interactive=True)
    print(f"given up after {time.monotonic() - start:.1f} s")
    assert name == DENIED and "in time" in text
    wait_for(lambda: polkit.cancelled == [polkit.questions[0].id], what="the question to be cancelled")


def test_the_bus_is_lost_while_somebody_is_asked(layer, polkit, bus, raw_user):
    one = layer()
    polkit.otherwise = HANG
    raw = raw_user(USER)
    send_configure(raw)
    raw.send("TrackProcess", interface=MANAGER, signature="ua{sv}", body=struct.pack("=II", os.getpid(), 0))
    polkit.wait_questions(2)
    bus.stop()
    assert one.turn() == "lost"
    assert "processes groups=0 targets=0 relays=0" in one.do("processes")
    bus.start()
    assert one.turn() == "connected"


def test_an_agent_that_hangs(daemon, polkit, raw_user, lateness, client, as_user):
    """1,000 calls of 10 users: 4 questions for each, 32 in all; whoever asks for nothing is served."""
    running = daemon()
    # The agent, not polkit: what needs no person is answered.
    polkit.says = lambda question: HANG if question.interactive else CHALLENGE
    reader = as_user(OTHER)
    # A dbus-daemon takes only users that there are; these are in each Debian.
    users, calls = range(1, 11), 100
    raws = {uid: raw_user(uid) for uid in users}
    refused_at_once, slowest = 0, 0.0
    with lateness(running) as late:
        for n, uid in enumerate(users):
            raw, n_open = raws[uid], 4 if n < 8 else 0
            for _ in range(calls):
                send_configure(raw)
            for _ in range(calls - n_open):
                assert error_of(raw.read_reply()) == LIMITS
                refused_at_once += 1
            start = time.monotonic()
            assert all(reader.history()[3]["more"] is False for _ in range(10)) and reader.get("Version")
            slowest = max(slowest, time.monotonic() - start)
        polkit.wait_questions(32)
    late.check()
    print(f"{refused_at_once} of {len(users) * calls} refused at once; another user waited {slowest * 1000:.0f} ms")
    asked = [q for q in polkit.questions if q.action == "configure"]
    assert {uid: len([q for q in asked if q.uid == uid]) for uid in users} == {
        uid: 4 if n < 8 else 0 for n, uid in enumerate(users)}
    statistics = client.get("Statistics")
    assert statistics["calls-denied"] == refused_at_once == 968
    assert statistics["authorizations-asked"] == 32 + len([q for q in polkit.questions if q.uid == OTHER])
    assert not {"calls-denied", "authorizations-asked"} & set(reader.get("Statistics"))
    # Those that wait are answered when their turn comes.
    for question in asked:
        polkit.answer(question, NO)
    for uid in users[:8]:
        assert [error_of(raws[uid].read_reply()) for _ in range(4)] == [DENIED] * 4


def test_all_who_ask_may_leave(layer, polkit, raw_user, client):
    """Asking and leaving again and again holds nothing, and keeps nobody from being served."""
    one = layer()
    polkit.otherwise = HANG
    for _ in range(50):
        raw = raw_user(USER)
        send_configure(raw)
        polkit.wait_questions(1)
        polkit.questions.clear()
        raw.close()
    wait_for(lambda: len(polkit.cancelled) == 50, what="the questions to be cancelled")
    client.ping()
    assert one.stats()["asked"] == 50


@pytest.mark.buses("dbus-broker")
@pytest.mark.parametrize("verb, action", [
    (("reload",), "configure"),
    (("configure", "/ G"), "configure"),
    (("test", "/mnt/fake1", "enospc"), "test"),
    (("track", "1"), "track-others"),
    (("relay", "1", "40"), "relay"),
], ids=lambda value: value[0] if isinstance(value, tuple) else value)
def test_fseventsctl_lets_a_person_be_asked(layer, polkit, ctl, verb, action):
    """And says which permission it was that could not be had."""
    layer()
    polkit.otherwise = NO
    done = ctl(*verb, uid=USER, check=False)
    assert done.returncode == 1 and f"org.fsevents1.{action}" in done.stderr, done.stderr
    assert polkit.asked() == [(action, USER, True)]


@pytest.mark.buses("dbus-broker")
def test_fseventsctl_asks_for_nothing_to_read(layer, polkit, ctl):
    layer()
    polkit.otherwise = CHALLENGE
    for verb in (("status",), ("list",), ("history",), ("relay", "--list")):
        ctl(*verb, uid=USER)
    assert {question.brief() for question in polkit.questions} <= {("read-details", USER, False)}
