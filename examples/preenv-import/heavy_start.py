"""Needs five times more memory to start than to run: a table is built from a large draft when the module is loaded."""
DRAFT_MB, TABLE_MB, CALL_MB = 290, 24, 24


def filled(megabytes):
    block = bytearray(megabytes << 20)
    block[::4096] = b"\1" * len(block[::4096])  # every page is touched
    return block


def build():
    draft = filled(DRAFT_MB)
    return bytes(draft[: TABLE_MB << 20])


TABLE = build()


def main(args):
    work = filled(CALL_MB)
    return {"sum": work.count(1) + TABLE[: 1 << 20].count(1)}
