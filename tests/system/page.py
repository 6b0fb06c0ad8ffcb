# SPDX-License-Identifier: GPL-2.0-or-later
"""What a manual page tells the reader to write and to run, so that a test does the very same."""

import os

HERE = os.path.dirname(os.path.abspath(__file__))
ESCAPES = (("\\-", "-"), ("\\(aq", "'"), ("\\&", ""), ("\\e", "\\"))


def blocks(page, mark):
    """{what follows the comment `.\\" MARK `: the text of the .nf block after it}"""
    found = {}
    with open(os.path.join(HERE, "..", "..", "man", page), encoding="utf-8") as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines):
        if not line.startswith('.\\" ' + mark):
            continue
        assert lines[number + 1] == ".nf", line
        text = "\n".join(lines[number + 2:lines.index(".fi", number)]) + "\n"
        for escape, plain in ESCAPES:
            text = text.replace(escape, plain)
        found[line[len('.\\" ' + mark):].strip()] = text
    return found
