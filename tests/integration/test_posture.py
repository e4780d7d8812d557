"""What a function's own process may do to the kernel, seen from inside: nothing that the platform has not opened."""
import pytest

INSIDE = '''
import ctypes, os, platform

libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    ctypes.set_errno(0)
    r = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    return "open" if r >= 0 else errno_name(ctypes.get_errno())

def errno_name(n):
    import errno
    return errno.errorcode.get(n, str(n))

def opens(family, kind=1, protocol=0):
    import socket
    try:
        socket.socket(family, kind, protocol).close()
        return "open"
    except OSError as e:
        return errno_name(e.errno)

def writes(path):
    try:
        open(path, "w").close()
        return "open"
    except OSError as e:
        return errno_name(e.errno)

def main(args):
    status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    return {
        "status": {k: status[k].strip() for k in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")},
        "uid": os.getuid(), "pid1": open("/proc/1/cmdline").read().split("\\0")[0],
        "calls": {name: call(number, *more) for name, (number, more) in args["calls"].items()},
        "sockets": {name: opens(*more) for name, more in args["sockets"].items()},
        "writes": {path: writes(path) for path in args["writes"]},
        "links": sorted(os.listdir("/sys/class/net")),
    }
'''

# x86-64 numbers; arguments that would do something if the call were open
CALLS = {
    "ptrace": (101, [0, 0, 0, 0]),
    "bpf": (321, [0, 0, 0]),
    "io_uring_setup": (425, [1, 0]),
    "keyctl": (250, [0, 0, 0]),
    "add_key": (248, [0, 0, 0, 0, 0]),
    "perf_event_open": (298, [0, 0, 0, 0, 0]),
    "userfaultfd": (323, [0]),
    "mount": (165, [0, 0, 0, 0, 0]),
    "pivot_root": (155, [0, 0]),
    "unshare user": (272, [0x10000000]),
    "setns": (308, [0, 0]),
    "chroot": (161, [0]),
    "name_to_handle_at": (303, [0, 0, 0, 0, 0]),
    "open_by_handle_at": (304, [0, 0, 0]),
    "process_vm_readv": (310, [1, 0, 0, 0, 0, 0]),
    "kexec_load": (246, [0, 0, 0, 0]),
    "init_module": (175, [0, 0, 0]),
    "syslog": (103, [0, 0, 0]),
    "personality": (135, [0x0040000]),
}
SOCKETS = {"vsock": [40, 1], "alg": [38, 5], "packet": [17, 3], "raw": [2, 3, 1]}
WRITES = ["/x", "/etc/passwd", "/usr/x", "/.narae/s/x", "/proc/sys/kernel/hostname", "/dev/x"]


@pytest.mark.parametrize("network", ["none", "egress"])
def test_the_posture(platform, name, network):
    platform.put(name, INSIDE, "python:3", annotations=[{"key": "narae.network", "value": network}])
    reply = platform.invoke(name, {"calls": CALLS, "sockets": SOCKETS, "writes": WRITES}, "blocking=true&result=true")
    assert reply.status == 200, reply
    seen = reply.json
    assert seen["status"] == {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    assert seen["uid"] == 65534 and seen["pid1"] == "/.narae/agent"
    assert set(seen["calls"].values()) == {"EPERM"}, seen["calls"]
    assert "open" not in seen["sockets"].values(), seen["sockets"]
    assert "open" not in seen["writes"].values(), seen["writes"]
    if network == "none":
        assert seen["links"] == ["lo"]


def test_clone3_falls_back(platform, name):
    platform.put(name, INSIDE, "python:3")
    reply = platform.invoke(name, {"calls": {"clone3": (435, [0, 0])}, "sockets": {}, "writes": []}, "blocking=true&result=true")
    assert reply.json["calls"] == {"clone3": "ENOSYS"}
