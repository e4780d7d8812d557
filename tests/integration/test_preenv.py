"""PreEnv: a function is run in several sizes, and the smallest that costs no speed is chosen. Real runs on a machine that others
use too: what is judged here does not hang on its mood."""
import concurrent.futures
import json
import time

import pytest

from conftest import SLOW, engine, within
from test_accounts import Admin, admin  # noqa: F401

QUICK = {"repeats": 3}
SUM = "def main(args):\n    return {'sum': sum(range(args.get('n', 2000)))}\n"
HEAVY_START = """
draft = bytearray(150 << 20)
draft[::4096] = b'1' * len(draft[::4096])
table = len(draft)
del draft
def main(args):
    return {'table': table}
"""
LEAK = """
kept = []
def main(args):
    block = bytearray(6 << 20)
    block[::4096] = b'1' * len(block[::4096])
    kept.append(block)
    return {'kept': len(kept)}
"""
GREEDY = """
def main(args):
    kept = []
    while True:
        kept.append(bytearray(b'1') * (8 << 20))
"""
BY_INPUT = """
def main(args):
    block = bytearray(args['mb'] << 20)
    block[::4096] = b'1' * len(block[::4096])
    return {'mb': args['mb']}
"""
FIB = """
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
def main(args):
    return {'fib': fib(args["n"])}
"""
PAUSE = "import time\ndef main(args):\n    time.sleep(args.get('seconds', 0.2))\n    return {}\n"


def path(name, *rest):
    return "/".join([f"/narae/v1/functions/{name}/preenv", *rest])


def start(platform, name, **body):
    reply = platform.request("POST", path(name), body)
    assert reply.status == 202, reply
    return reply.json["id"]


def look(platform, name, run):
    reply = platform.request("GET", path(name, run))
    assert reply.status == 200, reply
    return reply.json


def ended(platform, name, run, seconds=240):
    def question():
        now = look(platform, name, run)
        return now if now["state"] != "running" else None
    return within(seconds, f"PreEnv run {run} of {name} ends", question, every=0.1)


def measured(platform, name, **body):
    return ended(platform, name, start(platform, name, **body))


def put(platform, name, code, memory=256, **limits):
    platform.put(name, code, limits={"memory": memory, **limits},
                 annotations=[{"key": "narae.network", "value": "none"}])


def events_of(platform, name, run):
    """The whole stream as [(event, data)]."""
    connection = platform.connect(240)
    connection.request("GET", path(name, run), headers={"Authorization": platform.basic(platform.auth),
                                                        "Accept": "text/event-stream"})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.getheader("content-type") == "text/event-stream"
    found, event = [], None
    for line in answer.read().decode().splitlines():
        if line.startswith("event: "):
            event = line[7:]
        elif line.startswith("data: "):
            found.append((event, json.loads(line[6:])))
    connection.close()
    return found


def test_from_run_to_size(platform, name):
    """The whole story: run, stream, list, apply; and real calls do not see any of it."""
    put(platform, name, SUM, 512)
    before = platform.invoke(name).activation
    run = start(platform, name, **QUICK)
    again = platform.request("POST", path(name), QUICK)
    stream = events_of(platform, name, run)
    stations = [event for event, _ in stream]
    assert stations[-1] == "end"
    for earlier, later in zip(["selection", "environment", "test", "analysis"], ["environment", "test", "analysis", "storage"]):
        assert stations.index(earlier) < stations.index(later), stations
    done = stream[-1][1]
    assert done == look(platform, name, run)
    assert done["state"] == "done" and done["chosen_mb"] == 64 and done["declared_mb"] == 512, done
    assert done["saved_percent"] == 87.5 and done["reason"].startswith("64 MB")
    assert again.status == 409 and run in again.error
    assert [c["memory_mb"] for c in done["configurations"]] == [512, 64]
    for c in done["configurations"]:
        assert c["outcome"] == "ok" and c["runs"] >= 6 and c["cold_runs"] >= 3
        assert 0 < c["peak_mb"] < 64 and c["p50_ms"] <= c["p95_ms"] and c["cold_ms"] > 0
    assert done["environment"]["cores"] >= 1 and done["environment"]["kernel"].startswith("Linux")
    assert "API" in done["environment"]["engine"] and done["environment"]["memory"] and done["environment"]["disk"]
    listed = platform.request("GET", path(name)).json["runs"]
    assert [r["id"] for r in listed] == [run] and listed[0]["tested"] == 2 and "configurations" not in listed[0]

    records = platform.request("GET", f"activations?name={name}&limit=50").json
    assert [r["activationId"] for r in records] == [before]  # tests are no traffic
    reply = platform.request("POST", path(name, run, "apply"))
    assert reply.status == 200 and reply.json["applied"] is True, reply
    function = platform.request("GET", f"actions/{name}?code=false").json
    assert function["limits"]["memory"] == 64 and function["version"] == "0.0.2"
    assert platform.invoke(name).status == 200


