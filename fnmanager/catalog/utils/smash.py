"""All parameters as one object, below the name that $fieldName says."""


def main(args):
    name = args.pop("$fieldName", None)
    if not isinstance(name, str):
        return {"error": "'$fieldName' must be a text: the name to put the other parameters under."}
    return {name: args}
