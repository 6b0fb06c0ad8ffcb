# SPDX-License-Identifier: GPL-2.0-or-later
"""
Everything that can be given wrong: files, drop-ins, lines and arguments.

Each is refused with a message of its own that says where it is and what is
allowed, and what was in force stays in force. The words of single lines are
a matter of tests/unit/test-config-malformed.c; here it is the running service.
"""

import os

import pytest

from client import BusError, FILESYSTEM, MANAGER, ROOT, variant

pytestmark = pytest.mark.buses("dbus-broker")

BAD_CONFIGURATION = "org.fsevents1.Error.BadConfiguration"
DBUS = "org.freedesktop.DBus.Error."


@pytest.fixture
def place(daemon, client, loopfs):
    """A daemon with a configuration that can be told from the defaults: .state() is what is in force."""
    class Place:
        disk = loopfs("tmpfs", 16)
        good = (f"[daemon]\nhistory-size = 512\n[limits]\nstreams = 3\n"
                f"[filesystem {disk.where}]\nthreshold = one space 1M info\nevents = enospc, stalled\n")
        running = daemon(good)
        path = client.wait_filesystem(disk.where)

        def state(self):
            return (client.get("Thresholds", self.path), client.get("Events", self.path), client.get("Limits"),
                    client.call("GetConfiguration"), client.get("MountPoints", self.path))

        def refused(self, text, dropin=None):
            """The message with which Reload refuses what is written to the file."""
            before = self.state()
            at = len(self.running.stderr())
            self.running.configure(text, dropin)
            with pytest.raises(BusError) as refused:
                client.call("Reload")
            assert refused.value.name == BAD_CONFIGURATION
            assert self.state() == before
            message = refused.value.message.partition(BAD_CONFIGURATION + ": ")[2] or refused.value.message
            logged = self.running.stderr()[at:]
            assert message.split(" (and ")[0] in logged, "the journal does not say the same"
            return message

    made = Place()
    client.usage(made.path)
    assert [t[0] for t in client.get("Thresholds", made.path)] == ["one"]
    return made


FS = "[filesystem /srv]\n"

# (text, line or None for the whole file, section and key, what the message says)
FILES = [
    ("hello\n", 1, None, "key = value"),
    ("watches = 5\n", 1, "watches", "before the first section"),
    ("[limit]\n", 1, "[limit]", "is not a section"),
    ("[limits\n", 1, "[limits", "no ']'"),
    ("[limits x]\n", 1, "[limits x]", "takes no name"),
    ("[limits]\nwatches\n", 2, "[limits]", "key = value"),
    ("[limits]\nwatches = many\n", 2, "[limits] watches", "0 to 65536"),
    ("[limits]\n# fine\nstreams = 257\n", 3, "[limits] streams", "0 to 256"),
    ("[limits]\nqueue-bytes = 1MB\n", 2, "[limits] queue-bytes", "K, M, G or T"),
    ("[limits]\nstreams = 1\nstreams = 2\n", 3, "[limits] streams", "given again"),
    ("[daemon]\nhistory-size = 5\n", 2, "[daemon] history-size", "256 to 65536"),
    ("[daemon]\nlog-level = loud\n", 2, "[daemon] log-level", "error, warning"),
    ("[daemon]\nsources = magic\n", 2, "[daemon] sources", "gate, mount-events"),
    ("[daemon]\ncolour = red\n", 2, "[daemon] colour", "sources, history-size, log-level"),
    ("[filesystem]\n", 1, "[filesystem]", "name is missing"),
    ("[filesystem srv]\n", 1, "[filesystem srv]", "uuid:X"),
    ("[filesystem /a;b]\n", 1, "[filesystem /a;b]", "\\073"),
    ("[filesystem /a/../b]\n", 1, "[filesystem /a/../b]", "'..'"),
    ("[filesystem /a\\9]\n", 1, "[filesystem /a\\9]", "\\ooo"),
    (b"[filesystem /\xff]\n", 1, "[filesystem /\\377]", "\\ooo"),
    ("[filesystem device:sda]\n", 1, "[filesystem device:sda]", "absolute"),
    (FS + "threshold = low\n", 2, "threshold", "space or inodes"),
    (FS + "threshold = low space\n", 2, "threshold", "LEVEL"),
    (FS + "threshold = low space much\n", 2, "threshold", "level"),
    (FS + "threshold = low space 101%\n", 2, "threshold", "0 to 100"),
    (FS + "threshold = low inodes 1G\n", 2, "threshold", "inodes"),
    (FS + "threshold = low space 1G red\n", 2, "threshold", "warning|critical"),
    (FS + "threshold = LOW space 1G\n", 2, "threshold", "a-z"),
    (FS + "threshold = low space 1G hysteresis\n", 2, "threshold", "hysteresis"),
    (FS + "threshold = a space 1G\nthreshold = a space 2G\n", 3, "threshold", "once a section"),
    (FS + "threshold = none\nthreshold = a space 2G\n", 3, "threshold", "line 2"),
    (FS + "events = enospc, doom\n", 2, "events", "'doom' is not an event code"),
    (FS + "ignore = perhaps\n", 2, "ignore", "neither yes nor no"),
    (FS + "threshold = low space 1G\n  2G\n", 3, None, "ends with its line"),
    ("[watch /etc]\nevents = enospc\n", 2, "[watch /etc] events", "create"),
    ("[process x]\nfork-rate = 5\n", 2, "[process x] fork-rate", "N/s"),
    (b"[limits]\nstreams = 1\0\n", 2, None, "NUL"),
    (b"\x1b]0;x\x07 = 1\n", 1, "\\033]0;x\\007", "before the first section"),
    ("#" * 4201 + "\n", 1, None, "4200"),
    (FS + "x = " + "y" * 5000 + "\n", 2, None, "4200"),
    (b"[\xff" + b"\n", 1, "[\\377", "no ']'"),
]


