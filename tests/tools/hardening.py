#!/usr/bin/env python3
"""Our programs are position independent, have read-only relocations bound at start, no executable
stack, stack canaries, and no search path for libraries.

usage: hardening.py BUILD        programs of tests and examples are not shipped and not looked at
"""
import glob
import json
import os
import re
import subprocess
import sys

import tree


def programs(build):
    with open(os.path.join(build, "meson-info", "intro-targets.json"), encoding="utf-8") as f:
        targets = json.load(f)
    for t in targets:
        where = os.path.relpath(t["filename"][0], build).split("/")[0]
        if t["type"] == "executable" and where not in ("tests", "examples"):
            yield t["filename"][0]


def readelf(options, paths):
    return subprocess.run(["readelf", options] + paths, stdout=subprocess.PIPE, text=True,
                          check=True).stdout


def has_canaries(path, text):
    """A stripped static program has no symbols left: then its objects are asked."""
    if ".symtab" in text or "__stack_chk_" in text:
        return "__stack_chk_" in text
    objects = glob.glob(glob.escape(path) + ".p/*.o")
    return bool(objects) and "__stack_chk_" in readelf("-sW", objects)


def faults(path):
    text = readelf("-hldsSW", [path])
    loaded_at_start = "INTERP" in text
    wanted = [
        ("position independent", re.search(r"Type:\s+DYN", text)),
        ("relocations read-only", "GNU_RELRO" in text),
        ("bound at start", not loaded_at_start or re.search(r"BIND_NOW|FLAGS.*\bNOW\b", text)),
        ("stack not executable", re.search(r"GNU_STACK\s.*\sRW\s", text)),
        ("stack canaries", has_canaries(path, text)),
        ("no library search path", not re.search(r"\((RPATH|RUNPATH)\)", text)),
    ]
    return [name for name, good in wanted if not good]


def check(build):
    problems, checked = [], 0
    for path in programs(build):
        if not os.path.exists(path):
            problems.append("%s has not been built" % path)
            continue
        checked += 1
        problems += ["%s: not %s" % (os.path.relpath(path, build), f) for f in faults(path)]
    return problems, checked


if __name__ == "__main__":
    tree.report("hardening", *check(sys.argv[1]))
