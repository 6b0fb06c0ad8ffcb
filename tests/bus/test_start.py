# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting, reloading and stopping; the daemon's own command line."""

import os
import stat
import subprocess

import pytest

from client import NAME
from service import executable
from waiting import PATIENCE, check_took


def run(*arguments, **kwargs):
    return subprocess.run([executable(), *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False, **kwargs)


def test_ready_means_that_the_name_is_owned_and_objects_are_there(daemon, client, loopfs):
    disk = loopfs("ext4", 32)
    running = daemon()
    assert client.name_owner() is not None
    assert client.find(disk.where), "a filesystem mounted before the start has no object"
    assert client.get("Version")
    check_took("the start", running.ready_after, 1.0)


def test_version_is_that_of_the_bus(daemon, client):
    daemon()
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.split() == ["fseventsd", client.get("Version")]


def test_help_names_every_option():
    done = run("--help")
    assert done.returncode == 0
    for option in ("--config", "--bus", "--log-level", "--introspect", "--version"):
        assert option in done.stdout


@pytest.mark.parametrize("arguments", [
    ["--no-such-option"], ["argument"], ["--log-level", "loud"], ["--config"], ["--bus"],
])
def test_wrong_use_is_refused_with_2_and_a_hint(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("fseventsd: ") or executable() in done.stderr
    assert not done.stdout


def test_an_ordinary_user_cannot_start_it(tmp_path):
    done = run("--bus=unix:path=/nonexistent", user=65534, group=65534, extra_groups=[])
    assert done.returncode == 1
    assert "root" in done.stderr


def test_a_second_instance_is_refused_and_the_first_goes_on(daemon, client):
    first = daemon()
    owner = client.name_owner()
    second = daemon(ready=False)
    assert second.wait(PATIENCE) == 1
    assert NAME in second.stderr(), "the message does not say what is taken"
    assert client.name_owner() == owner
    client.ping()
    assert first.running()


def test_state_directory_is_private(daemon):
    running = daemon()
    assert stat.S_IMODE(os.stat(running.state).st_mode) == 0o700
    for name in os.listdir(running.state):
        assert not stat.S_IMODE(os.stat(os.path.join(running.state, name)).st_mode) & 0o077, name


def thresholds(client, path):
    return {t[0]: t for t in client.get("Thresholds", path)}


def test_hangup_reads_the_configuration_again(daemon, client, loopfs, wait_for):
    disk = loopfs("ext4", 32)
    running = daemon(f"[filesystem {disk.where}]\nthreshold = one space 1M info\n")
    path = client.wait_filesystem(disk.where)
    assert list(thresholds(client, path)) == ["one"]

    running.configure(f"[filesystem {disk.where}]\nthreshold = two space 2M warning\n")
    running.hangup()
    wait_for(lambda: list(thresholds(client, path)) == ["two"], what="the new threshold")
    name, resource, level, _, severity = thresholds(client, path)["two"]
    assert (resource, level, severity) == ("space", 2 << 20, "warning")


def test_a_bad_file_on_reload_leaves_the_old_in_force(daemon, client, loopfs, wait_for):
    disk = loopfs("ext4", 32)
    running = daemon(f"[filesystem {disk.where}]\nthreshold = one space 1M info\n")
    path = client.wait_filesystem(disk.where)
    before = client.get("Thresholds", path)

    at = len(running.stderr())
    running.configure(f"[filesystem {disk.where}]\nthreshold = two space much warning\n")
    running.hangup()
    running.wait_stderr(r"fsevents\.conf:2", start=at)
    assert "threshold" in running.stderr()[at:]
    assert client.get("Thresholds", path) == before


def test_a_bad_file_at_start_is_told_and_defaults_serve(daemon, client, loopfs):
    disk = loopfs("ext4", 32)
    running = daemon(f"[filesystem {disk.where}]\nthreshold = two space much warning\n")
    running.wait_stderr(r"fsevents\.conf:2")
    path = client.wait_filesystem(disk.where)
    assert {"low", "critical", "inodes"} <= set(thresholds(client, path))


def test_terminate_ends_at_once_and_frees_the_name(daemon, client, wait_for):
    running = daemon()
    with open(f"/proc/{running.pid}/task/{running.pid}/children", encoding="ascii") as file:
        children = file.read().split()
    assert children, "the daemon has no helper processes"
    running.stop()
    wait_for(lambda: client.name_owner() is None, what="the name to be free")
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children),
             what="the helper processes to end")


def test_ids_go_on_after_a_restart(daemon, client, loopfs):
    disk = loopfs("ext4", 32)
    first = daemon()
    path = client.wait_filesystem(disk.where)
    client.call("EmitTestEvent", "osa{sv}", path, "enospc", {})
    before = client.wait_event("enospc")
    first.stop()

    daemon(state=first.state)
    path = client.wait_filesystem(disk.where)
    client.call("EmitTestEvent", "osa{sv}", path, "corrupted", {})
    after = client.wait_event("corrupted")
    assert after.id > before.id
    _, _, events, _ = client.history()
    assert [e.id for e in events if e.code == "enospc"] == [before.id]


def test_ids_never_go_back_without_the_state(daemon, client, loopfs):
    disk = loopfs("ext4", 32)
    first = daemon()
    client.call("EmitTestEvent", "osa{sv}", client.wait_filesystem(disk.where), "enospc", {})
    before = client.wait_event("enospc")
    first.kill()

    daemon()
    client.call("EmitTestEvent", "osa{sv}", client.wait_filesystem(disk.where), "corrupted", {})
    assert client.wait_event("corrupted").id > before.id


def test_losing_the_bus_is_no_end(daemon, bus, wait_for):
    from client import Client
    running = daemon()
    bus.stop()
    bus.start()
    fresh = Client(bus.address)
    wait_for(fresh.name_owner, what="the daemon to come back to the bus")
    assert fresh.get("Version")
    assert running.running()
    fresh.close()


def test_without_a_bus_it_waits_for_one(daemon, bus, wait_for):
    from client import Client
    bus.stop()
    running = daemon(ready=False)
    running.wait_stderr("bus")
    assert running.running()
    bus.start()
    fresh = Client(bus.address)
    wait_for(fresh.name_owner, what="the daemon to find the bus")
    fresh.close()
