"""Samples of functions and of the node, events, and who may see them: read from /narae/v1/events, as anybody with a key may."""
import json
import queue
import socket
import tempfile
import threading
import time

import pytest

from conftest import SLOW, Platform, engine, within
from functions import TROUBLE

NONE = [{"key": "narae.network", "value": "none"}]
# Burns a share of one core for some seconds: works and rests in turns of 20 ms.
BURN = """
import time
def main(args):
    share, end = args["share"], time.monotonic() + args["seconds"]
    while (begun := time.monotonic()) < end:
        until = time.process_time() + 0.02 * share
        while time.process_time() < until:
            pass
        rest = 0.02 - (time.monotonic() - begun)
        if rest > 0:
            time.sleep(rest)
    return {}
"""


class Stream:
    """One connection that reads /narae/v1/events; messages come out of `next`."""

    def __init__(self, platform, query="", auth=""):
        self.connection = platform.connect(600)
        self.connection.request("GET", f"/narae/v1/events{query}",
                                headers={"Authorization": platform.basic(auth or platform.auth)})
        self.answer = self.connection.getresponse()
        self.messages, self.ended = queue.Queue(), threading.Event()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.getheader("Content-Type") == "text/event-stream"
        assert self.answer.readline() == b": from now on\n"
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            while line := self.answer.readline():
                if line.startswith(b"data: "):
                    self.messages.put(json.loads(line[6:]))
        except (OSError, ValueError):
            pass  # it was closed
        self.ended.set()

    def until(self, what, condition, seconds=60):
        """The first message that is as told."""
        end, seen = time.monotonic() + seconds * SLOW, []
        while time.monotonic() < end:
            try:
                m = self.messages.get(timeout=1)
            except queue.Empty:
                continue
            if condition(m):
                return m
            seen.append(m)
        raise AssertionError(f"no message {what}; the last ones: {seen[-5:]}")

    def collect(self, until, seconds=60):
        """All messages up to the one that is as told."""
        seen = []
        self.until("that ends the collection", lambda m: seen.append(m) or until(m), seconds)
        return seen

    def close(self):
        try:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass
        self.thread.join()
        self.answer.close()
        self.connection.close()


@pytest.fixture(scope="module")
def own():
    p = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), "--energy-idle-mw=10000", "--energy-core-mw=5000",
                 "--energy-by-model")
    try:
        p.start()
        yield p
        p.stop()
    finally:
        p.discard()


@pytest.fixture
def follow(own):
    opened = []

    def start(query="", auth=""):
        opened.append(Stream(own, query, auth))
        return opened[-1]

    yield start
    for s in opened:
        s.close()


def metrics(message):
    return message.get("metrics", {})


def is_of(name):
    return lambda m: m.get("function") == name


def account(own, name):
    """Its key."""
    reply = own.request("POST", "/narae/v1/accounts", {"name": name, "profile": "local"}, auth=own.admin_auth)
    assert reply.status == 201, reply
    return reply.json["key"]


def test_what_a_call_leaves_in_the_samples(own, follow):
    own.put("sampled", TROUBLE["python:3"], annotations=NONE)
    s = follow("?topic=metrics&function=sampled")
    call = own.invoke("sampled", {"do": "sleep", "seconds": 2.5}, "blocking=false")
    busy = s.until("with the call in flight", lambda m: metrics(m).get("instances_busy") == 1 and "memory_mb" in m["metrics"])
    assert busy["v"] == 1 and busy["account"] == "guest" and busy["node"] and busy["seq"] > 0
    assert 1 <= busy["span_ms"] < 10000 * SLOW
    assert abs(busy["t"] - time.time() * 1000) < 60000 * SLOW
    m = busy["metrics"]
    assert m["inflight"] == 1 and m["instances"] == 1 and m["starting"] == 0 and m["queue_depth"] == 0
    assert m["instance_mb"] >= 256 and 1 < m["memory_mb"] < 256 and 0 < m["memory_percent"] < 100
    own.record(call.activation)
    own.invoke("sampled", {"do": "error"})
    ended = s.collect(lambda m: metrics(m).get("errors") == 1)
    total = lambda name: sum(metrics(m).get(name, 0) for m in ended)
    assert total("invocations") == 2 and total("arrivals") in (1, 2), "the first came before the one with its container"
    assert total("cold_starts") in (0, 1) and metrics(ended[-1])["inflight"] == 0
    durations = [m["sketches"]["duration_ms"] for m in ended if "duration_ms" in m.get("sketches", {})]
    assert sum(d["n"] for d in durations) == 2
    longest = max(b for d in durations for b, n in d["b"])
    assert 2400 < 1.1 ** longest / 1000 < 10000 * SLOW
    idle = s.until("of the idle container", lambda m: metrics(m).get("idle_seconds", 0) > 0)
    assert metrics(idle)["arrivals"] == 0 and "sketches" not in idle


