# SPDX-License-Identifier: GPL-2.0-or-later
"""fseventsctl track and relay, with a manager of cardboard where nothing has to be followed."""

import json
import os
import re
import signal
import subprocess
import threading

import pytest

import service
from waiting import PATIENCE, wait_for

NOBODY = 65534


class Track:
    """A running `fseventsctl track`; what it printed collects in `out` and `err`."""

    def __init__(self, bus, *arguments, options=(), restore_signals=True):
        path = os.path.join(os.path.dirname(service.executable()), "fseventsctl")
        self.process = subprocess.Popen(
            ["fseventsctl", "--bus=" + bus.address, *options, "track", *arguments],
            executable=path if os.path.exists(path) else service.executable(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            restore_signals=restore_signals)
        self.out, self.err = [], []
        self._readers = [threading.Thread(target=self._collect, args=of, daemon=True)
                         for of in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _collect(stream, lines):
        with stream:
            for line in stream:
                lines.append(line.decode())

    def wait_line(self, lines, pattern):
        return wait_for(lambda: [line for line in list(lines) if re.search(pattern, line)],
                        what=f"a line {pattern!r}")[0]

    def wait(self):
        """Its status, when all that it printed is there."""
        status = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)


@pytest.fixture
def track(bus):
    made = []

    def make(*arguments, **kwargs):
        made.append(Track(bus, *arguments, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def child():
    one = subprocess.Popen(["sleep", "1000"])
    yield one
    one.kill()
    one.wait(PATIENCE)


def test_events_as_a_tree(layer, track, child):
    one = layer()
    tracked = track(str(child.pid))
    wait_for(lambda: any("start" in line for line in one.do("processes")), what="Start()")
    one.do("changed 1 3")
    one.do("lost 1 4")
    one.do("lost 1 0")
    one.do("empty 1")
    assert tracked.wait() == 0
    assert re.fullmatch(r" +0\.000  %d  is there\n" % child.pid, tracked.out[0])
    text = "".join(tracked.out)
    # The cardboard names these: 10 forked 11, executed "/bin/\xff", was killed by 127.
    for pattern in (r"11  forked by 10\n", r"10  /bin/\\377\n", r"10  \S.*\n",
                    r"\.\.\. 4 events were lost\n", r"\.\.\. events were lost\n",
                    r"user +0\.000 s\n", r"sys +0\.000 s\n", r"read +8 B\n", r"written +8\.0 GiB\n",
                    r"peak +10\.0 KiB\n", r"processes +3 forked, 4 executed, 5 ended\n",
                    r"lost +11 events\n", r"incomplete: "):
        assert re.search(pattern, text), (pattern, text)
    # Of what is no terminal nothing is coloured.
    assert "\x1b" not in text


def test_json(layer, track, child):
    one = layer()
    tracked = track(str(child.pid), options=["--json"])
    wait_for(lambda: any("start" in line for line in one.do("processes")), what="Start()")
    one.do("changed 1 3")
    one.do("lost 1 4")
    one.do("empty 1")
    assert tracked.wait() == 0
    lines = [json.loads(line) for line in tracked.out]
    assert [line["event"] for line in lines[-5:]] == ["fork", "exec", "exit", "lost", "empty"]
    assert lines[0] == {"event": "member", "pid": child.pid}
    assert lines[-5] == {"event": "fork", "seq": "40", "pid": 10, "child": 11, "realtime-usec": "12"}
    assert lines[-4]["file"] == "/bin/\\377" and lines[-4]["file-base64"] == "L2Jpbi//"
    assert lines[-3]["status"] == -1
    assert lines[-2]["count"] == "4"
    assert lines[-1]["write-bytes"] == str(1 << 33) and lines[-1]["incomplete"] is True


def test_interrupt_ends_the_following(layer, track, child):
    one = layer()
    tracked = track(str(child.pid))
    wait_for(lambda: any("start" in line for line in one.do("processes")), what="Start()")
    tracked.process.send_signal(signal.SIGINT)
    assert tracked.wait() == 0
    assert "Some of them still run.\n" in tracked.out
    assert child.poll() is None
    wait_for(lambda: "groups=0" in one.do("processes")[-1], what="the end of its group")


def test_daemon_that_leaves(layer, track, child):
    one = layer()
    tracked = track(str(child.pid))
    wait_for(lambda: any("start" in line for line in one.do("processes")), what="Start()")
    one.stop()
    assert tracked.wait() == 3
    tracked.wait_line(tracked.err, "the daemon left")


def test_command_keeps_its_streams_and_status(layer, track):
    one = layer()
    tracked = track("--", "sh", "-c", "echo out; echo err >&2; exit 7", "", "--json")
    wait_for(lambda: any("start" in line for line in one.do("processes")), what="Start()")
    wait_for(lambda: tracked.out == ["out\n"], what="what the command printed")
    tracked.wait_line(tracked.err, "^err$")
    one.do("empty 1")
    assert tracked.wait() == 7
    tracked.wait_line(tracked.err, "^processes ")


def test_lines_stay_whole(layer, track):
    """The command writes to the same pipe while hundreds of members are listed."""
    one = layer()
    tracked = track("--", "sh", "-c", "i=0; while [ $i -lt 500 ]; do echo err >&2; i=$((i + 1)); done")
    wait_for(lambda: any("start" in line for line in one.do("processes")), what="Start()")
    one.do("empty 1")
    assert tracked.wait() == 0
    tracked.wait_line(tracked.err, "^processes ")
    whole = re.compile(r" +\d+\.\d{3} +(\d+) +is there\n")
    assert tracked.err.count("err\n") == 500
    # The command itself is there, too.
    listed = [int(found[1]) for line in tracked.err if (found := whole.fullmatch(line))]
    assert len(listed) == len(set(listed)) and set(listed) >= set(range(1, 1001))


def test_command_gets_signals(layer, track):
    one = layer()
    tracked = track("--", "sh", "-c", "trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.1; done")
    tracked.wait_line(tracked.out, "ready")
    tracked.process.send_signal(signal.SIGUSR1)
    tracked.wait_line(tracked.out, "got")
    one.do("empty 1")
    assert tracked.wait() == 9


@pytest.mark.buses("dbus-daemon")
@pytest.mark.parametrize("restored", [True, False])
def test_command_has_the_signals_of_who_began_it(layer, track, restored):
    """What is blocked and what is ignored; without @restored Python leaves SIGPIPE ignored."""
    one = layer()
    command = ["grep", "^Sig[BI]", "/proc/self/status"]
    was = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2, signal.SIGWINCH})
    try:
        alone = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, restore_signals=restored)
        tracked = track("--", *command, restore_signals=restored)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, was)
    wait_for(lambda: any("start" in line for line in one.do("processes")), what="Start()")
    one.do("empty 1")
    assert tracked.wait() == 0
    wait_for(lambda: len(tracked.out) == 2, what="its lines")
    assert "".join(tracked.out) == alone.stdout
    blocked, ignored = [int(line.split()[1], 16) for line in tracked.out]
    assert blocked & (1 << (signal.SIGUSR2 - 1))
    assert bool(ignored & (1 << (signal.SIGPIPE - 1))) is not restored


