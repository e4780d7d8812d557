#!/usr/bin/env python3
"""No function over 100 lines, no file over 1000. Tick functions, option tables (which are no
functions) and tests are free: a story is not cut in pieces for a ruler.

usage: sizes.py ROOT
"""
import re
import sys

import tree

FUNCTION_LINES = 100
FILE_LINES = 1000


def functions(text):
    """(name, first line, lines) of each function definition at file level."""
    out, depth, head, line, start, name = [], 0, "", 1, 0, None
    for ch in tree.bare(text):
        if ch == "\n":
            line += 1
        if ch == "{":
            if depth == 0:
                m = re.match(r"[^=(]*?([A-Za-z_]\w*)\s*\(", head.strip(), re.S)
                name = m.group(1) if m else None
                start = line
            depth += 1
        elif ch == "}":
            depth = max(0, depth - 1)
            if depth == 0:
                if name:
                    out.append((name, start, line - start + 1))
                head = ""
        elif depth == 0:
            head = "" if ch == ";" else head + ch
    return out


def check(root):
    problems, checked = [], 0
    for path in tree.files(root, [f for f in tree.FOLDERS if f != "tests"], (".c", ".h")):
        text = tree.read(root, path)
        lines = text.count("\n")
        if lines > FILE_LINES:
            problems.append("%s: %d lines, at most %d" % (path, lines, FILE_LINES))
        for name, start, size in functions(text):
            checked += 1
            if size > FUNCTION_LINES and not name.endswith("_tick"):
                problems.append("%s:%d: %s() has %d lines, at most %d"
                                % (path, start, name, size, FUNCTION_LINES))
    return problems, checked


if __name__ == "__main__":
    tree.report("sizes", *check(sys.argv[1]))
