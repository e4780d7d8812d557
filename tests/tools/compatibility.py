#!/usr/bin/env python3
"""docs/compatibility.md: every row of a table whose last column is `test` names tests, all of them exist, and every operation of
gateway/swagger.json has a row.

usage: compatibility.py ROOT
"""
import json
import os
import re
import sys

import tree

NAMED = re.compile(r"`([\w/]+\.(?:py|c))::(\w+)`")
OPERATION = re.compile(r"^`([A-Z]+) (/\S*)`$")


def rows(text):
    """(line, cells) of each row of each table with a column of tests; header and rule left out."""
    wanted = inside = False
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not inside:
            inside, wanted = True, cells[-1] == "test"
        elif wanted and not re.fullmatch(r"[|: -]+", line):
            yield number, cells


def test_files(root):
    """Text of each file of tests by its path below tests/."""
    found = {}
    for folder, _, names in os.walk(os.path.join(root, "tests")):
        for name in names:
            if re.fullmatch(r"test_\w+\.(py|c)", name):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as f:
                    found["/" + os.path.relpath(path, root)] = f.read()
    return found


def exists(files, name, test):
    pattern = re.compile(rf"^\s*def {test}\(" if name.endswith(".py") else rf"^static void {test}\(void \*\*", re.MULTILINE)
    return any(path.endswith("/" + name) and pattern.search(text) for path, text in files.items())


def operations(root):
    with open(os.path.join(root, "gateway/swagger.json"), encoding="utf-8") as f:
        paths = json.load(f)["paths"]
    return {(method.upper(), path) for path, item in paths.items() for method in item}


def check(root):
    page = "docs/compatibility.md"
    with open(os.path.join(root, page), encoding="utf-8") as f:
        text = f.read()
    files, problems, checked, missing = test_files(root), [], 0, operations(root)
    for number, cells in rows(text):
        named = NAMED.findall(cells[-1])
        checked += 1
        if not named:
            problems.append(f"{page}:{number}: no test")
        problems += [f"{page}:{number}: there is no {name}::{test}" for name, test in named if not exists(files, name, test)]
        operation = OPERATION.match(cells[0])
        if operation:
            missing.discard(operation.groups())
    problems += [f"{page}: no row for {method} {path}" for method, path in sorted(missing)]
    return problems, checked


if __name__ == "__main__":
    tree.report("compatibility", *check(sys.argv[1]))
