# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes on the bus, with a manager of cardboard: who may ask for what, and who sees what."""

import os
import signal
import subprocess
import time

import pytest

from client import BusError, Client, MANAGER, PROPERTIES, ROOT, variant
from rawbus import RawClient, SIGNAL
from waiting import PATIENCE, wait_for

GROUP = "org.fsevents1.ProcessGroup"
NOBODY = 65534
OTHER = 2
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
UNKNOWN = "org.freedesktop.DBus.Error.UnknownObject"
INVALID = "org.freedesktop.DBus.Error.InvalidArgs"


def refused(call, *args, **kwargs):
    with pytest.raises(BusError) as raised:
        call(*args, **kwargs)
    return raised.value.name, raised.value.message


def absent_pid():
    child = subprocess.Popen(["true"])
    child.wait(PATIENCE)
    return child.pid


def processes(one):
    line = [line for line in one.do("processes") if line.startswith("processes ")][0]
    return {key: int(value) for key, _, value in (pair.partition("=") for pair in line.split()[1:])}


def test_track_with_options(layer, client):
    one = layer()
    path = client.call("TrackProcess", "ua{sv}", os.getpid(),
                       {"events": variant("as", ["fork", "exit"]), "hold": variant("b", True)})
    assert path == "/org/fsevents1/group/1"
    assert f"track {os.getpid()} events=10 accounting=0 hold=1 all=1 uid=0" in one.do("processes")[0]
    assert client.get_all(path, GROUP) == {
        "Leader": 101, "Live": 2, "Forks": 3, "Execs": 4, "Exits": 5, "UserUsec": 6,
        "SystemUsec": 7, "ReadBytes": 8, "WriteBytes": 1 << 33, "PeakRss": 10, "Lost": 11,
        "Incomplete": True}
    next_seq, members = client.call("ListMembers", "a{sv}", {}, path=path, interface=GROUP)
    assert next_seq == 7 and members == [(pid, 2 * pid) for pid in range(1, 1001)]
    client.call("Start", path=path, interface=GROUP)
    name, _ = refused(client.call, "OpenStream", "a{sv}", {}, path=path, interface=GROUP)
    assert name == "org.fsevents1.Error.StreamOpen"
    assert processes(one) == {"groups": 1, "targets": 0, "relays": 0}

    client.call("Release", path=path, interface=GROUP)
    assert processes(one)["groups"] == 0
    assert refused(client.call, "Release", path=path, interface=GROUP)[0] == UNKNOWN


@pytest.mark.parametrize("options, word", [
    ({"events": variant("as", ["spawn"])}, "spawn"),
    ({"events": variant("s", "fork")}, "events"),
    ({"hold": variant("u", 1)}, "hold"),
    ({"latency": variant("t", 1)}, "latency"),
])
@pytest.mark.buses("dbus-daemon")
def test_bad_options(layer, client, options, word):
    one = layer()
    name, text = refused(client.call, "TrackProcess", "ua{sv}", os.getpid(), options)
    assert name == INVALID and word in text
    assert processes(one) == {"groups": 0, "targets": 0, "relays": 0}


def test_pidfd(layer, client):
    one = layer()
    child = subprocess.Popen(["sleep", "1000"])
    pidfd = os.pidfd_open(child.pid)
    client.call_with_fds("TrackPidfd", "ha{sv}", 0, {}, fds=[pidfd])
    assert f"track {child.pid} " in one.do("processes")[0]
    child.kill()
    child.wait(PATIENCE)
    name, text = refused(client.call_with_fds, "TrackPidfd", "ha{sv}", 0, {}, fds=[pidfd])
    assert name == INVALID and "has ended" in text
    os.close(pidfd)

    reader, writer = os.pipe()
    path_fd = os.open("/proc", os.O_PATH)
    for fd in (reader, path_fd):
        name, text = refused(client.call_with_fds, "TrackPidfd", "ha{sv}", 0, {}, fds=[fd])
        assert name == INVALID and "pidfd_open" in text
    for fd in (reader, writer, path_fd):
        os.close(fd)
    # Only the pipe is none that the daemon takes.
    assert one.stats()["descriptors"] == 1
    assert processes(one) == {"groups": 1, "targets": 0, "relays": 0}


