"""What a platform may leave behind on its host, looked for from outside: links, firewall rules, mounts, loop devices, control groups,
namespaces.

Everything is found by the installation (16 hex; its first 8 are in the names of links and chains), by the platform's folder, or by what
was remembered of a container while it lived.
"""
import os
import pathlib
import re
import socket
import struct
import subprocess

CGROUPS = pathlib.Path("/sys/fs/cgroup")
TABLES = (("iptables", "filter"), ("iptables", "nat"), ("ip6tables", "filter"))


# ---- network

def links(tag):
    """(our bridges, our ports) of this host."""
    names = os.listdir("/sys/class/net")
    return ([n for n in names if n == f"nr-{tag}"], [n for n in names if n.startswith(f"n{tag}-")])


def rules(tag):
    """Lines of iptables that name our chains or our bridge, with their table."""
    found = []
    for program, table in TABLES:
        said = subprocess.run([program, "-w", "-t", table, "-S"], capture_output=True, text=True, check=False)
        found += [f"{program} {table} {line}" for line in said.stdout.splitlines()
                  if f"NARAE-{tag}-" in line or f"nr-{tag}" in line]
    return found


def of_a_slot(rule, tag):
    """A chain of one network slot, a rule in it, or the jump to it."""
    return re.search(rf"NARAE-{tag}-[0-9]+( |$)", rule) is not None


# ---- volumes

def mounts(folder):
    lines = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(f"{folder}/")]


def loops(folder):
    """Files below the folder that are in a loop device, once for each device."""
    found = []
    for file in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            path = file.read_text().strip()
        except OSError:
            continue
        if path.startswith(f"{folder}/"):
            found.append(path)
    return found


# ---- control groups

def parents(installation):
    """Folders of the group that all containers of an installation are in, one in each hierarchy."""
    name = f"narae-{installation}"
    return [f for f in (CGROUPS / name, *(h / name for h in CGROUPS.iterdir())) if f.is_dir()]


def control_groups(installation):
    """Folders of its containers, also of those that nobody knows."""
    found = []
    for parent in parents(installation):
        try:
            found += [f for f in parent.iterdir() if f.is_dir()]
        except OSError:
            continue
    return found


def groups_elsewhere(container):
    """Folders of a container where Engines put theirs when no parent is named."""
    return [f for pattern in ("*/docker", "docker", "system.slice") for f in CGROUPS.glob(f"{pattern}/*{container}*")]


def remove_groups(installation):
    """Of a platform that was ended by force, after its containers."""
    for folder in control_groups(installation) + parents(installation):
        try:
            folder.rmdir()
        except OSError:
            continue


# ---- namespaces

def engine_pid(path):
    """The process that listens on an Engine's socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        return struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def namespace_of(document):
    """What its Engine calls a container's network namespace; "" when it keeps none. (The kernel's own numbers come back soon.)"""
    return os.path.basename(document["NetworkSettings"].get("SandboxKey") or "")


def namespaces_kept(pid):
    """Network namespaces that an Engine keeps."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/mounts").read_text().splitlines()
    except OSError:
        return set()
    return {os.path.basename(line.split()[1]) for line in lines if "/netns/" in line.split()[1]}


def namespaces_left(names, docker):
    """Those of these that are still kept. Processes in them are in control groups, which are looked for apart."""
    names = {n for n in names if n}
    return [f"network namespace {n}" for n in names & namespaces_kept(engine_pid(docker))] if names else []