def check(message, path, line, key, said):
    assert message.startswith(f"{path}:{line}: "), message
    if key is not None:
        assert key in message, message
    assert said in message, message
    assert message.isprintable() and message.count("\n") == 0


@pytest.mark.parametrize("where", ["file", "drop-in"])
def test_files_are_refused_and_the_old_ones_stay_in_force(place, where, client):
    dropin = "50-mine.conf" if where == "drop-in" else None
    path = os.path.join(place.running.config + ".d", dropin) if dropin else place.running.config
    messages = []
    for text, line, key, said in FILES:
        message = place.refused(text, dropin)
        check(message, path, line, key, said)
        messages.append(message.partition(": ")[2])
    assert len(set(messages)) == len(FILES), "two faults have the same message"

    # What is mended is taken.
    place.running.configure("" if dropin else place.good, dropin)
    client.call("Reload")


def test_every_fault_of_a_file_is_in_the_journal_and_the_first_in_the_answer(place):
    at = len(place.running.stderr())
    message = place.refused("[limits]\nstreams = x\nwatches = y\n[nothing]\n")
    assert ":2: [limits] streams" in message and message.endswith("(and 2 more)")
    logged = place.running.stderr()[at:]
    for line in (":2: [limits] streams", ":3: [limits] watches", ":4: [nothing]"):
        assert place.running.config + line in logged


def test_a_fault_of_one_dropin_keeps_all_out(place, client):
    before = place.state()
    place.running.configure("[limits]\nstreams = 5\n", "10-good.conf")
    message = place.refused("[limits]\nstreams = x\n", "20-bad.conf")
    assert "20-bad.conf:2:" in message
    os.unlink(os.path.join(place.running.config + ".d", "20-bad.conf"))
    client.call("Reload")
    assert client.get("Limits")["streams-per-user"] == 5
    assert place.state()[:2] == before[:2]


def test_a_fault_at_start_costs_that_section_alone(daemon, client, loopfs):
    disk, other = loopfs("tmpfs", 16), loopfs("tmpfs", 16)
    running = daemon(f"[filesystem {disk.where}]\nthreshold = mine space 1M info\n[limits]\nstreams = x\n"
                     f"[filesystem {other.where}]\nthreshold = bad space x\nevents = stalled\n"
                     "[daemon]\nhistory-size = 512\n")
    running.wait_stderr(r"fsevents\.conf:4: \[limits\] streams")
    running.wait_stderr(r"fsevents\.conf:6: ")
    path, other_path = client.wait_filesystem(disk.where), client.wait_filesystem(other.where)
    assert [t[0] for t in client.get("Thresholds", path)] == ["mine"]
    assert {t[0] for t in client.get("Thresholds", other_path)} == {"low", "critical", "inodes"}
    assert len(client.get("Events", other_path)) > 10
    assert client.get("Limits")["history-size"] == 512
    assert client.get("Limits")["streams-per-user"] == 8


