# SPDX-License-Identifier: GPL-2.0-or-later
"""
A client of the daemon on GLib's GDBus.

Signals are received by a thread with its own main context, so that their time
of arrival does not depend on what the test does meanwhile. Byte strings (`ay`)
are bytes here, without the closing NUL.
"""

import os
import threading
import time

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

from waiting import PATIENCE, wait_for  # noqa: E402

NAME = "org.fsevents1"
ROOT = "/org/fsevents1"
MANAGER = "org.fsevents1.Manager"
FILESYSTEM = "org.fsevents1.Filesystem"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"


class BusError(Exception):
    """A D-Bus error: `name` and `message`."""

    def __init__(self, name, message):
        super().__init__(name, message)
        self.name = name
        self.message = message

    def __str__(self):
        return f"{self.name}: {self.message}"


class Signal:
    """A signal as it came: `member`, `path`, `interface`, `args`, `sender`, `time` (monotonic)."""

    def __init__(self, sender, path, interface, member, args, when):
        self.sender = sender
        self.path = path
        self.interface = interface
        self.member = member
        self.args = args
        self.time = when

    def __repr__(self):
        return f"<{self.interface}.{self.member} {self.path} {self.args}>"


class Event(Signal):
    """Filesystem.Event with its arguments by name."""

    FIELDS = ("id", "realtime_usec", "code", "severity", "pid", "data", "details")

    def __init__(self, *args):
        super().__init__(*args)
        for name, value in zip(self.FIELDS, self.args):
            setattr(self, name, value)

    @property
    def where(self):
        return self.details.get("where")

    @property
    def name(self):
        return self.details.get("name")

    def __repr__(self):
        return f"<event {self.id} {self.code} {self.severity} {self.data} {self.details}>"


def unpack(value):
    """A GVariant as Python values; `ay` as bytes."""
    kind = value.get_type_string()
    if kind == "ay":
        data = bytes(value.get_data_as_bytes().get_data() or b"")
        return data[:-1] if data.endswith(b"\0") else data
    if kind == "v":
        return unpack(value.get_variant())
    if kind.startswith("a{"):
        entries = (value.get_child_value(i) for i in range(value.n_children()))
        return {unpack(e.get_child_value(0)): unpack(e.get_child_value(1)) for e in entries}
    if kind[0] == "a":
        return [unpack(value.get_child_value(i)) for i in range(value.n_children())]
    if kind[0] == "(":
        return tuple(unpack(value.get_child_value(i)) for i in range(value.n_children()))
    return value.unpack()


def raise_bus_error(error):
    name = Gio.DBusError.get_remote_error(error)
    if name is None:
        raise BusError(f"local.{error.domain}.{error.code}", error.message) from None
    Gio.DBusError.strip_remote_error(error)
    raise BusError(name, error.message) from None


