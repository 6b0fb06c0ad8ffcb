# SPDX-License-Identifier: GPL-2.0-or-later
"""Watches on the bus, with a manager of cardboard: what may be asked for, and who sees what."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import pytest

from client import BusError, Client, MANAGER, PROPERTIES, variant
from polkit import NO
from rawbus import RawClient, SIGNAL
from waiting import PATIENCE, wait_for

WATCH = "org.fsevents1.Watch"
NOBODY = 65534
OTHER = 2
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
UNKNOWN = "org.freedesktop.DBus.Error.UnknownObject"
INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
UNSUPPORTED = "org.freedesktop.DBus.Error.NotSupported"
EVENTS = ["access", "modify", "attrib", "close-write", "open", "create", "delete", "delete-self",
          "move-self", "mount", "unmount", "move"]
HERE = os.path.dirname(os.path.abspath(__file__))


def refused(call, *args, **kwargs):
    with pytest.raises(BusError) as raised:
        call(*args, **kwargs)
    return raised.value.name, raised.value.message


def watches(one):
    line = [line for line in one.do("watches") if line.startswith("watches ")][0]
    return {key: int(value) for key, _, value in (pair.partition("=") for pair in line.split()[1:])}


def asked(one):
    """What the last request was: {"path": ...}"""
    line = [line for line in one.do("watches") if line.startswith("watch ")][-1]
    return dict(pair.split("=", 1) for pair in line.split()[1:])


def watch_path(client, path="/mnt", events=("create",), **options):
    return client.call("WatchPath", "sasa{sv}", path, list(events), options)


def test_by_path(layer, client):
    one = layer()
    path = watch_path(client, "/mnt/a\\040b\\377", ["create", "move", "create"],
                      **{"recursive": variant("b", True), "hold": variant("b", True),
                         "latency-usec": variant("t", 250000)})
    assert path == "/org/fsevents1/watch/1"
    assert one.do("watches")[0].startswith(
        "watch path=/mnt/a\\040b\\377 mask=10100 recursive=1 cross=0 hold=1 latency=250000 uid=0 "
        "groups=")
    assert client.get_all(path, WATCH) == {
        "Path": b"/mnt/\xff", "Events": ["create", "move"], "Recursive": True,
        "Source": "fanotify-filesystem", "Delivered": 1, "Lost": 1 << 40, "Directories": 5, "Unwatched": 1 << 41}
    client.call("Start", path=path, interface=WATCH)
    client.call("SetEvents", "as", EVENTS, path=path, interface=WATCH)
    assert client.get("Events", path, WATCH) == EVENTS
    name, _ = refused(client.call, "OpenStream", "a{sv}", {}, path=path, interface=WATCH)
    assert name == "org.fsevents1.Error.StreamOpen"
    assert watches(one)["n"] == 1

    client.call("Remove", path=path, interface=WATCH)
    assert watches(one)["n"] == 0
    assert refused(client.call, "Remove", path=path, interface=WATCH)[0] == UNKNOWN


@pytest.mark.parametrize("latency, taken", [(0, 1000), (999, 1000), (60000001, 60000000),
                                            (2 ** 64 - 1, 60000000), (None, 50000)])
@pytest.mark.buses("dbus-daemon")
def test_latency_is_bounded(layer, client, latency, taken):
    one = layer()
    options = {} if latency is None else {"latency-usec": variant("t", latency)}
    watch_path(client, **options)
    assert int(asked(one)["latency"]) == taken


@pytest.mark.parametrize("path, word", [
    pytest.param("", "absolute", id="empty"),
    pytest.param("mnt", "absolute", id="relative"),
    pytest.param("/mnt\\8", "octal", id="backslash"),
    pytest.param("/mnt\\000", "octal", id="nul"),
    pytest.param("/" + "x" * 4095, "longer", id="long"),
    pytest.param("/" + "\\170" * 4095, "longer", id="long-escaped"),
    pytest.param("/" + "\\170" * 20000, "longer", id="far-too-long"),
])
@pytest.mark.buses("dbus-daemon")
def test_bad_paths(layer, client, path, word):
    one = layer()
    name, text = refused(watch_path, client, path)
    assert name == INVALID and word in text
    assert watches(one)["n"] == 0


@pytest.mark.buses("dbus-daemon")
def test_longest_path(layer, client):
    one = layer()
    watch_path(client, "/" + "\\170" * 4094)
    assert asked(one)["path"] == "/" + "x" * 4094


@pytest.mark.parametrize("events", [[], ["create", "burn"], ["Create"], ["q-overflow"]])
@pytest.mark.buses("dbus-daemon")
def test_bad_events(layer, client, events):
    one = layer()
    path = watch_path(client)
    answers = [refused(watch_path, client, "/mnt", events),
               refused(client.call, "SetEvents", "as", events, path=path, interface=WATCH)]
    for name, text in answers:
        assert name == INVALID and all(event in text for event in EVENTS)
        assert not events or f'"{events[-1]}"' in text
    assert client.get("Events", path, WATCH) == ["create"]
    assert watches(one)["n"] == 1


@pytest.mark.parametrize("options, word", [
    ({"recursive": variant("u", 1)}, "recursive"),
    ({"latency": variant("t", 1)}, "latency-usec"),
    ({"subvolume": variant("t", 5)}, "subvolume"),
])
@pytest.mark.buses("dbus-daemon")
def test_bad_options(layer, client, options, word):
    one = layer()
    name, text = refused(watch_path, client, **options)
    assert name == INVALID and word in text
    assert watches(one)["n"] == 0


def handle_of(fd):
    """(type, bytes) by name_to_handle_at(2)"""
    class Handle(ctypes.Structure):
        _fields_ = [("n", ctypes.c_uint), ("type", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128)]

    handle, mount_id = Handle(n=128), ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.name_to_handle_at(fd, b"", ctypes.byref(handle), ctypes.byref(mount_id),
                                  0x1000) == 0, os.strerror(ctypes.get_errno())
    return handle.type, bytes(handle.bytes[:handle.n]), mount_id.value


def test_by_descriptor(layer, client, loopfs):
    disk = loopfs("ext4", 16)
    one = layer()
    fd = os.open(disk.where, os.O_PATH)
    kind, handle, mount_id = handle_of(fd)
    path, _ = client.call_with_fds("Watch", "hasa{sv}", 0, ["create"], {}, fds=[fd])
    os.close(fd)
    assert path == "/org/fsevents1/watch/1"
    request, identity = one.do("watches")[:2]
    assert f"handle={len(handle)} mnt={mount_id} mask=100 " in request
    assert identity == f"handle {kind} {handle.hex()}"


def test_other_descriptors_are_refused(layer, client, tmp_path):
    """A regular one by what it is, an O_PATH one of nothing that has a handle likewise."""
    one = layer()
    reader, writer = os.pipe()
    regular = os.open(tmp_path, os.O_RDONLY)
    pidfd = os.pidfd_open(os.getpid())
    for fd in (reader, regular, pidfd):
        name, text = refused(client.call_with_fds, "Watch", "hasa{sv}", 0, ["create"], {}, fds=[fd])
        assert name == INVALID and "O_PATH" in text
    # An inode of procfs cannot be found again.
    name, _ = refused(client.call, "Watch", "hasa{sv}", 0, ["create"], {},
                      opened=f"/proc/self/fd/{reader}")
    assert name == UNSUPPORTED
    for fd in (reader, writer, regular, pidfd):
        os.close(fd)
    assert watches(one)["n"] == 0


def test_by_inode(layer, client, as_user, polkit):
    one = layer()
    args = ("WatchInode", "uutasa{sv}", 8, 1, 2 ** 40, ["modify"])
    client.call(*args, {"subvolume": variant("t", 256)})
    assert one.do("watches")[0].startswith(
        "watch inode=1099511627776 device=8:1 subvolume=256 mask=2 recursive=0")
    assert refused(client.call, "WatchInode", "uutasa{sv}", 8, 1, 0, ["modify"], {})[0] == INVALID

    user = as_user(NOBODY)
    polkit.otherwise = NO
    assert refused(user.call, *args, {})[0] == DENIED
    assert watches(one)["n"] == 1
    polkit.grants.add((NOBODY, "watch-inode"))
    assert user.call(*args, {}) == "/org/fsevents1/watch/2"
    assert asked(one)["uid"] == str(NOBODY)
    # And nobody is asked about what makes no sense.
    assert refused(user.call, "WatchInode", "uutasa{sv}", 8, 1, 1, ["burn"], {})[0] == INVALID
    assert [question.action for question in polkit.questions] == ["watch-inode"] * 2


def test_groups_come_from_the_bus(layer, as_user):
    one = layer()
    watch_path(as_user(NOBODY, gid=77, groups=(9, 5, 77, 1000000)))
    request = asked(one)
    assert request["uid"] == str(NOBODY) and request["groups"] == "5,9,77,1000000"
    watch_path(as_user(OTHER, gid=3))
    assert asked(one)["groups"] == "3"


@pytest.mark.buses("dbus-daemon")
def test_more_groups_than_are_kept(layer, as_user):
    one = layer()
    watch_path(as_user(NOBODY, gid=5, groups=range(3000, 5000)))
    groups = [int(group) for group in asked(one)["groups"].split(",")]
    # One more than count, for whom is asked to see that they are too many.
    assert groups == [5, *range(3000, 4024)]


# A caller by hand, which changes its root directory once it is connected.
CALLER = """
import os, struct, sys
sys.path.insert(0, sys.argv[1])
from rawbus import RawClient
raw = RawClient(sys.argv[2])
os.chroot(sys.argv[3])
string = lambda text: struct.pack("=I", len(text)) + text + b"\\0"
body = string(b"/mnt")
body += bytes(-len(body) % 4) + struct.pack("=I", 11) + string(b"create")
body += bytes(-len(body) % 4) + struct.pack("=I", 0)
body += bytes(-len(body) % 8)
kind, answer = raw.wait_reply(raw.send("WatchPath", interface="org.fsevents1.Manager",
                                       signature="sasa{sv}", body=body))