def test_calls_in_flight_and_in_the_queue(own, follow):
    own.put("narrow", TROUBLE["python:3"], annotations=NONE, limits={"instances": 1, "concurrency": 1})
    s = follow("?topic=metrics&function=narrow")
    calls = [own.invoke("narrow", {"do": "sleep", "seconds": 1.2}, "blocking=false") for _ in range(4)]
    deep = s.until("with all of them", lambda m: metrics(m).get("inflight") == 4 and metrics(m).get("queue_depth", 0) >= 3)
    assert metrics(deep)["inflight_max"] >= 4 and metrics(deep)["instances_max"] == 1
    s.until("with an old call", lambda m: metrics(m).get("trigger_age_ms", 0) > 1000)
    for c in calls:
        own.record(c.activation)
    s.until("with nothing", lambda m: metrics(m).get("inflight") == 0 and metrics(m).get("queue_depth") == 0)


def test_refused_calls_are_throttles(own, follow):
    key = account(own, "few")
    limits = own.request("PUT", "/narae/v1/accounts/few/limits", {"concurrentInvocations": 1}, auth=own.admin_auth)
    assert limits.status == 200, limits
    put = {"exec": {"kind": "python:3", "code": TROUBLE["python:3"]}, "annotations": NONE}
    assert own.request("PUT", "/api/v1/namespaces/_/actions/one", put, auth=key).status == 200
    s, e = follow("?topic=metrics", key), follow("", key)
    path = "/api/v1/namespaces/_/actions/one?blocking=false"
    assert own.request("POST", path, {"do": "sleep", "seconds": 2}, auth=key).status == 202
    for _ in range(3):
        assert own.request("POST", path, {}, auth=key).status == 429
    seen = s.collect(lambda m: metrics(m).get("throttles", 0) >= 1 and metrics(m)["throttles"] == 3
                     or sum(metrics(x).get("throttles", 0) for x in [m]) == 3)
    assert seen[-1]["metrics"]["concurrent_max"] == 1
    assert {m["account"] for m in seen} == {"few"}, "its own samples only, and no node's"
    first = e.until("throttled", lambda m: m["event"] == "throttled")
    assert first["account"] == "few" and first["function"] == "one" and "concurrent" in first["why"]


@pytest.mark.parametrize("share", [0.8])
def test_cpu_of_a_burner(own, follow, share):
    """What is told is what the function used, measured by its own clock; within five points where the machine lets it have it."""
    own.put("burner", BURN, annotations=NONE)
    s = follow("?topic=metrics&function=burner")
    call = own.invoke("burner", {"share": share, "seconds": 4}, "blocking=false")
    seen = s.until("of the burner at work", lambda m: metrics(m).get("cpu_percent", 0) > 30)
    assert metrics(seen)["cpu_percent"] < 130, "one thread, one core"
    own.record(call.activation)
    s.until("of the burner at rest", lambda m: metrics(m).get("cpu_percent", 100) < 5)


