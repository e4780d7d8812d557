#!/usr/bin/env python3
"""At least nine of ten prototypes in the headers of ports/ and of common/ have a comment: on their
own line, directly above, or above the group (lines without a gap) they stand in.

usage: documented.py ROOT
"""
import re
import sys

import tree

FLOOR = 0.9
PROTOTYPE = re.compile(r"^(?!\s|#|typedef\b|static\b|\}|/)[A-Za-z_][\w\s\*]*?\b(\w+)\s*\(")


def prototypes(text):
    """(name, line, documented) of each prototype of a header."""
    bare = tree.bare(text).split("\n")
    lines = text.split("\n")
    out, depth, grouped, previous_ends = [], 0, False, True
    for number, (line, naked) in enumerate(zip(lines, bare)):
        if not line.strip():
            grouped = False
        elif line.strip() and not naked.strip() and depth == 0 and not line.startswith("#"):
            grouped = True                            # a line of comment
        elif depth == 0 and previous_ends and PROTOTYPE.match(naked):
            end = number
            while ";" not in bare[end] and "{" not in bare[end] and end + 1 < len(bare):
                end += 1
            if "{" not in "".join(bare[number:end + 1]).split(";")[0]:
                own = "/*" in "".join(lines[number:end + 1])
                out.append((PROTOTYPE.match(naked).group(1), number + 1, grouped or own))
        depth += naked.count("{") - naked.count("}")
        if naked.strip():
            previous_ends = naked.rstrip()[-1] in ";}{"
    return out


def check(root):
    problems, checked = [], 0
    for folder in ("ports", "common"):
        bare_ones, total = [], 0
        for path in tree.files(root, [folder], ".h"):
            for name, line, documented in prototypes(tree.read(root, path)):
                total += 1
                if not documented:
                    bare_ones.append("%s:%d: %s() has no comment" % (path, line, name))
        checked += total
        if total and len(bare_ones) > (1 - FLOOR) * total + 1e-9:
            problems += bare_ones
            problems.append("%s/: %d of %d prototypes are documented, at least %d %% should be"
                            % (folder, total - len(bare_ones), total, FLOOR * 100))
    return problems, checked


if __name__ == "__main__":
    tree.report("documented", *check(sys.argv[1]))
