"""Invokers on three hosts and a controller without containers of its own: network namespaces joined by a bridge, TLS with pins and tokens between them, one
Engine. Calls are spread, a killed host loses nothing that had not started, a drained one nothing at all, a partition makes no record twice; tags; mistakes.

environment: NARAE_FLEET_LONG  1: also a partition of a minute, and three hosts with an Engine each (minutes; by hand)"""
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from conftest import BUILD, DOCKER, ROOT, SLOW, Platform, within
from link import Invoker
from openapi import Document
from world import run

NAMES = ("north", "south", "west")
QUICK = "def main(args):\n    return {'n': args.get('n')}\n"
SLEEPS = "import time\ndef main(args):\n    time.sleep(args['s'])\n    return {'n': args['n']}\n"


class Net:
    """A bridge of this host and a namespace for each invoker."""

    def __init__(self, prefix="nf", subnet="198.18.77"):
        self.bridge, self.subnet = f"{prefix}{os.getpid()}", subnet
        self.here, self.names = subnet + ".1", {}

    def open(self):
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", self.here + "/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for n, name in enumerate(NAMES):
            space, link = f"{self.bridge}-{name}", f"{self.bridge}v{n}"
            self.names[name] = (space, link)
            run("ip", "netns", "add", space)
            run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "link", "set", link, "master", self.bridge, "up")
            for words in (("addr", "add", f"{self.subnet}.{11 + n}/24", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up")):
                run("ip", "-n", space, *words)
        return self

    def cut(self, name, off=True):
        run("ip", "link", "set", self.names[name][1], "down" if off else "up")

    def close(self):
        for space, link in self.names.values():
            run("ip", "link", "del", link, check=False)
            run("ip", "netns", "del", space, check=False)
        run("ip", "link", "del", self.bridge, check=False)


class Fleet(Platform):
    """A controller with --docker=none, and its invokers by name."""

    docker_of_naraed = "none"

    def __init__(self, net):
        super().__init__(tempfile.mkdtemp(prefix="nr", dir="/tmp"), f"--invokers-listen={net.here}:0")
        self.net, self.invokers, self.tokens, self.document = net, {}, {}, None

    def start(self, *more):
        self.spawn(*more)
        self.url = within(60, "naraed says where it listens", self.address)
        self.port = int(self.url.rsplit(":", 1)[1])
        self.auth = (self.data / "guest.key").read_text().strip()
        self.admin_auth = (self.data / "admin.key").read_text().strip()
        self.label = "narae.installation=" + (self.data / "installation").read_text().strip()
        return self

    def manage(self, method, tail, body=None, auth=None):
        """An answer that is as the API's document says."""
        path = f"/narae/v1/invokers{tail}"
        self.document = self.document or Document(self.request("GET", "/narae/v1/openapi.json", auth=None).json)
        reply = self.request(method, path, body, auth=auth or self.admin_auth)
        assert list(self.document.judge(method, path, body, reply.status, reply.json)) == [] or reply.status == 400, reply
        return reply

    def add(self, name):
        reply = self.manage("PUT", f"/{name}", {})
        assert reply.status in (200, 201), reply
        path = pathlib.Path(self.folder, f"token-{name}-{time.monotonic_ns()}")
        path.touch(mode=0o600)
        path.write_text(reply.json["token"])
        self.tokens[name] = path
        self.where = (f"tls://{self.net.here}:{reply.json['port']}", f"--controller-pin={reply.json['pin']}")

    def join(self, name, *options, docker=DOCKER):
        url, pin = self.where
        self.invokers[name] = Invoker(url, name, pin, f"--invoker-token-file={self.tokens[name]}", "--freeze-after-ms=0", "--memory-mb=4096",
                                      *options, place=("ip", "netns", "exec", self.net.names[name][0]), docker=docker)

    def all_up(self):
        for name in NAMES:
            if name not in self.invokers:
                self.add(name)
                self.join(name)
        self.up(*NAMES)

    def known(self):
        return {one["name"]: one for one in self.manage("GET", "").json["invokers"]}

    def up(self, *names, seconds=60):
        within(seconds, f"{names} are up and take calls", lambda: all(self.known()[name]["ready"] for name in names), every=0.1)

    def placed(self):
        return collections.Counter({name: one["calls_placed"] for name, one in self.known().items()})

    def discard(self):
        for one in self.invokers.values():
            print(one.name, one.said()[-2500:])
            one.discard()
        super().discard()


@pytest.fixture(scope="module")
def fleet():
    net = Net()
    f = None
    try:
        f = Fleet(net.open()).start()
        yield f
        f.stop()
    finally:
        if f:
            print(f.said()[-6000:])
            f.discard()
        net.close()


@pytest.fixture(autouse=True)
def told(fleet):
    before = fleet.log.stat().st_size
    yield
    with fleet.log.open("rb") as log:
        log.seek(before)
        print(log.read().decode(errors="replace")[-6000:])


def in_parallel(count, threads, call):
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, range(count)))


