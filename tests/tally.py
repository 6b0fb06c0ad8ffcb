# SPDX-License-Identifier: GPL-2.0-or-later
"""
tally.py JUNIT... - print how many tests passed, failed and were skipped, and
how many of those that passed did so at their second attempt only

Why the first attempts of these failed goes to standard error.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree

PASSED, FAILED, SKIPPED = range(3)


def outcome(case):
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return FAILED
    return SKIPPED if "skipped" in kinds else PASSED


def first_attempt(case):
    """Why it failed, where this was the second one."""
    return next((entry.get("value") for entry in case.iter("property") if entry.get("name") == "failed-attempt"), None)


def name(case):
    return case.get("classname"), case.get("name")


def cases(path):
    """The last attempt of each test: a first one that failed when it cleaned up is in the file as well."""
    found = []
    for case in ElementTree.parse(path).iter("testcase"):
        if first_attempt(case):
            found = [other for other in found if name(other) != name(case)]
        found.append(case)
    return found


def main():
    counts = [0, 0, 0]
    again = 0
    for path in sys.argv[1:]:
        if not os.path.exists(path):
            continue
        for case in cases(path):
            result = outcome(case)
            counts[result] += 1
            if result == PASSED and first_attempt(case):
                again += 1
                print(f"second attempt: {name(case)[1]}: {first_attempt(case)}", file=sys.stderr)
    print(*counts, again)


if __name__ == "__main__":
    main()
