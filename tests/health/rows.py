# SPDX-License-Identifier: GPL-2.0-or-later
"""
Rows: what is done to a disk, and what must be told of it.

All rows of a test share one daemon and one quiet period, in which nothing more
may come. Each is looked at from all sides: signals, properties, journal,
history, as root and as somebody else.
"""

import time

from client import BusError
from faults import KernelLog, device, overwrite
from waiting import PATIENCE, pause, wait_for

QUIET = 3.0

CATALOG_OBJECT = b"5c486900074f44f790581f4818224703"

# What no failure and no damage tells of.
TRAFFIC = {"mounted", "unmounted", "threshold-below", "threshold-above"}

SEVERITIES = {
    "enospc": "critical", "enospc-metadata": "critical", "enospc-inodes": "warning",
    "read-only": "critical", "read-write": "notice", "corrupted": "critical",
    "io-error": "critical", "writeback-error": "critical", "shutdown": "critical",
}

# Each wakes somebody; a daemon that polls instead is later than that.
LATENCY_AIM, LATENCY_MAX = 0.050, 1.0


class Expect:
    """One event: what must be in it. @sources: who may know it; @count: at least so many."""

    def __init__(self, code, data=None, sources=None, severity=None, reason=None, inode=None,
                 path=None, pid=None, optional=False):
        self.code = code
        self.data = data
        self.sources = sources
        self.severity = severity or SEVERITIES[code]
        self.reason = reason
        self.inode = inode
        self.path = path
        self.pid = pid
        self.optional = optional

    def problems(self, event):
        if event.severity != self.severity:
            yield f"severity {event.severity}, not {self.severity}"
        if self.data is not None and event.data not in _several(self.data):
            yield f"data {event.data}, not {self.data}"
        if self.sources and event.details.get("source") not in self.sources:
            yield f"source {event.details.get('source')}, not one of {self.sources}"
        if self.reason is not None and event.details.get("reason") != self.reason:
            yield f"reason {event.details.get('reason')}, not {self.reason}"
        if self.pid is not None and event.pid != self.pid:
            yield f"pid {event.pid}, not {self.pid}"
        if event.details.get("count", 1) < 1:
            yield f"count {event.details['count']}"


def _several(value):
    return value if isinstance(value, (tuple, set, list)) else (value,)


class Row:
    """A disk, what is done to it, and what comes of that."""

    def __init__(self, name, disk, path, action, expected, properties, gone, aim, capabilities):
        self.name = name
        self.disk = disk
        self.path = path
        self.action = action
        self.expected = expected
        self.properties = properties
        self.gone = gone
        self.aim = aim
        self.capabilities = capabilities
        self.before = 0
        self.began = self.ended = None
        self.events = []


