"""A container that a policy has started before any call has its function's code loaded too: the first call is a warm one. What goes wrong is told to who
owns the function, and not tried without end; whatever happens meanwhile, calls are served as ever."""
import contextlib
import hashlib
import json
import tempfile
import time

import pytest

from conftest import Platform, within
from test_samples import Stream
from test_scaling import ask, policy, row

LOADED = ("idle", "frozen")
SLOW_IMPORT = {
    "python:3": "import time\ntime.sleep(0.5)\nprint('the model is read')\n\ndef main(args):\n    return {'is': 'there'}\n",
    "nodejs:18": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)\nconsole.log('the model is read')\n"
                 "exports.main = () => ({is: 'there'})\n",
}
FAILS = "import time\nprint('connecting')\ntime.sleep(1)\nraise RuntimeError('no database')\n"
DIES = "import os, threading\nthreading.Timer(1, lambda: os._exit(3)).start()\n\ndef main(args):\n    return {}\n"
WAITS = "import time\ntime.sleep({s})\n\ndef main(args):\n    return {{'is': 'there'}}\n"
SEES = """import hashlib, os
AT_LOAD = dict(os.environ)

def main(args):
    token = AT_LOAD.get('TOKEN', '').encode()
    return {'token': hashlib.sha256(token).hexdigest(), 'names': sorted(k for k in AT_LOAD if k.startswith('__OW_')),
            'namespace': AT_LOAD['__OW_NAMESPACE'], 'bound': args['bound'], 'same_id': AT_LOAD['__OW_ACTIVATION_ID'] == os.environ['__OW_ACTIVATION_ID']}
"""


@pytest.fixture(scope="module")
def own():
    """Python containers may come from a stem, the others come from the Engine."""
    p = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), "--stems=python:3=1", "--freeze-after-ms=100")
    try:
        yield p.start()
        p.stop()
    finally:
        print(p.said()[-4000:])
        p.discard()


@pytest.fixture
def events(own):
    with contextlib.closing(Stream(own)) as stream:
        yield stream


@pytest.fixture
def one_of(own):
    """Deploys a function and wishes for one container of it; the function goes afterwards, and its containers with it."""
    made = []

    def make(name, code, kind="python:3", **fields):
        document = own.put(name, code, kind, **fields)
        made.append(name)
        ask(own, "PUT", "/policies/" + name, policy(name, {"min": 1, "max": 4}))
        return document

    yield make
    for name in made:
        ask(own, "DELETE", "/policies/" + name, status=None)
        own.request("DELETE", f"actions/{name}")


def invoker(own, auth=""):
    return own.request("GET", "/narae/v1/invokers", auth=auth).json


def containers(own, name):
    return [c for c in invoker(own)["containers"] if c["function"] == f"guest/{name}" and c["state"] not in ("dying", "gone")]


def when(own, name, states, seconds=60):
    """The function's only container, once it is in one of the states."""
    def look():
        found = containers(own, name)
        return found[0] if len(found) == 1 and found[0]["state"] in states else None
    return within(seconds, f"one container of {name} is {' or '.join(states)}", look)


def notes(own, reply):
    assert reply.status == 200, reply
    return {a["key"]: a["value"] for a in own.record(reply.activation)["annotations"]}


def is_warm(found):
    return found["narae.start"] in ("warm", "frozen") and "initTime" not in found and "narae.cold" not in found


def is_event(name, function):
    return lambda m: m["event"] == name and m.get("function") == function


