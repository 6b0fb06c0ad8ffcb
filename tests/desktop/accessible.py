#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a person sees in the windows of a session, as a screen reader has it.

    accessible.py names APPLICATION          each thing with a name, as a line of JSON [role, name]
    accessible.py press APPLICATION NAME     the pointer presses the button of that name

Run by a user of the session. Exit status 1: there is no such application or button.
"""

import json
import sys

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib  # noqa: E402

# What a window holds is finite, and a tree that changes while it is read may not be.
THINGS_MAX = 5000


def applications(name):
    desktop = Atspi.get_desktop(0)
    for i in range(desktop.get_child_count()):
        one = desktop.get_child_at_index(i)
        if one is not None and one.get_name() == name:
            yield one


def things(top):
    """Everything below @top; what goes while it is looked at is passed over."""
    waiting, n = [top], 0
    while waiting and n < THINGS_MAX:
        one = waiting.pop()
        n += 1
        try:
            yield one
            waiting += [child for child in (one.get_child_at_index(i)
                                            for i in range(one.get_child_count())) if child]
        except GLib.Error:
            continue


def main():
    verb, application, *arguments = sys.argv[1:]
    found = list(applications(application))
    if verb == "names":
        for top in found:
            for one in things(top):
                if one.get_name():
                    print(json.dumps([one.get_role_name(), one.get_name()]))
        sys.exit(not found)
    for top in found:
        for one in things(top):
            if one.get_role() == Atspi.Role.PUSH_BUTTON and one.get_name() == arguments[0]:
                # Not its action: that of a program may be no more than what the pointer does.
                where = one.get_extents(Atspi.CoordType.SCREEN)
                sys.exit(not Atspi.generate_mouse_event(where.x + where.width // 2,
                                                        where.y + where.height // 2, "b1c"))
    sys.exit(1)


if __name__ == "__main__":
    main()