print(answer)
sys.exit(0 if kind == 2 else 1)
"""


@pytest.mark.parametrize("prefix, root, refusal", [
    ((), "/", None), ((), "/mnt", DENIED), (("unshare", "--mount"), "/", DENIED)])
def test_paths_of_confined_callers_are_refused(layer, bus, prefix, root, refusal):
    """Where a path is another one: in another mount namespace, below another root."""
    one = layer()
    done = subprocess.run([*prefix, sys.executable, "-B", "-c", CALLER, HERE, bus.address, root],
                          check=False, timeout=PATIENCE, capture_output=True, text=True)
    assert done.returncode == (1 if refusal else 0), done.stdout + done.stderr
    if refusal:
        assert refusal in done.stdout and "mount namespace" in done.stdout
    assert one.stats()["denied"] == (1 if refusal else 0)


def test_watch_is_seen_by_its_owner_alone(layer, client, as_user):
    """Others, root too, get the same for it as for one that does not exist."""
    layer()
    user = as_user(NOBODY)
    path = watch_path(user)
    assert user.get("Recursive", path, WATCH)
    none = path[:-1] + "9"
    for stranger in (client, as_user(NOBODY), as_user(OTHER)):
        for member, signature, arguments in (
                ("Start", None, ()), ("Remove", None, ()), ("SetEvents", "as", (["create"],)),
                ("SetEvents", "as", ([],)), ("OpenStream", "a{sv}", ({},))):
            answers = [refused(stranger.call, member, signature, *arguments, path=one,
                               interface=WATCH) for one in (path, none)]
            assert answers[0][0] == UNKNOWN
            assert answers[0][1].replace(path, none) == answers[1][1]
        answers = [refused(stranger.call, "GetAll", "s", WATCH, path=one, interface=PROPERTIES)
                   for one in (path, none)]
        assert answers[0][0] == UNKNOWN and answers[0][1].replace(path, none) == answers[1][1]
        tree = stranger.call("Introspect", path="/org/fsevents1/watch",
                             interface="org.freedesktop.DBus.Introspectable")
        assert WATCH not in tree and "node name" not in tree
    assert path not in user.objects()
    # A number has one form.
    for form in ("01", "+1", "1_", "1/x", "18446744073709551617"):
        with pytest.raises(BusError):
            user.get("Recursive", path[:-1] + form.replace("+", "_"), WATCH)
    assert user.get("Delivered", path, WATCH) == 1


def test_signals_go_to_the_owner_alone(layer, client, as_user):
    one = layer()
    user = as_user(NOBODY)
    path = watch_path(user)
    assert one.do("wchanged 1 2")[1:] + one.do("wlost 1 4") + one.do("wlost 1 0") == []
    wait_for(lambda: len(user.all_signals()) == 3, what="its signals")
    changed, lost, unknown = user.all_signals()
    assert [signal_.path for signal_ in (changed, lost, unknown)] == [path] * 3
    assert changed.member == "Changed" and changed.args == (
        40, [(0x40000100, b"dir/\xff", b"", 10, 11, 1 << 33, 0),
             (0x10000, b"dir/\xff", b"old", 10, 11, 1 << 33, 1)])
    assert lost.member == "Lost" and lost.args == (4, b"a\xff")
    assert unknown.args == (0, b"")
    client.ping()
    assert client.signals == []
    # Nobody has that one.
    assert one.do("wchanged 2 1") == one.do("wlost 2 1") == ["again"]


def test_owner_that_leaves_has_no_watches(layer, bus):
    one = layer()
    clients = [Client(bus.address) for _ in range(2)]
    for client in clients:
        for _ in range(3):
            watch_path(client)
    clients[0].close()
    wait_for(lambda: watches(one)["n"] == 3, what="the end of its watches")
    assert clients[1].get("Delivered", "/org/fsevents1/watch/6", WATCH) == 6
    clients[1].close()
    wait_for(lambda: watches(one)["n"] == 0, what="the end of the others")


def test_owner_that_leaves_before_its_watch_is_there(layer, bus):
    one = layer()
    client = Client(bus.address)
    one.do("wlater")
    client.connection.call("org.fsevents1", "/org/fsevents1", MANAGER, "WatchPath",
                           variant("(sasa{sv})", ("/mnt", ["create"], {})), None, 0, -1, None, None)
    wait_for(lambda: any("watch " in line for line in one.do("watches")), what="the call")
    client.close()
    # It is told of who leaves in the same order as of who comes.
    last = Client(bus.address)
    last.ping()
    last.close()
    one.do("wnow")
    assert watches(one)["n"] == 0


def test_watches_outlive_a_reconnection(layer, bus):
    """Where the bus has stopped to read us, it is still the same bus."""
    one = layer()
    client = Client(bus.address)
    path = watch_path(client)
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
    assert client.get("Delivered", path, WATCH) == 1
    wait_for(lambda: one.do("wchanged 1 1") == [], what="a signal to it")
    client.wait_signal("Changed", path)
    client.close()
    wait_for(lambda: watches(one)["n"] == 0, what="the end of its watch")


def test_owner_that_never_reads_is_sent_little(layer, bus):
    """And who watches is told when it has read."""
    one = layer()
    client = Client(bus.address, subscribe=False)
    watch_path(client)
    client.close()
    wait_for(lambda: watches(one)["n"] == 0, what="the end of its watch")

    raw = RawClient(bus.address, receive_buffer=4096)
    body = b"\x04\0\0\0/mnt\0" + bytes(3) + b"\x0b\0\0\0\x06\0\0\0create\0" + bytes(1)
    body += bytes(4) + bytes(-(len(body) + 4) % 8)
    raw.wait_reply(raw.send("WatchPath", interface=MANAGER, signature="sasa{sv}", body=body))
    sent = 0
    for sent in range(1000):
        if "again" in one.do("wchanged 2 100"):
            break
    print(f"{sent} signals of 100 changes")
    assert 4 < sent < 40
    assert one.do("wlost 2 1") == ["again"]

    n_signals, answered, before = 0, False, watches(one)["room"]
    while not answered:
        kind, _, message = raw.read()
        n_signals += kind == SIGNAL
        if kind == 1 and b"Ping" in message:
            serial = int.from_bytes(message[8:12], "little")
            sender = message.partition(b"\x07\x01s\0")[2][4:].partition(b"\0")[0].decode()
            raw.socket.sendall(pong(serial, sender))
            answered = True
    wait_for(lambda: watches(one)["room"] > before, what="word of the room")
    wait_for(lambda: one.do("wlost 2 1") == [], what="room for more")
    raw.close()


def pong(serial, destination):
    """METHOD_RETURN by hand."""
    name = destination.encode() + b"\0"
    fields = b"\x05\x01u\0" + serial.to_bytes(4, "little")
    fields += b"\x06\x01s\0" + (len(name) - 1).to_bytes(4, "little") + name
    head = b"l\x02\x01\x01" + bytes(4) + (99999).to_bytes(4, "little")
    whole = head + len(fields).to_bytes(4, "little") + fields
    return whole + bytes(-len(whole) % 8)
