# SPDX-License-Identifier: GPL-2.0-or-later
"""
The bus layer alone, with a manager of cardboard (tests/io/bus-fixture.c): what
strangers on the bus may do to it.
"""

import os
import signal
import struct
import subprocess
import time

import pytest

import buses
import service
from client import BusError, Client, FILESYSTEM, OBJECT_MANAGER
from rawbus import ERROR, METHOD_RETURN, RawClient
from waiting import PATIENCE, check_took, pause, wait_for

MANAGER = "org.fsevents1.Manager"
FIRST = "/org/fsevents1/filesystem/7_0_1"
STALLED = "/org/fsevents1/filesystem/7_1_2"
NOBODY = 65534
NAME_TAKEN = 69

# What a call may take while others misbehave; where that held it up, it would be many seconds.
CALL_AIM = 0.1
# Under sanitizers memory is not what it is without.
ROOM = 400 << 10 if service.SANITIZED else 16 << 10

# A client of its own process and user that calls and never reads.
NEVER_READS = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
uid, member, n_connections, n_calls = int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), int(sys.argv[6])
if uid:
    os.setgroups([]), os.setgid(uid), os.setuid(uid)
import rawbus
calls = {
    "GetManagedObjects": dict(interface="org.freedesktop.DBus.ObjectManager"),
    "Introspect": dict(interface="org.freedesktop.DBus.Introspectable"),
    "GetEvents": dict(interface="org.fsevents1.Manager", signature="ta{sv}", body=bytes(16)),
    "Nonsense": dict(interface="x.y"),
    "Wasted": dict(interface="org.freedesktop.DBus.ObjectManager", flags=1),
}
clients = [rawbus.RawClient(sys.argv[2]) for _ in range(n_connections)]
print("connected", flush=True)
for _ in range(n_calls):
    for client in clients:
        try:
            client.send("GetManagedObjects" if member == "Wasted" else member, **calls[member])
        except OSError:
            pass
