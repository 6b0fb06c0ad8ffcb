# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ordinary user may and may not do."""

import pytest

from client import BusError, FILESYSTEM, ROOT

NOBODY = 65534
DENIED = ("org.freedesktop.DBus.Error.AccessDenied",
          "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")


@pytest.fixture
def place(daemon, client, loopfs):
    """(object path, disk) of a filesystem under a running daemon"""
    disk = loopfs("ext4", 32)
    daemon(f"[filesystem {disk.where}]\nthreshold = one space 1M warning\n")
    return client.wait_filesystem(disk.where), disk


def test_everybody_reads(place, client, as_user):
    path, disk = place
    user = as_user(NOBODY)
    assert user.find(disk.where) == path
    assert user.call("GetFilesystem", "s", disk.where + "/x") == path
    assert user.call("GetFilesystemByDevice", "uu", *disk.device()) == path
    assert user.usage(path) and user.get_all(path) == client.get_all(path)
    assert user.get("Version") == client.get("Version")
    assert user.call("GetConfiguration") is not None
    assert user.history()[1] >= 0


def test_everybody_is_told(place, client, as_user):
    path, _ = place
    user = as_user(NOBODY)
    client.call("EmitTestEvent", "osa{sv}", path, "enospc", {})
    event = user.wait_event("enospc", path)
    assert event.details["test"] is True
    assert event.id == client.wait_event("enospc", path).id
    assert [e.id for e in user.history()[2] if e.code == "enospc"] == [event.id]


@pytest.mark.parametrize("call", [
    ("Configure", "sa{sv}", "/ G", {}),
    ("Configure", "sa{sv}", "", {}),
    ("Reload",),
    ("EmitTestEvent", "osa{sv}", "PATH", "enospc", {}),
])
def test_users_change_nothing(place, as_user, client, call):
    path, _ = place
    user = as_user(NOBODY)
    before = client.call("GetConfiguration")
    with pytest.raises(BusError) as refused:
        user.call(*[path if a == "PATH" else a for a in call])
    assert refused.value.name in DENIED
    assert refused.value.message
    assert client.call("GetConfiguration") == before
    assert not client.events("enospc")


@pytest.mark.parametrize("call", [
    ("SetThresholds", "a(sstts)a{sv}", [], {}),
    ("SetEvents", "asa{sv}", [], {}),
])
def test_users_set_nothing(place, as_user, client, call):
    path, _ = place
    before = client.get("Thresholds", path), client.get("Events", path)
    with pytest.raises(BusError) as refused:
        as_user(NOBODY).call(*call, path=path, interface=FILESYSTEM)
    assert refused.value.name in DENIED
    assert (client.get("Thresholds", path), client.get("Events", path)) == before


def test_refusal_looks_at_no_argument(place, as_user):
    user = as_user(NOBODY)
    errors = set()
    for line in ("/ G", "/nonexistent G", "nonsense ;;; G"):
        with pytest.raises(BusError) as refused:
            user.call("Configure", "sa{sv}", line, {})
        errors.add((refused.value.name, refused.value.message))
    assert len(errors) == 1


def test_users_cannot_take_the_name(bus, as_user):
    with pytest.raises(BusError) as refused:
        as_user(NOBODY).call("RequestName", "su", "org.fsevents1", 0, path="/org/freedesktop/DBus",
                             interface="org.freedesktop.DBus",
                             destination="org.freedesktop.DBus")
    assert refused.value.name == "org.freedesktop.DBus.Error.AccessDenied"


def test_users_statistics_tell_less(place, as_user, client):
    mine = set(as_user(NOBODY).get("Statistics"))
    assert mine < set(client.get("Statistics"))


def test_busctl_as_nobody(place, busctl):
    path, disk = place
    done = busctl("get-property", "org.fsevents1", path, FILESYSTEM, "Where", uid=NOBODY)
    assert done.stdout.strip() == f's "{disk.where}"'
    assert path in busctl("tree", "--list", "org.fsevents1", uid=NOBODY).stdout
    assert "EmitTestEvent" in busctl("introspect", "org.fsevents1", ROOT, uid=NOBODY).stdout
    done = busctl("call", "org.fsevents1", ROOT, "org.fsevents1.Manager", "Configure", "sa{sv}",
                  "/ G", 0, uid=NOBODY, check=False)
    assert done.returncode != 0 and done.stderr
