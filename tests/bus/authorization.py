# SPDX-License-Identifier: GPL-2.0-or-later
"""
Who may call which method: the table of org.fsevents1(5), as the page has it, and the
methods of the contract.
"""

import os
import re
import xml.etree.ElementTree as ElementTree
from collections import namedtuple

import service

PAGE = os.path.join(service.SOURCE, "man", "org.fsevents1.5")
CONTRACT = os.path.join(service.SOURCE, "dbus", "org.fsevents1.xml")
POLICY = os.path.join(service.SOURCE, "dbus", "org.fsevents1.policy")
PREFIX = "org.fsevents1."

# Who may without a permission.
EVERYBODY, ROOT_ALONE, OWN_PROCESSES, OWN_RELAYS, OWNER = (
    "everybody", "root", "own processes", "own relays", "its owner")

Right = namedtuple("Right", "who action")


def section(name):
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    found = re.search(rf'^\.SH "?{name}"?\n(.*?)(?=^\.SH )', text, re.M | re.S)
    assert found, f"{PAGE} has no section {name}"
    return found.group(1)


def of_page():
    """{"Manager.Configure": Right("root", "configure")}; no action is ""."""
    table = re.search(r"^\.TS\n.*?\.\n(.*?)^\.TE$", section("AUTHORIZATION"), re.M | re.S)
    assert table, "the section AUTHORIZATION has no table"
    rows = [line.split("\t") for line in table.group(1).splitlines()]
    assert rows[0] == ["Method", "Without asking", "Permission"], rows[0]
    named = {method: Right(who, "" if action == "-" else action) for method, who, action in rows[1:]}
    assert len(named) == len(rows) - 1, "a method stands twice in the table"
    return named


def of_contract():
    """The names of all methods of ours, as in the table."""
    with open(CONTRACT, encoding="utf-8") as file:
        root = ElementTree.fromstring(file.read())
    return {f"{interface.get('name').removeprefix(PREFIX)}.{method.get('name')}"
            for interface in root.iter("interface") if interface.get("name").startswith(PREFIX)
            for method in interface.iter("method")}


def of_policy():
    """{"configure": {"allow_any": "auth_admin_keep", ...}}"""
    root = ElementTree.parse(POLICY).getroot()
    return {action.get("id").removeprefix(PREFIX): {rule.tag: rule.text for rule in action.find("defaults")}
            for action in root.iter("action")}
