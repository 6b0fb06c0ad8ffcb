# SPDX-License-Identifier: GPL-2.0-or-later
"""The objects of the real daemon: lookups, the history's queries, privacy, generations, the contract."""

import os
import shutil
import socket
import struct
import subprocess

import pytest

import service
from client import BusError, FILESYSTEM, variant
from rawbus import ERROR, RawClient

NOBODY = 65534
MIB = 1 << 20
WRITER = "secret-writer"
ERRORS = "org.freedesktop.DBus.Error."
PROPERTIES = {
    "Major", "Minor", "Type", "Generation", "BlockSize", "Source", "Where", "MountPoints",
    "ReadOnly", "ReadOnlyReason", "State", "Thresholds", "Crossed", "Events", "Capabilities",
    "ErrorCount", "LastEvent",
}


@pytest.fixture
def place(daemon, client, loopfs):
    """(object path, disk)"""
    disk = loopfs("ext4", 32)
    daemon(f"[filesystem {disk.where}]\nthreshold = one space 1M warning\n")
    return client.wait_filesystem(disk.where), disk


def refused(call, *args, **kwargs):
    with pytest.raises(BusError) as raised:
        call(*args, **kwargs)
    assert raised.value.message.strip()
    return raised.value


def test_contract_is_what_runs(place, bus):
    done = subprocess.run([os.path.join(service.SOURCE, "tests", "lint", "introspection.py"),
                           bus.address], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_introspection_without_a_bus_is_the_same():
    done = subprocess.run([os.path.join(service.SOURCE, "tests", "lint", "introspection.py")],
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "FSEVENTSD": service.executable()})
    assert done.returncode == 0, done.stdout


def test_properties_are_those_of_the_contract(place, client):
    path, disk = place
    properties = client.get_all(path)
    assert set(properties) == PROPERTIES
    assert (properties["Major"], properties["Minor"]) == disk.device()
    assert path == "/org/fsevents1/filesystem/{Major}_{Minor}_".format(**properties) + \
        path.rsplit("_", 1)[1]
    assert properties["BlockSize"] == os.statvfs(disk.where).f_frsize
    assert properties["MountPoints"] == [disk.where.encode()]
    assert [t[:3] for t in properties["Thresholds"]] == [("one", "space", MIB)]
    assert properties["LastEvent"][0] == 0


@pytest.mark.parametrize("text", ["{}", "{}/", "{}/x/y", "/mnt/../{}/a/./b/..", "/{}", "{octal}"])
def test_paths_are_folded_and_not_looked_up(place, client, text):
    path, disk = place
    octal = "".join(f"\\{byte:03o}" if i else "/" for i, byte in enumerate(disk.where.encode()))
    assert client.call("GetFilesystem", "s", text.format(disk.where, octal=octal)) == path


def test_links_are_not_followed(place, client, scratch):
    _, disk = place
    link = os.path.join(scratch, "link")
    os.symlink(disk.where, link)
    # The scratch directory is on a tmpfs below /run, which is not watched.
    assert refused(client.call, "GetFilesystem", "s", link).name == ERRORS + "NotSupported"


@pytest.mark.parametrize("text", ["", "relative", "/\\", "/\\9", "/\\400", "/\\000", "/" + "x" * 20000])
def test_bad_paths(place, client, text):
    assert refused(client.call, "GetFilesystem", "s", text).name == ERRORS + "InvalidArgs"


def test_no_such_device(place, client):
    assert refused(client.call, "GetFilesystemByDevice", "uu", 4000000000, 4000000000).name == \
        ERRORS + "UnknownObject"


def test_descriptor_names_its_filesystem(place, client):
    path, disk = place
    for where in (disk.where, os.path.join(disk.where, "lost+found")):
        fd = os.open(where, os.O_PATH)
        assert client.call_with_fds("GetFilesystemByFd", "ha{sv}", 0, {}, fds=[fd])[0] == path
        os.close(fd)


@pytest.mark.parametrize("make", [
    lambda where: os.open(where, os.O_RDONLY),
    lambda where: os.memfd_create("x"),
    lambda where: os.pipe()[0],
    lambda where: socket.socket().detach(),
    lambda where: os.open("/proc/self", os.O_PATH),
], ids=["readable", "memfd", "pipe", "socket", "procfs"])
def test_other_descriptors_are_not_supported(place, client, make):
    _, disk = place
    fd = make(disk.where)
    error = refused(client.call_with_fds, "GetFilesystemByFd", "ha{sv}", 0, {}, fds=[fd])
    assert error.name == ERRORS + "NotSupported" and "O_PATH" in error.message
    os.close(fd)


def test_index_without_a_descriptor(place, client):
    """The signature has an h, the message has none."""
    assert refused(client.call_with_fds, "GetFilesystemByFd", "ha{sv}", 0, {}).name in (
        ERRORS + "LimitsExceeded", ERRORS + "InvalidArgs")
    assert client.get("Version")


def emit(client, path, *codes):
    for code in codes:
        client.call("EmitTestEvent", "osa{sv}", path, code, {})


