# SPDX-License-Identifier: GPL-2.0-or-later
"""Each group begins with a reading of /proc: nobody keeps the daemon at it, nor others from theirs."""

import threading
import time

from waiting import PATIENCE, wait_for

USER, OTHER = 1, 65534


def test_who_tracks_without_end_waits(processes, start, follow, client, as_user):
    processes()
    mine, others = start("/bin/cat", uid=USER), start("/bin/cat", uid=OTHER)
    user, other = as_user(USER), as_user(OTHER)

    def put_off():
        return client.get("Statistics")["process-scans-put-off"]

    def track_one():
        follow(mine.pid, client=user).release()
        return put_off() > 0

    began = time.monotonic()
    wait_for(track_one, 8 * PATIENCE, "its time to be spent")
    print(f"{client.get('Statistics')['process-scans']} scans in {time.monotonic() - began:.2f} s, then it waits")
    # The next one waits up to ten seconds, unless another's scan serves it too.
    pending = threading.Thread(target=lambda: follow(mine.pid, client=user).release())
    pending.start()
    wait_for(lambda: put_off() > 1, what="a group that waits")
    began = time.monotonic()
    group = follow(others.pid, client=other)
    print(f"another's group began after {(time.monotonic() - began) * 1000:.0f} ms")
    assert set(group.members()[1]) == {others.pid}
    pending.join(4 * PATIENCE)
    assert not pending.is_alive()
