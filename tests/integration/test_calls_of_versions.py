"""Calls of published versions and aliases; what callers see of blocks, retirements and updates; a rollback under load."""
import concurrent.futures
import threading
import time

import pytest

from conftest import SLOW, within

N = "/narae/v1/functions"


def says(marker, seconds=0):
    """Code that answers with its own marker."""
    return f"import time\ndef main(args):\n    time.sleep(args.get('seconds', {seconds}))\n    return {{'code': '{marker}'}}\n"


def by_key(pairs):
    return {p["key"]: p["value"] for p in pairs}


def ran(reply):
    """(marker, version 0.0.n, published number or None, alias or None) of a record that was answered."""
    assert reply.status == 200, reply
    notes = by_key(reply.json["annotations"])
    return (reply.json["response"]["result"]["code"], reply.json["version"], notes.get("narae.version"),
            notes.get("narae.alias"))


def narae(own, method, path, body=None, status=200):
    reply = own.request(method, f"{N}/{path}", body)
    assert reply.status == status, reply
    return reply.json if reply.body else None


def resolves(own):
    """How often the function manager was asked for a snapshot or an alias."""
    text = own.request("GET", "/metrics", auth=None).body.decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith('narae_fnmanager_calls_total{op="resolve'))


@pytest.fixture
def versions(platform, name):
    """A function whose version 1 says one, 2 two, and LATEST three."""
    for marker in ("one", "two"):
        platform.put(name, says(marker), limits={"memory": 128})
        narae(platform, "POST", f"{name}/versions", {}, status=201)
    platform.put(name, says("three"))
    yield name
    for alias in ("prod", "beta"):
        platform.request("DELETE", f"{N}/{name}/aliases/{alias}")
    platform.request("POST", f"{N}/{name}/unblock")


# ---- which version

def test_each_way_to_name_a_version(platform, versions):
    f = versions
    narae(platform, "PUT", f"{f}/aliases/prod", {"version": 2}, status=201)
    asked = {
        "three": [{}, {"query": "version=latest"}, {"headers": {"X-Narae-Version": "latest"}}],
        "one": [{"query": "version=1"}, {"headers": {"x-narae-version": "1"}}],
        "two": [{"query": "version=2"}, {"query": "alias=prod"}, {"headers": {"X-Narae-Alias": "prod"}}],
    }
    published = {"one": (1, "0.0.1"), "two": (2, "0.0.2"), "three": (None, "0.0.3")}
    for marker, ways in asked.items():
        for way in ways:
            way = {**way, "query": "blocking=true&" + way.get("query", "")}
            reply = platform.invoke(f, **way)
            number, version = published[marker]
            by_alias = "prod" if "alias" in str(way).lower() else None
            assert ran(reply) == (marker, version, number, by_alias)
            kept = platform.record(reply.activation)
            assert by_key(kept["annotations"]) == by_key(reply.json["annotations"])
    accepted = platform.invoke(f, query="alias=prod")
    assert accepted.status == 202
    record = platform.record(accepted.json["activationId"])
    assert record["response"]["result"] == {"code": "two"}
    assert by_key(record["annotations"])["narae.alias"] == "prod"


@pytest.mark.parametrize("query, headers, status, says_so", [
    ("version=7", {}, 404, "The function has no version 7."),
    ("alias=nope", {}, 404, "The function has no alias nope."),
    ("version=0", {}, 400, "A version is a number from 1, or 'latest', not '0'."),
    ("version=-1", {}, 400, "not '-1'"),
    ("version=99999999999", {}, 400, "not '99999999999'"),
    ("version=one", {}, 400, "not 'one'"),
    ("version=", {}, 400, "A version is a number from 1"),
    ("alias=%2e%2e%2f", {}, 400, "The alias is not a name"),
    ("alias=", {}, 400, "The alias is not a name"),
    ("version=%zz", {}, 400, "'version' was malformed"),
    ("version=1&alias=prod", {}, 400, "can be named once"),
    ("version=1", {"X-Narae-Alias": "prod"}, 400, "can be named once"),
    ("version=1", {"X-Narae-Version": "1"}, 400, "can be named once"),
    ("", {"X-Narae-Version": "1", "X-Narae-Alias": "prod"}, 400, "can be named once"),
    ("", {"X-Narae-Version": "12x"}, 400, "not '12x'"),
])
def test_what_is_no_version(platform, versions, query, headers, status, says_so):
    reply = platform.invoke(versions, query="blocking=true&" + query, headers=headers)
    assert reply.status == status, reply
    assert says_so in reply.error
    assert "x-openwhisk-activation-id" not in reply.headers, "nothing was taken that could have a record"


