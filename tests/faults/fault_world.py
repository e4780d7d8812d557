"""What a fault happens in: a naraed with folders of its own, functions, callers, and the question what is left."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import tempfile
import threading
import time
import urllib.parse

from conftest import SLOW, Platform, Reply, engine, within
import leftovers
from engines import Engine, image
from proxy import Proxy

# Classes of answers, as records name them.
OK, APPLICATION, DEVELOPER, INTERNAL = (
    "success", "application error", "action developer error", "whisk internal error")

# Does as it is told, inside a container of ours.
CODE = """
import os, signal, sys, time, uuid
who = str(uuid.uuid4())

def fill(folder, size):
    written = 0
    try:
        with open(folder + "/full", "wb") as f:
            while written < size:
                written += f.write(b"x" * (1 << 16))
                f.flush()
    except OSError as e:
        return {"errno": e.errno, "bytes": written, "who": who}
    return {"bytes": written, "who": who}

def inodes(folder):
    n = 0
    try:
        while n < 1000000:
            open("%s/f%d" % (folder, n), "x").close()
            n += 1
    except OSError as e:
        return {"errno": e.errno, "files": n, "who": who}
    return {"files": n}

def bomb():
    alive = 0
    try:
        while alive < 100000:
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
            alive += 1
    except OSError as e:
        return {"errno": e.errno, "processes": alive}
    return {"processes": alive}

