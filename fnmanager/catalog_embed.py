#!/usr/bin/env python3
"""The catalog as a C table: for each package and each function of it the body of the PUT that makes it. Each body carries a fingerprint
of itself as the annotation narae.catalog, so that a start knows what has changed.

usage: catalog_embed.py FOLDER/catalog.json > catalog_items.c
"""
import hashlib
import json
import pathlib
import sys


def body(document, annotations):
    text = json.dumps([document, annotations], sort_keys=True)
    mark = hashlib.sha256(text.encode()).hexdigest()[:16]
    all_of_it = {**annotations, "narae.catalog": mark}
    document["annotations"] = [{"key": k, "value": v} for k, v in all_of_it.items()]
    return mark, json.dumps(document)


def items(folder, catalog):
    for package, content in catalog.items():
        yield package, "", *body({"publish": True}, {"description": content["description"]})
        for name, annotations in content["actions"].items():
            code = (folder / package / f"{name}.py").read_text(encoding="utf-8")
            yield package, name, *body({"exec": {"kind": "python:default", "code": code}}, annotations)


def literal(text):
    return '"' + "".join(c if c.isalnum() or c in " _-.,:{}[]()" else f"\\{ord(c):03o}" for c in text) + '"'


def main(path):
    manifest = pathlib.Path(path)
    print('#include "fnmanager/catalog.h"\n\nconst struct catalog_item catalog_items[] = {')
    for package, name, mark, text in items(manifest.parent, json.loads(manifest.read_text(encoding="utf-8"))):
        lines = "\n     ".join(literal(text[at:at + 96]) for at in range(0, len(text), 96))
        print(f'    {{"{package}", "{name}", "{mark}",\n     {lines}}},')
    print("    {0},\n};")


main(*sys.argv[1:])
