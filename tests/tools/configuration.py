#!/usr/bin/env python3
"""docs/configuration.md is what naraed says of its options.

usage: configuration.py NARAED DOCUMENT [--write]
"""
import subprocess
import sys

HEAD = """# Configuration

A value given in a file is weaker than one of the environment, which is weaker than a flag. The file (`--config=FILE`) holds lines
`name = value`, and `#` comments. Values marked "reload" are read again on HUP. This page is made by
`build/naraed --help-markdown`; see `tests/tools/configuration.py`.

"""


def main():
    naraed, document = sys.argv[1:3]
    told = HEAD + subprocess.run([naraed, "--help-markdown"], check=True, capture_output=True, text=True).stdout
    if "--write" in sys.argv:
        open(document, "w").write(told)
        return 0
    if open(document).read() == told:
        return 0
    print("%s is stale: python3 tests/tools/configuration.py %s %s --write" % (document, naraed, document))
    return 1


sys.exit(main())
