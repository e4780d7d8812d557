"""What functions reach and do not reach: the outside, the host, each other; and what is left of their network."""
import concurrent.futures
import ipaddress
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading

import pytest
import world
from conftest import engine, within

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

# Tries to reach what it is told to; says how each try ended, and where it is itself.
INSIDE = '''
import errno, fcntl, os, socket, struct, time

def own_address():
    try:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack("256s", b"eth0"))[20:24])
    except OSError:
        return None

def try_one(kind, host, port, seconds):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    s.settimeout(seconds)
    try:
        target = (host, port)
        if "%" in host:
            target = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4]
        s.connect(target)
        if kind == "udp":
            s.send(b"hello")
        return "answered " + s.recv(16).decode()
    except socket.timeout:
        return "timeout"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    finally:
        s.close()

def scan(host, ports):
    found = []
    for port in range(*ports):
        s = socket.socket()
        s.settimeout(2)
        if s.connect_ex((host, port)) == 0:
            found.append(port)
        s.close()
    return found

def main(args):
    held = None
    if "listen" in args:
        held = socket.create_server(("0.0.0.0", args["listen"]))
        held.settimeout(args["seconds"])
    out = {"address": own_address(), "links": sorted(os.listdir("/sys/class/net")),
           "tries": {" ".join(map(str, t)): try_one(*t, args.get("patience", 3)) for t in args.get("tries", [])}}
    if "scan" in args:
        out["found"] = scan(*args["scan"])
    if "resolve" in args:
        try:
            out["resolved"] = socket.gethostbyname(args["resolve"])
        except OSError as e:
            out["resolved"] = str(e)
    out["resolv.conf"] = open("/etc/resolv.conf").read() if os.path.exists("/etc/resolv.conf") else ""
    out["routes"] = open("/proc/net/route").read()
    if held:
        try:
            out["caller"] = held.accept()[1][0]
        except socket.timeout:
            out["caller"] = None
    return out
'''


@pytest.fixture(scope="module")
def outside():
    w = world.World()
    try:
        yield w.open()
    finally:
        w.close()


def put(platform, name, network="egress", code=INSIDE):
    platform.put(name, code, "python:3", annotations=[{"key": "narae.network", "value": network}])


def ask(platform, name, **arguments):
    reply = platform.invoke(name, arguments, "blocking=true&result=true")
    assert reply.status == 200, reply
    return reply.json


def network(platform):
    return platform.request("GET", "/narae/v1/invokers", auth=platform.admin_auth).json


def bridge_of(platform):
    return "nr-" + (platform.data / "installation").read_text()[:8]


def gateway_of(platform):
    lines = subprocess.run(["ip", "-o", "-4", "addr", "show", bridge_of(platform)], capture_output=True, text=True,
                           check=True).stdout
    return lines.split()[3].split("/")[0]


class Listener:
    """A server of this host on every address and a port of its own, IPv4 and IPv6."""

    def __enter__(self):
        self.socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port = self.socket.getsockname()[1]
        self.seen = []
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        while True:
            try:
                peer, address = self.socket.accept()
            except OSError:
                return
            self.seen.append(address[0])
            peer.sendall(b"host")
            peer.close()

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def addresses_of_the_host():
    out = json.loads(subprocess.run(["ip", "-j", "addr"], capture_output=True, text=True, check=True).stdout)
    return [a["local"] for link in out for a in link["addr_info"]]


def test_egress_reaches_the_outside_and_nothing_private(platform, name, outside):
    put(platform, name)
    assert outside.reaches(world.PUBLIC) and outside.reaches(world.PRIVATE)
    out = ask(platform, name, tries=[["tcp", world.PUBLIC, world.PORT], ["udp", world.PUBLIC, world.PORT],
                                     ["tcp", world.PRIVATE, world.PORT], ["udp", world.PRIVATE, world.PORT]])
    assert out["links"] == ["eth0", "lo"]
    assert out["tries"][f"tcp {world.PUBLIC} {world.PORT}"] == "answered outside"
    assert out["tries"][f"udp {world.PUBLIC} {world.PORT}"] == "answered outside"
    assert "answered" not in out["tries"][f"tcp {world.PRIVATE} {world.PORT}"]
    assert "answered" not in out["tries"][f"udp {world.PRIVATE} {world.PORT}"]


