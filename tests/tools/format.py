#!/usr/bin/env python3
"""Every C file is as clang-format leaves it (scripts/format puts it right).

usage: format.py ROOT        exit status 77 (skipped) when clang-format is not installed
"""
import re
import shutil
import subprocess
import sys

import tree


def check(root):
    if shutil.which("clang-format") is None:
        print("format: clang-format is not installed")
        sys.exit(77)
    paths = tree.files(root, tree.FOLDERS, (".c", ".h"))
    if not paths:
        return [], 0
    done = subprocess.run(["clang-format", "--style=file", "--dry-run", "--ferror-limit=1",
                           "-Werror"] + paths, cwd=root, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error:", done.stdout, re.M)))
    if done.returncode and not wrong:
        wrong = [done.stdout]
    return ["%s is not formatted" % w for w in wrong], len(paths)


if __name__ == "__main__":
    tree.report("format", *check(sys.argv[1]))
