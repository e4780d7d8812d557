"""Memory follows the input: 20 MB and twice its size. {"size_mb": 4} is a small one, {"size_mb": 120} a large one."""
BASE_MB = 20


def filled(megabytes):
    block = bytearray(megabytes << 20)
    block[::4096] = b"\1" * len(block[::4096])  # every page is touched
    return block


def main(args):
    size_mb = args.get("size_mb", 4)
    base = filled(BASE_MB)
    received = filled(size_mb)
    parsed = bytes(received)
    return {"pages": parsed.count(1) + base.count(1)}