def test_none_reaches_nothing(platform, name, outside):
    put(platform, name, "none")
    with Listener() as host:
        targets = [world.PUBLIC, world.PRIVATE, *addresses_of_the_host()]
        out = ask(platform, name, tries=[["tcp", a, host.port] for a in targets], patience=1)
        assert out["links"] == ["lo"] and out["address"] is None
        assert not [t for t in out["tries"].values() if t.startswith("answered")], out["tries"]
        assert host.seen == []


def test_the_host_is_out_of_reach(platform, name, outside):
    """Every address that the host has, the bridge's own among them, IPv4 and IPv6, a port that listens on all of them."""
    put(platform, name)
    ask(platform, name)
    with Listener() as host:
        for control in (gateway_of(platform), "127.0.0.1", "::1"):
            with socket.create_connection((control, host.port), timeout=5) as s:
                assert s.recv(8) == b"host"
        host.seen.clear()
        inside = [a + "%eth0" if a.startswith("fe80") else a for a in addresses_of_the_host()]
        inside += ["fe80::1%eth0", "ff02::1%eth0", "169.254.169.254", "224.0.0.1", "0.0.0.0"]
        out = ask(platform, name, tries=[[kind, a, host.port] for a in inside for kind in ("tcp", "udp")],
                  patience=0.5)
        assert not [t for t in out["tries"].items() if t[1].startswith("answered")], out["tries"]
        assert host.seen == []


def test_no_port_of_the_gateway_answers(platform, name):
    put(platform, name)
    gateway = gateway_of(platform)
    with Listener() as host:
        out = ask(platform, name, scan=[gateway, [1, 65536]])
        assert out["found"] == [] and host.seen == []


def test_private_networks_of_the_engine_are_out_of_reach(platform, name):
    """What listens in a container on the Engine's own bridge."""
    put(platform, name)
    out = ask(platform, name, tries=[["tcp", "172.17.0.1", 22], ["tcp", "172.17.0.2", 8080], ["tcp", "100.64.0.1", 80],
                                     ["tcp", "192.168.0.1", 80], ["tcp", "10.0.0.1", 80]], patience=1)
    assert not [t for t in out["tries"].values() if t.startswith("answered")], out["tries"]


def test_functions_do_not_reach_each_other(platform, name):
    """One function listens while the other one tries; the host can, so there is somebody to be reached."""
    put(platform, name)
    put(platform, name + "-2")
    result = {}

    def listen():
        result.update(ask(platform, name, listen=8099, seconds=8))

    first = ask(platform, name)["address"]
    thread = threading.Thread(target=listen)
    thread.start()
    within(5, "it listens", lambda: not ask(platform, name + "-2", tries=[["tcp", "127.0.0.1", 1]]) or True)
    out = ask(platform, name + "-2", tries=[["tcp", first, 8099], ["udp", first, 8099]], patience=1)
    assert out["address"] and out["address"] != first
    assert not [t for t in out["tries"].values() if t.startswith("answered")], out["tries"]

    def from_here():
        try:
            socket.create_connection((first, 8099), timeout=1).close()
            return True
        except OSError:
            return False

    within(6, "the host reaches it", from_here)
    thread.join()
    assert result["caller"] == gateway_of(platform)


def links_of(platform):
    """Interfaces of the host that lead into containers of this platform."""
    names = [line.split(": ")[1].split("@")[0] for line in
             subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines()]
    return {n for n in names if n.startswith("n" + bridge_of(platform)[3:] + "-")}


def link_of(platform, address):
    """The one whose other end has this address: its number is that of the address in the subnet."""
    subnet = ipaddress.ip_interface(gateway_of(platform) + "/20").network
    return f"n{bridge_of(platform)[3:]}-{int(ipaddress.ip_address(address)) - int(subnet.network_address) - 1}"


