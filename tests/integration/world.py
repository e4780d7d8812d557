"""A small outside world on this host: a network namespace behind a pair of interfaces, with servers in it.

It has a public address (198.51.100.2), a private one (10.77.0.2), which only a grant opens, and a resolver on port 53
of both. Everything goes with close().
"""
import contextlib
import fcntl
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import textwrap

PUBLIC, PRIVATE, HERE = "198.51.100.2", "10.77.0.2", "198.51.100.1"
PORT, OTHER_PORT = 8201, 8202

SERVER = textwrap.dedent('''
    import selectors, socket, struct, sys
    chosen = selectors.DefaultSelector()

    def tcp(port):
        s = socket.create_server(("0.0.0.0", port))
        chosen.register(s, selectors.EVENT_READ, lambda: s.accept()[0].sendall(b"outside"))

    def udp(port, answer):  # one socket an address: the answer comes from where the question went
        for address in ("198.51.100.2", "10.77.0.2"):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((address, port))
            def serve(s=s):
                question, sender = s.recvfrom(2048)
                s.sendto(answer(question), sender)
            chosen.register(s, selectors.EVENT_READ, serve)

    def resolve(question):  # every name is 198.51.100.2; no IPv6 address
        end = question.index(b"\\0", 12) + 5
        kind = struct.unpack("!H", question[end - 4:end - 2])[0]
        answer = b"\\xc0\\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton("198.51.100.2")
        head = question[:2] + b"\\x81\\x80" + struct.pack("!HHHH", 1, kind == 1, 0, 0)
        return head + question[12:end] + (answer if kind == 1 else b"")

    tcp(8201), tcp(8202)
    udp(8201, lambda b: b"outside"), udp(53, resolve)
    print("ready", flush=True)
    while True:
        for key, _ in chosen.select():
            key.data()
''')


def run(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True).stdout


class World:
    """Needs root. Several with the same addresses cannot be at once: who opens one waits until the last is closed."""

    def __init__(self):
        self.lock = pathlib.Path(tempfile.gettempdir(), "narae-outside.lock").open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        for line in run("ip", "netns", "list", check=False).splitlines():
            if line.startswith("outside-"):  # of a run that was killed: nobody else has one now
                self.forget(line.split()[0])
        self.name = f"outside-{os.getpid()}"
        self.link = f"o{os.getpid()}"
        self.server = None

    @staticmethod
    def forget(name):
        run("ip", "route", "del", PRIVATE + "/32", check=False)
        run("ip", "link", "del", "o" + name.removeprefix("outside-"), check=False)
        run("ip", "netns", "del", name, check=False)

    def open(self):
        inside = ("ip", "-n", self.name)
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "addr", "add", HERE + "/24", "dev", self.link)
        run("ip", "link", "set", self.link, "up")
        run(*inside, "addr", "add", PUBLIC + "/24", "dev", "eth0")
        run(*inside, "addr", "add", PRIVATE + "/32", "dev", "lo")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "route", "add", "default", "via", HERE)
        run("ip", "route", "add", PRIVATE + "/32", "via", PUBLIC)
        self.server = subprocess.Popen(["ip", "netns", "exec", self.name, sys.executable, "-c", SERVER],
                                       stdout=subprocess.PIPE, text=True)
        assert self.server.stdout.readline() == "ready\n"
        return self

    def close(self):
        if self.server:
            self.server.kill()
            self.server.wait()
            self.server.stdout.close()
        self.forget(self.name)
        self.lock.close()

    def reaches(self, address, port=PORT):
        """Can this host itself reach it? The control of every test that says a function cannot."""
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=5) as s:
            return s.recv(16) == b"outside"
        return False


def forget_network(tag):
    """Takes away bridge and rules of an installation that was killed and will not start again."""
    for program, table in (("iptables", "nat"), ("iptables", "filter"), ("ip6tables", "filter")):
        lines = run(program, "-w", "-t", table, "-S", check=False).splitlines()
        ours = [line.split()[1] for line in lines if line.startswith(f"-N NARAE-{tag}-")]
        text = [f"*{table}"]
        text += ["-D" + line[2:] for line in lines
                 if line.startswith("-A ") and not line.startswith(f"-A NARAE-{tag}-") and f"-j NARAE-{tag}-" in line]
        text += [f"-{step} {chain}" for step in "FX" for chain in ours] + ["COMMIT", ""]
        if len(text) > 3:
            subprocess.run([program + "-restore", "-w", "--noflush"], input="\n".join(text), text=True, check=False,
                           capture_output=True)
    run("ip", "link", "del", f"nr-{tag}", check=False)