def ended(fleet, function, count):
    """The activations of a function once so many have a record; each id once."""
    def look():
        reply = fleet.request("GET", f"activations?name={function}&limit=200")
        return reply.json if reply.status == 200 and len(reply.json) >= count else None
    return within(60, f"{count} calls of {function} have records", look, every=0.2)


def test_who_calls_before_anybody_has_joined_waits_for_him(fleet):
    assert fleet.request("GET", "/readyz", auth=None).status == 503
    assert "no invoker takes calls" in fleet.request("GET", "/readyz", auth=None).body.decode()
    fleet.put("quick", QUICK)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        early = pool.submit(fleet.invoke, "quick", {"n": 1}, "blocking=true&result=true")
        within(20, "the call waits for a host", lambda: fleet.metric("narae_calls_unplaced") == 1)
        for name in NAMES:
            fleet.add(name)
            fleet.join(name, *(["--tags=board=orin"] if name == "west" else []))
        reply = early.result()
    assert reply.status == 200 and reply.json == {"n": 1}, reply
    fleet.up(*NAMES)
    assert fleet.request("GET", "/readyz", auth=None).status == 200
    document = fleet.manage("GET", "").json
    assert document["layout"] == "other hosts" and document["state"] == "up" and document["engine"] == "none"
    west = fleet.known()["west"]
    assert west["state"] == "up" and {"host=west", "board=orin", "gpu=false"} <= set(west["place"])
    # a tenant sees what hosts can do, not who is there and what they are used for
    own = {one["name"]: one for one in fleet.request("GET", "/narae/v1/invokers").json["invokers"]}
    assert set(own) == set(NAMES) and not {"address", "session", "added_ms", "token"} & set(own["west"])


def test_a_thousand_calls_are_spread(fleet):
    functions = [f"spread{n}" for n in range(18)]  # so many that their homes are spread, too
    for function in functions:
        fleet.put(function, SLEEPS)
    before = fleet.placed()

    def call(n):
        reply = fleet.invoke(functions[n % len(functions)], {"n": n, "s": 0.02}, "blocking=true&result=true")
        assert reply.status == 200 and reply.json == {"n": n}, reply
    in_parallel(1000, 8, call)
    shares = fleet.placed() - before
    assert sum(shares.values()) >= 1000
    assert all(200 <= shares[name] <= 450 for name in NAMES), shares


def test_a_place_is_kept(fleet):
    fleet.put("onwest", QUICK, annotations=[{"key": "narae.place", "value": {"board": "orin"}}])
    before = fleet.placed()
    for n in range(6):
        assert fleet.invoke("onwest", {"n": n}).status == 200
    assert fleet.placed() - before == {"west": 6}
    fleet.put("nowhere", QUICK, annotations=[{"key": "narae.place", "value": {"board": "pi"}}])
    reply = fleet.invoke("nowhere")
    assert reply.status == 503 and "board=pi" in reply.error, reply
    fleet.put("gpus", QUICK, annotations=[{"key": "narae.gpu", "value": {"count": 1}}])  # another host might have some
    assert "1 GPUs" in fleet.invoke("gpus").error


def test_killed_under_load(fleet):
    """What had not started runs elsewhere; what had ends by its limit; the host is used again as soon as it is back."""
    fleet.put("hold", SLEEPS, limits={"timeout": 3000})
    victim = fleet.invokers["south"]
    in_parallel(12, 12, lambda n: fleet.invoke("hold", {"n": n, "s": 0.2}))
    killed = []

    def call(n):
        if n == 40:
            killed.append(fleet.known()["south"]["calls"])
            victim.process.kill()
            victim.process.wait()
        return fleet.invoke("hold", {"n": n, "s": 0.2})
    replies = in_parallel(120, 8, call)
    failed = [reply for reply in replies if reply.status != 200]
    assert len(failed) <= 8 and all(reply.status in (500, 502) for reply in failed), (failed, killed)
    assert len({reply.activation for reply in replies}) == 120
    within(15, "the controller knows that it is away", lambda: fleet.known()["south"]["state"] == "down")
    assert fleet.metric("narae_accepted_drift") == 0
    victim.discard()
    fleet.join("south")
    fleet.up("south")
    before = fleet.placed()

    def used():
        in_parallel(12, 12, lambda n: fleet.invoke("hold", {"n": n, "s": 0.05}))
        return (fleet.placed() - before)["south"]
    within(20, "the new one has calls", used, every=0)


