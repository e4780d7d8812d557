"""An array of lines, sorted as texts."""


def main(args):
    lines = args.get("lines", [])
    if not isinstance(lines, list):
        return {"error": "'lines' must be an array."}
    lines = sorted(lines, key=str)
    return {"lines": lines, "length": len(lines)}