def test_a_version_of_nothing(platform, name):
    for query in ("version=1", "alias=prod"):
        reply = platform.invoke(name, query=query)
        assert (reply.status, reply.error) == (404, "The requested resource does not exist.")


def test_weights(platform, versions):
    narae(platform, "PUT", f"{versions}/aliases/prod", {"weights": {"1": 50, "2": 50}}, status=201)
    got = [ran(platform.invoke(versions, query="blocking=true&alias=prod")) for _ in range(40)]
    assert {g[:3] for g in got} == {("one", "0.0.1", 1), ("two", "0.0.2", 2)}


# ---- blocked, retired

def test_a_block_is_refused_from_memory(platform, versions):
    f = versions
    narae(platform, "PUT", f"{f}/aliases/prod", {"version": 2}, status=201)
    narae(platform, "POST", f"{f}/versions/2/block", {"reason": "leaks memory"})
    refused = platform.invoke(f, query="blocking=true&version=2")
    assert (refused.status, refused.error) == (423, "The function is blocked: leaks memory")
    assert platform.invoke(f, query="blocking=true&alias=prod").status == 423
    before = resolves(platform)
    for _ in range(20):
        assert platform.invoke(f, query="version=2").status == 423
    assert resolves(platform) == before
    assert ran(platform.invoke(f, query="blocking=true&version=1"))[0] == "one"
    assert ran(platform.invoke(f))[0] == "three"
    narae(platform, "POST", f"{f}/versions/2/unblock")
    assert ran(platform.invoke(f, query="blocking=true&alias=prod"))[0] == "two"


def test_running_calls_finish_when_their_function_is_blocked(platform, versions):
    f = versions
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(platform.invoke, f, {"seconds": 1.5})
        within(30, "it runs", lambda: calls_of(platform, f))
        narae(platform, "POST", f"{f}/block", {"reason": "stop"})
        assert platform.invoke(f).status == 423
        assert ran(running.result())[0] == "three"
    narae(platform, "POST", f"{f}/unblock")
    assert ran(platform.invoke(f))[0] == "three"


def containers_of(own, f):
    listed = own.request("GET", "/narae/v1/invokers", auth=own.admin_auth).json["containers"]
    return [c for c in listed if c.get("function", "").split("/")[-1] == f]


def calls_of(own, f):
    return sum(c.get("calls", 0) for c in containers_of(own, f))


def test_a_retirement_drains(start_platform):
    own = start_platform("--stems=off")
    own.put("f", says("one"), limits={"memory": 128})
    narae(own, "POST", "f/versions", {}, status=201)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(own.invoke, "f", {"seconds": 2})
        within(30, "it runs", lambda: calls_of(own, "f"))
        narae(own, "POST", "f/retire", {"reason": "replaced by g"})
        refused = own.invoke("f")
        assert (refused.status, refused.error) == (410, "The function is retired: replaced by g")
        assert own.invoke("f", query="version=1").status == 410
        assert ran(running.result())[0] == "one"
    within(30, "no container of it is left", lambda: not own.containers())
    own.stop()


def test_a_retirement_can_end_running_calls(start_platform):
    own = start_platform("--stems=off")
    own.put("f", says("one"), limits={"memory": 128})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(own.invoke, "f", {"seconds": 50})
        accepted = own.invoke("f", {"seconds": 50}, query="")
        assert accepted.status == 202
        within(30, "both run", lambda: calls_of(own, "f") == 2)
        began = time.monotonic()
        narae(own, "POST", "f/retire", {"running": "cancel"})
        cut = running.result()
        assert time.monotonic() - began < 20 * SLOW
    assert (cut.status, cut.error) == (
        410, "The call was ended: the function was retired, and its running calls with it.")
    record = own.record(accepted.json["activationId"])
    assert record["response"]["status"] == "whisk internal error"
    assert record["response"]["result"] == {"error": cut.error}
    within(30, "no container of it is left", lambda: not own.containers())
    assert own.metric("narae_accepted_drift") == 0
    own.stop()


# ---- updates

