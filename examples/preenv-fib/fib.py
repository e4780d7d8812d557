"""Processor only: memory does not matter to it, so the smallest size that its runtime starts in is enough.

What matters is the cap on processors: `narae preenv fib --axis cpu`.
"""


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def main(args):
    n = args.get("n", 24)
    return {"fib": fib(n), "n": n}
