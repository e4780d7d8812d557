"""The namespace in whose name this runs: that of the caller's key."""
import os


def main(args):
    return {"namespace": os.environ["__OW_NAMESPACE"]}