@pytest.mark.parametrize("kind", SLOW_IMPORT)
def test_the_first_call_loads_nothing(own, events, one_of, kind):
    name = "slow-" + kind.partition(":")[0]
    one_of(name, SLOW_IMPORT[kind], kind)
    there = when(own, name, LOADED)
    assert there["started_for"] == "prewarm" and there["calls"] == 0
    told = events.until("that its code is loaded", is_event("init_ahead", name))
    assert told["container"] == there["name"] and told["took_ms"] >= 500 and "the model is read" in told["log"]
    if invoker(own)["choices"]["freezer"] != "off":
        when(own, name, ["frozen"])
    reply = own.invoke(name)
    found = notes(own, reply)
    assert is_warm(found) and found["narae.start"] != "cold" and "init_us" not in found.get("narae.stages", {}), found
    assert reply.json["response"]["result"] == {"is": "there"} and reply.json["logs"] == []
    assert [c["name"] for c in containers(own, name)] == [there["name"]], "the call started nothing"
    assert own.metric("narae_inits_ahead_total") >= 1


def test_code_that_cannot_be_loaded(own, events, one_of):
    """The call that came meanwhile gets its error as ever; the owner reads what happened; the next try waits; mended code is loaded."""
    one_of("broken", FAILS)
    failed = own.metric("narae_init_ahead_failures_total")
    when(own, "broken", ["init"])
    reply = own.invoke("broken")
    assert reply.status == 502 and reply.json["response"]["status"] == "action developer error", reply
    assert any("no database" in line for line in own.record(reply.activation)["logs"])
    told = events.until("that its code was not loaded", is_event("init_ahead_failed", "broken"))
    assert told["why"] == "init failed" and told["failures"] == 1 and told["again_ms"] == 5000 and told["account"] == "guest"
    assert told["error"] and "connecting" in told["log"] and "no database" in told["log"]
    events.until("that the container has gone", lambda m: m["event"] == "container_ended" and m.get("container") == told["container"])
    tries = own.metric("narae_init_ahead_failures_total") - failed
    assert tries <= 1 + (time.time() * 1000 - told["t"]) / 5000, "each try but the first waited for 5 s at least"
    listed = [f for f in invoker(own)["inits_ahead_failed"] if f["function"] == "guest/broken"]
    assert len(listed) == 1 and listed[0]["failures"] >= 1 and "no database" in listed[0]["log"] and listed[0]["why"] == "init failed"
    everybodys = [f for f in invoker(own, own.admin_auth)["inits_ahead_failed"] if f["function"] == "guest/broken"]
    assert len(everybodys) == 1 and not {"error", "log"} & set(everybodys[0]), "what it wrote is its owner's"
    assert "no database" not in own.said()
    own.put("broken", SLOW_IMPORT["python:3"])
    when(own, "broken", LOADED)
    assert is_warm(notes(own, own.invoke("broken")))
    assert [f for f in invoker(own)["inits_ahead_failed"] if f["function"] == "guest/broken"] == []


def test_code_that_is_loaded_and_then_dies(start_platform):
    """Those that take its place wait, for longer each time; a call does not, and after it nothing is held against the version."""
    p = start_platform("--stems=off", "--freeze-after-ms=0")
    p.put("dies", DIES)
    with contextlib.closing(Stream(p)) as stream:
        ask(p, "PUT", "/policies/dies", policy("dies", {"min": 4, "max": 4}))
        first = stream.until("that one died", is_event("init_ahead_failed", "dies"))
        assert first["failures"] == 1 and first["again_ms"] == 5000 and first["why"] == "crashed"
        assert first["error"] == "The container ended by itself, after its code was loaded and before any call."
        second = stream.until("that one died later", lambda m: is_event("init_ahead_failed", "dies")(m) and m["failures"] > 1)
        assert second["failures"] == 2 and second["again_ms"] == 10000 and second["t"] - first["t"] >= 4500
        assert p.metric("narae_container_starts_total") <= 8, "four in each round"
        assert [f["failures"] for f in invoker(p)["inits_ahead_failed"]] == [2]
        reply = p.invoke("dies")
        assert reply.status == 200, reply
        within(30, "what was wrong is forgotten", lambda: invoker(p)["inits_ahead_failed"] == [])