class Rows:
    """add() rows, run() them, check() all: one failure lists everything that is wrong."""

    def __init__(self, daemon, client, user, journal):
        self.daemon = daemon
        self.client = client
        self.user = user
        self.journal = journal
        self.rows = []
        self.wrong = []

    def add(self, name, disk, action, *expected, gone=False, aim=LATENCY_MAX, **properties):
        """@action(): break it. @expected: Expect; @properties: as they must be in the end.

        @aim: seconds from the end of the action to the last event. An action may return
        the time at which it did it, where more follows in it.
        """
        path = self.client.wait_filesystem(disk.where)
        self.rows.append(Row(name, disk, path, action, expected, properties, gone, aim,
                             self.client.get("Capabilities", path)))
        return self.rows[-1]

    def told(self, row):
        """Events of the row since its action, without the traffic of mounts."""
        return [e for e in self.client.events(path=row.path)[row.before:]
                if e.code not in TRAFFIC or (row.gone and e.code == "unmounted")]

    def _codes_missing(self, row):
        codes = [e.code for e in self.told(row)]
        return [e.code for e in row.expected if not e.optional and e.code not in codes]

    def run(self, one):
        one.before = len(self.client.events(path=one.path))
        one.began, done = time.monotonic(), None
        try:
            done = one.action()
        except (AssertionError, OSError) as error:
            self._blame(one, f"the action itself: {error}")
        one.ended = done if isinstance(done, float) else time.monotonic()

    def run_all(self, after_each=True):
        """Do what the rows say, wait until all is told, and then until nothing more comes."""
        for one in self.rows:
            self.run(one)
            if after_each:
                self._wait(one)
        for one in self.rows:
            self._wait(one)
        pause(QUIET)
        return self

    def _wait(self, row):
        timeout = max(row.aim * 2, PATIENCE / 2)
        try:
            wait_for(lambda: not self._codes_missing(row), timeout, interval=0.001)
        except AssertionError:
            pass  # check() says what is missing

    def check(self):
        history = self._history(self.client)
        seen_by_user = self._history(self.user)
        for row in self.rows:
            row.events = self.told(row)
            self._check_events(row)
            self._check_history(row, history, seen_by_user)
            if row.gone:
                self._check_gone(row)
            else:
                self._check_properties(row)
            self._check_journal(row)
        self.report()

    def report(self):
        assert not self.wrong, "\n".join(["", *self.wrong])

    def _blame(self, row, text):
        self.wrong.append(f"{row.name}: {text}")

    @staticmethod
    def _history(client):
        found, since = {}, 0
        while True:
            _, newest, events, _ = client.history(since)
            for event in events:
                found[event.id] = event
            if not events or events[-1].id >= newest:
                return found
            since = events[-1].id

    def _check_events(self, row):
        left, latest = list(row.events), None
        for expect in row.expected:
            event = next((e for e in left if e.code == expect.code), None)
            if event is None:
                if not expect.optional:
                    self._blame(row, f"no {expect.code}, only {row.events}")
                continue
            left.remove(event)
            latest = max(latest or event.time, event.time)
            for problem in expect.problems(event):
                self._blame(row, f"{event.code}: {problem}")
            if event.code not in row.capabilities:
                self._blame(row, f"Capabilities do not know of {event.code}")
            for name in ("inode", "path", "writers"):
                if name in event.details:
                    self._blame(row, f"{event.code}: {name} went to everybody")
        for event in left:
            self._blame(row, f"told besides: {event}")
        if latest is not None:
            late = latest - row.ended
            told = ", ".join(f"{e.code}({e.details.get('source')}) {(e.time - row.began) * 1000:.0f} ms"
                             for e in row.events)
            print(f"{row.name}: {told}; last {late * 1000:.0f} ms after the action "
                  f"(aim {LATENCY_AIM * 1000:.0f} ms, limit {row.aim:g} s)")
            if late > row.aim:
                self._blame(row, f"told {late:.3f} s after it was done")

    def _check_history(self, row, history, seen_by_user):
        for event in row.events:
            kept = history.get(event.id)
            if kept is None or (kept.code, kept.severity, kept.pid, kept.data) != \
                    (event.code, event.severity, event.pid, event.data):
                self._blame(row, f"history has {kept} for {event}")
                continue
            others = seen_by_user.get(event.id)
            if others is None or {"inode", "path", "writers"} & set(others.details):
                self._blame(row, f"an ordinary user reads {others}")
            for expect in row.expected:
                if expect.code != event.code:
                    continue
                for name, wanted in (("inode", expect.inode), ("path", expect.path)):
                    if wanted is not None and kept.details.get(name) != wanted:
                        self._blame(row, f"{name} {kept.details.get(name)!r} of {event.code} "
                                         f"in the history, not {wanted!r}")

    def _check_properties(self, row):
        if not row.properties:
            return
        try:
            wait_for(lambda: not self._differences(row), PATIENCE / 3)
        except AssertionError:
            for text in self._differences(row):
                self._blame(row, text)

    def _differences(self, row):
        try:
            now = self.client.get_all(row.path)
        except BusError as error:
            return [str(error)]
        found = []
        for name, wanted in row.properties.items():
            if name == "LastEvent":
                is_right = now[name][2] == wanted
            elif name == "ErrorCount":
                is_right = now[name] >= wanted if wanted else now[name] == 0
            else:
                is_right = now[name] == wanted
            if not is_right:
                found.append(f"{name} is {now[name]!r}, not {wanted!r}")
        return found

    def _check_gone(self, row):
        try:
            wait_for(lambda: row.path not in self.client.objects(), PATIENCE / 3)
        except AssertionError:
            self._blame(row, "the object is still there")

    def _check_journal(self, row):
        for event in row.events:
            # The damaged object has an entry of its own, once its path is known.
            entries = self.journal.find(FSEVENTS_ID=str(event.id), FSEVENTS_CODE=event.code)
            named = [e for e in entries if e.get("MESSAGE_ID") == CATALOG_OBJECT]
            entries = [e for e in entries if e not in named]
            if len(entries) != 1:
                self._blame(row, f"{len(entries)} journal entries for {event}")
                continue
            entry = entries[0]
            if "MESSAGE_ID" not in entry or entry.get("FSEVENTS_WHERE") != event.details["where"]:
                self._blame(row, f"journal entry {entry} for {event}")
            paths = [e.path for e in row.expected if e.code == event.code and e.path is not None]
            if [e.get("FSEVENTS_PATH") for e in named] != paths:
                self._blame(row, f"the journal names {named} as the object of {event}, not {paths}")


# The block layer logs 10 messages in 5 s for the whole machine, and no more.
RATE_LIMIT = 5.0


def overwrite_aloud(disk, name="lost"):
    """Lose data at writeback; again should the kernel's rate limit have kept it from saying so."""
    for _ in range(5):
        with KernelLog() as log:
            failed = overwrite(disk.path(name))
            done = time.monotonic()
            assert failed, f"{disk.where} takes writes"
            if log.has(f"dev {device(disk)},"):
                return done
        pause(RATE_LIMIT)
    raise AssertionError("the kernel never said that data was lost")
