def main(args):
    name = args.get("name", "stranger")
    print("greeting", name)  # a line of the activation's log
    return {"greeting": f"Hello, {name}!"}
