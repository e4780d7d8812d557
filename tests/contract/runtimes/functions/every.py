"""One function that behaves in every way the contract's cases ask for."""
import os
import sys
import time

count = 0
print("loaded")


def main(value):
    global count
    count += 1
    do = value.get("do") if isinstance(value, dict) else "echo"
    if do == "echo":
        return value
    if do == "log":
        for n in range(value["lines"]):
            print("out %s %d" % (value["tag"], n))
            print("err %s %d" % (value["tag"], n), file=sys.stderr)
        return {"tag": value["tag"]}
    if do == "error":
        return {"error": "bad luck", "more": 1}
    if do == "scalar":
        return 3
    if do == "throw":
        raise ValueError("boom")
    if do == "exit":
        os._exit(3)
    if do == "env":
        return {k: os.environ.get(k, "") for k in value["names"]}
    if do == "flood":
        line = "x" * 99
        for _ in range(value["lines"]):
            print(line)
        return {"done": True}
    if do == "bytes":
        os.write(1, b"a\0b\xff\xfec\n" + b"y" * 200000 + b"\n" + "z\u00e9".encode() * 40000 + b"\n")
        return {}
    if do == "big":
        return {"x": "a" * value["bytes"]}
    if do == "memory":
        kept = []
        while True:
            kept.append(bytearray(8 << 20))
    if do == "count":
        return {"count": count, "pid": os.getpid()}
    if do == "sleep":
        print("begin %s" % value["tag"])
        time.sleep(value["ms"] / 1000)
        print("end %s" % value["tag"])
        return {"tag": value["tag"]}
    raise ValueError(do)
