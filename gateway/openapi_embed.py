#!/usr/bin/env python3
"""A JSON document as a C array: compact, with @VERSION@ replaced.

usage: openapi_embed.py DOCUMENT VERSION > openapi_text.c
"""
import json
import sys

document, version = sys.argv[1:3]
with open(document, encoding="utf-8") as f:
    text = json.dumps(json.loads(f.read().replace("@VERSION@", version)), separators=(",", ":"))
octets = text.encode()
print("#include <stddef.h>\n\nextern const unsigned char openapi_text[];\nextern const size_t openapi_text_bytes;")
print("const unsigned char openapi_text[] = {")
for at in range(0, len(octets), 24):
    print(",".join(str(b) for b in octets[at:at + 24]) + ",")
print("};\nconst size_t openapi_text_bytes = sizeof(openapi_text);")
