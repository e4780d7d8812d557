#!/usr/bin/env python3
"""Who may include whom. A component is called through its port only, so it never includes another
component's header; the lower folders know nothing of the upper ones.

usage: layers.py ROOT
"""
import re
import sys

import tree

COMPONENTS = ["gateway", "controller", "invoker", "fnmanager", "scaler"]

# folder: the folders it may include from. The longest matching folder on the left counts.
MAY_INCLUDE = {
    "common/base": ["common/base"],
    "common/net": ["common/base", "common/net"],
    "common/data": ["common"],
    "common": ["common"],
    "ports": ["common", "ports"],
    "daemon": ["common", "ports", "daemon"] + COMPONENTS,
    "cli": ["common", "cli"],
    "runtimes": ["runtimes", "ports/frames.h"],
    "examples": ["common", "examples"],
}
MAY_INCLUDE.update({c: ["common", "ports", c] for c in COMPONENTS})

# Libraries a folder must do without.
FORBIDDEN_LIBRARIES = {
    "common/base": ["uv.h", "curl/", "sqlite3.h", "openssl/", "llhttp.h", "archive.h"],
    "ports": ["curl/", "sqlite3.h", "llhttp.h", "archive.h"],
    "runtimes/agent": ["uv.h", "curl/", "sqlite3.h", "openssl/"],
}


def rule(table, path):
    """The entry of the longest folder that path lies in, or None."""
    best = max((k for k in table if path.startswith(k + "/")), key=len, default=None)
    return table.get(best)


def within(included, allowed):
    return any(included == a or included.startswith(a + "/") for a in allowed)


def check(root):
    problems, checked = [], 0
    for path in tree.files(root, [f for f in tree.FOLDERS if f != "tests"], (".c", ".h")):
        checked += 1
        text = re.sub(r"/\*.*?\*/", tree.blank, tree.read(root, path), flags=re.S)
        allowed, forbidden = rule(MAY_INCLUDE, path), rule(FORBIDDEN_LIBRARIES, path) or []
        for number, line in enumerate(text.split("\n"), 1):
            m = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if not m:
                continue
            ours = m.group(1) == '"'
            included = m.group(2)
            if ours and included.split("/")[0] in tree.FOLDERS and not within(included, allowed):
                problems.append("%s:%d: may not include %s (may: %s)"
                                % (path, number, included, ", ".join(allowed)))
            if any(included.startswith(f) for f in forbidden):
                problems.append("%s:%d: this layer does without %s" % (path, number, included))
    return problems, checked


if __name__ == "__main__":
    tree.report("layers", *check(sys.argv[1]))
