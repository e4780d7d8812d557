"""A port for a program that cannot be told 0."""
import pathlib
import random
import socket


def free_port():
    """Below those that the kernel gives to connections: however many are made meanwhile, it stays free until its program takes it."""
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(max(1024, first - 10000), first)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
