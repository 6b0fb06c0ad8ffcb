# SPDX-License-Identifier: GPL-2.0-or-later
"""
A stand-in for polkit: owns its name on a private bus and says what the test wants.

It knows no agent and no rules: says(question) is what it answers, `grants` has
(uid, action) of those who may. What it was asked and what was cancelled is kept.
"""

import threading

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

from waiting import PATIENCE, wait_for  # noqa: E402

NAME = "org.freedesktop.PolicyKit1"
PATH = "/org/freedesktop/PolicyKit1/Authority"
INTERFACE = "org.freedesktop.PolicyKit1.Authority"
DRIVER = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
OURS = "org.fsevents1."
PRIMARY_OWNER = 1

XML = f"""
<node><interface name="{INTERFACE}">
  <method name="CheckAuthorization">
    <arg type="(sa{{sv}})" direction="in"/><arg type="s" direction="in"/>
    <arg type="a{{ss}}" direction="in"/><arg type="u" direction="in"/>
    <arg type="s" direction="in"/><arg type="(bba{{ss}})" direction="out"/>
  </method>
  <method name="CancelCheckAuthorization"><arg type="s" direction="in"/></method>
  <signal name="Changed"/>
</interface></node>
"""

# Answers: words, or a Variant that is sent as it is. HANG: none, until answer() is called.
YES, NO, CHALLENGE, HANG, ERROR, DIE = "yes", "no", "challenge", "hang", "error", "die"
VALUES = {YES: (True, False, {}), NO: (False, False, {"polkit.dismissed": "true"}),
          CHALLENGE: (False, True, {})}


class Question:
    """`action` without our prefix, `caller` (unique name), `uid`, `interactive`, `id`, `subject`."""

    def __init__(self, invocation, uid, subject, arguments):
        self.invocation = invocation
        self.uid = uid
        self.subject = subject
        self.caller = subject[1].get("name")
        self.action = arguments[1].removeprefix(OURS)
        self.details = arguments[2]
        self.interactive = bool(arguments[3] & 1)
        self.id = arguments[4]
        self.sender = invocation.get_sender()

    def brief(self):
        return self.action, self.uid, self.interactive

    def __repr__(self):
        return f"<question {self.id} {self.action} of {self.uid} {self.interactive}>"


class Polkit:
    """`questions`, `cancelled` (ids), `grants` {(uid, action)}, `says`."""

    def __init__(self, address):
        self.questions = []
        self.cancelled = []
        self.grants = set()
        self.otherwise = CHALLENGE
        self.says = self.say
        self.context = GLib.MainContext.new()
        self.loop = GLib.MainLoop.new(self.context, False)
        self.connection = Gio.DBusConnection.new_for_address_sync(
            address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
            | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        self.connection.set_exit_on_close(False)
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        assert ready.wait(PATIENCE), "the thread of the stand-in did not start"
        assert self._ask_bus("RequestName", "su", NAME, 4) == PRIMARY_OWNER

    def _run(self, ready):
        self.context.push_thread_default()
        interface = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
        self.connection.register_object(PATH, interface, self._on_call, None, None)
        ready.set()
        self.loop.run()
        self.context.pop_thread_default()

    def _ask_bus(self, member, signature, *arguments):
        name, path, interface = DRIVER
        return self.connection.call_sync(
            name, path, interface, member, GLib.Variant(f"({signature})", arguments), None,
            Gio.DBusCallFlags.NONE, int(PATIENCE * 1000), None).unpack()[0]

    def _on_call(self, _connection, _sender, _path, _interface, member, parameters, invocation):
        arguments = parameters.unpack()
        if member == "CancelCheckAuthorization":
            self.cancelled.append(arguments[0])
            invocation.return_value(None)
            return
        subject = arguments[0]
        try:
            uid = self._ask_bus("GetConnectionUnixUser", "s", subject[1]["name"])
        except GLib.Error:
            uid = None
        question = Question(invocation, uid, subject, arguments)
        said = self.says(question)
        self.questions.append(question)
        self.answer(question, said)

    def say(self, question):
        return YES if (question.uid, question.action) in self.grants else self.otherwise

    def answer(self, question, said):
        """Say it now; for those that were left without an answer."""
        if said == HANG:
            return
        if said == DIE:
            self.leave()
        elif said == ERROR:
            question.invocation.return_dbus_error(
                "org.freedesktop.PolicyKit1.Error.Failed", "Action is not registered")
        elif isinstance(said, GLib.Variant):
            reply = Gio.DBusMessage.new_method_reply(question.invocation.get_message())
            reply.set_body(said)
            self.connection.send_message(reply, Gio.DBusSendMessageFlags.NONE)
        else:
            question.invocation.return_value(GLib.Variant("((bba{ss}))", (VALUES[said],)))

    def wait_questions(self, n):
        """The first @n that were asked, once they were."""
        return wait_for(lambda: len(self.questions) >= n and self.questions[:n],
                        what=f"{n} questions, not {self.questions}")

    def asked(self):
        """What was asked since the last call, in short."""
        brief, self.questions = [q.brief() for q in self.questions], []
        return brief

    def changed(self):
        """Its signal: somebody may what they might not, or the reverse."""
        self.connection.emit_signal(None, PATH, INTERFACE, "Changed", None)
        self.connection.flush_sync(None)

    def leave(self):
        if not self.connection.is_closed():
            self.connection.close_sync(None)

    def close(self):
        self.leave()
        self.loop.quit()
        self.thread.join(PATIENCE)
