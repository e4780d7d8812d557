"""Policies and real containers: out with the load and back in, a floor by the clock before the first call and after an update, freeze, dry run, a
restart, and who is told."""
import http.server
import itertools
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import Platform, within

SCALING = "/narae/v1/scaling"
SLEEPS = "import time\n\ndef main(args):\n    time.sleep(float(args.get('s', 0)))\n    return {}\n"
FAILS = "def main(args):\n    return {'error': 'no'}\n"
counter = itertools.count(1)


class Hook:
    """A webhook on this host; `told` are the bodies that were posted."""

    def __init__(self):
        self.told = []
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                hook.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/told"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def scaled():
    """A platform whose containers are all of functions."""
    p = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), "--stems=off", "--freeze-after-ms=0")
    try:
        yield p.start()
        p.stop()
    finally:
        print(p.said()[-4000:])
        p.discard()


@pytest.fixture
def function(scaled):
    """A name that no other test uses; function and policy are removed afterwards, and with them all containers."""
    name = f"scaled-{next(counter)}"
    yield name
    ask(scaled, "DELETE", "/policies/" + name, status=None)
    scaled.request("DELETE", f"actions/{name}")
    within(30, "its containers are gone", lambda: scaled.containers() == [])


def ask(p, method, path, body=None, status=(200, 201)):
    reply = p.request(method, SCALING + path, body, auth=p.admin_auth)
    assert status is None or reply.status in status, reply
    return reply.json


def policy(function, bounds, rules=(), **more):
    return {"policy": function, "target": {"account": "guest", "function": function}, "evaluate_every": "1s", "bounds": bounds,
            "limits": {"up": {"stabilize": "0s"}, "down": {"stabilize": "2s", "max_percent": 100, "per": "1s"}},
            "rules": list(rules), **more}


def by_load(target=1):
    return {"id": "busy", "when": {"metric": "inflight", "aggregate": "avg", "window": "2s"}, "do": {"action": "track", "target": target}}


def decisions(p, name):
    return ask(p, "GET", f"/policies/{name}/explain?limit=200")["decisions"]


def row(p, name):
    return next(r for r in ask(p, "GET", "/policies?limit=200")["policies"] if r["policy"] == name)


def test_out_with_the_load_and_back_in(scaled, function):
    scaled.put(function, SLEEPS)
    ask(scaled, "PUT", "/policies/" + function, policy(function, {"min": 1, "max": 4, "on_demand": False}, [by_load()]))
    within(20, "there is one before any call", lambda: len(scaled.containers()) == 1)
    end = threading.Event()

    def calls():
        while not end.is_set():
            assert scaled.invoke(function, {"s": 0.5}).status == 200

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(calls) for _ in range(4)]
        try:
            within(30, "four calls have four containers", lambda: len(scaled.containers()) == 4)
            for _ in range(20):
                assert len(scaled.containers()) <= 4, "calls start none themselves"
        finally:
            end.set()
        for one in running:
            one.result()
    within(60, "it goes back to one", lambda: len(scaled.containers()) == 1)
    told = decisions(scaled, function)
    assert [d["to"] for d in told][0] == 1 and max(d["to"] for d in told) == 4
    for later, earlier in zip(told, told[1:]):
        assert later["from"] == earlier["to"], "each step begins where the last one ended"
    assert all(d["votes"] for d in told[:-1])
    replayed = ask(scaled, "POST", f"/policies/{function}/replay")
    assert replayed["exact"] and replayed["same"] and replayed["differences"] == [], replayed


def evaluated_at_once(p):
    text = p.request("GET", "/metrics", auth=p.admin_auth).body.decode()
    return int(next(x for x in text.splitlines() if x.startswith("narae_scaler_evaluations_at_once_total ")).split()[1])


def test_calls_that_wait_are_decided_on_at_once(scaled, function):
    """Long before the policy's next time, soon after its last one."""
    scaled.put(function, SLEEPS)
    ask(scaled, "PUT", "/policies/" + function, policy(function, {"min": 1, "max": 4, "on_demand": False},
                                                       [{"id": "busy", "when": {"metric": "inflight", "aggregate": "max", "window": "20s"},
                                                         "do": {"action": "track", "target": 1}}], evaluate_every="5s"))
    within(40, "there is one before any call", lambda: len(scaled.containers()) == 1)
    within(40, "its time has just been", lambda: 0.5 < time.time() % 5 < 2)
    with ThreadPoolExecutor(4) as pool:
        for answer in [pool.submit(scaled.invoke, function, {"s": 2}) for _ in range(4)]:
            assert answer.result().status == 200
    told = decisions(scaled, function)
    assert any(d.get("at_once") == "calls wait" and d["to"] > d["from"] for d in told), told
    assert max(d["to"] for d in told) == 4
    assert evaluated_at_once(scaled) > 0
    replayed = ask(scaled, "POST", f"/policies/{function}/replay")
    assert replayed["exact"] and replayed["same"] and replayed["differences"] == [], replayed


def test_calls_that_wait_in_vain_are_told_of_ever_more_rarely(scaled, function):
    """The bounds allow one container, and five calls want it."""
    scaled.put(function, SLEEPS)
    ask(scaled, "PUT", "/policies/" + function, policy(function, {"min": 1, "max": 1, "on_demand": False}, [by_load()]))
    within(20, "there is one before any call", lambda: len(scaled.containers()) == 1)
    before, began = evaluated_at_once(scaled), time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        for answer in [pool.submit(scaled.invoke, function, {"s": 1}) for _ in range(5)]:
            assert answer.result().status == 200
    told, lasted_s = evaluated_at_once(scaled) - before, time.monotonic() - began
    assert 1 <= told <= 4 + lasted_s / 2, (told, lasted_s)
    assert len(scaled.containers()) == 1 and all(d["to"] <= 1 for d in decisions(scaled, function))


