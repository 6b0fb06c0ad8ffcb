#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""No C file past 500 lines (1,000 in tests), no function past 100 lines or six parameters."""

import json
import subprocess
import sys

FILE_MAX = 500
TEST_FILE_MAX = 1000
FUNCTION_MAX = 100
PARAMETERS_MAX = 6
# What sd-bus and sd-event call has the parameters that they give.
CALLBACKS = ("property_get_", "property_set_", "method_", "on_")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def parameters(signature):
    """How many, of "(int a, void (*b)(int, int))"."""
    inner, depth, count = signature.strip()[1:-1], 0, 1
    if inner.strip() in ("", "void"):
        return 0
    for char in inner:
        depth += (char in "([") - (char in ")]")
        count += char == "," and depth == 0
    return count


def main():
    files = output("lint-files", "daemon/*.c", "daemon/*.h", "tests/*.c", "include/*.h").split()
    found = []
    for path in files:
        with open(path, encoding="utf-8") as file:
            lines = len(file.readlines())
        limit = TEST_FILE_MAX if path.startswith("tests/") else FILE_MAX
        if lines > limit:
            found.append(f"{path}: {lines} lines; at most {limit}")
    tags = output("ctags", "--languages=C", "--kinds-C=f", "--fields=+neS", "--output-format=json",
                  "-f", "-", *files)
    for line in tags.splitlines():
        tag = json.loads(line)
        length = tag.get("end", tag["line"]) - tag["line"] + 1
        if length > FUNCTION_MAX:
            found.append(f"{tag['path']}:{tag['line']}: {tag['name']}() has {length} lines; "
                         f"at most {FUNCTION_MAX}")
        count = parameters(tag.get("signature", "()"))
        if count > PARAMETERS_MAX and not tag["name"].startswith(CALLBACKS):
            found.append(f"{tag['path']}:{tag['line']}: {tag['name']}() takes {count} parameters; "
                         f"at most {PARAMETERS_MAX}")
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
