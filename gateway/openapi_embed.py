#!/usr/bin/env python3
"""A document of the API as a C array: compact, with @VERSION@ replaced, and each operation's `refusals`, a list of statuses, written out
as responses, which all have the same form.

usage: openapi_embed.py DOCUMENT VERSION NAME > NAME.c
"""
import json
import sys


def write_refusals(document):
    refused = "#/responses/Refused" if "swagger" in document else "#/components/responses/Refused"
    for operations in document["paths"].values():
        for operation in operations.values():
            statuses = operation.pop("refusals")
            operation["responses"].update({str(status): {"$ref": refused} for status in statuses})


def main(path, version, name):
    with open(path, encoding="utf-8") as f:
        document = json.loads(f.read().replace("@VERSION@", version))
    write_refusals(document)
    octets = json.dumps(document, separators=(",", ":")).encode()
    print(f"#include <stddef.h>\n\nextern const unsigned char {name}[];\nextern const size_t {name}_bytes;")
    print(f"const unsigned char {name}[] = {{")
    for at in range(0, len(octets), 24):
        print(",".join(str(b) for b in octets[at:at + 24]) + ",")
    print(f"}};\nconst size_t {name}_bytes = sizeof({name});")


main(*sys.argv[1:])