# (line, what the message says); MOUNT is the filesystem's.
LINES = [
    ("hello", "'hello' is not a mount point"),
    ("!", "'!' is not a mount point"),
    ("MOUNT", "nothing is asked for"),
    ("MOUNT X", "'X' is not expected here"),
    ("MOUNT g", "'g' is not expected here"),
    ("MOUNT G T G T", "T is given twice"),
    ("MOUNT T 1 2", "must not increase"),
    ("MOUNT T 1M", "'1M' is not a level"),
    ("MOUNT T -1", "'-1' is not a level"),
    ("MOUNT T 99999999999999999999", "within 64 bits"),
    ("MOUNT T" + " 1" * 65, "at most 64"),
    ("MOUNT E", "event code"),
    ("MOUNT E doom", "'doom' is not an event code"),
    ("MOUNT E none", "'none' cannot be asked for"),
    ("MOUNT E enospc,Stalled", "'Stalled' is not an event code"),
    ("!MOUNT T 5", "takes no levels"),
    ("!MOUNT Y", "'Y' is not expected here"),
    ("MOUNT G;", "between semicolons is empty"),
    ("MOUNT\\ G", "starts nothing"),
    ("/\\000 G", "\\001 to \\377"),
    ("MOUNT G\x01", "a control character"),
    ("/" + "x" * 5000 + " G", "too long"),
    ("/x G;" * 1024 + "/x G", "too many requests: at most 1024"),
    ("/" + "x " * 70000, "longer than 131072"),
    ("MOUNT " + " " * 70000 + "G", "at most 65536"),
    ("# only a comment", "nothing but comments"),
]


def test_lines_are_refused_and_change_nothing(place, client):
    before = place.state()
    messages = set()
    for line, said in LINES:
        with pytest.raises(BusError) as refused:
            client.call("Configure", "sa{sv}", line.replace("MOUNT", place.disk.where), {})
        assert refused.value.name == DBUS + "InvalidArgs", line[:80]
        assert said in refused.value.message, line[:80]
        assert len(refused.value.message) < 1000 and refused.value.message.isprintable()
        assert place.state() == before, line[:80]
        messages.add(refused.value.message)
    assert len(messages) == len(LINES), "two faults have the same message"


NO_FS = "/org/fsevents1/filesystem/1_2_3"
GOOD = ("a", "space", 1, 0, "info")

