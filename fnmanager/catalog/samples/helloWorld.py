"""Says hello in its log, and nothing else."""


def main(args):
    print(f"hello {args.get('payload', 'world')}!")
    return {}
