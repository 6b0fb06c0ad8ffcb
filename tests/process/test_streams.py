# SPDX-License-Identifier: GPL-2.0-or-later
"""OpenStream of a group, and fseventsctl track with the real daemon."""

import json
import os
import socket
import struct
import subprocess

import pytest

from client import BusError, Client, variant
from waiting import PATIENCE, wait_for

GROUP = "org.fsevents1.ProcessGroup"
EVENT, LOST, EMPTY = 128, 129, 130
FORK, EXEC, EXIT = 1, 2, 3
ALL = {"events": variant("as", ["fork", "exec", "exit"]), "accounting": variant("b", True),
       "hold": variant("b", True)}


def records(stream):
    """Those of the next packet as (kind, fields, rest); none at the end."""
    packet, found, at = stream.recv(65536), [], 0
    while at < len(packet):
        size, n_header, kind = struct.unpack_from("=IHH", packet, at)
        assert size % 8 == 0 and n_header <= size
        header, rest = packet[at + 8:at + n_header], packet[at + n_header:at + size]
        if kind == EVENT:
            seq, when, what, pid, other, status, n_file, _ = struct.unpack("=QQIIIiII", header)
            found.append((kind, (seq, what, pid, other, status), rest[:n_file]))
            assert when > 1_600_000_000_000_000
        else:
            form = {LOST: "=Q", EMPTY: "=9Q2I"}[kind]
            found.append((kind, struct.unpack(form, header), rest))
        at += size
    return found


def until_empty(stream):
    found = []
    while not found or found[-1][0] != EMPTY:
        more = records(stream)
        assert more, f"the end came before the group was empty: {found}"
        found += more
    return found


class Shell:
    """A shell that waits for its commands."""

    def __init__(self):
        self.process = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid

    def run(self, commands):
        self.process.stdin.write(commands.encode() + b"\nexit 3\n")
        self.process.stdin.close()

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE)


@pytest.fixture
def shell():
    one = Shell()
    yield one
    one.close()


def open_stream(client, path):
    _, fds = client.call_with_fds("OpenStream", "a{sv}", {}, path=path, interface=GROUP)
    stream = socket.socket(fileno=fds[0])
    stream.settimeout(PATIENCE)
    return stream


def test_stream_has_all_in_order(processes, client, shell):
    processes()
    path = client.call("TrackProcess", "ua{sv}", shell.pid, ALL)
    shell.run("i=0; while [ $i -lt 300 ]; do (exit 1); i=$((i + 1)); done; (setsid sleep 0.2 &)")
    stream = open_stream(client, path)
    with pytest.raises(BusError) as raised:
        open_stream(client, path)
    assert raised.value.name == "org.fsevents1.Error.StreamOpen"

    found = until_empty(stream)
    events = [fields for kind, fields, _ in found if kind == EVENT]
    assert [fields[0] for fields in events] == list(range(1, len(events) + 1))
    forks = [fields for fields in events if fields[1] == FORK]
    exits = [fields for fields in events if fields[1] == EXIT]
    assert len(exits) == len(forks) + 1
    assert sum(fields[4] == 1 << 8 for fields in exits) == 300
    assert [fields[4] for fields in exits if fields[2] == shell.pid] == [3 << 8]
    assert any(rest.endswith(b"/sleep") for kind, fields, rest in found if kind == EVENT)
    totals = found[-1][1]
    assert totals[0] == len(forks) and totals[2] == len(exits) and totals[3] == 0
    assert totals[9] == shell.pid and totals[10] == 2
    # Nothing of it went to the bus.
    client.ping()
    assert client.signals == []

    client.call("Release", path=path, interface=GROUP)
    assert stream.recv(1) == b""
    stream.close()


def test_stream_is_only_to_be_read(processes, client, shell):
    processes()
    stream = open_stream(client, client.call("TrackProcess", "ua{sv}", shell.pid, ALL))
    with pytest.raises(BrokenPipeError):
        stream.send(b"x")
    stream.close()


def test_stream_that_was_closed_can_be_had_again(processes, client, shell):
    processes()
    path = client.call("TrackProcess", "ua{sv}", shell.pid, ALL)
    open_stream(client, path).close()
    streams = []

    def again():
        try:
            streams.append(open_stream(client, path))
            return True
        except BusError:
            return False
    wait_for(again, what="the end of the first")
    shell.run(":")
    assert until_empty(streams[0])[-1][1][2] == 1
    streams[0].close()