def test_drained_under_load(fleet):
    gone = fleet.invokers["north"]
    in_parallel(12, 12, lambda n: fleet.invoke("hold", {"n": n, "s": 0.1}))

    def call(n):
        if n == 20:
            assert fleet.manage("POST", "/north/drain").status == 200
        return fleet.invoke("hold", {"n": n, "s": 0.1})
    replies = in_parallel(80, 8, call)
    assert [reply.status for reply in replies if reply.status != 200] == []
    within(60, "its containers have gone", lambda: gone.containers() == [], every=0.2)
    before = fleet.placed()
    assert fleet.known()["north"]["cordoned"]
    in_parallel(12, 12, lambda n: fleet.invoke("hold", {"n": n, "s": 0.05}))
    assert (fleet.placed() - before)["north"] == 0
    assert fleet.manage("POST", "/north/uncordon").json["cordoned"] is False
    fleet.up("north")

    def used():
        in_parallel(12, 12, lambda n: fleet.invoke("hold", {"n": n, "s": 0.05}))
        return (fleet.placed() - before)["north"]
    within(20, "it has calls again", used, every=0)


def test_a_partition_makes_no_record_twice(fleet):
    fleet.put("apart", SLEEPS, limits={"timeout": 30000})
    in_parallel(9, 9, lambda n: fleet.invoke("apart", {"n": n, "s": 0.1}))
    ids = [fleet.invoke("apart", {"n": n, "s": 1}, "blocking=false").json["activationId"] for n in range(24)]
    fleet.net.cut("west")
    try:
        within(30, "the controller knows that it is away", lambda: fleet.known()["west"]["state"] == "down", every=0.1)
    finally:
        fleet.net.cut("west", off=False)
    fleet.up("west")
    records = [fleet.record(activation) for activation in ids]
    assert [r["response"]["status"] for r in records if not r["response"]["success"]] == []
    listed = collections.Counter(a["activationId"] for a in ended(fleet, "apart", 33))
    assert set(listed.values()) == {1} and len(listed) == 33
    assert fleet.metric("narae_accepted_drift") == 0


def narae(fleet, *words, check=True):
    done = subprocess.run([BUILD / "narae", *words], capture_output=True, text=True, timeout=60 * SLOW, check=False,
                          env={"NARAE_APIHOST": fleet.url, "NARAE_AUTH": fleet.admin_auth, "HOME": str(fleet.folder), "PATH": os.environ["PATH"]})
    assert not check or done.returncode == 0, done
    return done


def test_by_hand(fleet):
    """What a person types, and gets wrong."""
    told_once = narae(fleet, "invokers", "add", "bench-9", "board=pi", "rack=7").stdout
    assert "--controller=tls://127.0.0.1:" in told_once and "--controller-pin=sha256:" in told_once and "--invoker-name=bench-9" in told_once
    assert {"board=pi", "rack=7", "host=bench-9"} == set(fleet.known()["bench-9"]["place"])
    listing = narae(fleet, "invokers").stdout
    assert "this host runs no functions itself" in listing and "bench-9" in listing and "down" in listing
    assert re.search(r"yes  functions run on +other hosts; 3 of 4 invokers of other hosts are connected", narae(fleet, "doctor").stdout)
    narae(fleet, "invokers", "cordon", "bench-9")
    assert fleet.known()["bench-9"]["state"] == "down" and fleet.known()["bench-9"]["cordoned"]
    narae(fleet, "invokers", "uncordon", "bench-9")
    assert narae(fleet, "invokers", "remove", "bench-9", check=False).returncode == 1  # in a pipe it wants --yes
    narae(fleet, "invokers", "remove", "bench-9", "--yes")
    assert "bench-9" not in fleet.known()
    assert fleet.manage("DELETE", "/bench-9").status == 404
    assert fleet.manage("POST", "/bench-9/drain").status == 404
    assert "not 0" in fleet.manage("PUT", "/0", {}).error
    assert "a-z" in fleet.manage("PUT", "/North", {}).error
    assert "knows tags" in fleet.manage("PUT", "/bench-9", {"tag": {}}).error
    assert "object of at most 16 tags" in fleet.manage("PUT", "/bench-9", {"tags": []}).error
    for method, tail in (("PUT", "/x"), ("DELETE", "/north"), ("POST", "/north/cordon"), ("POST", "/north/drain")):
        assert fleet.manage(method, tail, {} if method == "PUT" else None, auth=fleet.auth).status == 403
    assert narae(fleet, "invokers", "add", "bench-9", "pi", check=False).returncode == 1


