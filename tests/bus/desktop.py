# SPDX-License-Identifier: GPL-2.0-or-later
"""
A desktop session: a session bus, stand-ins for its notification server and its
file manager, and the agent in it.

A stand-in keeps what it was asked; what a person would do with a notice is a
method. Each has a connection of its own, so that it can leave and come back.
"""

import os
import signal
import subprocess
import threading

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

import service  # noqa: E402
from waiting import PATIENCE, wait_for  # noqa: E402

DRIVER = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
AGENT = "org.fsevents1.Agent"
PRIMARY_OWNER = 1
LOW, NORMAL, CRITICAL = 0, 1, 2
EXPIRED, DISMISSED, CLOSED = 1, 2, 3

NOTIFICATIONS = "org.freedesktop.Notifications"
NOTIFICATIONS_PATH = "/org/freedesktop/Notifications"
NOTIFICATIONS_XML = f"""
<node><interface name="{NOTIFICATIONS}">
  <method name="GetCapabilities"><arg type="as" direction="out"/></method>
  <method name="Notify">
    <arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
    <arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="as" direction="in"/>
    <arg type="a{{sv}}" direction="in"/><arg type="i" direction="in"/>
    <arg type="u" direction="out"/>
  </method>
  <method name="CloseNotification"><arg type="u" direction="in"/></method>
</interface></node>
"""

FILES = "org.freedesktop.FileManager1"
FILES_PATH = "/org/freedesktop/FileManager1"
FILES_XML = f"""
<node><interface name="{FILES}">
  <method name="ShowFolders">
    <arg type="as" direction="in"/><arg type="s" direction="in"/>
  </method>
</interface></node>
"""


class Peer:
    """A connection with a thread of its own that serves one object under one name."""

    def __init__(self, address, name, path, xml):
        self.name = name
        self.context = GLib.MainContext.new()
        self.loop = GLib.MainLoop.new(self.context, False)
        self.connection = Gio.DBusConnection.new_for_address_sync(
            address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
            | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        self.connection.set_exit_on_close(False)
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(path, xml, ready), daemon=True)
        self.thread.start()
        assert ready.wait(PATIENCE), "the thread of the stand-in did not start"
        assert self.ask_bus("RequestName", "su", name, 4) == PRIMARY_OWNER

    def _run(self, path, xml, ready):
        self.context.push_thread_default()
        interface = Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0]
        self.connection.register_object(path, interface, self._on_call, None, None)
        ready.set()
        self.loop.run()
        self.context.pop_thread_default()

    def _on_call(self, _connection, _sender, _path, _interface, member, parameters, invocation):
        result = getattr(self, "on_" + member)(*parameters.unpack())
        invocation.return_value(result)

    def ask_bus(self, member, signature, *arguments):
        name, path, interface = DRIVER
        return self.connection.call_sync(
            name, path, interface, member, GLib.Variant(f"({signature})", arguments), None,
            Gio.DBusCallFlags.NONE, int(PATIENCE * 1000), None).unpack()[0]

    def leave(self):
        if not self.connection.is_closed():
            self.connection.close_sync(None)

    def close(self):
        self.leave()
        self.loop.quit()
        self.thread.join(PATIENCE)


class Notice:
    """As Notify asked for it."""

    def __init__(self, number, arguments):
        self.id = number
        (self.app, self.replaces, self.icon, self.title, self.body, self.actions, self.hints,
         self.expires) = arguments
        self.keys = self.actions[::2]

    @property
    def urgency(self):
        return self.hints["urgency"]

    def __repr__(self):
        return f"<notice {self.id} for {self.replaces} {self.urgency} {self.title}: {self.body}>"


