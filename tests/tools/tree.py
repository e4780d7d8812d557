"""What the gates share: finding our C files, and reading C without compiling it.

Text is parsed line by line and brace by brace; comments, strings and preprocessor lines are blanked
first, so that the positions stay what they are.
"""
import os
import re
import sys

FOLDERS = ["common", "ports", "gateway", "controller", "invoker", "fnmanager", "scaler", "daemon",
           "cli", "runtimes", "examples", "tests"]


def files(root, folders, ends):
    """Paths relative to root, sorted, of the files under folders whose names end so."""
    found = []
    for folder in folders:
        for here, dirs, names in os.walk(os.path.join(root, folder)):
            dirs[:] = sorted(d for d in dirs if d not in ("node_modules", "__pycache__", "corpus"))
            found += [os.path.relpath(os.path.join(here, n), root) for n in sorted(names)
                      if n.endswith(ends)]
    return found


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def without_comments(text):
    """Comments, strings and character constants blanked."""
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text,
                  flags=re.S)


def without_preprocessor(text):
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", blank, text, flags=re.M)


def bare(text):
    return without_preprocessor(without_comments(text))


def report(gate, problems, checked):
    """Prints the outcome and ends the program with the exit status a test needs."""
    if checked == 0 and not problems:
        problems = ["nothing was found to check"]
    for p in problems:
        print(p)
    print("%s: %d checked, %d wrong" % (gate, checked, len(problems)))
    sys.exit(1 if problems else 0)