def test_another_token_is_worth_nothing(fleet):
    """A new token ends the link of who holds the old one, and a restart of the controller knows all names and tokens."""
    old = fleet.tokens["north"]
    fleet.add("north")
    within(30, "who holds the old token is not let in", lambda: "the token is not the one" in fleet.invokers["north"].said(), every=0.1)
    assert not fleet.known()["north"]["up"]
    old.write_text(fleet.tokens["north"].read_text())
    fleet.invokers["north"].discard()
    fleet.join("north")
    fleet.up("north")
    assert fleet.tokens["north"].read_text() not in fleet.log.read_text(errors="replace")
    assert json.dumps(fleet.manage("GET", "").json).count(fleet.tokens["north"].read_text()) == 0


def test_an_account_leaves_everywhere(fleet):
    reply = fleet.request("POST", "/narae/v1/accounts", {"name": "leaver"}, auth=fleet.admin_auth)
    assert reply.status in (200, 201), reply
    key = reply.json["key"] if "key" in reply.json else reply.json["keys"][0]["key"]
    fleet.request("PUT", "actions/theirs?overwrite=true", {"exec": {"kind": "python:3", "code": SLEEPS}}, auth=key)
    in_parallel(6, 6, lambda n: fleet.invoke("theirs", {"n": n, "s": 0.5}, auth=key))
    assert fleet.request("DELETE", "/narae/v1/accounts/leaver", auth=fleet.admin_auth).status in (200, 202, 204)

    def gone():
        return not any(f["function"].startswith("leaver/") and (f.get("ready") or f.get("busy"))
                       for one in fleet.known().values() for f in one.get("functions", []))
    within(60, "no host has anything of it", gone, every=0.2)


def test_what_was_said_of_a_drain_holds(fleet):
    """The host is cut off under its drain: it is drained when it is back."""
    gone = fleet.invokers["south"]
    in_parallel(12, 12, lambda n: fleet.invoke("hold", {"n": n, "s": 0.1}))
    fleet.net.cut("south")
    try:
        assert fleet.manage("POST", "/south/drain").status == 200
        within(30, "the controller knows that it is away", lambda: fleet.known()["south"]["state"] == "down", every=0.1)
        assert fleet.known()["south"]["draining"] and fleet.known()["south"]["cordoned"]
    finally:
        fleet.net.cut("south", off=False)
    within(60, "its containers have gone", lambda: gone.containers() == [] and not fleet.known()["south"]["draining"], every=0.2)
    assert fleet.known()["south"]["state"] == "cordoned"
    assert fleet.manage("POST", "/south/uncordon").json["cordoned"] is False
    fleet.up("south")


def test_a_removed_one_stays_out(fleet):
    gone = fleet.invokers.pop("south")
    assert fleet.manage("DELETE", "/south").status == 200
    gone.says("it refuses this invoker: the token is not the one")
    assert "south" not in fleet.known()
    gone.discard()
    fleet.add("south")
    fleet.join("south")
    fleet.up("south")


def test_a_new_certificate_is_loaded(fleet):
    """HUP: the key stays, so does the pin, and who dials finds the new certificate; a damaged file changes nothing."""
    own, (host, port) = fleet.data / "invokers.crt", fleet.where[0].removeprefix("tls://").rsplit(":", 1)
    before = own.read_text()

    def shown():
        return ssl.get_server_certificate((host, int(port))).split()
    assert shown() == before.split()
    own.write_text("nothing")
    fleet.process.send_signal(signal.SIGHUP)
    within(20, "it refuses it", lambda: "reload refused, nothing changed: the listener of invokers" in fleet.said())
    assert shown() == before.split()
    subprocess.run(["openssl", "req", "-x509", "-key", fleet.data / "invokers.key", "-out", own, "-subj", "/CN=renewed", "-days", "9"],
                   check=True, capture_output=True)
    fleet.process.send_signal(signal.SIGHUP)
    within(20, "the new one is shown", lambda: shown() == own.read_text().split() != before.split())
    assert "has another key" not in fleet.said()
    fleet.net.cut("west")
    within(30, "the controller knows that it is away", lambda: fleet.known()["west"]["state"] == "down", every=0.1)
    fleet.net.cut("west", off=False)
    fleet.up("west")  # it dials with the pin that it was given


LONG = pytest.mark.skipif(os.environ.get("NARAE_FLEET_LONG") != "1", reason="takes minutes: NARAE_FLEET_LONG=1")


