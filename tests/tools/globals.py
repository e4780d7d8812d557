#!/usr/bin/env python3
"""No mutable globals and no static locals that change: two whole platforms must fit in one process.
Free are files called main.c, tests, and sources that are not ours. Read from the compiled objects,
where nothing hides: whatever lies in .data, .bss or their thread-local kin counts; constants with
relocations (.data.rel.ro) do not.

usage: globals.py ROOT BUILD        exit status 77 (skipped) when the build is instrumented
"""
import json
import os
import re
import subprocess
import sys

import tree

# What is allowed, and why: things of a process or a thread that two platforms may share unseen.
ALLOWED = {
    ("common/base/clock.c", "faked"): "a test moves the time of its whole process",
    ("common/base/clock.c", "store"): "random bytes drawn ahead, per thread",
    ("common/base/clock.c", "left"): "random bytes drawn ahead, per thread",
    ("common/base/map.c", "seed"): "one secret seed for the hashes of a process, drawn once",
    ("common/data/db_conn.c", "current"): "which connection this thread is in, per thread",
    ("common/data/db_yield.c", "once"): "what holds for all of sqlite in a process is set once",
    ("common/data/db_yield.c", "mine"): "per thread: how far a writer has come, as its system calls see it",
    ("common/net/fetch.c", "once"): "libcurl wants its own start once per process",
    ("common/base/mem.c", "fault"): "a test counts the allocations of its whole process",
}

MUTABLE = re.compile(r"^\.(data|bss|tdata|tbss)(?!\.rel\.ro)(\.|$)")


def objects(root, build):
    """(source relative to root, object) of each of our sources that has been compiled."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        commands = json.load(f)
    for entry in commands:
        source = os.path.relpath(os.path.join(build, entry["file"]), root)
        folder = source.split("/")[0]
        if folder in tree.FOLDERS and folder != "tests" and os.path.basename(source) != "main.c":
            yield source, os.path.join(build, entry["output"]), entry["command"]


def mutable_symbols(obj):
    text = subprocess.run(["readelf", "-SsW", obj], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    sections = dict(re.findall(r"^\s*\[\s*(\d+)\] (\.\S+)", text, re.M))
    for line in text.split("\n"):
        m = re.match(r"\s*\d+: [0-9a-f]+\s+(\S+) (OBJECT|TLS)\s+\S+\s+\S+\s+(\S+) (\S+)", line)
        if m and (m.group(3) == "COM" or MUTABLE.match(sections.get(m.group(3), ""))):
            yield m.group(4)


def check(root, build):
    problems, checked = [], 0
    for source, obj, command in objects(root, build):
        if "-fsanitize" in command or "--coverage" in command or "-fprofile" in command:
            print("globals: an instrumented build has globals of its own")
            sys.exit(77)
        if not os.path.exists(obj):
            continue
        checked += 1
        problems += ["%s: %s can change and lives for ever" % (source, s)
                     for s in sorted(set(mutable_symbols(obj)))
                     if (source, s.split(".")[0]) not in ALLOWED]
    return problems, checked


if __name__ == "__main__":
    tree.report("globals", *check(sys.argv[1], sys.argv[2]))
