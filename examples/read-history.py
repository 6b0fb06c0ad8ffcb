#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later OR MIT
"""Print each event once, also those from while this program or the service was not running.

    read-history.py FILE

FILE keeps the number of the last ones that were printed: what is killed before it has
written there prints them again. Needs python3-gi.
"""

import os
import sys

from gi.repository import Gio, GLib

SERVICE = ("org.fsevents1", "/org/fsevents1", "org.fsevents1.Manager")


def last_read():
    """Number of the last event that was printed; 0: none was."""
    if not os.path.exists(sys.argv[1]):
        return 0
    with open(sys.argv[1], encoding="ascii") as file:
        return int(file.read() or 0)


def read(bus):
    """All events since the last one: a signal says only that there is one."""
    more = True
    while more:
        reply = bus.call_sync(*SERVICE, "GetEvents", GLib.Variant("(ta{sv})", (last_read(), {})),
                              None, Gio.DBusCallFlags.NONE, -1, None)
        _oldest, newest, events, info = reply.unpack()
        if info["reset"]:
            print("a new history: what there is of it follows")
        for first, last in info["gaps"]:
            print("possibly missing:", first, "to", last)
        for number, _time, _filesystem, code, severity, _pid, _data, details in events:
            where = bytes(details["where"]).rstrip(b"\0").decode(errors="backslashreplace")
            print(number, severity, code, where, flush=True)
        more = info["more"]
        with open(sys.argv[1], "w", encoding="ascii") as file:
            file.write(str(events[-1][0] if more else newest))


def main():
    """Read when the service comes and comes back, and when there is something new."""
    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
    bus.signal_subscribe("org.fsevents1", "org.fsevents1.Filesystem", "Event", None, None,
                         Gio.DBusSignalFlags.NONE, lambda *_: read(bus))
    Gio.bus_watch_name_on_connection(bus, "org.fsevents1", Gio.BusNameWatcherFlags.NONE,
                                     lambda *_: read(bus), None)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