print("sent", flush=True)
time.sleep(60)
"""


@pytest.fixture
def never_reads(bus):
    """never_reads(uid, member, connections=4, calls=120): returns once all was sent"""
    made = []

    def make(uid, member, connections=4, calls=120):
        process = subprocess.Popen(
            ["/usr/bin/python3", "-B", "-c", NEVER_READS, os.path.dirname(__file__), bus.address,
             str(uid), member, str(connections), str(calls)], stdout=subprocess.PIPE, text=True)
        made.append(process)
        assert process.stdout.readline() == "connected\n"
        assert process.stdout.readline() == "sent\n"
        return process

    yield make
    for process in made:
        process.kill()
        process.wait()


def text(value):
    """A string as the body of a message."""
    return struct.pack("=I", len(value)) + value.encode() + b"\0"


def latencies(address, n=300):
    """Seconds for each GetFilesystem, in order of size."""
    raw = RawClient(address)
    took = []
    for _ in range(n):
        start = time.monotonic()
        kind, _ = raw.wait_reply(raw.send("GetFilesystem", interface=MANAGER, signature="s",
                                          body=text("/mnt/fake1")))
        took.append(time.monotonic() - start)
        assert kind == METHOD_RETURN
    raw.close()
    return sorted(took)


@pytest.mark.parametrize("uid", [0, NOBODY])
@pytest.mark.parametrize("member", ["GetManagedObjects", "GetEvents", "Introspect", "Nonsense"])
def test_unread_replies_disturb_nobody(bus, layer, never_reads, uid, member):
    one = layer()
    one.do("grow 500")
    one.do("signal 300 2000")
    never_reads(uid, member)
    took = latencies(bus.address)
    check_took("a call, all but one in a hundred", took[int(len(took) * 0.99)], CALL_AIM)
    assert one.stats()["reconnects"] == 0
    assert one.rss() < ROOM


def test_refusal_says_why_and_ends_with_the_proof(bus, layer):
    one = layer()
    one.do("grow 1000")
    raw = RawClient(bus.address)
    objects = {"interface": OBJECT_MANAGER}

    for _ in range(30):
        kind, answer = raw.wait_reply(raw.send("GetManagedObjects", **objects))
        if kind == ERROR:
            break
    assert kind == ERROR and b"LimitsExceeded" in answer and b"Peer.Ping" in answer
    assert one.stats()["refused"] >= 1
    raw.close()

    # GLib answers pings by itself as soon as its loop runs.
    client = Client(bus.address)
    for _ in range(5):
        wait_for(lambda: answered(client), what="an answer after the ping")
    client.close()


def answered(client):
    try:
        return len(client.objects()) == 1000
    except BusError as error:
        assert error.name == "org.freedesktop.DBus.Error.LimitsExceeded"
        return False


def test_calls_before_the_caller_is_known_are_all_answered(bus, layer):
    layer()
    raw = RawClient(bus.address)
    serials = [raw.send("Ping", interface="org.freedesktop.DBus.Peer") for _ in range(100)]
    for serial in serials:
        assert raw.wait_reply(serial)[0] == METHOD_RETURN
    raw.close()


def test_work_without_an_answer_is_not_done_for_users(bus, layer, never_reads):
    one = layer()
    one.do("grow 500")
    never_reads(NOBODY, "Wasted", connections=1, calls=2000)
    check_took("the slowest call", latencies(bus.address)[-1], CALL_AIM)


def test_large_message_is_refused_and_the_next_is_not(bus, layer):
    layer()
    raw = RawClient(bus.address)
    raw.ping()
    kind, answer = raw.wait_reply(raw.send("GetFilesystem", interface=MANAGER, signature="s",
                                           body=text("x" * (1 << 20))))
    assert kind == ERROR and b"LimitsExceeded" in answer and b"256 KiB" in answer
    assert raw.ping()[0] == METHOD_RETURN
    raw.close()


def test_descriptors_of_any_kind_on_any_call(bus, layer):
    one = layer()
    raw = RawClient(bus.address)
    reader, writer = os.pipe()
    for _ in range(20):
        kind, _ = raw.wait_reply(raw.send("Ping", interface="org.freedesktop.DBus.Peer",
                                          fds=[writer, writer]))
        assert kind == METHOD_RETURN
    os.close(writer)
    # All of the daemon's are closed: the pipe has no writer left.
    wait_for(lambda: os.read(reader, 1) == b"", what="the end of the pipe")
    os.close(reader)
    assert one.stats()["descriptors"] == 40
    raw.close()


def test_filesystem_by_descriptor(bus, layer, client):
    fd = os.open("/", os.O_PATH)
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        mnt_id = [line.split()[1] for line in file if line.startswith("mnt_id:")][0]
    layer(FIXTURE_MOUNT_ID=mnt_id)

    found, _ = client.call_with_fds("GetFilesystemByFd", "ha{sv}", 0, {}, fds=[fd])
    assert found == FIRST
    os.close(fd)

    with open("/etc/passwd", "rb") as file:
        with pytest.raises(BusError) as raised:
            client.call_with_fds("GetFilesystemByFd", "ha{sv}", 0, {}, fds=[file.fileno()])
    assert raised.value.name == "org.freedesktop.DBus.Error.NotSupported"
    assert "O_PATH" in raised.value.message


def test_bus_goes_away_and_comes_back(bus, layer):
    one = layer()
    before = Client(bus.address)
    before.call_with_fds("OpenEvents", "ta{sv}", 0, {})
    bus.stop()
    assert one.turn() == "lost"
    assert one.do("signal 10 100") == []
    bus.start()
    assert one.turn() == "connected"
    client = Client(bus.address)
    assert len(client.objects()) == 3
    assert client.get("LastEvent", FIRST)[0] == 0
    client.close()
    stats = one.stats()
    assert stats["reconnects"] >= 1
    # Its name is somebody else's on the new bus.
    assert stats["gone"] == 1
    before.close()


def test_bus_that_is_not_there_yet_is_waited_for(bus, layer):
    bus.stop()
    one = layer(connected=False)
    bus.start()
    assert one.turn() == "connected"


def test_taken_name_is_fatal_and_says_so(bus, layer):
    layer()
    second = layer(connected=False)
    assert second.process.wait(PATIENCE) == NAME_TAKEN
    assert "another process owns it" in second.process.stderr.read()


def test_name_of_a_dying_predecessor_is_waited_for(bus, layer):
    first = layer()
    second = layer(connected=False)
    pause(0.1)
    first.process.kill()
    assert second.turn() == "connected"


@pytest.mark.parametrize("address", ["tcp:host=localhost,port=1", "nonsense", "unix:runtime=yes"])
@pytest.mark.buses("dbus-daemon")
def test_unusable_address_is_fatal(bus, layer, address):
    one = layer(address, connected=False)
    assert one.process.wait(PATIENCE) == 1
    assert "cannot be used" in one.process.stderr.read()


def test_alternatives_of_an_address_are_tried(bus, layer):
    layer("unix:path=/nowhere;tcp:host=x;unix:path=/none,guid=00;"
          + bus.address.replace("bus", "b%75s"))


def test_changes_are_gathered(bus, layer, client):
    one = layer()
    client.objects()
    start = time.monotonic()
    for _ in range(30):
        one.do("change 100")
        pause(0.01)
    took = time.monotonic() - start

    def seen():
        return [s for s in client.signals if s.member == "PropertiesChanged"]

    # The last ones come when the time between two of them is over.
    wait_for(lambda: len(seen()) >= 2, what="the first change and the rest of them")
    pause(0.3)
    print(f"{len(seen())} signals of 3000 changes in {took:.2f} s, at",
          [round(s.time - start, 3) for s in seen()])
    assert len(seen()) <= took / 0.1 + 3
    interface, changed, invalidated = seen()[0].args
    assert (interface, invalidated) == (FILESYSTEM, [])
    assert sorted(changed) == ["Crossed", "State"]


def test_changes_do_not_exceed_their_share_of_the_bus(bus, layer, client):
    """A subscriber that never reads must not be able to stop the others by them."""
    one = layer()
    one.do("grow 300")
    client.objects()
    for _ in range(3):
        for _ in range(200):
            one.do("add")
            one.do("remove")
    one.do("change 1")
    pause(0.5)
    assert not [s for s in client.signals if s.member == "PropertiesChanged"]
    assert client.get("State", FIRST) == "ok"


def test_objects_come_and_go(bus, layer, client):
    one = layer()
    client.objects()
    one.do("add")
    path = "/org/fsevents1/filesystem/7_3_4"
    added = client.wait_signal("InterfacesAdded", "/org/fsevents1")
    assert added.args[0] == path
    assert added.args[1][FILESYSTEM]["Generation"] == 43
    assert client.get("Generation", path) == 43
    one.do("remove")
    removed = client.wait_signal("InterfacesRemoved", "/org/fsevents1")
    assert removed.args == (path, [FILESYSTEM])
    for call in (lambda: client.get("Generation", path), lambda: client.usage(path),
                 lambda: client.get_all(path)):
        with pytest.raises(BusError) as raised:
            call()
        assert raised.value.name == "org.freedesktop.DBus.Error.UnknownObject"
        assert "unmounted" in raised.value.message


@pytest.mark.buses("dbus-daemon")
def test_bus_that_takes_nothing_is_left_for_a_new_connection(bus, layer):
    """As a dbus-daemon whose memory for our messages is used up by who never reads."""
    one = layer()
    os.kill(bus.process.pid, signal.SIGSTOP)
    try:
        for _ in range(20):
            one.do("signal 200 4000")
        assert one.stats()["skipped"] > 0
        assert one.rss() < ROOM
        assert one.turn() == "lost"
    finally:
        os.kill(bus.process.pid, signal.SIGCONT)
    assert one.turn() == "connected"


@pytest.mark.buses("dbus-daemon")
def test_subscriber_that_never_reads_stops_nobody_for_long(scratch, layer):
    """dbus-daemon stops to read who has sent too much that others did not read."""
    directory = os.path.join(scratch, "small.d")
    os.mkdir(directory, 0o755)
    policy = os.path.join(directory, "policy.conf")
    project = os.path.join(service.SOURCE, "dbus", "org.fsevents1.conf")
    with open(policy, "w", encoding="utf-8") as file:
        file.write('<busconfig><limit name="max_incoming_bytes">3000000</limit>'
                   f"<include>{project}</include></busconfig>")
    small = buses.Bus("dbus-daemon", directory, policy).start()
    try:
        one = layer(small.address)
        stuck = RawClient(small.address)
        kind, _ = stuck.wait_reply(stuck.send(
            "AddMatch", path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
            destination="org.freedesktop.DBus", signature="s", body=text("type='signal'")))
        assert kind == METHOD_RETURN
        holder = Client(small.address, subscribe=False)
        holder.call_with_fds("OpenEvents", "ta{sv}", 0, {})
        # Until the bus has read as much as it wants to, which a fast one does at once.
        wait_for(lambda: one.do("signal 100 4000") or not one.turns.empty(), what="giving up", interval=0.05)
        assert one.turn() == "lost"
        assert one.turn() == "connected"
        assert one.stats()["skipped"] > 0
        client = Client(small.address)
        assert len(client.objects()) == 3
        one.do("signal 1 10")
        client.wait_event("corrupted")
        client.close()

        # It was on the bus all the time: its stream was not taken away.
        assert one.stats()["gone"] == 0
        holder.close()
        wait_for(lambda: one.stats()["gone"] == 1, what="word that it left")
        stuck.close()
    finally:
        small.stop()


def test_stop_takes_no_time_while_the_bus_is_stopped(bus, layer):
    one = layer()
    pids = bus.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        one.do("signal 100 4000")
        start = time.monotonic()
        one.stop()
        check_took("the end", time.monotonic() - start, 0.5)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_owner_is_told_gone_once(bus, layer):
    one = layer()
    client = Client(bus.address)
    _, fds = client.call_with_fds("OpenEvents", "ta{sv}", 0, {})
    assert os.read(fds[0], 100) == b"stream"
    assert os.read(fds[0], 100) == b""
    os.close(fds[0])
    other = Client(bus.address)
    other.objects()
    other.close()
    client.close()
    wait_for(lambda: one.stats()["gone"] == 1, what="word that it left")


def test_question_that_is_refused_later(bus, layer, client):
    layer()
    with pytest.raises(BusError) as raised:
        client.usage(STALLED)
    assert raised.value.name == "org.fsevents1.Error.Stalled"


def test_many_callers_come_and_go(bus, layer):
    one = layer()
    for _ in range(3):
        some = [RawClient(bus.address) for _ in range(150)]
        for raw in some:
            assert raw.ping()[0] == METHOD_RETURN
        for raw in some:
            raw.close()
    assert one.stats()["reconnects"] == 0
    assert one.rss() < ROOM
