"""Many calls at once, and what a kill leaves behind."""
import collections
import concurrent.futures
import http.client
import itertools
import json
import signal
import threading

import pytest

from conftest import API, SLOW, within

SAYS_ITS_ID = """
import os
def main(args):
    me = os.environ["__OW_ACTIVATION_ID"]
    for i in range(5):
        print("%d %s %d" % (args["n"], me, i))
    return {"n": args["n"], "id": me}
"""
CLIENTS = 16


def post(own, connection, body, query):
    connection.request("POST", f"{API}/actions/f?{query}", json.dumps(body), {
        "Authorization": own.basic(own.auth), "Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def each(own, numbers, query, take):
    """CLIENTS keep-alive clients share the numbers; take(n, status, body) sees every answer."""
    lock = threading.Lock()

    def client():
        connection = own.connect()
        while True:
            with lock:
                n = next(numbers, None)
            if n is None:
                return connection.close()
            try:
                take(n, *post(own, connection, {"n": n}, query))
            except (OSError, http.client.HTTPException, ValueError):
                return None
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client) for _ in range(CLIENTS)]:
            done.result()


def lines_of(record):
    return [line.split("stdout: ", 1)[1] for line in record["logs"]]


def test_a_thousand_calls_of_sixteen_clients(start_platform):
    own = start_platform()
    own.put("f", SAYS_ITS_ID, limits={"memory": 128})
    bare = own.open_files()
    own.invoke("f", {"n": -1})
    of_a_container = own.open_files() - bare
    each(own, iter(range(200)), "blocking=true", lambda *_: None)
    answers = {}
    each(own, iter(range(1000)), "blocking=true", lambda n, *answer: answers.update({n: answer}))
    assert collections.Counter(status for status, _ in answers.values()) == {200: 1000}
    assert 0 < len(own.containers()) <= CLIENTS
    ids = {body["activationId"]: n for n, (_, body) in answers.items()}
    assert len(ids) == 1000
    records = []
    for skip in range(0, 1200, 200):
        records += own.request("GET", f"activations?docs=true&limit=200&skip={skip}").json
    records = [r for r in records if r["activationId"] in ids]
    assert len(records) == 1000 and len({r["activationId"] for r in records}) == 1000
    for r in records:
        n = ids[r["activationId"]]
        assert r["response"] == {"status": "success", "success": True, "size": r["response"]["size"],
                                 "result": {"n": n, "id": r["activationId"]}}
        assert lines_of(r) == [f"{n} {r['activationId']} {i}" for i in range(5)]
    within(10, "no open files but those of the containers that are there",
           lambda: own.open_files() <= bare + of_a_container * len(own.containers()))
    own.stop()


@pytest.mark.skipif(SLOW > 1, reason="an instrumented build takes more CPU time for everything")
def test_large_bodies_do_not_hold_the_loop(start_platform):
    own = start_platform()
    own.put("f", "def main(args):\n    return {'x': 'y' * args.get('bytes', 1)}")
    own.invoke("f")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        load = [pool.submit(own.invoke, "f") for _ in range(200)]
        for _ in range(2):
            assert own.put("large", "#" * (40 << 20))["exec"]["code"] == "#" * (40 << 20)
            assert own.invoke("f", {"bytes": 900000}).status == 200
        assert {call.result().status for call in load} == {200}
    assert own.metric("narae_loop_slow_callbacks_total") == 0
    own.stop()


def test_a_kill_loses_nothing_and_repeats_nothing(start_platform):
    own = start_platform()
    own.put("f", SAYS_ITS_ID, limits={"memory": 128})
    own.invoke("f", {"n": -1})
    accepted = {}

    def take(n, status, body):
        assert status == 202
        accepted[body["activationId"]] = n
        if len(accepted) == 300:
            own.process.send_signal(signal.SIGKILL)

    each(own, itertools.count(), "blocking=false", take)
    own.process.wait()
    left = set(own.containers())
    assert len(accepted) >= 300 and left
    own.start()

    def unfinished():
        return [i for i in accepted if own.request("GET", f"activations/{i}").status != 200]
    within(120, "every accepted call has its record", lambda: not unfinished(), every=0.5)

    cut = 0
    for activation, n in accepted.items():
        record = own.record(activation)
        if record["response"]["status"] == "whisk internal error":
            cut += 1
            continue
        assert record["response"]["status"] == "success", record
        assert record["response"]["result"] == {"n": n, "id": activation}
        assert lines_of(record) == [f"{n} {activation} {i}" for i in range(5)]
    assert cut <= len(left), "only what ran at the kill may be lost"
    assert own.request("GET", "activations?count=true&name=f").json["activations"] >= len(accepted)

    def strangers():
        """Containers of the killed platform that are neither gone nor adopted."""
        listed = own.request("GET", "/narae/v1/invokers", auth=own.admin_auth).json["containers"]
        known = {c["id"] for c in listed}
        return [c for c in left & set(own.containers()) if c[:12] not in known]
    within(30, "the killed platform's containers are gone or adopted", lambda: not strangers())
    own.stop()
