#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later OR MIT
"""Print the events of all filesystems as they come, and miss none.

    stream-reader.py [--since ID] [--bus ADDRESS]
    stream-reader.py FD

Without a descriptor it asks org.fsevents1.Manager.OpenEvents() for one, on the
system bus unless told otherwise (this needs python3-gi). A descriptor may be
that of a watch or a process group as well. The format is written down in fsevents_stream.h.
"""

import argparse
import socket
import struct
import sys

PACKET_MAX = 65536
HELLO, EVENT, AMEND, LOST = 1, 2, 3, 4
WATCH, WATCH_LOST = 64, 65
GROUP, GROUP_LOST, GROUP_EMPTY = 128, 129, 130

CODES = (
    "enospc", "enospc-metadata", "enospc-inodes", "threshold-below", "threshold-above",
    "read-only", "read-write", "corrupted", "io-error", "writeback-error", "shutdown",
    "frozen", "thawed", "mounted", "unmounted", "stalled", "responding",
)
SEVERITIES = ("info", "notice", "warning", "critical")


def name(names, number):
    """A word for a number; a later daemon may know more of them."""
    return names[number] if number < len(names) else "unknown"


def printable(data):
    """Bytes for a terminal: file names may hold anything."""
    return "".join(chr(b) if 33 <= b < 127 and b != 92 else "\\%03o" % b for b in data)


def writers(value):
    """Who wrote most: pid, bytes, name."""
    words = []
    while len(value) >= 14:
        pid, count, length = struct.unpack_from("=IQH", value)
        words.append("%d:%d:%s" % (pid, count, printable(value[14:14 + length])))
        value = value[14 + length:]
    return ",".join(words)


def details(data):
    """The words " key=value" of a list of details."""
    words = ""
    while len(data) >= 8:
        kind, _flags, n_key, n_value = struct.unpack_from("=BBHI", data)
        key = data[8:8 + n_key]
        value = data[8 + n_key:8 + n_key + n_value]
        data = data[8 + n_key + n_value:]
        kind = chr(kind)
        if kind in "uti":
            text = str(struct.unpack({"u": "=I", "t": "=Q", "i": "=i"}[kind], value)[0])
        elif kind == "b":
            text = "true" if value[0] else "false"
        elif kind == "w":
            text = writers(value)
        elif kind in "sy":
            text = printable(value)
        else:
            text = "?"
        words += " %s=%s" % (printable(key), text)
    return words


GROUP_EVENTS = ("unknown", "fork", "exec", "exit")
TOTALS = ("forks", "execs", "exits", "lost")
ACCOUNTED = ("user-usec", "system-usec", "read-bytes", "write-bytes", "peak-rss")


def numbers(names, values):
    """The words " name=value"."""
    return "".join(" %s=%d" % pair for pair in zip(names, values))


def show_group(kind, fixed, variable):
    """One record of a process group as a line."""
    if kind == GROUP:
        seq, realtime, event, pid, other, status, n_file = struct.unpack_from("=QQIIIiI", fixed, 8)
        word = GROUP_EVENTS[event] if event < len(GROUP_EVENTS) else "unknown"
        print("process seq=%d event=%s realtime-usec=%d pid=%d %s=%d%s%s" % (
            seq, word, realtime, pid, "child" if word == "fork" else "parent", other,
            " status=%d" % status if word == "exit" else "",
            " file=" + printable(variable[:n_file]) if n_file else ""))
    elif kind == GROUP_LOST:
        print("lost count=%s" % (struct.unpack_from("=Q", fixed, 8)[0] or "unknown"))
    elif kind == GROUP_EMPTY:
        values = struct.unpack_from("=9Q2I", fixed, 8)
        leader, flags = values[9:]
        print("empty leader=%d%s%s%s" % (
            leader, numbers(TOTALS, values), numbers(ACCOUNTED, values[4:]) if flags & 2 else "",
            " incomplete" if flags & 1 else ""))