class Notifications(Peer):
    """`notices` as they came, `shown` {id: Notice} now, `closed` (ids that the agent took back)."""

    CAPABILITIES = ("actions", "body", "body-markup")

    def __init__(self, address, capabilities=CAPABILITIES, first=1):
        self.capabilities = list(capabilities)
        self.notices, self.shown, self.closed = [], {}, []
        self.next = first
        super().__init__(address, NOTIFICATIONS, NOTIFICATIONS_PATH, NOTIFICATIONS_XML)

    def on_GetCapabilities(self):
        return GLib.Variant("(as)", (self.capabilities,))

    def on_Notify(self, *arguments):
        number = arguments[1]
        if number not in self.shown:
            number, self.next = self.next, self.next + 1
        notice = Notice(number, arguments)
        self.shown[number] = notice
        self.notices.append(notice)
        return GLib.Variant("(u)", (number,))

    def on_CloseNotification(self, number):
        self.closed.append(number)
        if self.shown.pop(number, None):
            self._tell("NotificationClosed", "uu", number, CLOSED)

    def _tell(self, member, signature, *arguments):
        self.connection.emit_signal(None, NOTIFICATIONS_PATH, NOTIFICATIONS, member,
                                    GLib.Variant(f"({signature})", arguments))
        self.connection.flush_sync(None)

    def act(self, notice, key, token=None):
        """A person chooses an action; as servers do, the notice is closed by that."""
        if token is not None:
            self._tell("ActivationToken", "us", notice.id, token)
        self._tell("ActionInvoked", "us", notice.id, key)
        self.dismiss(notice)

    def dismiss(self, notice, reason=DISMISSED):
        self.shown.pop(notice.id, None)
        self._tell("NotificationClosed", "uu", notice.id, reason)

    def wait(self, n):
        """All that were asked for, once there are @n."""
        return wait_for(lambda: len(self.notices) >= n and list(self.notices),
                        what=f"{n} notices, not {self.notices}")

    def wait_shown(self, *titles):
        """Until what is on the screen are these, by their titles."""
        def fits():
            return sorted(n.title for n in list(self.shown.values())) == sorted(titles)
        try:
            wait_for(fits)
        except AssertionError:
            raise AssertionError(f"{titles} are not shown, but {self.shown}") from None


class FileManager(Peer):
    """`opened` [(urls, token)]"""

    def __init__(self, address):
        self.opened = []
        super().__init__(address, FILES, FILES_PATH, FILES_XML)

    def on_ShowFolders(self, urls, token):
        self.opened.append((urls, token))

    def wait(self, n=1):
        return wait_for(lambda: len(self.opened) >= n and list(self.opened), what="an opened folder")


# As /usr/share/dbus-1/session.conf, and open to the stand-ins, which root runs.
SESSION_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <auth>EXTERNAL</auth>
  <listen>@address@</listen>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


DIRNOTIFY = "org.kde.KDirNotify"


