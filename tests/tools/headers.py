#!/usr/bin/env python3
"""Each header compiles alone, and included twice, with the flags of the build.

usage: headers.py ROOT BUILD CC...
"""
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys
import tempfile

import tree


def build_flags(build):
    """Every include path, define, warning and dialect some of our sources are compiled with."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        commands = json.load(f)
    flags = []
    for entry in commands:
        words = shlex.split(entry["command"])
        for i, word in enumerate(words):
            take = []
            if word in ("-include", "-isystem", "-I"):
                take = words[i:i + 2]
            elif word.startswith(("-I", "-isystem", "-D", "-U", "-W", "-std=", "-O")) \
                    and not word.startswith("-Wl,"):
                take = [word]
            if take and take[0].startswith("-D") and "SOURCE" not in take[0]:
                continue                              # a define of one file only
            if take and "/".join(take) not in ["/".join(t) for t in flags]:
                flags.append(take)
    return [w for take in flags for w in take]


def compile_twice(cc, flags, build, work, path):
    source = os.path.join(work, path.replace("/", "_") + ".c")
    with open(source, "w", encoding="utf-8") as f:
        f.write('#include "%s"\n#include "%s"\nextern int nr_not_empty;\n' % (path, path))
    return subprocess.run(cc + flags + ["-fsyntax-only", source], cwd=build,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def check(root, build, cc):
    headers = tree.files(root, tree.FOLDERS, ".h")
    flags = build_flags(build) + ["-I" + root]
    problems = []
    with tempfile.TemporaryDirectory() as work, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {h: pool.submit(compile_twice, cc, flags, build, work, h) for h in headers}
        for header, run in runs.items():
            done = run.result()
            if done.returncode:
                problems.append("%s does not stand alone:\n%s" % (header, done.stdout))
    return problems, len(headers)


if __name__ == "__main__":
    tree.report("headers", *check(sys.argv[1], sys.argv[2], sys.argv[3:]))
