#!/usr/bin/env python3
"""Every shell script parses, is executable, and says in its first lines what it is for; a pipeline
in a bash script fails when one of its parts fails (lib.sh sets that).

usage: shell.py ROOT
"""
import os
import subprocess
import sys

import tree


def scripts(root):
    for folder in ["scripts", ".ci"] + tree.FOLDERS:
        for path in tree.files(root, [folder], ""):
            try:
                first = tree.read(root, path).split("\n", 1)[0]
            except OSError:
                continue
            if first.startswith("#!") and first.rstrip().endswith("sh"):
                yield path, first


def check(root):
    problems, checked = [], 0
    for path, first in scripts(root):
        checked += 1
        text = tree.read(root, path)
        shell = "bash" if "bash" in first else "sh"
        done = subprocess.run([shell, "-n", os.path.join(root, path)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            problems.append("%s does not parse: %s" % (path, done.stdout))
        if not os.access(os.path.join(root, path), os.X_OK):
            problems.append("%s is not executable" % path)
        if not text.split("\n")[1].startswith("#"):
            problems.append("%s does not say what it is for" % path)
        if path.startswith("scripts/") and shell == "bash" and "/lib.sh" not in text:
            problems.append("%s does not source lib.sh" % path)
    return problems, checked


if __name__ == "__main__":
    tree.report("shell", *check(sys.argv[1]))