def test_energy_is_shared_by_processor_time(own, follow):
    """Two burners, 70:30; all parts together are the node's."""
    for name in ("spin70", "spin30"):
        own.put(name, BURN, annotations=NONE)
        own.invoke(name, {"share": 0.1, "seconds": 0.05})
    s = follow("?topic=metrics", own.admin_auth)
    calls = [own.invoke("spin70", {"share": 0.70, "seconds": 5}, "blocking=false"),
             own.invoke("spin30", {"share": 0.30, "seconds": 5}, "blocking=false")]
    for c in calls:
        own.record(c.activation)
    joules, cpu, nodes = {}, {}, 0

    def take(m):
        nonlocal nodes
        if m.get("function", "").startswith("spin"):
            joules[m["function"]] = joules.get(m["function"], 0) + metrics(m)["energy_joules"]
            cpu[m["function"]] = cpu.get(m["function"], 0) + metrics(m).get("cpu_percent", 0) * m["span_ms"] / 1e5
        nodes += metrics(m).get("node_energy_joules", 0)
        return len(joules) == 2 and min(cpu.values()) > 0.3 and max(metrics(m).get("cpu_percent", 1), 0) < 0.5
    s.until("after both", take)
    told = json.loads(own.request("GET", "/narae/v1/invokers", auth=own.admin_auth).body)
    used = {f["function"].split("/")[1]: f["cpu_us"] for f in told["functions"]}
    share = joules["spin70"] / (joules["spin70"] + joules["spin30"])
    whole = used["spin70"] / (used["spin70"] + used["spin30"])
    assert abs(share - whole) < 0.15, (joules, used)
    assert all(j > 0.5 for j in joules.values()) and nodes > sum(joules.values())
    parts = own.metric("narae_energy_joules_total")
    kepler = own.metric("kepler_node_platform_joules_total")
    assert parts > 0 and abs(parts - kepler) < 0.3 * parts, "two scrapes"


def test_the_node_tells_of_itself(own, follow):
    s = follow("?topic=metrics", own.admin_auth)
    node = s.until("of the node", lambda m: "node_memory_percent" in metrics(m))
    m = node["metrics"]
    assert "function" not in node and "account" not in node
    assert m["node_memory_free_mb"] > 0 and 0 <= m["node_memory_percent"] <= 100
    assert m["node_containers"] >= len(own.containers()) - 5 and m["node_waiting"] == 0
    again = s.until("of the node", lambda m: "node_memory_percent" in metrics(m))
    assert again["seq"] > node["seq"] and again["t"] > node["t"]
    assert again["metrics"]["node_energy_joules"] > 0 and again["metrics"]["node_cpu_percent"] >= 0


def test_events_of_a_container(own, follow):
    s = follow("?function=told")
    for memory in (256, 128):
        own.put("told", TROUBLE["python:3"], annotations=NONE, limits={"memory": memory})
    changed = s.until("that it changed", lambda m: m["event"] == "function_changed")
    assert changed["change"] == "replaced"
    own.invoke("told")
    started = s.until("that it started", lambda m: m["event"] == "container_started")
    assert started["start"] in ("cold", "stem") and started["for"] == "call" and started["took_ms"] >= 0
    assert started["account"] == "guest" and started["cause"] == "first call" and len(started["container"]) == 8
    if started["start"] == "cold":
        assert started["create_ms"] > 0 and started["boot_ms"] > 0
    own.invoke("told", {"do": "exit"})
    ended = s.until("that it ended", lambda m: m["event"] == "container_ended")
    assert ended["container"] == started["container"] and ended["why"] == "crashed" and ended["lived_ms"] > 0
    own.invoke("told", {"do": "memory"})
    oom = s.until("of the kernel's kill", lambda m: m["event"] == "oom_killed")
    assert oom["kills"] >= 1 and oom["function"] == "told"


