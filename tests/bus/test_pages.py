# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages beside the running daemon: each key has a line, and each line its key."""

import os
import re

import pytest

import service

pytestmark = pytest.mark.buses("dbus-daemon")

MAN = os.path.join(service.SOURCE, "man")
KEY = re.compile(r"[a-z]+(?:-[a-z]+)+|[a-z]+")
ESCAPES = (("\\-", "-"), ("\\(aq", "'"), ("\\e", "\\"))


def page(name):
    with open(os.path.join(MAN, name), encoding="utf-8") as file:
        return file.read()


def section(title):
    """Text of a part of org.fsevents1(5)."""
    found = re.search(rf"\n\.SS {title}\n(.*?)(?=\n\.S[SH] )", page("org.fsevents1.5"), re.S)
    return found.group(1).replace("\\-", "-")


def table_keys(text):
    """First column of the tables, without their heads."""
    rows = [line.partition("\t")[0] for line in text.splitlines() if "\t" in line and not line.startswith("l")]
    return {row for row in rows if KEY.fullmatch(row)}


def list_keys(text):
    """What stands in bold after .TP and .TQ."""
    heads = re.findall(r"^\.T[PQ]\n\.BR? (.*)$", text, re.M)
    return {key for head in heads for key in KEY.findall(head.replace('", "', " "))}


def test_limits(daemon, client):
    daemon()
    assert table_keys(section("Limits")) == set(client.get("Limits"))


def test_statistics(daemon, client, as_user):
    daemon()
    text = section("Statistics")
    everybody, root = table_keys(text), list_keys(text)
    assert everybody == set(as_user(65534).get("Statistics"))
    assert len(root) > 30 and not everybody & root
    # Those of a source that is not there are missing.
    told = set(client.get("Statistics"))
    assert not told - everybody - root, "a key has no line in the page"
    missing = everybody | root - told - everybody
    assert all(key.startswith(("module-", "kmsg-", "uevents-", "errors-")) for key in root - told), missing


def test_sources(daemon, client):
    daemon()
    documented = table_keys(section("Sources"))
    assert documented - {"safe-mode"} == set(client.get("Sources"))


def test_code_in_the_page_is_from_the_examples():
    """What stands below a comment that says so is in that program, line by line."""
    lines = page("fsevents.7").splitlines()
    found = 0
    for number, line in enumerate(lines):
        if not line.startswith('.\\" from '):
            continue
        with open(os.path.join(service.SOURCE, line.rpartition(" ")[2]), encoding="utf-8") as file:
            source = " ".join(file.read().split())
        text = " ".join(lines[number + 2:lines.index(".fi", number)])
        for escape, plain in ESCAPES:
            text = text.replace(escape, plain)
        assert " ".join(text.split()) in source, text
        found += 1
    assert found >= 3
