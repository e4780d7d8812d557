"""Policies end to end, with a real Kafka broker between who measures, who decides and who obeys: a load that rises and falls, calls that need not wait
for a start, steady load at a threshold, and rules by the clock, by the lag of a topic, by another's metric and for nodes. Each step is
explained, and decided again from the record."""
import datetime
import json
import re
import tempfile
import time

import pytest

from conftest import SLOW, Platform, within
from kafka import Broker
from rising import Load
from test_scaling import Hook, ask, decisions, row

PREFIX = "plant"
SLEEPS = '#!/bin/sh\nread -r args\nsleep "$(printf %s "$args" | sed -n \'s/.*"s" *: *\\([0-9.]*\\).*/\\1/p\')"\necho "{}"\n'
SCHEDULED_S = 10


@pytest.fixture(scope="module")
def broker():
    b = Broker()
    yield b
    b.remove()


@pytest.fixture(scope="module")
def plant(broker):
    """A platform on the broker, which decides itself."""
    p = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), f"--kafka={broker.address}", f"--kafka-prefix={PREFIX}", "--stems=off",
                 "--freeze-after-ms=0")
    try:
        yield p.start()
        p.stop()
    finally:
        print(p.said()[-4000:])
        p.discard()


@pytest.fixture(scope="module")
def scheduled(plant):
    """A policy by the clock whose time comes while the other tests run: the next full minute that is not too near, by Seoul's clock."""
    at = datetime.datetime.fromtimestamp((time.time() + 75) // 60 * 60, datetime.timezone(datetime.timedelta(hours=9)))
    put(plant, "by-the-clock")
    ask(plant, "PUT", "/policies/by-the-clock", policy("by-the-clock", {"max": 3}, schedule=[
        {"cron": f"{at.minute} {at.hour} * * *", "timezone": "Asia/Seoul", "for": f"{SCHEDULED_S}s", "min_warm": 2}]))
    return int(at.timestamp() * 1000)


def put(p, name):
    p.put(name, SLEEPS, "native", limits={"memory": 64, "concurrency": 1}, annotations=[{"key": "narae.network", "value": "none"}])


def policy(function, bounds, rules=(), **more):
    return {"policy": function, "target": {"account": "guest", "function": function}, "evaluate_every": "1s", "bounds": bounds,
            "limits": {"up": {"stabilize": "0s"}, "down": {"stabilize": "5s", "max_percent": 100, "per": "1s"}}, "rules": list(rules), **more}


@pytest.fixture
def made(plant):
    """Deploys functions of a test, which go after it with their policies and containers."""
    names = []

    def make(*more):
        names.extend(more)
        for name in more:
            put(plant, name)
    yield make
    for name in names:
        ask(plant, "DELETE", f"/policies/{name}", status=None)
        plant.request("DELETE", f"actions/{name}")


def track(metric, aggregate, window, target, **more):
    return {"id": "busy", "when": {"metric": metric, "aggregate": aggregate, "window": window, **more}, "do": {"action": "track", "target": target}}


def calls(p, name, seconds):
    """For Load: calls over one connection; each call told by how it started."""
    def make():
        connection = p.connect()

        def call():
            reply = p.invoke(name, {"s": seconds}, "blocking=true&result=true", connection=connection)
            assert reply.status == 200, reply
            return re.search(r'total;dur=[0-9.]+;desc="([a-z]+)', reply.headers["server-timing"]).group(1)
        return call
    return make


def there(p, name, states=("busy", "idle")):
    """Containers of a function as its samples say."""
    text = p.request("GET", "/metrics", auth=p.admin_auth).body.decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("narae_function_containers{")
               and f'function="{name}"' in line and any(f'state="{s}"' in line for s in states))


def chain(p, name):
    """The decisions, oldest first; each begins where the last one ended, says who voted or which floor it was, and the record decides the same again."""
    told = [d for d in decisions(p, name)[::-1] if d["kind"] == "decision"]
    for earlier, later in zip(told, told[1:]):
        assert later["from"] == earlier["to"], (earlier, later)
    for d in told:
        assert d["from"] == d["to"] or d["votes"] or d["clamps"] or any(f is not None for f in d["floors"].values()), d
    return told


def same_again(p, name):
    replayed = ask(p, "POST", f"/policies/{name}/replay")
    assert replayed["exact"] and replayed["same"] and replayed["differences"] == [], json.dumps(replayed)
    return replayed


