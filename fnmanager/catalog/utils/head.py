"""The first lines of an array: one, or as many as `num` says."""


def main(args):
    lines, num = args.get("lines", []), args.get("num", 1)
    if not isinstance(lines, list):
        return {"error": "'lines' must be an array."}
    if isinstance(num, bool) or not isinstance(num, int) or num < 0:
        return {"error": "'num' must be a whole number from 0."}
    return {"lines": lines[:num], "num": num}
