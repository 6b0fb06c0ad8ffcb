# SPDX-License-Identifier: GPL-2.0-or-later
"""tally.py JUNIT... - print how many tests passed, failed and were skipped"""

import os
import sys
import xml.etree.ElementTree as ElementTree


def outcome(case):
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return 1
    return 2 if "skipped" in kinds else 0


def main():
    counts = [0, 0, 0]
    for path in sys.argv[1:]:
        if not os.path.exists(path):
            continue
        for case in ElementTree.parse(path).iter("testcase"):
            counts[outcome(case)] += 1
    print(*counts)


if __name__ == "__main__":
    main()