def test_an_update_while_it_is_loaded(own, events, one_of):
    """The old one ends at once, however long it would have taken."""
    begun = time.monotonic()
    one_of("updated", WAITS.format(s=600), limits={"timeout": 300000})
    old = when(own, "updated", ["init"])
    own.put("updated", SLOW_IMPORT["python:3"])
    ended = events.until("that the old one has ended", lambda m: m["event"] == "container_ended" and m.get("container") == old["name"])
    assert ended["why"] == "updated" and ended["version"] == "0.0.1"
    new = when(own, "updated", LOADED)
    assert new["name"] != old["name"] and new["version"] == "0.0.2"
    assert time.monotonic() - begun < 300, "nobody waited for the old one"
    assert is_warm(notes(own, own.invoke("updated")))


def limit(own, calls):
    reply = own.request("PUT", "/narae/v1/accounts/guest/limits", {"invocationsPerMinute": calls}, auth=own.admin_auth)
    assert reply.status == 200, reply


def test_an_account_that_may_call_nothing(own, one_of):
    """What is wished for waits for that to change, whether it was wished before or meanwhile."""
    one_of("before", SLOW_IMPORT["python:3"])
    when(own, "before", LOADED)
    limit(own, 0)
    try:
        one_of("meanwhile", SLOW_IMPORT["python:3"])
        own.put("before", SLOW_IMPORT["python:3"])
        within(60, "the old version's container goes", lambda: containers(own, "before") == [])
        ahead = own.metric("narae_inits_ahead_total")
        within(60, "the policy has decided", lambda: row(own, "meanwhile").get("desired") == 1)
        assert containers(own, "meanwhile") == [] and containers(own, "before") == []
        assert own.metric("narae_inits_ahead_total") == ahead
    finally:
        limit(own, -1)
    when(own, "before", LOADED)
    when(own, "meanwhile", LOADED)
    assert is_warm(notes(own, own.invoke("meanwhile")))


def test_what_it_is_given(own, one_of):
    """Secrets and variables as its first call would give them, and nothing of a caller."""
    one_of("sees", SEES, parameters=[{"key": "TOKEN", "value": "open-sesame", "secret": True, "init": True},
                                     {"key": "bound", "value": 7, "secret": True}])
    when(own, "sees", LOADED)
    reply = own.invoke("sees")
    assert is_warm(notes(own, reply))
    seen = reply.json["response"]["result"]
    assert seen["token"] == hashlib.sha256(b"open-sesame").hexdigest() and seen["bound"] == 7 and seen["namespace"] == "guest"
    assert {"__OW_ACTION_NAME", "__OW_ACTION_VERSION", "__OW_ACTIVATION_ID", "__OW_DEADLINE", "__OW_TRANSACTION_ID"} <= set(seen["names"])
    assert "__OW_API_KEY" not in seen["names"] and seen["same_id"] is False
    assert "open-sesame" not in own.said() and "open-sesame" not in json.dumps(invoker(own))


def test_a_function_that_wants_its_callers_key(own, one_of):
    """There is no caller yet: it is loaded by its first call, which gives the key."""
    one_of("keyed", SEES, annotations=[{"key": "provide-api-key", "value": True}], parameters=[{"key": "bound", "value": 1}])
    one_of("beside", SLOW_IMPORT["python:3"])
    when(own, "keyed", ["fresh"])
    when(own, "beside", LOADED)
    assert containers(own, "keyed")[0]["state"] == "fresh", "it was there before, and is passed over"
    reply = own.invoke("keyed")
    assert "initTime" in notes(own, reply) and "__OW_API_KEY" in reply.json["response"]["result"]["names"]


def test_a_call_that_comes_meanwhile(own, one_of):
    """It waits for that container, starts no other, and has loaded nothing."""
    one_of("awaited", WAITS.format(s=1.5))
    there = when(own, "awaited", ["init"])
    reply = own.invoke("awaited")
    found = notes(own, reply)
    assert found["narae.start"] == "warm" and "initTime" not in found and found["waitTime"] >= 0
    assert [c["name"] for c in containers(own, "awaited")] == [there["name"]]