def test_a_floor_by_the_clock(scaled, function):
    """Every minute for a minute: always. There before the first call, and after an update before the next one."""
    scaled.put(function, SLEEPS)
    always = {"cron": "* * * * *", "timezone": "Europe/Berlin", "for": "1m", "min_warm": 2}
    ask(scaled, "PUT", "/policies/" + function, policy(function, {"min": 0, "max": 4}, schedule=[always]))
    within(20, "two without a call", lambda: len(scaled.containers()) == 2)
    before = set(scaled.containers())
    assert scaled.record(scaled.invoke(function).activation)["annotations"]
    assert set(scaled.containers()) == before, "the first call started nothing"
    scaled.put(function, SLEEPS + "# another one\n")
    within(30, "two new ones after the update, without a call",
           lambda: len(scaled.containers()) == 2 and not before & set(scaled.containers()))
    assert decisions(scaled, function)[-1]["floors"]["schedule"] == 2


def test_freeze(scaled, function):
    """While calls fail nothing is started any more."""
    scaled.put(function, FAILS)
    errors = {"id": "errors", "priority": 20, "when": {"metric": "error_ratio", "aggregate": "avg", "window": "5s", "op": ">", "value": 0.5},
              "do": {"action": "freeze"}}
    ask(scaled, "PUT", "/policies/" + function, policy(function, {"min": 0, "max": 4}, [by_load(), errors]))
    within(20, "calls may start", lambda: row(scaled, function).get("on_demand") is True)

    def frozen():
        scaled.invoke(function)
        return row(scaled, function)["on_demand"] is False
    within(20, "it is frozen", frozen)
    assert any(d["on_demand"] is False for d in decisions(scaled, function))
    within(60, "calls may start again when none has failed for a while", lambda: row(scaled, function)["on_demand"] is True)


def test_a_dry_run_does_nothing(scaled, function):
    scaled.put(function, SLEEPS)
    ask(scaled, "PUT", "/policies/" + function, policy(function, {"min": 3, "max": 4}, [by_load()], mode="dry_run"))
    within(20, "it has decided", lambda: decisions(scaled, function))
    evaluated = ask(scaled, "GET", "/status")["evaluations"]
    within(20, "and again", lambda: ask(scaled, "GET", "/status")["evaluations"] >= evaluated + 2)
    assert decisions(scaled, function)[-1]["to"] == 3 and decisions(scaled, function)[-1]["mode"] == "dry_run"
    assert scaled.containers() == []
    ask(scaled, "PUT", "/policies/" + function, policy(function, {"min": 3, "max": 4}, [by_load()]))
    within(30, "enforced it is obeyed", lambda: len(scaled.containers()) == 3)
    ask(scaled, "PUT", "/policies/" + function, policy(function, {"min": 3, "max": 4}, [by_load()], mode="off"))
    listed = row(scaled, function)
    assert listed["mode"] == "off" and "desired" not in listed
    assert decisions(scaled, function)[0]["kind"] == "release"


def test_who_is_told(scaled, function):
    """Alerts and node wishes go to the channels that the administrator has set, and nowhere else."""
    hook = Hook()
    try:
        scaled.put(function, SLEEPS)
        ask(scaled, "PUT", "/channels/ops", {"url": hook.url})
        alert = {"id": "called", "when": {"metric": "arrivals", "aggregate": "sum", "window": "5s", "op": ">", "value": 0},
                 "do": {"action": "alert"}, "notify": ["ops", "nobody"]}
        answer = ask(scaled, "PUT", "/policies/" + function, policy(function, {"min": 0, "max": 4}, [alert]))
        assert [w["path"] for w in answer["warnings"]] == ["rules[0].notify[1]"]

        def alerted():
            scaled.invoke(function)
            return [t for t in hook.told if t["kind"] == "alert"]
        told = within(20, "the alert is told", alerted)
        assert (told[0]["policy"], told[0]["rule"]) == (function, "called") and told[0]["decision"]["fired"] == ["called"]
        nodes = {"policy": "more-nodes", "target": {"nodes": True}, "webhook": "ops", "evaluate_every": "1s", "bounds": {"min": 1, "max": 5},
                 "rules": [{"id": "small", "when": {"metric": "node_memory_free_mb", "aggregate": "last", "window": "5s", "op": ">", "value": 0},
                            "do": {"action": "add", "count": 1}}]}
        ask(scaled, "PUT", "/policies/more-nodes", nodes)
        wish = within(20, "another node is wished for", lambda: [t for t in hook.told if t["kind"] == "node_wish" and t["to"] > 1])
        assert wish[0]["policy"] == "more-nodes"
        assert ask(scaled, "GET", "/channels")["channels"][0]["told"] >= 2
    finally:
        ask(scaled, "DELETE", "/policies/more-nodes", status=None)
        ask(scaled, "DELETE", "/channels/ops", status=None)
        hook.close()


def test_what_holds_outlives_a_restart(scaled, function):
    """Killed and started again: containers are there again before any call, and the record goes on."""
    scaled.put(function, SLEEPS)
    ask(scaled, "PUT", "/policies/" + function, policy(function, {"min": 2, "max": 4}, [by_load()]))
    within(20, "two are there", lambda: len(scaled.containers()) == 2)
    before = decisions(scaled, function)
    scaled.process.kill()
    scaled.wait()
    scaled.start()
    within(60, "two again, without a call", lambda: len(scaled.containers()) == 2)
    assert scaled.invoke(function).status == 200
    assert decisions(scaled, function)[-len(before):] == before
    assert min(d["to"] for d in decisions(scaled, function)) == 2, "it never went to nothing in between"
