#!/usr/bin/env python3
"""No release goes further than the one before it by more than one step of a database's schema: packaging/schema-steps says how many
steps the last release has, common/data/schema_versions.h how many the sources have. The sources of that very release have as many.

usage: schema_steps.py ROOT
"""
import re
import sys

import tree

LAST, SOURCES = "packaging/schema-steps", "common/data/schema_versions.h"


def last_release(text):
    """(version, {database: steps}, problems)"""
    version, steps, problems = None, {}, []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) == 2 and words[0] == "release" and version is None:
            version = words[1]
        elif len(words) == 2 and words[1].isdigit() and words[0] not in steps:
            steps[words[0]] = int(words[1])
        else:
            problems.append("%s:%d: not `release VERSION` or `DATABASE STEPS`, or said twice: %s" % (LAST, number, line))
    if version is None:
        problems.append("%s: no line `release VERSION`" % LAST)
    return version, steps, problems


def check(root):
    version, last, problems = last_release(tree.read(root, LAST))
    own = re.search(r"^\s*version: '([^']+)'", tree.read(root, "meson.build"), re.M).group(1)
    now = {name.lower(): int(n) for name, n in re.findall(r"^#define NR_SCHEMA_(\w+) (\d+)", tree.read(root, SOURCES), re.M)}
    for name in sorted(set(now) ^ set(last)):
        problems.append("%s: %s is in one of the two only, the other is %s" % (LAST, name, SOURCES))
    for name in sorted(set(now) & set(last)):
        more = now[name] - last[name]
        if more < 0:
            problems.append("%s: %s has %d steps, and release %s had %d: steps never go" % (SOURCES, name, now[name], version, last[name]))
        elif own == version and more > 0:
            problems.append("%s: %s has %d steps, and these are the sources of release %s, which has %d" % (SOURCES, name, now[name], version, last[name]))
        elif more > 1:
            problems.append("%s: %s has %d steps, %d more than release %s: put what is new into one step" % (SOURCES, name, now[name], more, version))
    return problems, len(now)


if __name__ == "__main__":
    tree.report("schema_steps", *check(sys.argv[1]))
