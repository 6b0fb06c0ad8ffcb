#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the code calls by a name stands where a user would look that name up.

Each row below is where names are found and the files that must have each of them, as a
whole word. Those of sections of the configuration, of messages in the journal and of
D-Bus signatures have checks of their own. Also defaults of the module, and paths.
"""

import glob
import os
import re
import sys

CODES = ("man/org.fsevents1.5", "man/fsevents.conf.5", "dbus/org.fsevents1.xml", "include/fsevents_stream.h",
         "conf/fseventsctl.bash", "conf/_fseventsctl")
CHANGES = ("man/org.fsevents1.5", "man/fsevents.conf.5", "man/fseventsctl.1", "dbus/org.fsevents1.xml",
           "conf/fsevents.conf", "conf/fseventsctl.bash", "conf/_fseventsctl", "daemon/ctl/ctl.c")
COMPLETIONS = ("conf/fseventsctl.bash", "conf/_fseventsctl")
DAEMON, MODULE = "daemon/**/*.c", "kmod/*.c"
HEADER = "include/fs_event.h"

# What, in which files, as what, but for these, and where it has to stand.
ROWS = (
    ("event code", "daemon/core/event.c", r'\[EVENT_\w+\] = \{ "([a-z-]+)"', "", CODES),
    ("name of a change", "daemon/core/change.c", r'\{ FSEVENTS_\w+, "([a-z-]+)"', "", CHANGES),
    ("state", "daemon/core/filesystem.c", r'case FS_STATE_\w+:\s+return "([a-z-]+)"', "",
     ("man/org.fsevents1.5", "dbus/org.fsevents1.xml")),
    ("member of D-Bus", "dbus/org.fsevents1.xml", r'<(?:method|signal|property) name="(\w+)"', "",
     ("man/org.fsevents1.5",)),
    ("source of a watch", "daemon/watches-bus.c", r'"(module|[a-z-]*notify[a-z-]*)"', "",
     ("man/org.fsevents1.5", "dbus/org.fsevents1.xml")),
    ("option of a method", "daemon/bus/*.c", r'\{ "([a-z-]+)", "\w+", \{ \.', "",
     ("man/org.fsevents1.5", "dbus/org.fsevents1.xml")),
    ("error of D-Bus", DAEMON, r"SD_BUS_ERROR_([A-Z_]+)",
     "NULL DISCONNECTED NAME_HAS_NO_OWNER SERVICE_UNKNOWN", ("man/org.fsevents1.5",)),
    ("error of ours", "daemon/names.h", r'BUS_ERROR_\w+ "org\.fsevents1\.Error\.(\w+)"', "",
     ("man/org.fsevents1.5", "dbus/org.fsevents1.xml")),
    ("permission", "daemon/names.h", r'ACTION_\w+ "([a-z0-9.-]+)"', "",
     ("man/org.fsevents1.5", "dbus/org.fsevents1.policy")),
    ("field of the journal", "daemon/names.h", r'JOURNAL_FIELD_\w+ "(FSEVENTS_[A-Z_]+)"', "FSEVENTS_",
     ("man/fseventsd.8",)),
    ("capability", "conf/fseventsd.service.in", r"(?<=[= ])(CAP_[A-Z_]+)", "", ("man/fseventsd.8",)),
    ("verb", "daemon/ctl/ctl.c", r'\n\t\{ "([a-z-]+)", "', "", ("man/fseventsctl.1", *COMPLETIONS)),
    ("option", "daemon/ctl/ctl.c", r'\{ "([a-z-]+)", \w+_argument', "", ("man/fseventsctl.1", *COMPLETIONS)),
    ("option", "daemon/main.c", r'\{ "([a-z-]+)", \w+_argument', "", ("man/fseventsd.8",)),
    ("option", "daemon/agent/agent.c", r'\{ "([a-z-]+)", \w+_argument', "", ("man/fsevents-agent.1",)),
    ("variable of the environment", DAEMON, r'getenv\("(\w+)"\)', "", ("man/",)),
    ("verb", "dev", r"\nverb_([a-z_]+)\(\)", "suite", ("dev help",)),
    ("suite", "dev", r"\nsuite_([a-z]+)\(\)", "", ("dev help", "HACKING.md")),
    ("parameter of the module", MODULE, r"module_param\((\w+),", "", ("man/fs_event.7",)),
    ("command of the module", HEADER, r"^\t(FS_NL_C_\w+) = ", "FS_NL_C_UNSPEC", ("man/fs_event.7",)),
    ("event of the module", HEADER, r"^\t(FS_(?:WARN|THR|ERR|EVENT)_\w+) = ", "FS_EVENT_NONE",
     ("man/fs_event.7",)),
)


def read(pattern):
    paths = sorted(glob.glob(pattern, recursive=True))
    return "".join(open(path, encoding="utf-8").read() for path in paths)


def searched(place):
    """Text of a file, of all pages, or of what ./dev says of itself; names in it are written as a user does."""
    if place == "dev help":
        return re.search(r"\nverb_help\(\)\n\{(.*?)\n\}\n", read("dev"), re.S).group(1)
    text = read(place + "*.[1-8]" if place.endswith("/") else place)
    if place.startswith("man/"):
        return re.sub(r"\\f[A-Z]", "", text).replace("\\-", "-")
    # As C has to write the same.
    return re.sub(r"\bFSEVENTS_CODE_(\w+)", lambda name: name[1].lower().replace("_", "-"), text)


def spoken(what, name):
    if what == "error of D-Bus":
        return "".join(part.capitalize() for part in name.split("_"))
    if what == "option":
        return "-" + name
    return name.replace("_", "-") if what == "verb" else name


def defaults():
    """Of parameters of the module, which their paragraphs have in brackets: what is wrong."""
    paragraphs = read("man/fs_event.7").split("\n.TP\n")
    found = re.findall(r"unsigned int (\w+) = (\w+);\nmodule_param\(\1,", read(MODULE))
    if not found:
        yield f"{MODULE}: no default was found"
    for name, value in found:
        if not any(re.search(rf"\b{name}\b", text) and re.search(rf"\((\d+, )?{value}\b", text) for text in paragraphs):
            yield f"man/fs_event.7: {name} does not have ({value})"


def paths():
    """Files that the documents name, from the root or within daemon/: those that are not there."""
    tops = {os.path.basename(path) for path in [*glob.glob("*"), *glob.glob("daemon/*")]} - {"build"}
    for document in ("README.md", "HACKING.md"):
        for path in re.findall(r"`([a-z]+/[\w./*-]+)`", read(document)):
            pattern = re.sub(r"NOUN|NAME", "*", path)
            if path.partition("/")[0] in tops and not glob.glob(pattern) and not glob.glob(f"daemon/{pattern}*"):
                yield f"{document}: there is no {path}"


def main():
    wrong = [*defaults(), *paths()]
    print("".join(line + "\n" for line in wrong), end="")
    status = 1 if wrong else 0
    for what, where, pattern, but, places in ROWS:
        names = set(re.findall(pattern, read(where), re.M)) - set(but.split())
        if not names:
            print(f"{where}: no {what} was found")
            status = 1
        for place in places:
            text = searched(place)
            for name in sorted(spoken(what, name) for name in names):
                if not re.search(rf"(?<!\w)(?<!\w-){re.escape(name)}(?![\w-])", text):
                    print(f"{place} does not have the {what} \"{name}\" of {where}")
                    status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