def test_from_one_to_forty_and_back(plant, scheduled, made):
    """Calls start nothing themselves. At forty calls, right at the threshold of forty containers, nothing moves."""
    made("wide")
    ask(plant, "PUT", "/policies/wide", policy("wide", {"min": 1, "max": 60, "on_demand": False}, [track("inflight", "max", "3s", 1)]))
    within(30, "one before any call", lambda: there(plant, "wide") == 1)
    with Load(calls(plant, "wide", 1)) as load:
        load.to(1)
        within(20, "one call in flight", lambda: load.told)
        load.to(40)
        within(30, "forty calls have forty containers", lambda: there(plant, "wide", ("busy",)) >= 36)
        assert there(plant, "wide") <= 40
        reached = chain(plant, "wide")[-1]
        assert reached["to"] == 40, reached
        evaluated = ask(plant, "GET", "/status")["evaluations"]
        within(60, "it was looked at often while the load is steady", lambda: ask(plant, "GET", "/status")["evaluations"] >= evaluated + 20)
        assert chain(plant, "wide")[-1] == reached, "and nothing moved"
        load.to(1)
        fell_ms = time.time() * 1000
        within(60, "it goes back to one", lambda: there(plant, "wide") == 1)
    told = chain(plant, "wide")
    assert told[-1]["to"] == 1
    down = next(d for d in told if d["to"] < d["from"])
    assert down["from"] == 40 and down["t"] - fell_ms >= 4000, "not before it was wished for during all of the stabilisation"
    assert [d["to"] for d in told if d["to"] > d["from"]][-1] == 40 and all(d["inputs"] for d in told)
    waited = ask(plant, "GET", "/policies/wide/explain?limit=200&all=true")["decisions"]
    assert any(c["by"] == "stabilize" for d in waited for c in d["clamps"]), "and what waited says so"
    assert same_again(plant, "wide")["evaluations"] >= 20


def test_calls_that_need_not_wait_for_a_start(plant, made):
    """The same load on a function with a rule and on one without, at the same time: one more caller, again and again."""
    made("ruled", "left-alone")
    ask(plant, "PUT", "/policies/ruled", policy("ruled", {"min": 4, "max": 40}, [track("inflight", "max", "10s", 0.5)]))
    within(30, "four before any call", lambda: there(plant, "ruled") == 4)
    began = time.monotonic()
    assert calls(plant, "left-alone", 0)()() == "cold"
    step = max(1.0, 3 * (time.monotonic() - began))  # on a machine on which starts take long the load rises slowly
    with Load(calls(plant, "ruled", 0.4)) as ruled, Load(calls(plant, "left-alone", 0.4)) as left:
        for callers in range(1, 13):
            ruled.to(callers)
            left.to(callers)
            end = time.monotonic() + step
            within(60, "each has called", lambda: time.monotonic() > end and min(len(ruled.told), len(left.told)) >= 2 * callers)
    share = {name: sum(t in ("cold", "stem") for t in load.told) / len(load.told) for name, load in (("ruled", ruled), ("left", left))}
    assert share["left"] > 0 and share["ruled"] <= 0.2 * share["left"], share
    assert chain(plant, "ruled")[-1]["to"] >= 12  # how many are in flight is up to the machine
    same_again(plant, "ruled")


def test_by_the_lag_of_a_topic(broker, plant, made):
    """A consumer group that confirms nothing more; then everything."""
    broker.write("plant.raw", [f"reading {i}" for i in range(310)])
    broker.kcat("-G", "plant", "-c", "10", "-X", "auto.offset.reset=earliest", "-q", "plant.raw")
    made("by-lag")
    lag = {"id": "lag", "when": {"metric": "trigger_lag", "labels": {"topic": "plant.raw", "group": "plant"}, "aggregate": "max",
                                 "window": "5s", "op": ">", "value": 50}, "do": {"action": "track", "target": 100}}
    quiet = {"id": "done", "when": {**lag["when"], "op": "<", "value": 1}, "do": {"action": "set", "count": 0}}
    ask(plant, "PUT", "/policies/by-lag", policy("by-lag", {"max": 8}, [lag, quiet]))
    within(60, "300 behind, 100 for each", lambda: there(plant, "by-lag") == 3)
    newest = chain(plant, "by-lag")[-1]
    assert (newest["to"], newest["inputs"][0]["metric"], newest["inputs"][0]["value"]) == (3, "trigger_lag", 300)
    broker.kcat("-G", "plant", "-c", "300", "-q", "plant.raw")
    within(60, "all is read: none", lambda: there(plant, "by-lag") == 0 and row(plant, "by-lag")["desired"] == 0)
    chain(plant, "by-lag")
    same_again(plant, "by-lag")