def test_stream_ends_when_its_owner_leaves(processes, bus, shell):
    processes()
    owner = Client(bus.address)
    stream = open_stream(owner, owner.call("TrackProcess", "ua{sv}", shell.pid, ALL))
    owner.close()
    assert stream.recv(1) == b""
    stream.close()


def test_streams_of_one_user_are_few(processes, client, shell):
    processes("[limits]\nstreams = 2\n")
    made, refused = [], None
    for _ in range(3):
        path = client.call("TrackProcess", "ua{sv}", shell.pid, ALL)
        try:
            made.append(open_stream(client, path))
        except BusError as error:
            refused = error.name
    assert len(made) == 2 and refused == "org.freedesktop.DBus.Error.LimitsExceeded"
    for stream in made:
        stream.close()


def test_stream_counts_until_it_is_read(processes, client, shell):
    """Closing the group frees no packet that its client has not read."""
    processes("[limits]\nstreams = 1\n")
    path = client.call("TrackProcess", "ua{sv}", shell.pid, ALL)
    stream = open_stream(client, path)
    shell.run("for i in 1 2 3; do (exit 1); done")
    peek = stream.recv(1, socket.MSG_PEEK)
    assert len(peek) == 1
    client.call("Release", path=path, interface=GROUP)

    other = client.call("TrackProcess", "ua{sv}", os.getpid(), ALL)
    with pytest.raises(BusError) as raised:
        open_stream(client, other)
    assert raised.value.name == "org.freedesktop.DBus.Error.LimitsExceeded"
    n_packets = 0
    while stream.recv(65536):
        n_packets += 1
    assert n_packets > 0
    again = []

    def opened():
        try:
            again.append(open_stream(client, other))
        except BusError:
            return False
        return True
    wait_for(opened, what="the place of the first stream")
    again[0].close()
    stream.close()


def test_reader_that_never_reads_is_told_of_its_loss(processes, client, shell):
    """What its queue has no room for is counted, in its place, and the rest comes."""
    processes("[limits]\nqueue-bytes = 64K\n")
    path = client.call("TrackProcess", "ua{sv}", shell.pid, ALL)
    stream = open_stream(client, path)
    n = 5000
    shell.run(f"i=0; while [ $i -lt {n} ]; do (exit 1); i=$((i + 1)); done")
    wait_for(lambda: client.get("Live", path, GROUP) == 0, what="the end of the processes")
    found = until_empty(stream)
    lost = sum(fields[0] for kind, fields, _ in found if kind == LOST)
    events = [fields for kind, fields, _ in found if kind == EVENT]
    print(f"{len(events)} events, {lost} lost")
    assert lost > 0 and len(events) + lost == 2 * n + 1
    # A gap in the numbers is exactly what was said to be lost there.
    last, gap = 0, 0
    for kind, fields, _ in found:
        if kind == LOST:
            gap += fields[0]
        elif kind == EVENT:
            assert fields[0] == last + gap + 1
            last, gap = fields[0], 0
    assert found[-1][1][0] == n
    stream.close()


def test_command_from_its_first_instruction(processes, ctl):
    processes()
    done = ctl("--json", "track", "--", "sh", "-c",
               "(setsid sh -c 'head -c 20000000 /dev/zero | sha256sum' &); exit 5", check=False)
    assert done.returncode == 5
    assert done.stdout.endswith("  -\n")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines[0]["event"] == "member" and lines[1]["event"] == "exec"
    assert lines[1]["pid"] == lines[0]["pid"] and lines[1]["seq"] == "1"
    assert [line["seq"] for line in lines[1:-1]] == [str(n) for n in range(1, len(lines) - 1)]
    left, last = {lines[0]["pid"]}, lines[-1]
    for line in lines[1:-1]:
        assert line["pid"] in left
        if line["event"] == "fork":
            left.add(line["child"])
        elif line["event"] == "exit":
            left.remove(line["pid"])
    assert left == set() and last["event"] == "empty"
    assert int(last["forks"]) == sum(line["event"] == "fork" for line in lines)
    assert int(last["user-usec"]) > 0 and int(last["peak-rss"]) > 0 and last["incomplete"] is False


def test_command_of_an_ordinary_user(processes, ctl):
    processes()
    done = ctl("track", "--", "sh", "-c", "sh -c 'exit 1'; exit 6", check=False, uid=65534)
    assert done.returncode == 6, done.stderr
    assert "exited 1\n" in done.stderr and "processes  " in done.stderr
    assert ctl("track", str(os.getpid()), check=False, uid=65534).returncode == 1
