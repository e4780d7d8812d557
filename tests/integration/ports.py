"""A port for a program that cannot be told 0."""
import pathlib
import random
import socket


def free_port():
    """Outside those that the kernel gives to connections, where there are any: however many are made meanwhile, it stays free until its program
    takes it."""
    first, last = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    outside = range(max(1024, first - 10000), first) or range(last + 1, 65536) or range(1024, 65536)
    while True:
        port = random.choice(outside)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