class View:
    """A file view of KDE's: says what it shows, and keeps what it is told."""

    def __init__(self, address):
        self.told = []
        self.context = GLib.MainContext.new()
        self.loop = GLib.MainLoop.new(self.context, False)
        self.connection = Gio.DBusConnection.new_for_address_sync(
            address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
            | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        self.connection.set_exit_on_close(False)
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        assert ready.wait(PATIENCE), "the thread of the view did not start"
        # After an answer of the bus the match rule is in force.
        name, path, interface = DRIVER
        self.connection.call_sync(name, path, interface, "GetId", None, None,
                                  Gio.DBusCallFlags.NONE, int(PATIENCE * 1000), None)

    def _run(self, ready):
        self.context.push_thread_default()
        self.connection.signal_subscribe(None, DIRNOTIFY, None, None, None,
                                         Gio.DBusSignalFlags.NONE, self._on_signal)
        ready.set()
        self.loop.run()
        self.context.pop_thread_default()

    def _on_signal(self, _connection, sender, _path, _interface, member, parameters, *_):
        if sender != self.connection.get_unique_name():
            self.told.append((member, *parameters.unpack()))

    def _say(self, member, urls):
        for url in urls:
            self.connection.emit_signal(None, "/", DIRNOTIFY, member, GLib.Variant("(s)", (url,)))
        self.connection.flush_sync(None)

    def enter(self, *urls):
        self._say("enteredDirectory", urls)

    def leave(self, *urls):
        self._say("leftDirectory", urls)

    def wait(self, *signal):
        """Until it was told this."""
        wait_for(lambda: signal in list(self.told), what=f"{signal}, not {self.told}")

    def close(self):
        if not self.connection.is_closed():
            self.connection.close_sync(None)
        self.loop.quit()
        self.thread.join(PATIENCE)


class Session:
    """The session of an ordinary user: `address` of its bus, `uid`, `directory` of the user's own."""

    def __init__(self, directory, uid=1):
        self.uid = uid
        self.directory = os.path.join(directory, "session")
        self.runtime = os.path.join(self.directory, "runtime")
        for path, mode in ((self.directory, 0o755), (self.runtime, 0o700)):
            os.mkdir(path, mode)
            os.chown(path, uid, uid)
        self.address = "unix:path=" + os.path.join(self.directory, "bus")
        config = os.path.join(directory, "session-bus.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(SESSION_CONFIG.replace("@address@", self.address))
        with open(os.path.join(directory, "session-bus.log"), "wb") as log:
            self.process = subprocess.Popen(
                ["dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--config-file=" + config,
                 "--print-address=1"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, **self.user())
        # Printed once it listens.
        assert self.process.stdout.readline(), "the session's bus did not start"

    def user(self):
        """Arguments of subprocess for a process of the user."""
        return {"user": self.uid, "group": self.uid, "extra_groups": []}

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class Agent:
    """The agent in a session, with a state directory that outlives it."""

    def __init__(self, session, daemon_address, directory, *options):
        self.options = options
        self.session = session
        self.daemon_address = daemon_address
        self.state = os.path.join(session.directory, "state")
        self.stderr_path = os.path.join(directory, "agent-stderr")
        self.process = None

    def command(self, *arguments):
        daemon = service.executable()
        # The name chooses the program; both lie in the same directory.
        link = os.path.join(os.path.dirname(daemon), "fsevents-agent")
        if not os.path.exists(link):
            os.symlink("fseventsd", link)
        return [link, "--bus=" + self.daemon_address, *arguments]

    def environment(self):
        return {**os.environ, "DBUS_SESSION_BUS_ADDRESS": self.session.address,
                "XDG_STATE_HOME": self.state, "XDG_RUNTIME_DIR": self.session.runtime}

    def start(self, following=True):
        """Start it, and wait until it follows the daemon, or else owns its name."""
        with open(self.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(self.command(*self.options), stdin=subprocess.DEVNULL,
                                            stdout=stderr, stderr=stderr, env=self.environment(),
                                            **self.session.user())
        wait_for(lambda: self.following() == ("b true" if following else "b false"),
                 what=f"the agent: {self.stderr()}")
        return self

    def following(self):
        return self.property("Following")

    def wait_folders(self, n):
        """Until so many are watched."""
        wait_for(lambda: self.property("Folders") == f"u {n}", what=f"{n} folders")

    def property(self, name):
        """As busctl has it; empty while it is not on the bus."""
        done = subprocess.run(
            ["busctl", "--address=" + self.session.address, "get-property", AGENT,
             "/org/fsevents1/Agent", AGENT, name],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return done.stdout.strip()

    def run(self, *arguments):
        """A verb of it, to its end."""
        return subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=self.environment(),
                              timeout=PATIENCE, check=False, **self.session.user())

    def file(self, name):
        """What it wrote, or None."""
        return self._read(self.state, name)

    def kept(self, name):
        """What it wrote for the rest of the session, or None."""
        return self._read(self.session.runtime, name)

    @staticmethod
    def _read(directory, name):
        try:
            with open(os.path.join(directory, "fsevents-agent", name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def stderr(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        """SIGTERM; it must end, and with status 0."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)
            raise AssertionError(f"the agent did not stop: {self.stderr()}") from None
        report = service.REPORT.search(self.stderr())
        assert not report, f"a report of the agent:\n{self.stderr()}"
        assert status == 0, f"exit status {status} after SIGTERM:\n{self.stderr()}"

    def kill(self):
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(PATIENCE)

    def close(self):
        self.kill()