def test_who_loses_its_interface_gets_no_further_call(platform, name):
    """It is not put back: whoever pulled it may have had a reason. A new container serves on."""
    put(platform, name)
    address = ask(platform, name)["address"]
    link = link_of(platform, address)
    assert link in links_of(platform)

    def live():
        found = network(platform)["containers"]
        return {c["id"] for c in found if c["function"].endswith(name) and c["state"] != "dying"}

    doomed = live()
    assert len(doomed) == 1
    subprocess.run(["ip", "link", "del", link], check=True)
    within(15, "its container goes", lambda: not doomed & live())
    out = ask(platform, name)
    assert out["links"] == ["eth0", "lo"] and out["address"] != address


def test_no_container_but_those_of_functions(start_platform, name):
    """A network costs no container: as many as there are functions, and each is made without a network of the Engine's."""
    p = start_platform("--stems=off")
    for i in range(3):
        put(p, f"{name}-{i}")
        ask(p, f"{name}-{i}")
    within(20, "the probe's has gone", lambda: len(p.containers()) == 3)
    assert {engine(f"/containers/{c}/json")["HostConfig"]["NetworkMode"] for c in p.containers()} == {"none"}
    assert len(links_of(p)) == 3
    p.stop()


def test_many_at_once(start_platform, name):
    """Fifty functions, each of which needs a network, called at the same moment."""
    p = start_platform("--stems=off")
    names = [f"{name}-{i}" for i in range(50)]
    for each in names:
        put(p, each)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda each: ask(p, each), names))
    assert all(out["links"] == ["eth0", "lo"] for out in found)
    assert len(links_of(p)) <= 50
    p.stop()


def rules():
    words = [["iptables", "-w", "-S"], ["iptables", "-w", "-t", "nat", "-S"], ["ip6tables", "-w", "-S"], ["ip", "-o", "link"]]
    return "".join(subprocess.run(w, capture_output=True, text=True, check=True).stdout for w in words)


def test_nothing_is_left_after_a_stop(start_platform, name):
    p = start_platform()
    put(p, name)
    ask(p, name)
    tag = bridge_of(p)[3:]
    assert tag in rules()
    p.stop()
    assert tag not in rules()  # neither bridge, interface nor chain
    assert p.containers() == []


def test_a_killed_run_is_cleaned_up_by_the_next(start_platform, name):
    p = start_platform()
    put(p, name)
    ask(p, name)
    tag, first = bridge_of(p)[3:], set(p.containers())
    os.kill(p.pid, signal.SIGKILL)
    p.process.wait()
    assert tag in rules()  # nobody took it away: what runs is not open to the world meanwhile
    p.start()
    within(30, "the old containers that nobody adopted go", lambda: len(first & set(p.containers())) <= 2)
    assert ask(p, name)["links"] == ["eth0", "lo"]
    p.stop()
    assert tag not in rules() and p.containers() == []


def test_two_installations_do_not_touch_each_other(start_platform, name, outside):
    a, b = start_platform(), start_platform()
    put(a, name), put(b, name)
    assert ask(a, name)["address"] != ask(b, name)["address"]
    assert gateway_of(a) != gateway_of(b)
    a.stop()
    out = ask(b, name, tries=[["tcp", world.PUBLIC, world.PORT], ["tcp", world.PRIVATE, world.PORT]])
    assert out["tries"][f"tcp {world.PUBLIC} {world.PORT}"] == "answered outside"
    assert "answered" not in out["tries"][f"tcp {world.PRIVATE} {world.PORT}"]
    b.stop()


def test_names_resolve_as_on_the_host(platform, name):
    """The resolvers are the host's, but for those on its loopback; a name that the host can resolve the function can."""
    put(platform, name)
    lines = [line.split() for line in pathlib.Path("/etc/resolv.conf").read_text().splitlines()]
    servers = [w[1] for w in lines if w[:1] == ["nameserver"] and ":" not in w[1] and not w[1].startswith("127.")]
    out = ask(platform, name, resolve="localhost")
    assert out["resolved"] == "127.0.0.1"
    if servers:
        assert [line.split()[1] for line in out["resolv.conf"].splitlines() if line.startswith("nameserver")] == servers[:3]
    assert "search" not in out["resolv.conf"] and "domain" not in out["resolv.conf"]