CHANGES = {
    0x1: "access", 0x2: "modify", 0x4: "attrib", 0x8: "close-write", 0x20: "open", 0x100: "create",
    0x200: "delete", 0x400: "delete-self", 0x800: "move-self", 0x1000: "mount", 0x2000: "unmount",
    0x10000: "move", 0x20000000: "merged", 0x40000000: "directory",
}


def show_watch(kind, fixed, variable):
    """One record of a watch as a line; True where it was one."""
    if kind == WATCH:
        seq, realtime, inode, cookie, mask, pid, n_name, n_former = struct.unpack_from("=QQQQIIHH", fixed, 8)
        words = ",".join(word for bit, word in CHANGES.items() if mask & bit)
        former = variable[n_name:n_name + n_former]
        print("change seq=%d events=%s realtime-usec=%d inode=%d pid=%d%s name=%s%s" % (
            seq, words, realtime, inode, pid, " cookie=%d" % cookie if cookie else "",
            printable(variable[:n_name]), " former=" + printable(former) if former else ""))
    elif kind == WATCH_LOST:
        count, n_under = struct.unpack_from("=QI", fixed, 8)
        print("lost count=%s under=%s" % (count or "unknown", printable(variable[:n_under])))
    return kind in (WATCH, WATCH_LOST)


def show(kind, fixed, variable):
    """One record as a line."""
    if kind == HELLO:
        since, oldest, newest, flags, _, epoch = struct.unpack_from("=QQQII40s", fixed, 8)
        print("hello epoch=%s oldest=%d newest=%d since=%d%s" % (
            printable(epoch.rstrip(b"\0")), oldest, newest, since, " reset" if flags & 1 else ""))
    elif kind == EVENT:
        (ident, realtime, data, code, severity, major, minor, number, pid, flags,
         n_details) = struct.unpack_from("=QQQ8I", fixed, 8)
        print("event id=%d code=%s severity=%s filesystem=%d_%d_%d realtime-usec=%d pid=%d data=%d%s%s" % (
            ident, name(CODES, code), name(SEVERITIES, severity), major, minor, number, realtime, pid,
            data, " test" if flags & 1 else "", details(variable[:n_details])))
    elif kind == AMEND:
        ident, n_details = struct.unpack_from("=QI", fixed, 8)
        print("amend id=%d%s" % (ident, details(variable[:n_details])))
    elif kind == LOST:
        first, last, flags = struct.unpack_from("=QQI", fixed, 8)
        print("lost first=%d last=%d%s" % (
            first, last, " amendments" if flags & 1 else " unknown" if flags & 2 else ""))
    elif not show_watch(kind, fixed, variable):
        show_group(kind, fixed, variable)


def read(stream):
    """All packets until the end."""
    while True:
        packet = stream.recv(PACKET_MAX)
        if not packet:
            break
        while packet:
            size, header_size, kind = struct.unpack_from("=IHH", packet)
            show(kind, packet[:header_size], packet[header_size:size])
            packet = packet[size:]
        sys.stdout.flush()
    print("end")


def open_events(address, since):
    """Ask the daemon for a descriptor."""
    from gi.repository import Gio, GLib  # pylint: disable=import-outside-toplevel

    if address:
        flags = (Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
                 | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
        bus = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
    else:
        bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
    reply, fds = bus.call_with_unix_fd_list_sync(
        "org.fsevents1", "/org/fsevents1", "org.fsevents1.Manager", "OpenEvents",
        GLib.Variant("(ta{sv})", (since, {})), GLib.VariantType("(h)"),
        Gio.DBusCallFlags.NONE, -1, None, None)
    return fds.get(reply.unpack()[0]), bus


def main():
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fd", nargs="?", type=int, metavar="FD")
    parser.add_argument("--since", type=int, default=0, metavar="ID")
    parser.add_argument("--bus", metavar="ADDRESS")
    args = parser.parse_args()

    # The stream ends when its owner leaves the bus: the connection is kept.
    fd, _bus = (args.fd, None) if args.fd is not None else open_events(args.bus, args.since)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd) as stream:
        read(stream)


if __name__ == "__main__":
    main()
