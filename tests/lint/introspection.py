#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
introspection.py [ADDRESS] - dbus/org.fsevents1.xml is what the daemon offers

Compares it with the daemon's own description (--introspect), or with that of a
daemon running on the bus at ADDRESS, and checks that the bus policy lets
everybody call each method, by name.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONTRACT = os.path.join(SOURCE, "dbus", "org.fsevents1.xml")
POLICY = os.path.join(SOURCE, "dbus", "org.fsevents1.conf")
NAME = "org.fsevents1"
# Their objects are seen by their owners alone; what --introspect says of them is the same table.
HIDDEN = {"org.fsevents1.ProcessGroup", "org.fsevents1.Watch"}
CHANGES = "org.freedesktop.DBus.Property.EmitsChangedSignal"


def members(interface):
    """{"method GetUsage": its signature and names of arguments}"""
    found = {}
    for member in interface:
        name = f"{member.tag} {member.get('name')}"
        if member.tag in ("method", "signal"):
            # An argument of a signal goes out without saying so.
            found[name] = [(arg.get("direction", "in" if member.tag == "method" else "out"),
                            arg.get("type"), arg.get("name")) for arg in member.iter("arg")]
        elif member.tag == "property":
            notes = {a.get("name"): a.get("value") for a in member.iter("annotation")}
            found[name] = (member.get("type"), member.get("access"), notes.get(CHANGES, "true"))
    return found


def interfaces(text):
    return {interface.get("name"): members(interface)
            for interface in ElementTree.fromstring(text).iter("interface")
            if interface.get("name").startswith(NAME)}


def described():
    program = os.environ.get("FSEVENTSD") or os.path.join(
        os.environ.get("BUILD", os.path.join(SOURCE, "build")), "daemon", "fseventsd")
    if not os.path.exists(program):
        print(f"no {program}")
        sys.exit(77)
    return interfaces(subprocess.run([program, "--introspect"], check=True, capture_output=True,
                                     text=True).stdout)


def busctl(address, *arguments):
    return subprocess.run(["busctl", "--address=" + address, *arguments], check=True,
                          capture_output=True, text=True).stdout


def running(address):
    paths = busctl(address, "--list", "tree", NAME).split()
    filesystems = [path for path in paths if path.startswith("/org/fsevents1/filesystem/")]
    found = {}
    for path in ["/org/fsevents1", *filesystems[:1]]:
        found.update(interfaces(busctl(address, "introspect", "--xml-interface", NAME, path)))
    return found


def allowed():
    """Methods that the policy lets everybody call."""
    default = [policy for policy in ElementTree.parse(POLICY).getroot().iter("policy")
               if policy.get("context") == "default"]
    return {(rule.get("send_interface"), rule.get("send_member"))
            for policy in default for rule in policy.iter("allow")
            if rule.get("send_destination") == NAME and rule.get("send_member")}


def main():
    with open(CONTRACT, encoding="utf-8") as file:
        contract = interfaces(file.read())
    offered = running(sys.argv[1]) if len(sys.argv) > 1 else described()
    found = []
    for interface in sorted({*contract, *offered} - (HIDDEN if len(sys.argv) > 1 else set())):
        mine, theirs = contract.get(interface, {}), offered.get(interface, {})
        for member in sorted({*mine, *theirs}):
            if mine.get(member) != theirs.get(member):
                found.append(f"{interface} {member}: written {mine.get(member)}, "
                             f"offered {theirs.get(member)}")

    methods = {(interface, member.split()[1]) for interface, its in contract.items()
               for member in its if member.startswith("method ")}
    callable_ = {rule for rule in allowed() if rule[0].startswith(NAME)}
    found += [f"{interface}.{member}: not allowed by {os.path.basename(POLICY)}"
              for interface, member in sorted(methods - callable_)]
    found += [f"{interface}.{member}: allowed by {os.path.basename(POLICY)}, but there is none"
              for interface, member in sorted(callable_ - methods)]
    if not contract or not methods:
        found.append(f"{CONTRACT}: nothing was found in it")
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