def test_history_is_filtered_and_paged(place, client):
    path, _ = place
    emit(client, path, *["enospc", "io-error", "mounted"] * 8)
    oldest, newest, events, info = client.history()
    ours = [e for e in events if e.details.get("test")]
    assert len(ours) == 24 and (info["reset"], info["more"]) == (False, False)
    assert len(info["epoch"]) == 32
    assert [e.id for e in events] == sorted({e.id for e in events})
    assert oldest <= events[0].id and events[-1].id <= newest

    assert {e.code for e in client.history(codes=variant("as", ["io-error"]))[2]} == {"io-error"}
    severe = client.history(severities=variant("as", ["critical"]))[2]
    assert severe and {e.severity for e in severe} == {"critical"}
    assert len(client.history(filesystem=variant("o", path))[2]) >= 24
    assert not client.history(filesystem=variant("o", path + "9"))[2]
    assert not client.history(codes=variant("as", []))[2]

    got, since, pages = [], 0, 0
    while True:
        _, _, page, info = client.history(since, limit=variant("u", 7))
        assert len(page) <= 7
        got += page
        pages += 1
        if not info["more"]:
            break
        since = page[-1].id
    assert [e.id for e in got] == [e.id for e in client.history()[2]] and pages >= 4


def test_a_later_id_is_of_another_history(place, client):
    path, _ = place
    emit(client, path, "enospc")
    _, newest, events, info = client.history((1 << 64) - 1)
    assert info["reset"] is True and events[-1].id == newest
    assert client.history(newest)[2] == [] and client.history(newest)[3]["reset"] is False


@pytest.mark.parametrize("options, named", [
    ({"limit": ("u", 0)}, "limit"),
    ({"limit": ("u", 257)}, "limit"),
    ({"limit": ("t", 5)}, "limit"),
    ({"codes": ("as", ["enospc", "nonsense"])}, "nonsense"),
    ({"severities": ("as", ["bad"])}, "bad"),
    ({"filesystem": ("o", "/x")}, "filesystem"),
    ({"filesystem": ("s", "/x")}, "filesystem"),
    ({"unknown": ("b", True)}, "unknown"),
])
def test_bad_options_are_named(place, client, options, named):
    error = refused(client.history, **{k: variant(*v) for k, v in options.items()})
    assert error.name == ERRORS + "InvalidArgs" and named in error.message


def test_unknown_option_is_told_with_those_there_are(place, client):
    message = refused(client.history, colour=variant("s", "red")).message
    assert all(name in message for name in ("colour", "limit", "filesystem", "codes", "severities"))


def test_answer_stays_below_its_bound(place, client, bus):
    path, _ = place
    for _ in range(64):
        emit(client, path, "corrupted", "enospc", "io-error", "read-only")
    raw = RawClient(bus.address)
    _, answer = raw.wait_reply(raw.send("GetEvents", interface="org.fsevents1.Manager",
                                        signature="ta{sv}", body=bytes(16)))
    assert len(answer) <= 64 << 10
    raw.close()


def test_generation_guards_the_setters(place, client):
    path, _ = place
    generation = client.get("Generation", path)
    levels = [("two", "space", 2 * MIB, 0, "critical"), ("few", "inodes", 10, 5, "info")]
    options = {"generation": variant("t", generation)}

    client.call("SetThresholds", "a(sstts)a{sv}", levels, options, path=path, interface=FILESYSTEM)
    assert [t[:3] for t in client.get("Thresholds", path)] == [t[:3] for t in levels]
    client.call("SetEvents", "asa{sv}", ["enospc"], options, path=path, interface=FILESYSTEM)
    assert client.get("Events", path) == ["enospc"]

    other = {"generation": variant("t", generation + 1)}
    for call in (("SetThresholds", "a(sstts)a{sv}", [], other), ("SetEvents", "asa{sv}", [], other)):
        error = refused(client.call, *call, path=path, interface=FILESYSTEM)
        assert error.name == ERRORS + "UnknownObject" and str(generation) in error.message
    assert len(client.get("Thresholds", path)) == 2 and client.get("Events", path) == ["enospc"]


@pytest.mark.parametrize("threshold, named", [
    (("", "space", 1, 0, "info"), "name"),
    (("Upper", "space", 1, 0, "info"), "Upper"),
    (("x" * 33, "space", 1, 0, "info"), "32"),
    (("a b", "space", 1, 0, "info"), "a b"),
    (("a", "blocks", 1, 0, "info"), "inodes"),
    (("a", "space", 1, 0, "fatal"), "severity"),
    (("twice", "inodes", 1, 0, "info"), "twice"),
])
def test_bad_thresholds_change_nothing(place, client, threshold, named):
    path, _ = place
    before = client.get("Thresholds", path)
    items = [("twice", "space", 1, 0, "info"), threshold]
    error = refused(client.call, "SetThresholds", "a(sstts)a{sv}", items, {}, path=path,
                    interface=FILESYSTEM)
    assert error.name == ERRORS + "InvalidArgs" and named in error.message
    assert client.get("Thresholds", path) == before


