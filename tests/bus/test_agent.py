# SPDX-License-Identifier: GPL-2.0-or-later
"""
The desktop agent: real events of the real daemon, shown by a stand-in for the
session's notification server.
"""

import os
import subprocess

import pytest

import disks
from desktop import CRITICAL, LOW, NORMAL, Agent, FileManager, Notifications
from waiting import PATIENCE, wait_for

pytestmark = pytest.mark.buses("dbus-broker")

LEVELS = """threshold = low space 50% warning hysteresis 5%
threshold = critical space 20% critical hysteresis 5%
"""


@pytest.fixture
def screen(session):
    """screen(capabilities=..., first=1) -> Notifications"""
    made = []

    def make(**kwargs):
        made.append(Notifications(session.address, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def section(disk, text=LEVELS):
    return f"[filesystem {disk.where}]\n{text}"


def fill(disk, percent, name="filler"):
    """So much of what is available now is taken by one more file."""
    disk.fallocate(name, disk.available() * percent // 100)


def test_one_notice_that_worsens_and_ends(daemon, client, loopfs, screen, agent):
    """low, then critical in its place, and taken back when there is space again."""
    disk = loopfs("ext4", 64)
    shown = screen()
    daemon(section(disk))
    path = client.wait_filesystem(disk.where)
    agent()

    fill(disk, 60)
    first, = shown.wait(1)
    assert first.title == "Disk space is low"
    assert first.urgency == NORMAL
    assert disk.where in first.body and "below threshold low" in first.body
    assert first.keys == ["default", "open", "mute"]
    assert first.replaces == 0 and first.expires == -1

    fill(disk, 90, "more")
    second = shown.wait(2)[1]
    assert second.replaces == first.id and second.urgency == CRITICAL
    # Some servers take away after seconds what does not say that it stays.
    assert second.expires == 0
    assert "below threshold critical" in second.body
    assert list(shown.shown) == [first.id]

    disk.unlink("more")
    disk.unlink("filler")
    client.wait_event("threshold-above", path, name="low")
    wait_for(lambda: not shown.shown, what="nothing on the screen")
    assert shown.closed == [first.id]


def test_already_so_at_start(daemon, client, loopfs, screen, agent):
    """Who logs in is told what is wrong now, and not what was."""
    disk, other = loopfs("ext4", 64), loopfs("ext4", 64)
    shown = screen()
    daemon(section(disk) + section(other))
    path, second = client.wait_filesystem(disk.where), client.wait_filesystem(other.where)
    fill(disk, 60)
    fill(other, 60)
    client.wait_event("threshold-below", path, name="low")
    client.wait_event("threshold-below", second, name="low")
    other.unlink("filler")
    client.wait_event("threshold-above", second, name="low")
    client.call("EmitTestEvent", "osa{sv}", second, "corrupted", {})

    agent()
    first, = shown.wait(1)
    assert disk.where in first.body
    assert first.title == "Disk space is low"


def test_tests_are_marked_and_apart(daemon, client, loopfs, screen, agent):
    disk = loopfs("ext4", 64)
    shown = screen()
    daemon(section(disk))
    path = client.wait_filesystem(disk.where)
    agent()
    fill(disk, 60)
    shown.wait(1)
    client.call("EmitTestEvent", "osa{sv}", path, "stalled", {})
    notice = shown.wait(2)[1]
    assert notice.title == "Test: Filesystem does not answer"
    assert notice.body.startswith("Test: ")
    # What a hanging filesystem would make wait is not offered.
    assert notice.keys == ["mute"]
    client.call("EmitTestEvent", "osa{sv}", path, "responding", {})
    shown.wait_shown("Disk space is low")


def test_burst_is_one_summary(daemon, client, loopfs, screen, agent):
    """Six filesystems at once: one notice, and when all is well again none."""
    several = [loopfs("tmpfs", 8, name=f"burst{i}") for i in range(6)]
    shown = screen()
    daemon("".join(f"[filesystem {d.where}]\nignore = no\n{LEVELS}" for d in several))
    paths = [client.wait_filesystem(d.where) for d in several]
    agent()
    for path in paths:
        client.call("EmitTestEvent", "osa{sv}", path, "enospc", {})
    for disk in several:
        fill(disk, 60)
    for path in paths:
        client.wait_event("threshold-below", path, name="low")

    notice = wait_for(lambda: next((n for n in list(shown.notices)
                                    if n.title.endswith("messages about filesystems")), None),
                      what=f"a summary, not {shown.notices}")
    assert notice.keys == []
    assert len(notice.body.splitlines()) == 6 and "more" in notice.body.splitlines()[5]
    wait_for(lambda: len(shown.shown) <= 2, what="few notices")
    assert len(shown.notices) <= 3, shown.notices


def test_names_are_text(daemon, client, screen, agent, scratch):
    """A mount named with markup, percent, hash and a newline: text, and one folder."""
    where = b"/mnt/<b>&R#?%\n\xff\xe2\x80\xae"
    os.makedirs(where)
    disks.mount_raw(b"scratch", where, "tmpfs", 0, "size=8M")
    try:
        shown = screen()
        daemon("[filesystem type:tmpfs]\nignore = no\nthreshold = low space 50% warning\n")
        path = client.wait_filesystem(where)
        running = agent()
        with open(os.path.join(where, b"filler"), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 6 << 20)
        notice, = shown.wait(1)
        assert "/mnt/&lt;b&gt;&amp;R#?%\\012\\377\\342\\200\\256: " in notice.body
        assert "<" not in notice.body

        files = FileManager(running.session.address)
        try:
            shown.act(notice, "open", token="token-1")
            assert files.wait() == [(["file:///mnt/%3Cb%3E%26R%23%3F%25%0A%FF%E2%80%AE"],
                                     "token-1")]
        finally:
            files.close()
        assert client.find(where) == path
    finally:
        disks.umount_raw(where)


def test_plain_server(daemon, client, loopfs, screen, agent):
    """A server without markup and actions gets neither."""
    disk = loopfs("ext4", 64, name="a&b")
    shown = screen(capabilities=["body"])
    daemon(section(disk))
    client.wait_filesystem(disk.where)
    agent()
    fill(disk, 60)
    notice, = shown.wait(1)
    assert "/mnt/a&b: " in notice.body
    assert notice.actions == []


def test_mute_and_unmute(daemon, client, loopfs, screen, agent):
    """Muted over a restart of the agent, listed, and told of again once it is not."""
    disk, other = loopfs("ext4", 64), loopfs("ext4", 64)
    shown = screen()
    daemon(section(disk) + section(other))
    path, second = client.wait_filesystem(disk.where), client.wait_filesystem(other.where)
    running = agent()
    fill(disk, 60)
    notice, = shown.wait(1)
    shown.act(notice, "mute")
    text = wait_for(lambda: running.file("muted"), what="the list of what is muted")
    assert text.endswith(f"\t{disk.where}\n") and len(text.splitlines()) == 1

    running.stop()
    agent()
    fill(disk, 90, "more")
    client.wait_event("threshold-below", path, name="critical")
    fill(other, 60)
    client.wait_event("threshold-below", second, name="low")
    assert other.where in shown.wait(2)[1].body
    assert len(shown.notices) == 2

    listed = running.run("--muted")
    assert listed.returncode == 0 and listed.stdout.startswith(f"{disk.where}\t")
    refused = running.run("--unmute", "/nowhere")
    assert refused.returncode == 1 and "/nowhere" in refused.stderr
    assert running.run("--unmute", disk.where).returncode == 0
    assert running.run("--muted").stdout == ""
    assert disk.where in shown.wait(3)[2].body


def test_daemon_restarts(daemon, client, loopfs, screen, agent):
    """What happened meanwhile is told once it is back; what is over is taken back."""
    disk, other = loopfs("ext4", 64), loopfs("ext4", 64)
    shown = screen()
    running = daemon(section(disk) + section(other))
    client.wait_filesystem(other.where)
    agent()
    fill(disk, 60)
    shown.wait(1)
    running.stop()
    disk.unlink("filler")
    fill(other, 60)
    running.start()
    wait_for(lambda: [other.where in n.body for n in list(shown.shown.values())] == [True],
             what=f"only {other.where} on the screen, of {shown.notices}")
    running.kill()
    running.start()
    path = client.wait_filesystem(disk.where)
    client.call("EmitTestEvent", "osa{sv}", path, "corrupted", {})

    # What is due at once is one notice.
    def bodies():
        return "\n".join(notice.body for notice in list(shown.shown.values()))
    wait_for(lambda: all(text in bodies() for text in (f"{other.where}: ", f"Test: {disk.where}: ")),
             what=lambda: f"both on the screen, not {shown.shown}")


def test_nothing_twice_after_restart_of_agent(daemon, client, loopfs, screen, agent):
    """What a person was told is not told again; what came while nobody ran is."""
    disk, other = loopfs("ext4", 64), loopfs("ext4", 64)
    shown = screen()
    daemon(section(disk) + section(other))
    path, second = client.wait_filesystem(disk.where), client.wait_filesystem(other.where)
    running = agent()
    fill(disk, 60)
    shown.wait(1)
    newest = str(client.history()[1])
    wait_for(lambda: (running.file("seen") or "").startswith(newest), what="what was seen")
    running.stop()

    fill(other, 60)
    client.wait_event("threshold-below", second, name="low")
    agent()
    notices = shown.wait(2)
    assert other.where in notices[1].body
    assert client.history()[1] >= client.events("threshold-below", path)[0].id


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_goes_on_with_its_notices(daemon, client, loopfs, screen, agent, end):
    """An agent that comes after another replaces and takes back what that one showed."""
    disk, other = loopfs("ext4", 64), loopfs("ext4", 64)
    shown = screen(first=41)
    daemon(section(disk) + section(other))
    path = client.wait_filesystem(disk.where)
    client.wait_filesystem(other.where)
    running = agent()
    fill(disk, 60)
    first, = shown.wait(1)
    fill(other, 60)
    second = shown.wait(2)[1]
    wait_for(lambda: f" {second.id} warning " in (running.kept("shown") or ""),
             what="a second notice that is kept")
    getattr(running, end)()

    agent()
    fill(disk, 90, "more")
    worse = shown.wait(3)[2]
    assert worse.replaces == first.id and worse.urgency == CRITICAL
    shown.dismiss(worse)
    # Of the two what was closed has no number any more.
    wait_for(lambda: " 0 critical " in running.kept("shown"), what="a closed notice that is kept")
    getattr(running, end)()

    # What is over when nobody runs is taken back by who comes after, what a person closed stays so.
    other.unlink("filler")
    client.wait_event("threshold-above", client.find(other.where), name="low")
    agent()
    wait_for(lambda: shown.closed == [second.id], what=f"{second} is closed, not {shown.closed}")
    disk.unlink("more")
    client.wait_event("threshold-above", path, name="critical")
    client.call("EmitTestEvent", "osa{sv}", path, "stalled", {})
    assert shown.wait(4)[3].title == "Test: Filesystem does not answer"


def test_numbers_of_another_server(daemon, client, loopfs, screen, agent):
    """A server that came when nobody ran is shown what still holds, under its own numbers."""
    disk = loopfs("ext4", 64)
    first = screen()
    daemon(section(disk))
    client.wait_filesystem(disk.where)
    running = agent()
    fill(disk, 60)
    first.wait(1)
    running.stop()
    first.leave()

    second = screen()
    agent()
    notice, = second.wait(1)
    assert notice.replaces == 0 and disk.where in notice.body
    assert second.closed == []


def test_kept_by_another_bus(daemon, client, loopfs, session, screen, agent):
    """What is of another bus, or nonsense, is passed over."""
    disk = loopfs("ext4", 64)
    shown = screen()
    daemon(section(disk))
    client.wait_filesystem(disk.where)
    running = agent()
    fill(disk, 60)
    shown.wait(1)
    wait_for(lambda: " 1 warning " in (running.kept("shown") or ""), what="a notice that is kept")
    running.stop()
    text = running.kept("shown")
    for other in ("0" * 32 + text[32:], text[:-2] + "\n", "", "x\n" * 100000):
        with open(os.path.join(session.runtime, "fsevents-agent", "shown"), "w",
                  encoding="utf-8") as file:
            file.write(other)
        agent()
        running.stop()
    assert len(shown.notices) == 1 and shown.closed == []


def test_server_restarts(daemon, client, loopfs, session, screen, agent):
    """A new server is shown what still holds; what a person sent away stays away."""
    disk, other = loopfs("ext4", 64), loopfs("ext4", 64)
    first = screen()
    daemon(section(disk) + section(other))
    client.wait_filesystem(other.where)
    agent()
    fill(disk, 60)
    gone, = first.wait(1)
    first.dismiss(gone)
    fill(other, 60)
    kept = first.wait(2)[1]
    first.leave()

    second = screen(capabilities=["body"], first=100)
    again, = second.wait(1)
    assert again.replaces == 0 and again.body == kept.body
    assert list(second.shown) == [100]


def test_late_server(daemon, client, loopfs, screen, agent):
    """Without a server notices wait for one."""
    disk = loopfs("ext4", 64)
    daemon(section(disk))
    path = client.wait_filesystem(disk.where)
    running = agent()
    fill(disk, 60)
    client.wait_event("threshold-below", path, name="low")
    shown = screen()
    assert disk.where in shown.wait(1)[0].body
    assert running.process.poll() is None


def test_without_daemon(daemon, client, loopfs, screen, agent):
    """The agent waits for a daemon that comes later, and never starts one."""
    disk = loopfs("ext4", 64)
    shown = screen()
    running = agent(following=False)
    wait_for(lambda: running.stderr() == "fsevents-agent: fseventsd does not run; waiting for it\n",
             what=f"the agent that says so, not {running.stderr()}")
    daemon(section(disk))
    client.wait_filesystem(disk.where)
    fill(disk, 60)
    assert disk.where in shown.wait(1)[0].body


def test_bus_restarts(daemon, bus, loopfs, screen, agent):
    """The bus of the daemon goes, and comes back."""
    disk = loopfs("ext4", 64)
    shown = screen()
    running = daemon(section(disk))
    agent()
    bus.stop()
    running.kill()
    bus.start()
    running.start()
    fill(disk, 60)
    assert disk.where in shown.wait(1)[0].body


def test_repeats_are_not_told(daemon, client, loopfs, screen, agent):
    """The same again, and what a person sent away, is silent; worse is not."""
    disk, other = loopfs("ext4", 64), loopfs("ext4", 64)
    shown = screen()
    daemon(section(disk) + section(other))
    path, second = client.wait_filesystem(disk.where), client.wait_filesystem(other.where)
    agent()
    client.call("EmitTestEvent", "osa{sv}", path, "stalled", {})
    notice, = shown.wait(1)
    shown.dismiss(notice)
    for _ in range(5):
        client.call("EmitTestEvent", "osa{sv}", path, "stalled", {})
    client.call("EmitTestEvent", "osa{sv}", second, "frozen", {})
    notice = shown.wait(2)[1]
    assert notice.title == "Test: Filesystem is frozen" and notice.urgency == LOW
    assert len(shown.notices) == 2


def test_holds_nothing(daemon, client, loopfs, screen, agent):
    """No descriptor on a filesystem, and the disk can be unmounted while it is told of."""
    disk = loopfs("ext4", 64)
    shown = screen()
    daemon(section(disk))
    client.wait_filesystem(disk.where)
    running = agent()
    fill(disk, 60)
    shown.wait(1)
    folder = f"/proc/{running.process.pid}/fd"
    held = {os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder)}
    held -= {"/dev/null", running.stderr_path}
    assert not [name for name in held if name.startswith("/")], held
    disk.umount()
    wait_for(lambda: not shown.shown, what="nothing on the screen")


def test_use(session, bus, scratch, agent):
    """Help, version, wrong use, and one agent in a session."""
    one = Agent(session, bus.address, scratch)
    done = one.run("--help")
    assert done.returncode == 0 and done.stdout.startswith("Usage: fsevents-agent")
    assert one.run("--version").stdout.startswith("fsevents-agent ")
    for wrong in (["extra"], ["--nothing"], ["--muted", "--unmute-all"], ["--unmute"]):
        done = one.run(*wrong)
        assert done.returncode == 2 and "--help" in done.stderr, wrong
    assert one.run("--muted").stdout == ""

    agent(following=False)
    done = one.run()
    assert done.returncode == 1 and "another one runs" in done.stderr
    environment = {**one.environment(), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
    done = subprocess.run(one.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=environment, timeout=PATIENCE, check=False, **session.user())
    assert done.returncode == 1 and "session's bus" in done.stderr
