# SPDX-License-Identifier: GPL-2.0-or-later
"""fseventsctl status --openmetrics, read by another's parser of that format."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from waiting import PATIENCE, wait_for

pytestmark = pytest.mark.buses("dbus-daemon")

PREFIX = "fsevents_filesystem_"
STATES = {"ok", "unknown", "warning", "critical", "full", "frozen", "read-only", "error", "stalled"}


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(found, name, where, **labels):
    """Of the one sample of that filesystem that has the labels."""
    samples = [sample for sample in found[PREFIX + name].samples
               if sample.labels["where"] == where and labels.items() <= sample.labels.items()]
    assert len(samples) == 1, samples
    return samples[0].value


def test_figures(daemon, client, loopfs, ctl):
    disk = loopfs("ext4", 64)
    daemon(f"[filesystem {disk.where}]\nthreshold = half space 50% warning\n")
    client.wait_filesystem(disk.where)
    found = families(ctl("status", "--openmetrics", disk.where).stdout)
    assert value(found, "size_bytes", disk.where) == disk.size()
    assert value(found, "available_bytes", disk.where) == disk.available()
    assert value(found, "responding", disk.where) == 1 and value(found, "read_only", disk.where) == 0
    assert value(found, "errors", disk.where) == 0
    assert found[PREFIX + "errors"].type == "counter" and found[PREFIX + "state"].type == "stateset"
    assert value(found, "threshold_crossed", disk.where, threshold="half", severity="warning") == 0
    assert {sample.labels[PREFIX + "state"] for sample in found[PREFIX + "state"].samples} == STATES
    assert value(found, "state", disk.where, **{PREFIX + "state": "ok"}) == 1
    sample = found[PREFIX + "size_bytes"].samples[0]
    assert sample.labels["type"] == "ext4"
    assert sample.labels["device"] == "%d:%d" % disk.device()

    disk.fallocate("file", disk.available() * 60 // 100)
    wait_for(lambda: value(families(ctl("status", "--openmetrics").stdout), "threshold_crossed", disk.where,
                           threshold="half") == 1, PATIENCE, "the threshold to be crossed")


def test_names_are_quoted(daemon, client, loopfs, ctl):
    """A mount point that would end a label or a line."""
    disk = loopfs("tmpfs", 16, name='a"b\\c\nd')
    daemon()
    shown = client.get("Where", client.wait_filesystem(disk.where))
    found = families(ctl("status", "--openmetrics").stdout)
    assert value(found, "responding", shown) == 1


def test_goes_with_status_alone(daemon, ctl):
    daemon()
    for arguments in (("list", "--openmetrics"), ("status", "--openmetrics", "--json")):
        done = ctl(*arguments, check=False)
        assert done.returncode == 2 and "--openmetrics" in done.stderr