def test_at_most_64_thresholds(place, client):
    path, _ = place
    items = [(f"t{i}", "space", i + 1, 0, "info") for i in range(65)]
    call = ("SetThresholds", "a(sstts)a{sv}")
    assert refused(client.call, *call, items, {}, path=path, interface=FILESYSTEM).name == \
        ERRORS + "InvalidArgs"
    client.call(*call, items[:64], {}, path=path, interface=FILESYSTEM)
    assert len(client.get("Thresholds", path)) == 64


def test_objects_that_are_gone_say_so(place, client, wait_for):
    path, disk = place
    disk.umount()
    wait_for(lambda: client.find(disk.where) is None)
    for call in (lambda: client.usage(path), lambda: client.get("State", path),
                 lambda: client.call("SetEvents", "asa{sv}", [], {}, path=path,
                                     interface=FILESYSTEM),
                 lambda: emit(client, path, "enospc")):
        error = refused(call)
        assert error.name == ERRORS + "UnknownObject"
    # What happened there is still told.
    assert client.history(filesystem=variant("o", path))[2][-1].code == "unmounted"


def test_unknown_members_and_interfaces(place, client):
    path, _ = place
    # The bus lets nothing pass that its policy does not name.
    for kwargs in ({}, {"path": path, "interface": FILESYSTEM}):
        assert refused(client.call, "Nonsense", **kwargs).name == ERRORS + "AccessDenied"
    assert refused(client.get, "Nonsense", path).name == ERRORS + "UnknownProperty"
    assert refused(client.call, "Set", "ssv", FILESYSTEM, "State", variant("s", "ok"), path=path,
                   interface="org.freedesktop.DBus.Properties").name == ERRORS + "PropertyReadOnly"


def test_statistics_of_root_are_roots(place, client, as_user):
    mine = as_user(NOBODY).get("Statistics")
    assert not [key for key in mine if "denied" in key or "worker" in key or "refused" in key]
    assert as_user(NOBODY).get_all()["Statistics"].keys() == mine.keys()
    assert "calls-denied" in client.get("Statistics")


def test_denied_calls_are_counted(place, client, as_user):
    before = client.get("Statistics")["calls-denied"]
    refused(as_user(NOBODY).call, "Reload")
    assert client.get("Statistics")["calls-denied"] == before + 1


def test_object_manager_lists_filesystems_alone(place, client):
    objects = client.objects()
    assert objects and all(path.startswith("/org/fsevents1/filesystem/") for path in objects)
    assert all(FILESYSTEM in interfaces for interfaces in objects.values())


def test_who_writes_is_private(daemon, client, as_user, loopfs, wait_for, scratch):
    """Root reads in the history who wrote before the alarm, and nobody else anywhere."""
    disk = loopfs("ext4", 64)
    level = disk.available() - 16 * MIB
    daemon(f"[filesystem {disk.where}]\nthreshold = one space {level} warning\n")
    path = client.wait_filesystem(disk.where)
    user = as_user(NOBODY)
    writer = shutil.copy("/usr/bin/head", os.path.join(scratch, WRITER))

    def details_for(who):
        return [e.details for e in who.history()[2] if e.id == event.id][0]

    # The processes are looked at after the alarm was told: it waits for a last byte till then.
    with open(disk.path("secret-name"), "wb") as file, \
            subprocess.Popen([writer, "-c", "31M"], stdin=subprocess.PIPE, stdout=file) as process:
        process.stdin.write(bytes(30 * MIB))
        process.stdin.flush()
        event = client.wait_event("threshold-below", path)
        wait_for(lambda: "writers" in details_for(client), what="the writers")
    theirs = details_for(user)
    assert set(theirs) == set(details_for(client)) - {"writers"}
    assert set(theirs) >= {"where", "source", "type", "name", "level"}
    for details in (event.details, user.get("LastEvent", path)[6], client.get("LastEvent", path)[6]):
        assert not {"writers", "path", "inode"} & set(details)

    told = repr((user.history(), user.objects(),
                 [e.details for e in user.wait_event("threshold-below", path) and user.events()]))
    assert "secret-name" not in told and WRITER not in told


def test_messages_of_all_kinds_end_nothing(place, bus, client):
    """Calls with wrong signatures, on wrong paths, without interface, of wrong endianness."""
    raw = RawClient(bus.address)
    for member, kwargs in [
            ("GetEvents", {"interface": "org.fsevents1.Manager"}),
            ("GetEvents", {"interface": "org.fsevents1.Manager", "signature": "s",
                           "body": struct.pack("=I", 0) + b"\0"}),
            ("GetFilesystem", {"path": "/"}),
            ("Introspect", {"path": "/org/fsevents1/filesystem",
                            "interface": "org.freedesktop.DBus.Introspectable"}),
            ("GetAll", {"interface": "org.freedesktop.DBus.Properties", "signature": "s",
                        "body": struct.pack("=I", 1) + b"x\0"}),
    ]:
        kind, answer = raw.wait_reply(raw.send(member, **kwargs))
        assert kind != ERROR or b"org.freedesktop.DBus.Error" in answer
    raw.close()
    assert client.get("Version")