class Client:
    """A connection of its own. Signals of the daemon are kept from the start."""

    def __init__(self, address, subscribe=True):
        self.address = address
        self.signals = []
        self.context = GLib.MainContext.new()
        self.loop = GLib.MainLoop.new(self.context, False)
        self.connection = Gio.DBusConnection.new_for_address_sync(
            address,
            Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
            | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION,
            None, None)
        self.connection.set_exit_on_close(False)
        self.thread = threading.Thread(target=self._run, args=(subscribe,), daemon=True)
        self._ready = threading.Event()
        self.thread.start()
        assert self._ready.wait(PATIENCE), "the thread for signals did not start"
        if subscribe:
            self._settle()

    def _run(self, subscribe):
        self.context.push_thread_default()
        if subscribe:
            self.connection.signal_subscribe(
                NAME, None, None, None, None, Gio.DBusSignalFlags.NONE, self._on_signal)
        self._ready.set()
        self.loop.run()
        self.context.pop_thread_default()

    def _settle(self):
        """After an answer of the bus the match rules sent before are in force."""
        self.call(member="GetId", path="/org/freedesktop/DBus",
                  interface="org.freedesktop.DBus", destination="org.freedesktop.DBus")

    def _on_signal(self, _connection, sender, path, interface, member, parameters, *_):
        when = time.monotonic()
        kind = Event if (interface, member) == (FILESYSTEM, "Event") else Signal
        self.signals.append(kind(sender, path, interface, member, unpack(parameters), when))

    @property
    def unique_name(self):
        return self.connection.get_unique_name()

    def call(self, member, signature=None, *args, path=ROOT, interface=MANAGER,
             destination=NAME, timeout=PATIENCE, interactive=False, opened=None):
        """
        Call a method; give its results, a lone one without the tuple. BusError.

        @opened goes with it as a descriptor: of a path with O_PATH, or of a process by its pid.
        """
        fds = []
        if opened is not None:
            fds.append(os.pidfd_open(opened) if isinstance(opened, int)
                       else os.open(opened, os.O_PATH))
        try:
            results, received = self.call_with_fds(
                member, signature, *args, path=path, interface=interface, destination=destination,
                timeout=timeout, interactive=interactive, fds=fds)
        finally:
            for fd in fds:
                os.close(fd)
        for fd in received:
            os.close(fd)
        return results

    def call_with_fds(self, member, signature=None, *args, path=ROOT, interface=MANAGER,
                      destination=NAME, timeout=PATIENCE, interactive=False, fds=()):
        """As call(), but gives (results, descriptors); @fds are sent, `h` are indices."""
        parameters = GLib.Variant(f"({signature})", args) if signature else None
        sent = Gio.UnixFDList.new()
        for fd in fds:
            sent.append(fd)
        flags = (Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive
                 else Gio.DBusCallFlags.NONE)
        try:
            result, received = self.connection.call_with_unix_fd_list_sync(
                destination, path, interface, member, parameters, None, flags,
                int(timeout * 1000), sent if fds else None, None)
        except GLib.Error as error:
            raise_bus_error(error)
        values = unpack(result)
        return (values[0] if len(values) == 1 else values,
                received.steal_fds() if received is not None else [])

    def get(self, name, path=ROOT, interface=None):
        """A property, as the daemon has it now."""
        interface = interface or (MANAGER if path == ROOT else FILESYSTEM)
        return self.call("Get", "ss", interface, name, path=path, interface=PROPERTIES)

    def get_all(self, path=ROOT, interface=None):
        interface = interface or (MANAGER if path == ROOT else FILESYSTEM)
        return self.call("GetAll", "s", interface, path=path, interface=PROPERTIES)

    def objects(self):
        """{path: {interface: {property: value}}} of all filesystems."""
        return self.call("GetManagedObjects", interface=OBJECT_MANAGER)

    def filesystems(self):
        """{path: properties}"""
        return {path: interfaces[FILESYSTEM] for path, interfaces in self.objects().items()
                if FILESYSTEM in interfaces}

    def find(self, where):
        """The object path of the filesystem mounted at @where exactly, or None."""
        where = where.encode() if isinstance(where, str) else where
        for path, properties in self.filesystems().items():
            if where in properties["MountPoints"]:
                return path
        return None

    def wait_filesystem(self, where, timeout=PATIENCE):
        return wait_for(lambda: self.find(where), timeout, f"an object for {where}")

    def usage(self, path, timeout=PATIENCE):
        return self.call("GetUsage", "a{sv}", {}, path=path, interface=FILESYSTEM,
                         timeout=timeout)

    def history(self, since=0, **options):
        """(oldest, newest, [Event...], info) of GetEvents; options as Variants."""
        oldest, newest, items, info = self.call("GetEvents", "ta{sv}", since, options)
        events = [Event(None, item[2], FILESYSTEM, "Event",
                        (*item[:2], *item[3:]), None) for item in items]
        return oldest, newest, events, info

    def events(self, code=None, path=None, **details):
        """The Filesystem.Event signals so far that fit."""
        return [s for s in list(self.signals)
                if isinstance(s, Event) and code in (None, s.code) and path in (None, s.path)
                and all(s.details.get(k) == v for k, v in details.items())]

    def wait_event(self, code=None, path=None, timeout=PATIENCE, after=None, **details):
        """The first such event, later than the event @after if that is given."""
        def find():
            for event in self.events(code, path, **details):
                if after is None or event.id > after.id:
                    return event
            return None
        return wait_for(find, timeout, f"event {code} {path or ''} {details}", interval=0.001)

    def wait_signal(self, member, path=None, timeout=PATIENCE, predicate=None):
        def find():
            for signal in list(self.signals):
                if signal.member == member and path in (None, signal.path) \
                        and (predicate is None or predicate(signal)):
                    return signal
            return None
        return wait_for(find, timeout, f"signal {member}", interval=0.001)

    def ping(self, timeout=PATIENCE):
        """Seconds until the daemon answered."""
        start = time.monotonic()
        self.call("Ping", interface="org.freedesktop.DBus.Peer", timeout=timeout)
        return time.monotonic() - start

    def name_owner(self):
        """Unique name of who owns org.fsevents1, or None."""
        try:
            return self.call("GetNameOwner", "s", NAME, path="/org/freedesktop/DBus",
                             interface="org.freedesktop.DBus",
                             destination="org.freedesktop.DBus")
        except BusError as error:
            if error.name == "org.freedesktop.DBus.Error.NameHasNoOwner":
                return None
            raise

    def close(self):
        try:
            self.connection.close_sync(None)
        except GLib.Error:
            pass
        self.loop.quit()
        self.thread.join(5)


def variant(signature, value):
    """A value for an `a{sv}`: variant("u", 10)."""
    return GLib.Variant(signature, value)