def test_who_sees_what(own, follow):
    key = account(own, "other")
    other, all_of_them = follow("", key), follow("", own.admin_auth)
    own.put("unseen", TROUBLE["python:3"], annotations=NONE)
    own.invoke("unseen")
    put = {"exec": {"kind": "python:3", "code": TROUBLE["python:3"]}, "annotations": NONE}
    assert own.request("PUT", "/api/v1/namespaces/_/actions/seen", put, auth=key).status == 200
    assert own.request("POST", "/api/v1/namespaces/_/actions/seen?blocking=true", {}, auth=key).status == 200
    m = other.until("its own", lambda m: m.get("function") == "seen")
    assert other.messages.qsize() == 0 or all(x["account"] == "other" for x in list(other.messages.queue))
    assert m["account"] == "other"
    all_of_them.until("the guest's", lambda m: m.get("function") == "unseen")
    all_of_them.until("the other's", lambda m: m.get("function") == "seen")
    for auth, status in ((None, 401), ("nobody:nothing", 401)):
        assert own.request("GET", "/narae/v1/events", auth=auth).status == status


def test_a_stream_ends_with_its_key(own, follow):
    key = account(own, "leaver")
    s = follow("", key)
    assert own.request("DELETE", "/narae/v1/accounts/leaver", auth=own.admin_auth).status in (200, 202, 204)
    assert s.ended.wait(30 * SLOW)


def test_mistakes_of_a_tired_person(own, follow):
    bad = own.request("GET", "/narae/v1/events?topic=metric")
    assert bad.status == 400 and "events, metrics, decisions" in bad.error and "'metric'" in bad.error
    assert own.request("GET", "/narae/v1/events?function=" + "x" * 1100).status == 400
    assert own.request("POST", "/narae/v1/events", {}).status == 405
    streams = [follow() for _ in range(8)]
    many = own.request("GET", "/narae/v1/events")
    assert many.status == 429 and "allowed: 8" in many.error and many.headers["retry-after"]
    streams[0].close()
    within(30, "a place is free", lambda: follow_if(own, follow))


def follow_if(own, follow):
    try:
        return follow()
    except AssertionError:
        return None


def test_gateway_and_controller_agree(own):
    """Calls of every kind, some at a time: each is one that ended with a record, was refused, or was a fire that woke nobody."""
    own.put("agreed", TROUBLE["python:3"], annotations=NONE)
    web = NONE + [{"key": "web-export", "value": True}]
    own.put("agreed-web", "def main(args):\n    return {'body': 'x'}\n", annotations=web)
    sequence = {"exec": {"kind": "sequence", "components": ["/_/agreed", "/_/agreed"]}}
    assert own.request("PUT", "actions/agreed-steps", sequence).status == 200
    assert own.request("PUT", "triggers/agreed-fire", {}).status == 200
    names = ("recorded", "refused", "idle")

    def ended():
        text = own.request("GET", "/metrics", auth=None).body.decode()
        return {n: int(float(line.split()[-1])) for n in names for line in text.splitlines()
                if line.startswith(f'narae_gateway_calls_ended_total{{result="{n}"')}

    before, asked = ended(), own.metric("narae_gateway_calls_total")
    rounds = 10

    def calls():
        for i in range(rounds):
            assert own.invoke("agreed").status == 200
            assert own.invoke("agreed", {"do": "error"}).status == 502
            assert own.invoke("agreed", {}, "blocking=false").status == 202
            assert own.invoke("agreed-steps").status == 200
            assert own.invoke("there-is-none").status == 404
            assert own.request("POST", "triggers/agreed-fire", {}).status == 204
            assert own.request("GET", "/api/v1/web/guest/default/agreed-web", auth=None).status == 200

    threads = [threading.Thread(target=calls) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    within(60, "all have ended", lambda: own.metric("narae_gateway_calls_running") == 0)
    after, n = ended(), 3 * rounds
    assert {k: after[k] - before[k] for k in names} == {"recorded": 5 * n, "refused": n, "idle": n}
    assert own.metric("narae_gateway_calls_total") - asked == 7 * n
    assert own.metric("narae_gateway_calls_drift") == 0