def test_it_is_sized_by_its_start_and_applied(platform, name):
    put(platform, name, HEAVY_START, 512)
    done = measured(platform, name, apply=True, **QUICK)
    assert done["state"] == "done" and done["chosen_mb"] == 192 and done["applied"] is True, done
    first = done["configurations"][0]
    assert first["init_peak_mb"] > 140 and first["init_peak_mb"] >= first["run_peak_mb"], first
    # the kernel's sums lag: of what the start gave back so much may still be seen when the first call begins that it asks for as much
    assert first["run_peak_mb"] > 100 or any("sized by its start" in line for line in done["advice"]), done
    assert platform.request("GET", f"actions/{name}?code=false").json["limits"]["memory"] == 192


def test_it_is_sized_by_the_largest_payload_that_has_weight(platform, name):
    put(platform, name, BY_INPUT, 256)
    payloads = [{"weight": 9, "value": {"mb": 2}}, {"weight": 1, "value": {"mb": 100}}, {"weight": 0, "value": {"mb": 240}}]
    done = measured(platform, name, payloads=payloads, **QUICK)
    assert done["state"] == "done" and done["chosen_mb"] == 128, done
    small, large = done["configurations"][0]["payload_peak_mb"]
    assert small < 40 and 80 < large < 115  # looked at every 10 ms: a short call's peak may be seen in part
    assert any("sized by payload 1" in line and "64 MB would do" in line for line in done["advice"])


def test_what_grows_has_no_size(platform, name):
    put(platform, name, LEAK, 256)
    done = measured(platform, name, **QUICK)
    assert done["state"] == "done" and done["chosen_mb"] is None, done
    assert 5 < done["growth_mb_per_call"] < 7 and 25 < done["recycle_after_calls"] < 45
    assert "grows by" in done["reason"] and len(done["configurations"]) == 1
    reply = platform.request("POST", path(name, done["id"], "apply"))
    assert reply.status == 409 and "recommends no size" in reply.error


def test_a_cap_on_processors(platform, name):
    """How long it takes on one processor is up to those who want it too; that each configuration has its cap is not."""
    put(platform, name, FIB, 128)
    run = start(platform, name, payloads=[{"value": {"n": 29}}], axis="cpu", sizes=[1, 0.25], **QUICK)
    caps = set()
    while look(platform, name, run)["state"] == "running":
        for container in platform.containers():
            caps.add(((engine(f"/containers/{container}/json") or {}).get("HostConfig") or {}).get("NanoCpus"))
    done = look(platform, name, run)
    assert caps >= {1000000000, 250000000}
    one, quarter = done["configurations"]
    assert (one["cpus"], quarter["cpus"]) == (1, 0.25) and one["memory_mb"] == quarter["memory_mb"] == 128
    assert one["throttled_ms"] >= 0 and quarter["throttled_ms"] >= 0
    assert done["state"] == "done" and done["chosen_cpus"] in (1, 0.25) and done["chosen_mb"] is None, done
    reply = platform.request("POST", path(name, done["id"], "apply"))
    assert reply.status == 200, reply
    annotations = platform.request("GET", f"actions/{name}?code=false").json["annotations"]
    assert {"key": "narae.cpus", "value": done["chosen_cpus"]} in annotations


@pytest.mark.parametrize("code, limits, said", [
    ("def main(args):\n    raise ValueError('boom')\n", {}, "boom"),
    ("def main(args):\n    return {'error': 'as always'}\n", {}, "as always"),
    (PAUSE, {"timeout": 100}, "time limit"),
], ids=["throws", "errs", "hangs"])
def test_what_always_fails_is_told(platform, name, code, limits, said):
    put(platform, name, code, 128, **limits)
    done = measured(platform, name)
    assert done["state"] == "failed" and said in done["reason"] and done["chosen_mb"] is None, done
    assert len(done["configurations"]) == 1
    reply = platform.request("POST", path(name, done["id"], "apply"))
    assert reply.status == 409 and "no choice to apply" in reply.error
    assert platform.request("GET", f"actions/{name}?code=false").json["limits"]["memory"] == 128