def test_by_the_metric_of_another_producer(broker, plant, made):
    """Only the series that the rule asks for, and what is no sample harms nobody."""
    made("by-heat")
    hot = {"id": "hot", "when": {"metric": "boiler_celsius", "labels": {"plant": "7"}, "aggregate": "max", "window": "5s", "op": ">", "value": 90},
           "do": {"action": "prewarm", "count": 2}}
    ask(plant, "PUT", "/policies/by-heat", policy("by-heat", {"max": 8}, [hot]))
    refused = plant.metric("narae_scaler_bad_samples_total")

    def tell(plant_number, celsius):
        broker.write(f"{PREFIX}.metrics", [json.dumps({"metric": "boiler_celsius", "value": celsius, "labels": {"plant": plant_number}}),
                                           "boiler is hot", '{"metric":"boiler_celsius","value":"hot"}'])
    tell("8", 99)
    within(60, "what cannot be read was counted", lambda: plant.metric("narae_scaler_bad_samples_total") >= refused + 2)
    assert row(plant, "by-heat").get("desired", 0) == 0

    def warmed():
        tell("7", 95.5)
        return there(plant, "by-heat") == 2
    within(60, "two are warm", warmed, every=0.5)
    newest = next(d for d in chain(plant, "by-heat") if "hot" in d["fired"])
    assert newest["inputs"][0]["value"] == 95.5 and newest["inputs"][0]["labels"]["plant"] == "7"

    def cold():
        tell("7", 60)
        return row(plant, "by-heat")["desired"] == 0 and there(plant, "by-heat") == 0
    within(120, "cold again: none", cold, every=0.5)
    same_again(plant, "by-heat")


def test_nodes_are_wished_for(plant, made):
    """The webhook is told what the node's containers ask for."""
    hook = Hook()
    try:
        ask(plant, "PUT", "/channels/cloud", {"url": hook.url})
        made("filling")
        ask(plant, "PUT", "/policies/filling", policy("filling", {"min": 6, "max": 6}))
        many = {"id": "full", "when": {"metric": "node_containers", "aggregate": "min", "window": "3s", "op": ">=", "value": 6},
                "do": {"action": "set", "count": 2}}
        few = {"id": "empty", "when": {**many["when"], "aggregate": "max", "op": "<", "value": 4}, "do": {"action": "set", "count": 1}}
        ask(plant, "PUT", "/policies/more-nodes", {
            "policy": "more-nodes", "target": {"nodes": True}, "webhook": "cloud", "evaluate_every": "1s", "bounds": {"min": 1, "max": 3},
            "limits": {"down": {"stabilize": "2s", "max_percent": 100, "per": "1s"}, "up": {"stabilize": "0s"}}, "rules": [many, few]})
        wish = within(60, "two nodes are wished for", lambda: [t for t in hook.told if t.get("to") == 2])[0]
        assert wish["kind"] == "node_wish" and wish["policy"] == "more-nodes" and wish["decision"]["inputs"][0]["value"] >= 6
        ask(plant, "DELETE", "/policies/filling")
        plant.request("DELETE", "actions/filling")
        within(120, "and one when the node is empty again", lambda: [t["to"] for t in hook.told if t["kind"] == "node_wish"][-1] == 1)
        chain(plant, "more-nodes")
        same_again(plant, "more-nodes")
    finally:
        ask(plant, "DELETE", "/policies/more-nodes", status=None)
        ask(plant, "DELETE", "/channels/cloud", status=None)
        hook.close()


def test_by_the_clock(broker, plant, scheduled):
    """Its time came while the others ran: nothing before, two at the full minute, none after."""
    def over():
        told = decisions(plant, "by-the-clock")
        return [d for d in told[::-1] if d["from"] != d["to"]] if told and time.time() * 1000 > scheduled + 1000 * SCHEDULED_S and \
            told[0]["to"] == 0 and len(told) > 2 else None
    up, down = within(120, "its time came and went", over)
    assert (up["to"], up["floors"]["schedule"], down["to"]) == (2, 2, 0)
    assert 0 <= up["t"] - scheduled <= 20000 * SLOW and up["t"] < down["t"], "evaluated each second"
    assert 0 <= down["t"] - scheduled - 1000 * SCHEDULED_S <= 60000 * SLOW
    samples = [json.loads(line) for line in broker.read(f"{PREFIX}.metrics") if '"by-the-clock"' in line]
    assert any(s["metrics"]["instances"] == 2 for s in samples if s["t"] >= scheduled), samples[-3:]
    assert not any(s["metrics"]["instances"] for s in samples if s["t"] < scheduled), samples[:3]
    same_again(plant, "by-the-clock")
