# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings at run time: the one-line grammar of Configure, and GetConfiguration in the same words."""

import os

import pytest

from client import BusError, FILESYSTEM
from disks import mount_raw, umount_raw

pytestmark = pytest.mark.buses("dbus-daemon")

INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
NOT_FOUND = "org.freedesktop.DBus.Error.FileNotFound"
NOT_SUPPORTED = "org.freedesktop.DBus.Error.NotSupported"
THRESHOLD_CODES = {"threshold-below", "threshold-above"}
BLOCK = 4096


@pytest.fixture
def place(daemon, client, loopfs):
    """A running daemon's filesystem: .where .path .running and, as they are now, .events() .levels()."""
    class Place:
        disk = loopfs("tmpfs", 64)
        where = disk.where
        running = daemon(f"[filesystem {where}]\n"
                         "threshold = one space 30% warning\nthreshold = two inodes 5% info\n")
        path = client.wait_filesystem(where)

        def events(self):
            return set(client.get("Events", self.path))

        def levels(self):
            """{name: (resource, blocks or inodes, severity)}"""
            return {t[0]: (t[1], t[2] // BLOCK if t[1] == "space" else t[2], t[4])
                    for t in client.get("Thresholds", self.path)}

        def line(self):
            """What GetConfiguration says of it, without the comment; None: nothing."""
            found = [text for text in client.call("GetConfiguration").splitlines()
                     if text.split(" ")[0] == self.where]
            assert len(found) <= 1
            return found[0].split(" # ")[0] if found else None

        def state(self):
            return self.events(), client.get("Thresholds", self.path), self.line()

    made = Place()
    client.usage(made.path)
    return made


@pytest.fixture
def configure(client):
    return lambda line: client.call("Configure", "sa{sv}", line, {})


def test_generic_tells_of_health_and_of_no_level(place, configure):
    configure(f"{place.where} G")
    assert {"enospc", "stalled", "corrupted", "io-error"} <= place.events()
    assert not THRESHOLD_CODES & place.events()
    assert place.levels() == {}
    assert place.line() == f"{place.where} G"


def test_levels_are_blocks_and_the_last_one_is_critical(place, configure):
    configure(f"{place.where} G T 7100 5000 300")
    assert place.levels() == {"level-1": ("space", 7100, "warning"), "level-2": ("space", 5000, "warning"),
                              "level-3": ("space", 300, "critical")}
    assert THRESHOLD_CODES <= place.events()
    assert place.line() == f"{place.where} G T 7100 5000 300"


def test_a_lone_level_warns_and_is_told_when_crossed(place, configure, client):
    configure(f"{place.where} T 5000")
    assert place.levels() == {"level-1": ("space", 5000, "warning")}
    assert place.events() == THRESHOLD_CODES
    place.disk.fallocate("file", place.disk.available() - 4000 * BLOCK)
    event = client.wait_event("threshold-below", place.path)
    assert (event.name, event.severity, event.details["level"]) == ("level-1", "warning", 5000 * BLOCK)


def test_any_number_of_levels_up_to_the_limit(place, configure, client):
    most = client.get("Limits")["thresholds-per-filesystem"]
    numbers = " ".join(str(n) for n in range(most, 0, -1))
    configure(f"{place.where} T {numbers}")
    assert len(place.levels()) == most
    assert place.line() == f"{place.where} T {numbers}"
    with pytest.raises(BusError, match="one level too many: at most 64"):
        configure(f"{place.where} T {numbers} 0")
    assert len(place.levels()) == most


def test_levels_without_numbers_keep_those_there_are(place, configure):
    before = place.levels()
    configure(f"{place.where} T")
    assert place.levels() == before and len(before) == 2
    assert place.events() == THRESHOLD_CODES


def test_single_codes(place, configure):
    configure(f"{place.where} E stalled,unmounted E mounted")
    assert place.events() == {"stalled", "unmounted", "mounted"}
    assert place.levels() == {}
    assert set(place.line().split(" ")[2].split(",")) == {"stalled", "unmounted", "mounted"}


def test_one_direction_of_levels(place, configure):
    configure(f"{place.where} E threshold-below T 100")
    assert place.events() == {"threshold-below"}
    line = place.line()
    configure(f"{place.where} G")
    configure(line)
    assert place.events() == {"threshold-below"} and place.line() == line


def test_removal_of_one_kind_leaves_the_others(place, configure):
    configure(f"{place.where} G T 100 50")
    configure(f"!{place.where} T")
    assert place.line() == f"{place.where} G" and place.levels() == {}
    configure(f"{place.where} G T 100 50")
    configure(f"!{place.where} E enospc")
    assert "enospc" not in place.events() and "stalled" in place.events() and len(place.levels()) == 2
    configure(f"!{place.where} G")
    assert place.events() == THRESHOLD_CODES and len(place.levels()) == 2


def test_removal_takes_away_what_the_file_set_until_reload(place, configure, client):
    before = place.state()
    configure(f"!{place.where}")
    assert (place.events(), place.levels(), place.line()) == (set(), {}, None)
    place.disk.fallocate("file", place.disk.available() - BLOCK)
    client.usage(place.path)
    assert not client.events(path=place.path)
    place.disk.unlink("file")
    client.call("Reload")
    assert place.state() == before


def test_the_empty_line_removes_all(place, configure, client, loopfs):
    other = client.wait_filesystem(loopfs("tmpfs", 16).where)
    for line in ("", " \t", "\n"):
        configure(f"{place.where} G")
        configure(line)
        assert client.call("GetConfiguration") == ""
        assert client.get("Events", other) == [] and client.get("Thresholds", other) == []
    configure("")
    client.call("Reload")
    assert client.get("Thresholds", other) and len(place.levels()) == 2


@pytest.mark.parametrize("line", ["# nothing", " # x\n# y\n", ";", ";;", " ; "])
def test_a_line_that_only_says_nothing_removes_nothing(place, configure, line):
    before = place.state()
    with pytest.raises(BusError) as refused:
        configure(line)
    assert refused.value.name == INVALID and refused.value.message
    assert place.state() == before


def test_reload_ends_what_was_set_at_run_time(place, configure, client):
    before = place.state()
    configure(f"{place.where} G T 1000")
    client.call("SetEvents", "asa{sv}", ["enospc"], {}, path=place.path, interface=FILESYSTEM)
    assert place.state() != before
    client.call("Reload")
    assert place.state() == before


def test_changes_are_announced(place, configure, client):
    configure(f"{place.where} T 1000")
    changed = client.wait_signal("PropertiesChanged", place.path, predicate=lambda s: "Events" in s.args[1])
    assert set(changed.args[1]["Events"]) == THRESHOLD_CODES
    assert [t[:3] for t in changed.args[1]["Thresholds"]] == [("level-1", "space", 1000 * BLOCK)]


def test_several_requests_are_all_or_nothing(place, configure, client, loopfs):
    other = loopfs("tmpfs", 16)
    other_path = client.wait_filesystem(other.where)
    before = place.state(), client.get("Events", other_path)
    for wrong, name in ((f"{other.where} T 1 2", INVALID), ("/nonexistent G", NOT_FOUND),
                        (f"{other.where} E corrupted", NOT_SUPPORTED), (f"{other.where} X", INVALID),
                        (f"{other.where}/below G", NOT_FOUND)):
        with pytest.raises(BusError) as refused:
            configure(f"{place.where} G; {wrong}")
        assert refused.value.name == name, wrong
        with pytest.raises(BusError):
            configure(f"{wrong}; {place.where} G")
        assert (place.state(), client.get("Events", other_path)) == before

    configure(f"{place.where} G; {other.where} T 20 10; !{place.where} E enospc")
    assert "enospc" not in place.events() and "io-error" in place.events()
    assert len(client.get("Thresholds", other_path)) == 2


def test_what_cannot_come_there_is_refused_with_what_can(place, configure, client):
    before = place.state()
    cannot = set(client.get("Events", place.path)) - set(client.get("Capabilities", place.path))
    assert cannot, "nothing is left to refuse"
    for code in cannot:
        with pytest.raises(BusError) as refused:
            configure(f"{place.where} E stalled,{code}")
        assert refused.value.name == NOT_SUPPORTED
        assert f"{code} cannot come on {place.where}" in refused.value.message
        assert "stalled" in refused.value.message.split(";")[1]
    assert place.state() == before
    # Every health code is no claim that each can come.
    configure(f"{place.where} G")
    assert cannot <= place.events()


def test_codes_of_the_file_that_cannot_come_do_not_spoil_the_round_trip(place, configure, client):
    place.running.configure(f"[filesystem {place.where}]\nevents = corrupted, stalled, io-error\n")
    client.call("Reload")
    assert place.line() == f"{place.where} E stalled"
    configure(place.line())
    place.running.configure(f"[filesystem {place.where}]\nevents = corrupted\n")
    client.call("Reload")
    assert place.line() is None


def test_a_request_of_a_bind_mount_is_of_the_filesystem(place, configure, client, wait_for):
    bound = "/mnt/bound-elsewhere"
    os.makedirs(bound, exist_ok=True)
    mount_raw(place.where, bound, None, 4096)
    try:
        wait_for(lambda: bound.encode() in client.get("MountPoints", place.path))
        configure(f"{bound} G")
        assert place.line() == f"{place.where} G"
    finally:
        umount_raw(bound)


def test_options_that_do_not_exist_are_refused(place, client):
    from client import variant
    before = place.state()
    with pytest.raises(BusError) as refused:
        client.call("Configure", "sa{sv}", f"{place.where} G", {"dry-run": variant("b", True)})
    assert refused.value.name == INVALID and "dry-run" in refused.value.message
    assert place.state() == before


def test_read_only_filesystems_have_levels_too(daemon, client, loopfs, configure):
    disk = loopfs("ext4", 32, options="ro")
    daemon(f"[filesystem {disk.where}]\nthreshold = half space 50% info\n")
    path = client.wait_filesystem(disk.where)
    client.usage(path)
    assert client.get("Thresholds", path)[0][2] == disk.size() // BLOCK // 2 * BLOCK or \
        abs(client.get("Thresholds", path)[0][2] - disk.size() // 2) <= BLOCK
    configuration = client.call("GetConfiguration")
    assert f"{disk.where} G T " in configuration and f"{disk.where} G T 0 " not in configuration
    configure(configuration)
    assert client.call("GetConfiguration") == configuration


def test_levels_are_announced_once_they_are_known(daemon, client, loopfs):
    daemon()
    disk = loopfs("tmpfs", 64)
    path = client.wait_filesystem(disk.where)

    def levels():
        """As a client that only listens knows them."""
        known = None
        for signal in list(client.signals):
            if signal.member == "InterfacesAdded" and signal.args[0] == path:
                known = signal.args[1][FILESYSTEM]["Thresholds"]
            if signal.member == "PropertiesChanged" and signal.path == path:
                known = signal.args[1].get("Thresholds", known)
        return known

    client.usage(path)
    client.ping()
    assert all(t[2] for t in client.get("Thresholds", path))
    assert levels() == client.get("Thresholds", path)


# Names as a user could choose them for a mount point; what follows in some would be a request.
NAMES = [
    b"x;!", b"x;!/ G", b"a b", b"a\nb", b"a\tb", b"#", b"a # b", b"a\\b", b"\\073", b"!x", b"x G T 5",
    b"\xff\xfe", "\u202e\u00e4".encode(), b"'\"`$(x)", b"]", b"\x01\x7f\x1b[2J", b"...", b"G", b"a;/ T 1;b",
    b"%s%n", b"=", b"\xc2\x9b", b"x" * 255,
]


def test_what_is_printed_can_be_given_back(daemon, client, configure):
    """Mount points that look like grammar are names in both directions, and never requests."""
    mounted = []
    base = b"/mnt/names"
    os.makedirs(base, exist_ok=True)
    running = daemon()
    try:
        for name in NAMES:
            where = os.path.join(base, name)
            os.makedirs(where, exist_ok=True)
            mount_raw("# /x; !/ \n", where, "tmpfs", 0, "size=1M")
            mounted.append(where)
        paths = {where: client.wait_filesystem(where) for where in mounted}
        for path in paths.values():
            client.usage(path)
        before = client.call("GetConfiguration")
        assert len(before.splitlines()) == sum(p["Where"] != "" for p in client.filesystems().values())
        for line in before.splitlines():
            assert line.startswith("/") and line.isprintable(), line
            assert line.split(" # ")[0].count(";") == 0

        # As a whole, line by line, and with each line for itself after all was removed.
        configure(before)
        assert client.call("GetConfiguration") == before
        configure("")
        for line in before.splitlines():
            configure(line)
        assert client.call("GetConfiguration") == before

        # Each name reaches its own filesystem and no other.
        for where, path in paths.items():
            shown = client.get("Where", path)
            word = next(line for line in before.splitlines()
                        if client.call("GetFilesystem", "s", line.split(" ")[0]) == path).split(" ")[0]
            others = {p: client.get("Events", p) for p in paths.values() if p != path}
            configure("!" + word)
            assert client.get("Events", path) == [], shown
            assert {p: client.get("Events", p) for p in others} == others
            configure(word + " T 7")
            assert [t[2] for t in client.get("Thresholds", path)] == [7 * BLOCK]
        assert running.running()
    finally:
        for where in reversed(mounted):
            umount_raw(where)


def test_more_filesystems_than_fit_a_page_can_be_given_back(daemon, client, configure, wait_for):
    mounted = []
    try:
        for number in range(150):
            where = f"/mnt/many{number}"
            os.makedirs(where, exist_ok=True)
            mount_raw("many", where, "tmpfs", 0, "size=64k")
            mounted.append(where)
        daemon()
        before = client.call("GetConfiguration")
        assert len(before.splitlines()) >= 150
        wait_for(lambda: " G T #" not in client.call("GetConfiguration"), what="levels of all")
        before = client.call("GetConfiguration")
        configure(before)
        assert client.call("GetConfiguration") == before
    finally:
        for where in reversed(mounted):
            umount_raw(where)


def test_a_filesystem_that_never_answered_keeps_its_levels(daemon, client, configure, fuse, wait_for):
    mounted = fuse()
    mounted.stop()
    try:
        daemon(f"[filesystem {mounted.where}]\nthreshold = half space 50% info\n")
        path = client.wait_filesystem(mounted.where)
        text = client.call("GetConfiguration")
        assert f"{mounted.where} G T # " in text
        configure(text)
        assert [t[0] for t in client.get("Thresholds", path)] == ["half"]
    finally:
        mounted.cont()
    wait_for(lambda: client.get("Thresholds", path)[0][2] == 50000 * BLOCK, what="the level in bytes")