def test_more_than_the_node_has(start_platform):
    p = start_platform("--memory-mb=256", "--stems=off")
    put(p, "greedy", GREEDY, 64)
    done = measured(p, "greedy")
    assert done["state"] == "failed" and "256 MB is the limit" in done["reason"], done
    assert [(c["memory_mb"], c["outcome"]) for c in done["configurations"]] == [(64, "oom"), (128, "oom"), (256, "oom")]
    put(p, "small", SUM, 64)
    assert p.invoke("small").status == 200  # the platform is well


def test_cancel_and_deadline(platform, name):
    put(platform, name, PAUSE, 128)
    run = start(platform, name, payloads=[{"value": {"seconds": 30}}])
    other = name[:60] + "-waits"
    put(platform, other, SUM, 128)
    waiting = start(platform, other)
    within(60, "the call is under way", lambda: any(e["station"] == "test" for e in look(platform, name, run)["events"]))
    reply = platform.request("POST", path(other, waiting, "cancel"))
    assert reply.status == 200 and reply.json["state"] == "cancelled", reply
    reply = platform.request("POST", path(name, run, "cancel"))
    assert reply.status == 202, reply
    begun = time.monotonic()
    assert ended(platform, name, run)["state"] == "cancelled"
    assert time.monotonic() - begun < 25 * SLOW  # the call was cut
    reply = platform.request("POST", path(name, run, "cancel"))
    assert reply.status == 409 and "cancelled" in reply.error
    done = measured(platform, name, payloads=[{"value": {"seconds": 0.4}}], deadline_s=1)
    assert done["state"] == "failed" and "deadline of 1 s" in done["reason"], done
    platform.request("DELETE", f"actions/{other}")


def under_way(platform, name, run):
    within(60, "the call is under way", lambda: any(e["station"] == "test" for e in look(platform, name, run)["events"]))


def no_run_waits(platform):
    within(120, "no run is under way or waits", lambda: platform.metric("narae_preenv_waiting") == 0)


def test_a_run_goes_with_its_function(platform, name, admin):
    """sqlite gives the number of the newest function again: nothing of a run may come to whoever has that number next."""
    key = admin.create("a-preenv")
    put(platform, name, PAUSE, 128)
    run = start(platform, name, payloads=[{"value": {"seconds": 30, "pin": "4711"}}])
    under_way(platform, name, run)
    assert platform.request("DELETE", f"actions/{name}").status == 200
    body = {"exec": {"kind": "python:3", "code": PAUSE}, "limits": {"memory": 128}}
    assert platform.request("PUT", "actions/hers?overwrite=true", body, auth=key).status == 200
    no_run_waits(platform)
    assert platform.request("GET", path("hers"), auth=key).json == {"runs": []}
    assert platform.request("GET", path("hers", run), auth=key).status == 404

    put(platform, name, PAUSE, 128)
    run = start(platform, name, payloads=[{"value": {"seconds": 30}}])
    under_way(platform, name, run)
    for again in (True, False):  # one that waits leaves the queue, and what is made anew under that name may be tried
        reply = platform.request("POST", path("hers"), QUICK, auth=key)
        assert reply.status == 202, reply
        if again:
            assert platform.request("DELETE", "actions/hers", auth=key).status == 200
            assert platform.request("PUT", "actions/hers?overwrite=true", body, auth=key).status == 200
    assert platform.metric("narae_preenv_waiting") == 2
    admin.delete("a-preenv")
    assert platform.metric("narae_preenv_waiting") == 1
    assert platform.request("POST", path(name, run, "cancel")).status == 202
    no_run_waits(platform)


def suspend(admin, account, key):
    assert admin.ask("POST", f"/{account}/suspend", {"reason": "unpaid"}).status == 200


def revoke(admin, account, key):
    assert admin.ask("DELETE", f"/{account}/keys/{key.split(':')[0]}").status in (200, 204)


@pytest.mark.parametrize("change, said", [(suspend, "is suspended: unpaid"), (revoke, "key that it was started with")],
                         ids=["suspended", "revoked"])