def test_an_update_holds_and_lets_go(platform, versions):
    f = versions
    for end, marker in (("commit", "four"), ("abort", "four")):
        narae(platform, "POST", f"{f}/update", {"hold_s": 60, "deadline_s": 120})
        with concurrent.futures.ThreadPoolExecutor() as pool:
            held = [pool.submit(platform.invoke, f) for _ in range(4)]
            later = pool.submit(platform.invoke, f, None, "")
            within(30, "they are held", lambda: platform.metric("narae_held_activations") == 5)
            assert ran(platform.invoke(f, query="blocking=true&version=1"))[0] == "one"
            body = {"exec": {"kind": "python:3", "code": says(marker)}} if end == "commit" else None
            narae(platform, "POST", f"{f}/update/{end}", body)
            for call in held:
                reply = call.result()
                assert ran(reply)[0] == marker
                assert by_key(reply.json["annotations"])["narae.held_ms"] >= 0
            assert later.result().status == 202
            assert platform.record(later.result().json["activationId"])["response"]["result"] == {"code": marker}
    assert platform.metric("narae_held_activations") == 0


def test_over_its_time_a_held_call_is_told_to_come_again(platform, versions):
    narae(platform, "POST", f"{versions}/update", {"hold_s": 1, "deadline_s": 120})
    refused = platform.invoke(versions)
    assert refused.status == 503
    assert refused.error == "The function is being updated; try again when that is done."
    assert int(refused.headers["retry-after"]) >= 1
    narae(platform, "POST", f"{versions}/update/abort")
    assert ran(platform.invoke(versions))[0] == "three"


def test_the_old_code_can_serve_meanwhile(platform, versions):
    narae(platform, "POST", f"{versions}/update", {"while_updating": "old", "deadline_s": 120})
    assert ran(platform.invoke(versions))[0] == "three"
    narae(platform, "POST", f"{versions}/update/commit", {"exec": {"kind": "python:3", "code": says("four")}})
    assert ran(platform.invoke(versions))[0] == "four"


def test_a_window_that_nobody_ends_falls_back(platform, versions):
    narae(platform, "POST", f"{versions}/update", {"hold_s": 60, "deadline_s": 1})
    assert ran(platform.invoke(versions))[0] == "three", "held until the deadline, then the old code"


def test_a_stop_answers_those_it_holds(start_platform):
    own = start_platform("--stems=off")
    own.put("f", says("one"), limits={"memory": 128})
    narae(own, "POST", "f/update", {"hold_s": 60, "deadline_s": 600})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        held = pool.submit(own.invoke, "f")
        within(30, "it is held", lambda: own.metric("narae_held_activations") == 1)
        own.stop()
        assert held.result().status == 503


# ---- a rollback under load

def test_a_rollback_takes_effect_for_the_next_call(platform, versions):
    """Four clients call an alias without a pause; it moves to and fro. Every call that begins after the reply runs the new one."""
    f, end = versions, threading.Event()
    narae(platform, "PUT", f"{f}/aliases/prod", {"version": 1}, status=201)
    narae(platform, "PUT", f"{f}/aliases/prod", {"version": 2})
    calls, failures = [], []

    def client():
        connection = platform.connect()
        while not end.is_set():
            began = time.monotonic()
            reply = platform.invoke(f, query="blocking=true&alias=prod", connection=connection)
            if reply.status != 200:
                failures.append(reply)
            else:
                calls.append((began, time.monotonic(), ran(reply)[2]))
        connection.close()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        clients = [pool.submit(client) for _ in range(4)]
        try:
            moves = []
            for to in (1, 2, 1, 2, 1):
                within(60, "calls come", lambda: len([c for c in calls[-40:] if c[2] == 3 - to]) >= 20)
                sent = time.monotonic()
                if to == 1:
                    narae(platform, "POST", f"{f}/aliases/prod/rollback")
                else:
                    narae(platform, "PUT", f"{f}/aliases/prod", {"version": 2})
                moves.append((sent, time.monotonic(), to))
            within(60, "calls come", lambda: len([c for c in calls[-40:] if c[2] == 1]) >= 20)
        finally:
            end.set()
        for c in clients:
            c.result()
    assert not failures
    took = []
    for (sent, replied, to), (until, _, _) in zip(moves, moves[1:] + [(time.monotonic(), 0, 0)]):
        # a call that had not ended when the next move was asked for may have met that one
        old = [began for began, ended, version in calls if sent <= began and ended < until and version != to]
        assert all(began < replied for began in old), "a call after the rollback's reply ran the old version"
        took.append(max([began - sent for began in old], default=0) * 1000)
        assert replied - sent < 10 * SLOW
    print(f"rollback under load: {len(calls)} calls, 0 failures; the last call of the old version began "
          f"{max(took):.1f} ms after the request, none after its reply")
    assert max(took) <= 100 * SLOW