@LONG
def test_a_minute_apart(fleet):
    """200 accepted calls of 0.2 to 12 s, one host of three cut off for 60 s among them: each has one record, and what it did meanwhile is dropped and counted."""
    fleet.all_up()
    limits = {"invocationsPerMinute": 100000, "concurrentInvocations": 1000}
    assert fleet.request("PUT", "/narae/v1/accounts/guest/limits", limits, auth=fleet.admin_auth).status == 200
    fleet.put("minute", SLEEPS, limits={"timeout": 20000})
    in_parallel(9, 9, lambda n: fleet.invoke("minute", {"n": n, "s": 0.1}))
    lost, late = fleet.metric("narae_invoker_lost_calls_total"), fleet.metric("narae_invoker_late_results_total")
    lengths, ids, lock = (0.2, 1, 3, 12), [], threading.Lock()

    def call(n):
        reply = fleet.invoke("minute", {"n": n, "s": lengths[n % 4]}, "blocking=false")
        assert reply.status == 202, reply
        with lock:
            ids.append(reply.json["activationId"])
    in_parallel(60, 12, call)
    within(60, "the one that is cut off runs some", lambda: fleet.known()["west"]["calls"] >= 4, every=0.05)
    fleet.net.cut("west")
    end = time.monotonic() + 60
    try:
        within(30, "the controller knows that it is away", lambda: fleet.known()["west"]["state"] == "down", every=0.1)
        in_parallel(140, 12, lambda n: call(60 + n))
        within(90, "the minute is over", lambda: time.monotonic() >= end, every=0.2)
    finally:
        fleet.net.cut("west", off=False)
    fleet.up("west")
    records = [fleet.record(activation, 300) for activation in ids]
    failed = collections.Counter(r["response"]["result"]["error"] for r in records if not r["response"]["success"])
    listed = collections.Counter(a["activationId"] for skip in (0, 200) for a in
                                 fleet.request("GET", f"activations?name=minute&limit=200&skip={skip}").json)
    within(20, "late results are counted", lambda: fleet.metric("narae_invoker_late_results_total") > late, every=0.2)
    lost, late = fleet.metric("narae_invoker_lost_calls_total") - lost, fleet.metric("narae_invoker_late_results_total") - late
    print(f"accepted {len(ids)}, records {len(records)}, lost {lost:.0f}, late results {late:.0f}, failed {dict(failed)}")
    assert len(set(ids)) == 200 and set(listed.values()) == {1} and set(ids) <= set(listed), listed
    assert 1 <= lost == sum(failed.values()) and all("its outcome is not known" in why for why in failed)
    assert 1 <= late <= lost
    assert fleet.metric("narae_accepted_drift") == 0


@LONG
def test_three_engines():
    """Each host with an Engine of its own: 1,000 calls, 20 to 45 % on each."""
    sys.path.append(str(ROOT / "tests/faults"))
    import engines  # of the fault tests; only here
    net, made, f = Net("ne", "198.18.78"), [], None
    try:
        f = Fleet(net.open()).start()
        for name in NAMES:
            made.append(engines.Engine())
            made[-1].start().load(engines.image("python"))
            f.add(name)
            f.join(name, docker=made[-1].socket)
        f.up(*NAMES, seconds=180)
        functions = [f"own{n}" for n in range(6)]
        for function in functions:
            f.put(function, SLEEPS)
        before = f.placed()

        def call(n):
            reply = f.invoke(functions[n % len(functions)], {"n": n, "s": 0.02}, "blocking=true&result=true")
            assert reply.status == 200 and reply.json == {"n": n}, reply
        in_parallel(1000, 8, call)
        shares = f.placed() - before
        print(f"shares {dict(shares)}")
        assert all(200 <= shares[name] <= 450 for name in NAMES), shares
        for one in f.invokers.values():
            one.stop()
        f.stop()
    finally:
        if f:
            f.discard()
        for one in made:
            one.discard()
        net.close()


@pytest.mark.parametrize("options, why", [
    (["--docker=none"], "--docker=none needs --invokers-listen"),
    (["--invoker-uid=5"], "--invoker-uid is for --invokers-listen=unix:"),
    (["--invokers-listen=127.0.0.1:0", "--invoker-uid=5"], "--invoker-uid is for --invokers-listen=unix:"),
    (["--docker=none", "--invokers-listen=nowhere"], "nowhere"),
])
def test_options_that_cannot_be(options, why, tmp_path):
    done = subprocess.run([BUILD / "naraed", "--listen=127.0.0.1:0", f"--data={tmp_path}/d", f"--run={tmp_path}/r", "--stems=off", *options],
                          capture_output=True, text=True, timeout=120 * SLOW, check=False)
    assert done.returncode == 1 and why in done.stderr, done.stderr