def test_a_run_ends_with_its_account_or_key(platform, admin, change, said):
    account = "a-preenv-" + change.__name__
    key = admin.create(account)
    reader = admin.ask("POST", f"/{account}/keys", {"scopes": ["read"]}).json["key"]
    body = {"exec": {"kind": "python:3", "code": PAUSE}, "limits": {"memory": 128}}
    for name in ("runs", "waits"):
        assert platform.request("PUT", f"actions/{name}?overwrite=true", body, auth=key).status == 200
    payloads = [{"value": {"seconds": 1}}]
    ids = {name: platform.request("POST", path(name), {"payloads": payloads, "repeats": 200, "apply": True}, auth=key).json["id"]
           for name in ("runs", "waits")}
    within(60, "a block is under way", lambda: any(
        e["station"] == "test" for e in platform.request("GET", path("runs", ids["runs"]), auth=key).json["events"]))
    change(admin, account, key)
    no_run_waits(platform)
    if change == suspend:
        assert admin.ask("POST", f"/{account}/resume", {}).status == 200
    for name, run in ids.items():
        done = platform.request("GET", path(name, run), auth=reader).json
        assert done["state"] == "cancelled" and said in done["reason"] and done["applied"] is False, done
        assert len(done["configurations"]) <= 1
    waited = platform.request("GET", path("waits", ids["waits"]), auth=reader).json
    assert waited["configurations"] == []  # it was not run at all


def test_accounts_take_turns(platform, name, admin):
    """Who has many runs waiting keeps nobody else waiting for more than one of them."""
    key = admin.create("a-preenv-turns")
    body = {"exec": {"kind": "python:3", "code": PAUSE}, "limits": {"memory": 128}}
    fast = {"payloads": [{"value": {"seconds": 0.01}}], "deadline_s": 1}
    ids = []
    for i in range(3):
        assert platform.request("PUT", f"actions/f{i}?overwrite=true", body, auth=key).status == 200
        ask = fast if i else {"payloads": [{"value": {"seconds": 50}}]}
        reply = platform.request("POST", path(f"f{i}"), ask, auth=key)
        assert reply.status == 202, reply
        ids.append(reply.json["id"])
    put(platform, name, PAUSE, 128)
    run = start(platform, name, **fast)
    assert platform.request("POST", path("f0", ids[0], "cancel"), auth=key).status == 202
    no_run_waits(platform)
    begun = [platform.request("GET", path(f"f{i}", ids[i]), auth=key).json["events"][0]["at_ms"] for i in (1, 2)]
    assert look(platform, name, run)["events"][0]["at_ms"] <= begun[0] <= begun[1]


def test_other_code_is_not_what_was_measured(platform, name):
    put(platform, name, PAUSE, 128)
    run = start(platform, name, payloads=[{"value": {"seconds": 0.3}}])
    within(60, "it is under way", lambda: any(e["station"] == "test" for e in look(platform, name, run)["events"]))
    put(platform, name, PAUSE + "\n# changed\n", 128)
    done = ended(platform, name, run)
    assert done["state"] == "failed" and "was changed while it was measured" in done["reason"], done
    put(platform, name, SUM, 128)
    done = measured(platform, name, **QUICK)
    put(platform, name, SUM + "\n# changed\n", 128)
    reply = platform.request("POST", path(name, done["id"], "apply"))
    assert reply.status == 409 and "measured other code" in reply.error


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_goes_on_after_a_restart(new_platform, end):
    p = new_platform("--stems=off").start()
    put(p, "slow", PAUSE, 128)
    run = start(p, "slow", payloads=[{"value": {"seconds": 0.25}}], repeats=6)
    before = within(120, "one configuration is done, another one begun", lambda: next(
        (r for r in [look(p, "slow", run)] if len(r["configurations"]) == 2), None), every=0.05)
    if end == "stop":
        p.stop()
    else:
        p.process.kill()
        p.process.wait()
    p.start()
    done = ended(p, "slow", run)
    assert done["state"] == "done" and done["chosen_mb"] == 64, done
    assert done["started_ms"] == before["started_ms"] and done["spent_ms"] >= before["spent_ms"]
    assert [c["memory_mb"] for c in done["configurations"]] == [128, 64]
    assert [e["text"] for e in done["events"]][:3] == [e["text"] for e in before["events"]][:3]