def test_group_is_seen_by_its_owner_alone(layer, client, as_user):
    """Others, root too, get the same for it as for one that does not exist."""
    layer()
    user = as_user(NOBODY)
    path = user.call("TrackProcess", "ua{sv}", user.process.pid, {})
    assert user.get("Leader", path, GROUP) == 101
    none = path[:-1] + "9"
    for stranger in (client, as_user(NOBODY), as_user(OTHER)):
        for member, signature, arguments in (
                ("Start", None, ()), ("Release", None, ()), ("ListMembers", "a{sv}", ({},)),
                ("OpenStream", "a{sv}", ({},))):
            answers = [refused(stranger.call, member, signature, *arguments, path=asked,
                               interface=GROUP) for asked in (path, none)]
            assert answers[0][0] == UNKNOWN
            assert answers[0][1].replace(path, none) == answers[1][1]
        answers = [refused(stranger.call, "GetAll", "s", GROUP, path=asked, interface=PROPERTIES)
                   for asked in (path, none)]
        assert answers[0][0] == UNKNOWN and answers[0][1].replace(path, none) == answers[1][1]
        tree = stranger.call("Introspect", path="/org/fsevents1/group",
                             interface="org.freedesktop.DBus.Introspectable")
        assert "ProcessGroup" not in tree and "node name" not in tree
    assert path not in user.objects()
    assert user.get("Live", path, GROUP) == 2


def test_others_processes_and_none_are_refused_alike(layer, as_user):
    one = layer()
    user = as_user(NOBODY)
    pids = [os.getpid(), absent_pid(), 0, 1, 2 ** 32 - 1]
    for member, signature, rest in (("TrackProcess", "ua{sv}", ({},)),
                                    ("RelayForks", "uia{sv}", (38, {}))):
        answers = {refused(user.call, member, signature, pid, *rest) for pid in pids}
        assert len(answers) == 1 and answers.pop()[0] == DENIED
    assert processes(one) == {"groups": 0, "targets": 0, "relays": 0}
    assert one.stats()["denied"] == 2 * len(pids)


def test_root_is_told_that_there_is_none(layer, client):
    layer()
    assert refused(client.call, "TrackProcess", "ua{sv}", absent_pid(), {})[0] == INVALID


def test_signals_go_to_the_owner_alone(layer, client, as_user):
    one = layer()
    user = as_user(NOBODY)
    path = user.call("TrackProcess", "ua{sv}", user.process.pid, {})
    assert one.do("changed 1 3") + one.do("lost 1 4") + one.do("empty 1") == [
        f"track {user.process.pid} events=0 accounting=0 hold=0 all=0 uid={NOBODY}"]
    user.wait_signal("Empty", path)
    changed, lost, empty = user.all_signals()
    assert changed.args == (40, [(1, 10, 11, 12, -1, b""), (2, 10, 11, 12, -1, b"/bin/\xff"),
                                 (3, 10, 11, 12, -1, b"")])
    assert lost.args == (4,)
    assert empty.args == ({
        "leader": 101, "forks": 3, "execs": 4, "exits": 5, "lost": 11, "incomplete": True,
        "user-usec": 6, "system-usec": 7, "read-bytes": 8, "write-bytes": 1 << 33,
        "peak-rss": 10},)
    client.ping()
    assert client.signals == []
    # Nobody has that one.
    assert one.do("changed 2 1") == ["again"]


def test_owner_that_leaves_has_no_groups(layer, bus):
    one = layer()
    clients = [Client(bus.address) for _ in range(2)]
    for client in clients:
        for _ in range(3):
            client.call("TrackProcess", "ua{sv}", os.getpid(), {})
    clients[0].close()
    wait_for(lambda: processes(one)["groups"] == 3, what="the end of its groups")
    assert clients[1].get("Live", "/org/fsevents1/group/6", GROUP) == 2
    clients[1].close()
    wait_for(lambda: processes(one)["groups"] == 0, what="the end of the others")


def test_owner_that_leaves_before_its_group_is_there(layer, bus):
    one = layer()
    raw = RawClient(bus.address)
    one.do("later")
    raw.send("TrackProcess", interface=MANAGER, signature="ua{sv}",
             body=os.getpid().to_bytes(4, "little") + bytes(4))
    wait_for(lambda: any("track " in line for line in one.do("processes")), what="the call")
    raw.close()
    # It is told of who leaves in the same order as of who comes.
    last = Client(bus.address)
    last.ping()
    last.close()
    one.do("now")
    assert processes(one)["groups"] == 0


def test_groups_outlive_a_reconnection(layer, bus):
    """Where the bus has stopped to read us, it is still the same bus."""
    one = layer()
    client = Client(bus.address)
    path = client.call("TrackProcess", "ua{sv}", os.getpid(), {})
    pids = bus.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + PATIENCE
        while one.turns.empty() and time.monotonic() < deadline:
            one.do("signal 200 4000")
        assert one.turn() == "lost"
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert one.turn() == "connected"
    assert client.get("Live", path, GROUP) == 2
    wait_for(lambda: one.do("changed 1 1") == [], what="a signal to it")
    client.wait_signal("Changed", path)
    assert processes(one)["groups"] == 1
    client.close()
    wait_for(lambda: processes(one)["groups"] == 0, what="the end of its group")


