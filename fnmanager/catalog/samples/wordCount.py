"""How many words a text has."""


def main(args):
    if not isinstance(args.get("payload"), str):
        return {"error": "'payload' is missing: the text whose words are counted."}
    text = args["payload"]
    count = len(text.split())
    print(f"The message '{text}' has {count} words")
    return {"count": count}
