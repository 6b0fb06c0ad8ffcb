# SPDX-License-Identifier: GPL-2.0-or-later
"""Services of a session as python-dbusmock has them, and what they were asked for."""

import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

from waiting import PATIENCE, wait_for  # noqa: E402

MOCK = "org.freedesktop.DBus.Mock"
DISMISSED = 2


class Mock:
    """A process of python-dbusmock's that owns @name."""

    def __init__(self, session, name, path, *arguments):
        self.session, self.name, self.path = session, name, path
        session.start(name, [sys.executable, "-m", "dbusmock", "--session", *arguments])
        session.wait_name(name)
        self.connection = Gio.DBusConnection.new_for_address_sync(
            session.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
            | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)

    def control(self, member, signature, *arguments):
        return self.connection.call_sync(
            self.name, self.path, MOCK, member, GLib.Variant(f"({signature})", arguments), None,
            Gio.DBusCallFlags.NONE, int(PATIENCE * 1000), None).unpack()

    def tell(self, member, signature, *arguments):
        """A signal of the service's."""
        self.control("EmitSignal", "sssav", self.name, member, signature,
                     [GLib.Variant(kind, value) for kind, value in zip(signature, arguments)])

    def calls(self, member):
        """The arguments of each call of this method, in their order."""
        return [list(arguments) for _, arguments in
                self.control("GetMethodCalls", "s", member)[0]]

    def wait_calls(self, member, n):
        return wait_for(lambda: len(self.calls(member)) >= n and self.calls(member),
                        what=f"{n} calls of {member}, not {self.calls(member)}", interval=0.05)


class Notifications(Mock):
    """The template notification_daemon."""

    CAPABILITIES = "actions body body-markup"

    def __init__(self, session, capabilities=CAPABILITIES):
        super().__init__(session, "org.freedesktop.Notifications", "/org/freedesktop/Notifications",
                         "--template", "notification_daemon", "--parameters",
                         f'{{"capabilities": "{capabilities}"}}')

    def wait(self, n):
        """The last of @n notices: its number to replace, title, body, keys of actions, urgency."""
        _, replaces, _, title, body, actions, hints, _ = self.wait_calls("Notify", n)[n - 1]
        return replaces, title, body, actions[::2], hints["urgency"]

    def act(self, number, key):
        """A person chooses an action, and the notice is closed by that."""
        self.tell("ActivationToken", "us", number, "token-1")
        self.tell("ActionInvoked", "us", number, key)
        self.tell("NotificationClosed", "uu", number, DISMISSED)


class FileManager(Mock):
    """What Open calls."""

    def __init__(self, session):
        name, path = "org.freedesktop.FileManager1", "/org/freedesktop/FileManager1"
        super().__init__(session, name, path, name, path, name)
        self.control("AddMethod", "sssss", name, "ShowFolders", "ass", "", "")

    def wait(self):
        return self.wait_calls("ShowFolders", 1)[0]
