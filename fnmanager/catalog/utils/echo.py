"""What came in goes out."""


def main(args):
    return args