def test_command_outlives_the_daemon(layer, track):
    one = layer()
    tracked = track("--", "sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.1; done")
    tracked.wait_line(tracked.out, "ready")
    one.stop()
    tracked.wait_line(tracked.err, "the daemon left")
    tracked.process.send_signal(signal.SIGTERM)
    assert tracked.wait() == 4


@pytest.mark.parametrize("arguments, status, word", [
    (["--", "/nowhere/at/all"], 127, "No such file"),
    (["--", "/etc/passwd"], 126, "Permission denied"),
    (["--", "sh", "-c", "kill -9 $$"], 137, ""),
])
@pytest.mark.buses("dbus-daemon")
def test_command_that_fails(layer, track, arguments, status, word):
    one = layer()
    tracked = track(*arguments)
    wait_for(lambda: any("start" in line for line in one.do("processes")), what="Start()")
    one.do("empty 1")
    assert tracked.wait() == status
    tracked.wait_line(tracked.err, word or "^processes ")


@pytest.mark.buses("dbus-daemon")
def test_command_without_a_daemon_is_not_begun(bus, ctl, scratch):
    done = ctl("track", "--", "touch", os.path.join(scratch, "touched"), check=False)
    assert done.returncode == 125 and "not running" in done.stderr
    assert not os.path.exists(os.path.join(scratch, "touched"))


@pytest.mark.buses("dbus-daemon")
def test_wrong_use(bus, ctl):
    for arguments in (["track"], ["track", "--"], ["track", "x"], ["track", "0"], ["track", "1", "2"],
                      ["relay"], ["relay", "1", "x"], ["relay", "x"], ["relay", "--stop", "x"],
                      ["relay", "--list", "1"], ["relay", "--list", "--stop=1"],
                      ["status", "--list"], ["track", "--stop=1", "1"]):
        done = ctl(*arguments, check=False)
        assert done.returncode == 2, arguments
        assert "fseventsctl: " in done.stderr


def test_another_users_process_is_refused(layer, ctl):
    layer()
    done = ctl("track", str(os.getpid()), check=False, uid=NOBODY)
    assert done.returncode == 1 and "no such process" in done.stderr


def test_relays(layer, ctl, child):
    layer()
    assert ctl("relay", "--list").stdout.split() == ["PID", "SIGNAL", "UID", "LOST"]
    ctl("relay", str(child.pid))
    ctl("relay", str(os.getpid()), "40")
    lines = [line.split() for line in ctl("relay", "--list").stdout.splitlines()]
    assert lines[1:] == [[str(child.pid), "34", "0", str(1 << 40)],
                         [str(os.getpid()), "40", "0", str(1 << 40)]]
    ctl("relay", "--stop", str(child.pid))
    assert [json.loads(line) for line in ctl("--json", "relay", "--list").stdout.splitlines()] == [
        {"pid": os.getpid(), "signal": 40, "uid": 0, "lost": str(1 << 40)}]
    assert ctl("relay", "--stop", str(child.pid), check=False).returncode == 1
