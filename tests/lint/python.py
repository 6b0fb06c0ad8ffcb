#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every Python file parses, has a docstring, no unused import, and lines of 120 columns at most."""

import ast
import subprocess
import sys

LINE_MAX = 120


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield (alias.asname or alias.name).split(".")[0], node.lineno


def problems(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    tree = ast.parse(text, path)
    if not ast.get_docstring(tree):
        yield 1, "no docstring"
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name, line in imported(tree):
        if name not in used:
            yield line, f"{name} is imported and not used"
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LINE_MAX:
            yield number, f"longer than {LINE_MAX} columns"


def main():
    listing = subprocess.run(["lint-files", "*.py", "tests/lint/run"], check=True,
                             capture_output=True, text=True).stdout.split()
    found = [(path, *problem) for path in listing for problem in problems(path)]
    for path, line, text in found:
        print(f"{path}:{line}: {text}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