def test_real_calls_that_leave_what_was_measured(platform, name):
    put(platform, name, PAUSE, 128)
    done = measured(platform, name, payloads=[{"value": {"seconds": 0.01}}], **QUICK)
    assert done["state"] == "done", done
    listed = platform.request("GET", path(name)).json
    assert listed["production"] == {"calls": 0} and listed["drift"] is None
    slow = 0.3 + done["configurations"][-1]["p95_ms"] / 1000
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for reply in pool.map(lambda _: platform.invoke(name, {"seconds": slow}), range(32)):
            assert reply.status == 200

    def drifted():
        now = platform.request("GET", path(name)).json
        return now if now["production"]["calls"] >= 20 and now["drift"] else None
    now = within(60, "the drift is told", drifted, every=0.2)
    assert now["production"]["p95_ms"] >= 1000 * slow and now["drift"].startswith("Run it again: p95 of the last")


def test_a_published_version_is_measured(platform, name):
    put(platform, name, SUM, 128)
    assert platform.request("POST", f"/narae/v1/functions/{name}/versions", {}).status == 201
    put(platform, name, "def main(args):\n    return {'error': 'LATEST is another one'}\n", 128)
    done = measured(platform, name, version=1, **QUICK)
    assert done["state"] == "done" and done["number"] == 1 and done["chosen_mb"] == 64, done
    reply = platform.request("POST", path(name, done["id"], "apply"))
    assert reply.status == 409 and "A published version does not change" in reply.error
    reply = platform.request("POST", path(name), {"version": 2})
    assert reply.status == 404, reply


def test_mistakes_are_told(platform, name):
    put(platform, name, SUM, 128)
    for body, said in [
            ({"payload": []}, "The field 'payload' is not known; there are axis, payloads,"),
            ({"payloads": []}, "an array of 1 to 16 objects"),
            ({"payloads": [{"value": {}}] * 17}, "an array of 1 to 16 objects"),
            ({"payloads": [{"value": 3}]}, "payloads[0].value must be an object"),
            ({"payloads": [{"value": {}, "weight": -1}]}, "'payloads[0].weight' must be a number from 0 to 1e+06"),
            ({"payloads": [{"value": {}, "weight": 0}]}, "must have a weight above 0"),
            ({"payloads": [{"value": {}, "wait": 1}]}, "no 'wait'"),
            ({"tolerance": 0}, "'tolerance' must be a number from 0.005 to 1"),
            ({"repeats": 2}, "'repeats' must be an integer from 3 to 200"),
            ({"repeats": 201}, "'repeats' must be an integer from 3 to 200"),
            ({"axis": "disk"}, "\"memory\" or \"cpu\""),
            ({"apply": "yes"}, "'apply' must be true or false"),
            ({"deadline_s": 3601}, "'deadline_s' must be an integer from 1 to 3600"),
            ({"target_ms": 10}, "belongs to the axis \"cpu\""),
            ({"sizes": [100]}, "multiple of 64 MB from 64 to"),
            ({"sizes": [64 << 20]}, "multiple of 64 MB from 64 to"),
            ({"axis": "cpu", "sizes": [0.01]}, "number of cores from 0.05 to"),
            ({"version": 1, "apply": True}, "A published version does not change"),
            ([], "object")]:
        reply = platform.request("POST", path(name), body)
        assert reply.status == 400 and said in reply.error, (body, reply)
    assert platform.request("GET", path(name)).json == {"runs": []}
    nobody = "0" * 32
    for method, where in [("POST", path("not-there")), ("GET", path("not-there")), ("GET", path(name, nobody)),
                          ("POST", path(name, nobody, "cancel")), ("POST", path(name, nobody, "apply"))]:
        assert platform.request(method, where, {} if method == "POST" else None).status == 404, where
    run = start(platform, name, **QUICK)
    assert platform.request("GET", path(name, run), auth=platform.admin_auth).status == 404  # it is another account's
    assert platform.request("GET", path(name, nobody), headers={"Accept": "text/event-stream"}).status == 404
    ended(platform, name, run)


def test_streams_of_an_account_are_bounded(platform, name):
    put(platform, name, "import time\ndef main(args):\n    time.sleep(1)\n    return {}\n")
    run = start(platform, name, repeats=200)
    headers = {"Authorization": platform.basic(platform.auth), "Accept": "text/event-stream"}
    open_ones, answers = [], []
    try:
        for _ in range(17):
            connection = platform.connect(60)
            connection.request("GET", path(name, run), headers=headers)
            open_ones.append(connection)
            answers.append(connection.getresponse())
        assert [a.status for a in answers] == [200] * 16 + [429]
        assert "count: 17, allowed: 16" in json.loads(answers[-1].read())["error"]
    finally:
        for connection in open_ones:
            connection.close()
        platform.request("POST", path(name, run, "cancel"))
    ended(platform, name, run)