# (interface, method, signature, arguments, error, what the message says); PATH is the filesystem's.
ARGUMENTS = [
    (MANAGER, "GetFilesystem", "s", ("srv",), "InvalidArgs", "absolute"),
    (MANAGER, "GetFilesystem", "s", ("",), "InvalidArgs", "absolute"),
    (MANAGER, "GetFilesystem", "s", ("/a\\8",), "InvalidArgs", "octal"),
    (MANAGER, "GetFilesystem", "s", ("/" + "x" * 20000,), "InvalidArgs", "longer than a path"),
    (MANAGER, "GetFilesystemByDevice", "uu", (4095, 77777), "UnknownObject", "4095:77777"),
    (MANAGER, "GetEvents", "ta{sv}", (0, {"limit": variant("u", 0)}), "InvalidArgs", "limit"),
    (MANAGER, "GetEvents", "ta{sv}", (0, {"limit": variant("u", 257)}), "InvalidArgs", "256"),
    (MANAGER, "GetEvents", "ta{sv}", (0, {"limit": variant("s", "5")}), "InvalidArgs", "has type u, not s"),
    (MANAGER, "GetEvents", "ta{sv}", (0, {"codes": variant("as", ["doom"])}), "InvalidArgs", "doom"),
    (MANAGER, "GetEvents", "ta{sv}", (0, {"severities": variant("as", ["bad"])}), "InvalidArgs", "bad"),
    (MANAGER, "GetEvents", "ta{sv}", (0, {"filesystem": variant("o", "/x")}),
     "InvalidArgs", "object path of a filesystem"),
    (MANAGER, "GetEvents", "ta{sv}", (0, {"since": variant("t", 1)}), "InvalidArgs", "\"since\"; there are: "),
    (MANAGER, "OpenEvents", "ta{sv}", (0, {"a\u202eb": variant("t", 1)}), "InvalidArgs", "\\342\\200\\256"),
    (MANAGER, "Reload", None, (1,), None, ""),
    (MANAGER, "Configure", "sa{sv}", ("/ G", {"x": variant("b", True)}), "InvalidArgs", "\"x\"; this method has none"),
    (MANAGER, "EmitTestEvent", "osa{sv}", (NO_FS, "enospc", {}), "UnknownObject", NO_FS),
    (MANAGER, "EmitTestEvent", "osa{sv}", ("/", "enospc", {}), "UnknownObject", "no filesystem /"),
    (MANAGER, "EmitTestEvent", "osa{sv}", ("PATH", "doom", {}), "InvalidArgs", "doom"),
    (MANAGER, "EmitTestEvent", "osa{sv}", ("PATH", "enospc", {"x": variant("b", True)}), "InvalidArgs", "\"x\""),
    (FILESYSTEM, "GetUsage", "a{sv}", ({"x": variant("b", True)},), "InvalidArgs", "\"x\""),
    (FILESYSTEM, "SetEvents", "asa{sv}", (["doom"], {}), "InvalidArgs", "doom"),
    (FILESYSTEM, "SetEvents", "asa{sv}", ([], {"generation": variant("t", 99)}), "UnknownObject", "not 99"),
    (FILESYSTEM, "SetEvents", "asa{sv}", ([], {"generation": variant("u", 99)}), "InvalidArgs", "has type t, not u"),
    (FILESYSTEM, "SetThresholds", "a(sstts)a{sv}", ([("A", *GOOD[1:])], {}), "InvalidArgs", "\"A\""),
    (FILESYSTEM, "SetThresholds", "a(sstts)a{sv}", ([("", *GOOD[1:])], {}), "InvalidArgs", "1 to 32"),
    (FILESYSTEM, "SetThresholds", "a(sstts)a{sv}", ([("a" * 33, *GOOD[1:])], {}), "InvalidArgs", "1 to 32"),
    (FILESYSTEM, "SetThresholds", "a(sstts)a{sv}", ([("a", "bytes", 1, 0, "info")], {}), "InvalidArgs",
     "space or inodes"),
    (FILESYSTEM, "SetThresholds", "a(sstts)a{sv}", ([("a", "space", 1, 0, "bad")], {}), "InvalidArgs", "severity"),
    (FILESYSTEM, "SetThresholds", "a(sstts)a{sv}", ([GOOD, GOOD], {}), "InvalidArgs", "twice"),
    (FILESYSTEM, "SetThresholds", "a(sstts)a{sv}", ([(f"n{i}", *GOOD[1:]) for i in range(65)], {}), "InvalidArgs",
     "at most 64"),
    (FILESYSTEM, "SetThresholds", "a(sstts)a{sv}", ([GOOD], {"generation": variant("t", 99)}), "UnknownObject",
     "not 99"),
]


def test_arguments_are_refused_and_change_nothing(place, client):
    before = place.state()
    for interface, method, signature, arguments, name, said in ARGUMENTS:
        path = ROOT if interface == MANAGER else place.path
        arguments = [place.path if a == "PATH" else a for a in arguments]
        if signature is None:
            signature = "u"
        what = f"{method}{arguments}"[:200]
        with pytest.raises(BusError) as refused:
            client.call(method, signature, *arguments, path=path, interface=interface)
        if name:
            assert refused.value.name == DBUS + name, what
        assert refused.value.name.startswith((DBUS, "org.fsevents1.Error.")), what
        assert said in refused.value.message and refused.value.message.isprintable(), what
        assert place.state() == before, what
    assert not client.events("enospc")


@pytest.mark.parametrize("interface, method", [
    (MANAGER, m) for m in ("GetFilesystem", "GetFilesystemByDevice", "GetFilesystemByFd", "GetEvents", "OpenEvents",
                           "Configure", "EmitTestEvent")
] + [(FILESYSTEM, m) for m in ("GetUsage", "SetThresholds", "SetEvents")])
def test_arguments_of_the_wrong_type_are_refused(place, client, interface, method):
    before = place.state()
    path = ROOT if interface == MANAGER else place.path
    for signature, arguments in ((None, ()), ("b", (True,)), ("v", (variant("s", ""),)), ("ay", ([1, 2],)),
                                 ("a{sv}a{sv}", ({}, {}))):
        with pytest.raises(BusError) as refused:
            client.call(method, signature, *arguments, path=path, interface=interface)
        assert refused.value.name == DBUS + "InvalidArgs", signature
    assert place.state() == before