def main(args):
    do = args.get("do")
    if do == "sleep":
        time.sleep(args["seconds"])
    if do == "deaf":
        for n in range(1, 65):
            try:
                signal.signal(n, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            time.sleep(1)
    if do == "memory":
        hold = []
        while True:
            hold.append(bytearray(8 << 20))
    if do == "bomb":
        return bomb()
    if do == "fill":
        return fill(args["folder"], args["bytes"])
    if do == "inodes":
        return inodes(args["folder"])
    if do == "log":
        line = "x" * 999 + "\\n"
        for _ in range(args["lines"]):
            sys.stdout.write(line)
    return {"who": who}
"""
BUSY_S = 2       # how long a call lasts that a fault is to meet
TIMEOUT_S = 5    # limit of every function here
START_S = 30     # a start that the Engine does not answer is given up after this


class Call:
    """A blocking call on a thread of its own; `check` says whether it ended as it must."""

    def __init__(self, world, name, parameters, deadline_s):
        self.name, self.deadline_s, self.began = name, deadline_s, time.monotonic()
        self.future = world.threads.submit(self.run, world, parameters)

    def run(self, world, parameters):
        reply = world.platform.invoke(self.name, parameters)
        self.took = time.monotonic() - self.began
        return reply

    def result(self):
        return self.future.result(timeout=180 * SLOW)

    def status(self):
        reply = self.result()
        body = reply.json
        assert "response" in body, f"{self.name}: {reply}"
        return body["response"]["status"]

    def check(self, classes):
        status = self.status()
        assert status in classes, f"{self.name}: {status}, not {classes}: {self.result()}"
        limit = (self.deadline_s + 1) * SLOW
        assert self.took <= limit, f"{self.name}: answered after {self.took:.1f} s, not {limit} s"


class Bystander:
    """Somebody else's warm function, called all the time. `answers`: every answer; `longest_s` between two."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.wrong, self.count, self.longest_s = [], 0, 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.call)

    def call(self):
        connection = self.world.platform.connect()
        while not self.over.is_set():
            began = time.monotonic()
            try:
                reply = self.world.platform.invoke(self.name, {"n": self.count},
                                                   connection=connection)
                if reply.status != 200:
                    self.wrong.append(repr(reply))
            except OSError as e:
                self.wrong.append(repr(e))
                connection.close()
            self.count += 1
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self.over.wait(0.05)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class World:
    """One naraed. where: "stock" (the Engine of the tests, for what is done to single containers), "private" (one of its own), "proxy"
    (a private one behind a relay)."""

    def __init__(self, where):
        self.where, self.engine, self.proxy, self.number = where, None, None, 0
        self.traces, self.spoilt = {}, False
        # Stems would answer first calls without the Engine.
        self.platform = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"),
                                 *([] if where == "stock" else ["--stems=off"]))
        self.threads = concurrent.futures.ThreadPoolExecutor(200)
        try:
            self.open()
        except BaseException:
            self.discard()
            raise

    def open(self):
        p = self.platform
        if self.where != "stock":
            self.engine = Engine().start()
            self.engine.load(image("python"), image("native"))
            p.docker = self.engine.socket
        if self.where == "proxy":
            self.proxy = Proxy(str(p.folder / "engine.sock"), self.engine.socket)
            p.docker_of_naraed = self.proxy.path
        p.start()
        self.installation = p.label.split("=")[1]
        self.tag = self.installation[:8]
        self.rules = self.fixed_rules()
        self.bystander_name = self.function("bystander")
        self.warm = self.function("warm")
        self.grant()
        self.call_all()
        self.settle()
        self.look()
        assert leftovers.loops(p.folder), "a granted volume is in a loop device"
        assert any(leftovers.of_a_slot(r, self.tag) for r in leftovers.rules(self.tag)) or not self.rules

    def grant(self):
        """A function with rules of its own and a volume, of the account that nothing else here belongs to."""
        p = self.platform
        grants = {"egress": ["10.77.0.2:8201/tcp"], "volumes": [{"name": "kept", "quota_mb": 8}]}
        body = {"exec": {"kind": "python:3", "code": CODE}, "limits": {"memory": 128},
                "annotations": [{"key": "narae.volumes", "value": [{"name": "kept", "path": "/data/kept"}]}]}
        for path, sent in (("/narae/v1/accounts/admin/grants", grants), ("actions/granted?overwrite=true", body)):
            reply = p.request("PUT", path, sent, auth=p.admin_auth)
            assert reply.status == 200, reply

    def settle(self):
        """No start is under way."""
        within(60, "no start is under way", lambda: self.state("starting") == 0, every=0.1)

    def call_all(self):
        for name in (self.bystander_name, self.warm):
            within(60, f"{name} answers", lambda n=name: self.platform.invoke(n).status == 200)
        within(60, "the granted function answers",
               lambda: self.platform.invoke("granted", auth=self.platform.admin_auth).status == 200)

    # ---- functions and calls

    def function(self, name=None, **limits):
        """A new function, or the named one."""
        self.number += 1
        name = name or f"f{self.number}"
        self.platform.put(name, CODE, limits={"timeout": TIMEOUT_S * 1000, "memory": 128, **limits})
        return name

    def call(self, name, deadline_s=TIMEOUT_S, **parameters):
        return Call(self, name, parameters, deadline_s)

    def cold(self, deadline_s=START_S):
        """A call that needs the Engine."""
        return self.call(self.function(), deadline_s)

    def busy(self, name, seconds=BUSY_S, **more):
        """A call that has begun and lasts."""
        call = self.call(name, seconds + TIMEOUT_S, do="sleep", seconds=seconds, **more)
        within(30, "a call runs", lambda: self.calls_of(name) > 0 or call.future.done())
        return call

    def calls_of(self, name):
        return sum(c["calls"] for c in self.status()["containers"]
                   if c["function"] == f"guest/{name}")

    def status(self):
        p = self.platform
        reply = p.request("GET", "/narae/v1/invokers", auth=p.admin_auth)
        assert reply.status == 200, reply
        return reply.json

    def state(self, state):
        return self.status()["containers_by_state"][state]

    def container_of(self, name):
        """The Engine's id of the only container of a function."""
        mine = [c for c in self.status()["containers"] if c["function"] == f"guest/{name}"]
        assert len(mine) == 1, mine
        return next(i for i in self.platform.containers() if i.startswith(mine[0]["id"]))

    def ask(self, path, method="GET"):
        return engine(path, method, self.platform.docker)

    # ---- what is left

    def unknown(self):
        """What is there and belongs to no container that naraed knows: containers, sockets, control groups, namespaces, links, rules,
        loop devices."""
        p = self.platform
        gone = self.gone()
        status = self.status()
        alive = [c for c in status["containers"] if c["state"] != "dying"]
        known, names = {c["id"] for c in alive}, {c["name"] for c in alive}
        found = [f"container {c[:12]}" for c in self.containers() if c[:12] not in known]
        found += [f"socket {s.name}" for s in (p.run / "c").iterdir() if s.name[:8] not in names]
        found += self.forgotten()
        found += [f"control group {f}" for f in leftovers.control_groups(self.installation)
                  if not any(k and k in f.name for k in known)]
        found += [f"control group {f}" for c in gone for f in leftovers.groups_elsewhere(c)]
        found += leftovers.namespaces_left([self.traces[c] for c in gone], p.docker)
        return found + self.unknown_network(status) + self.unknown_loops()

    def forgotten(self):
        """Of a private Engine: what runs although the Engine knows nothing of it."""
        if not self.engine:
            return []
        live = {c["Id"] for c in self.ask("/containers/json?all=1")}
        lost = [inside for shim, inside in self.engine.shims() if not any(i in cmdline(shim) for i in live)]
        found = [f"{inside} in a container that the Engine has forgotten" for inside in lost if inside]
        if len(self.engine.namespaces()) > len(live) + 1 + len(lost):
            found.append(f"{len(self.engine.namespaces())} network namespaces")
        return found

    def fixed_rules(self):
        """All but those of single slots."""
        return sorted(r for r in leftovers.rules(self.tag) if not leftovers.of_a_slot(r, self.tag))

    def unknown_network(self, status):
        """A port for each slot in use at most, rules of slots for the one granted function at most, and the rules of the start."""
        slots = status.get("network", {}).get("slots", {"used": 0})
        bridges, ports = leftovers.links(self.tag)
        chains = [r for r in leftovers.rules(self.tag) if "-N " in r and leftovers.of_a_slot(r, self.tag)]
        granted = sum(c["function"] == "admin/granted" and c["state"] != "dying" for c in status["containers"])
        found = [f"ports {ports}, {slots} slots"] if len(ports) > slots["used"] else []
        found += [f"rules {chains}"] if len(chains) > granted else []
        found += [f"rules {set(self.fixed_rules()) ^ set(self.rules)}"] if self.fixed_rules() != self.rules else []
        return found + ([f"bridges {bridges}"] if len(bridges) != ("network" in status) else [])

    def unknown_loops(self):
        found = leftovers.loops(self.platform.folder)
        return [f"loop devices {found}"] if len(found) > len(set(found)) else []

    def containers(self):
        """Of functions and stems."""
        label = urllib.parse.quote(json.dumps({"label": [self.platform.label]}))
        return [c["Id"] for c in self.ask(f"/containers/json?all=1&filters={label}")]

    def look(self):
        """Remembers what is needed to find what is left of the containers that are here now; returns these."""
        now = set(self.containers())
        for container in now - set(self.traces):
            document = self.ask(f"/containers/{container}/json")
            if "State" in document:  # else it has gone meanwhile
                self.traces[container] = leftovers.namespace_of(document)
        return now

    def gone(self):
        """Containers that were here once and are not any more."""
        now = self.look()
        return set(self.traces) - now

    def nothing_left(self, seconds=30):
        """Not even what an Engine forgets that is ended in the middle of starts and that no call of its API reaches any more."""
        try:
            within(seconds, "nothing is left over", lambda: not self.unknown(), every=0.25)
        except BaseException:
            print("left over:", self.unknown())
            raise

    def usable(self, seconds=30):
        """A function that is called for the first time is answered."""
        name = self.function()
        within(seconds, "a new function is answered",
               lambda: self.platform.invoke(name).status == 200, every=0.25)
        assert self.platform.request("DELETE", f"actions/{name}").status == 200

    def forget_functions(self):
        """All but the two of the world: their containers go."""
        for item in self.platform.request("GET", "actions?limit=200").json:
            if item["name"] not in (self.bystander_name, self.warm):
                self.platform.request("DELETE", f"actions/{item['name']}")

    # ---- life

    def kill_naraed(self):
        self.platform.process.send_signal(signal.SIGKILL)
        self.platform.process.wait()

    def close(self):
        """A stop removes every trace."""
        self.gone()
        self.platform.stop()
        folder = self.platform.run / "c"
        assert not folder.exists() or list(folder.iterdir()) == []
        try:
            within(30, "nothing is left", lambda: not self.left_after_stop(), every=0.25)
        except BaseException:
            print("left after the stop:", self.left_after_stop())
            raise
        if self.engine:
            within(30, "no network namespace is left",
                   lambda: len(self.engine.namespaces()) <= 1 + len(self.engine.shims()))
            assert not any(inside for _, inside in self.engine.shims())

    def left_after_stop(self):
        p = self.platform
        bridges, ports = leftovers.links(self.tag)
        groups = leftovers.parents(self.installation)
        return bridges + ports + leftovers.rules(self.tag) + leftovers.mounts(p.folder) + \
            leftovers.loops(p.folder) + [str(f) for f in groups] + \
            [str(f) for c in self.traces for f in leftovers.groups_elsewhere(c)] + \
            leftovers.namespaces_left(self.traces.values(), p.docker)

    def discard(self):
        self.threads.shutdown(wait=False)
        if self.proxy:
            self.proxy.mode = ""
        if self.engine and self.engine.process and self.engine.process.poll() is None:
            self.engine.signal(signal.SIGCONT)
        elif self.engine and self.engine.process:
            self.engine.start()
        self.platform.discard()
        if self.proxy:
            self.proxy.close()
        if self.engine:
            self.engine.discard()
        if self.platform.label:
            leftovers.remove_groups(self.platform.label.split("=")[1])


class Worlds:
    """One world of each kind, made when it is first asked for, closed at the end; after a failure a new one."""

    def __init__(self):
        self.made = {}

    def of(self, where):
        w = self.made.get(where)
        if w and w.spoilt:
            self.made.pop(where).discard()
            w = None
        if w is None:
            w = self.made[where] = World(where)
        return w

    def __enter__(self):
        return self

    def __exit__(self, *failed):
        try:
            for w in self.made.values():
                if not w.spoilt and failed == (None, None, None):
                    w.close()
        finally:
            for w in self.made.values():
                w.discard()


def cmdline(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