def test_owner_that_never_reads_is_sent_little(layer, bus):
    one = layer()
    raw = RawClient(bus.address, receive_buffer=4096)
    raw.wait_reply(raw.send("TrackProcess", interface=MANAGER, signature="ua{sv}",
                            body=os.getpid().to_bytes(4, "little") + bytes(4)))
    sent = 0
    for sent in range(1000):
        if "again" in one.do("changed 1 100"):
            break
    print(f"{sent} signals of 100 events")
    assert 5 < sent < 40
    assert one.do("lost 1 1") == one.do("empty 1") == ["again"]

    # It reads: what proves that is the answer to the ping among the signals.
    n_signals, answered = 0, False
    while not answered:
        kind, _, message = raw.read()
        n_signals += kind == SIGNAL
        if kind == 1 and b"Ping" in message:
            serial = int.from_bytes(message[8:12], "little")
            sender = message.partition(b"\x07\x01s\0")[2][4:].partition(b"\0")[0].decode()
            raw.socket.sendall(pong(serial, sender))
            answered = True
    wait_for(lambda: one.do("lost 1 1") == [], what="room for more")
    raw.close()


def pong(serial, destination):
    """METHOD_RETURN by hand."""
    name = destination.encode() + b"\0"
    fields = b"\x05\x01u\0" + serial.to_bytes(4, "little")
    fields += b"\x06\x01s\0" + (len(name) - 1).to_bytes(4, "little") + name
    head = b"l\x02\x01\x01" + bytes(4) + (99999).to_bytes(4, "little")
    whole = head + len(fields).to_bytes(4, "little") + fields
    return whole + bytes(-len(whole) % 8)


def test_relays(layer, client, as_user):
    one = layer()
    user = as_user(NOBODY)
    pid = user.process.pid
    user.call("RelayForks", "uia{sv}", pid, 40, {})
    client.call("RelayForks", "uia{sv}", os.getpid(), 41, {})
    pidfd = os.pidfd_open(pid)
    client.call_with_fds("RelayForksPidfd", "hia{sv}", 0, 42, {}, fds=[pidfd])
    os.close(pidfd)
    assert one.do("processes")[:3] == [f"relay {pid} signal=40 all=0 uid={NOBODY}",
                                       f"relay {os.getpid()} signal=41 all=1 uid=0",
                                       f"relay {pid} signal=42 all=1 uid=0"]
    assert user.call("ListRelays") == [(pid, 40, NOBODY, 1 << 40)]
    assert sorted(client.call("ListRelays")) == sorted([
        (pid, 40, NOBODY, 1 << 40), (os.getpid(), 41, 0, 1 << 40), (pid, 42, 0, 1 << 40)])
    # Another's and none are the same.
    assert refused(user.call, "StopRelay", "u", os.getpid()) == \
        refused(user.call, "StopRelay", "u", absent_pid())
    user.call("StopRelay", "u", pid)
    assert user.call("ListRelays") == []
    for number in (0, -1, 65):
        assert refused(user.call, "RelayForks", "uia{sv}", pid, number, {})[0] == INVALID


def test_warnings(layer, client, as_user):
    one = layer()
    mine, other, silent = as_user(NOBODY), as_user(OTHER), as_user(NOBODY)
    for subscriber in (client, mine, other, mine):
        subscriber.call("SubscribeProcessWarnings", "a{sv}", {})
    one.do(f"warn {NOBODY}")
    one.do(f"warn {2 ** 32 - 1}")
    one.do(f"warn {OTHER}")
    wait_for(lambda: len(client.signals) == 3, what="three warnings for root")
    assert client.signals[0].path == ROOT and client.signals[0].args == (
        5, 6, "exit-signal", "warning", 7, NOBODY,
        {"rule": "crash", "comm": "x", "status": 11, "suppressed": 3})
    for user, uid in ((mine, NOBODY), (other, OTHER)):
        user.wait_signal("ProcessWarning")
        user.ping()
        assert [s.args[5] for s in user.all_signals()] == [uid]
    silent.ping()
    assert silent.all_signals() == []


@pytest.mark.buses("dbus-daemon")
def test_subscribers_of_one_user_are_few(layer, as_user):
    layer()
    users = [as_user(NOBODY) for _ in range(9)]
    for user in users[:8]:
        user.call("SubscribeProcessWarnings", "a{sv}", {})
    assert refused(users[8].call, "SubscribeProcessWarnings", "a{sv}", {})[0] == \
        "org.freedesktop.DBus.Error.LimitsExceeded"
    users.pop(0).close()
    wait_for(lambda: subscribed(users[-1]), what="room for another")


def subscribed(user):
    try:
        user.call("SubscribeProcessWarnings", "a{sv}", {})
        return True
    except BusError:
        return False
