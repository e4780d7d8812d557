"""A text as an array, cut at line ends or at a separator."""


def main(args):
    if "payload" not in args:
        return {"error": "'payload' is missing: the text to be split."}
    payload, separator = args["payload"], args.get("separator")
    text = payload if isinstance(payload, str) else str(payload)
    if separator is None or separator == "":
        lines = text.replace("\r\n", "\n").split("\n")
    else:
        lines = text.split(str(separator))
    return {"lines": lines, "payload": payload}
