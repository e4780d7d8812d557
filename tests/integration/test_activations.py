"""Past activations: lists with their filters, one record, its logs, its result."""
import time

import pytest

from conftest import within
from functions import HELLO, TROUBLE

BRIEF = {"namespace", "name", "version", "publish", "annotations", "activationId", "start", "end",
         "duration", "statusCode"}
FULL = {"namespace", "name", "version", "publish", "subject", "activationId", "start", "end",
        "duration", "response", "logs", "annotations"}


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A platform with calls whose order and outcome are known: five of `a`, then three of `b`."""
    from conftest import Platform
    own = Platform("/tmp/nr" + tmp_path_factory.mktemp("h").name + str(time.monotonic_ns()))
    own.folder.mkdir()
    try:
        own.start()
        own.put("a", HELLO["python:3"])
        own.put("b", TROUBLE["python:3"])
        own.ids = [own.invoke("a", {"name": str(n)}).activation for n in range(5)]
        own.ids += [own.invoke("b", p).activation
                    for p in ({}, {"do": "error"}, {"do": "number"})]
        yield own
        own.stop()
    finally:
        own.discard()


def listed(own, query=""):
    reply = own.request("GET", "activations" + query)
    assert reply.status == 200, reply
    return reply.json


def ids(items):
    return [item["activationId"] for item in items]


def test_newest_first(history):
    assert ids(listed(history)) == ids(listed(history, "/")) == history.ids[::-1]


def test_an_item(history):
    for item in listed(history):
        assert set(item) == BRIEF
        assert item["namespace"] == "guest"
    assert [item["statusCode"] for item in listed(history, "?limit=3")] == [2, 1, 0]


def test_limit_and_skip(history):
    assert ids(listed(history, "?limit=2")) == history.ids[::-1][:2]
    assert ids(listed(history, "?limit=2&skip=1")) == history.ids[::-1][1:3]
    assert ids(listed(history, "?limit=0")) == history.ids[::-1]
    assert listed(history, "?skip=8") == []


def test_count(history):
    assert listed(history, "?count=true") == {"activations": 8}
    assert listed(history, "?count=true&skip=3") == {"activations": 5}
    assert listed(history, "?count=true&name=a") == {"activations": 5}


def test_by_name(history):
    assert ids(listed(history, "?name=b")) == history.ids[:4:-1]
    assert listed(history, "?name=none") == []
    assert listed(history, "?name=pkg%2Fa") == []


def test_since_and_upto(history):
    starts = {item["activationId"]: item["start"] for item in listed(history)}
    third = starts[history.ids[2]]
    since = ids(listed(history, f"?since={third}"))
    upto = ids(listed(history, f"?upto={third}"))
    assert sorted(since) == sorted(i for i in history.ids if starts[i] >= third)
    assert sorted(upto) == sorted(i for i in history.ids if starts[i] <= third)
    assert listed(history, f"?since={int(time.time() * 1000) + 60000}") == []


def test_docs(history):
    for item in listed(history, "?docs=true&limit=0"):
        assert set(item) == FULL
        assert item == history.request("GET", f"activations/{item['activationId']}").json


def test_one_record(history):
    record = history.request("GET", f"activations/{history.ids[0]}").json
    assert set(record) == FULL
    assert record["response"]["result"] == {"greeting": "Hello, 0!"}
    assert len(record["logs"]) == 1 and record["logs"][0].endswith("stdout: greeting 0")


def test_logs(history):
    reply = history.request("GET", f"activations/{history.ids[1]}/logs").json
    assert list(reply) == ["logs"]
    assert [line.split(" ", 1)[1].strip() for line in reply["logs"]] == ["stdout: greeting 1"]


def test_results(history):
    good = history.request("GET", f"activations/{history.ids[0]}/result").json
    assert good == {"status": "success", "success": True, "result": {"greeting": "Hello, 0!"},
                    "size": good["size"]}
    bad = history.request("GET", f"activations/{history.ids[6]}/result").json
    assert (bad["status"], bad["success"], bad["result"]) == (
        "application error", False, {"error": "as asked"})


def test_an_answered_call_is_found_at_once(history):
    for n in range(20):
        activation = history.invoke("a", {"name": f"now {n}"}).activation
        assert ids(listed(history, "?limit=1")) == [activation]
        record = history.request("GET", f"activations/{activation}")
        assert record.status == 200
        assert record.json["logs"][0].endswith(f"greeting now {n}")
    assert listed(history, "?count=true")["activations"] == 28


def test_a_call_that_still_runs(platform, name):
    platform.put(name, TROUBLE["python:3"])
    activation = platform.invoke(name, {"do": "sleep", "seconds": 1}, "").activation
    reply = platform.request("GET", f"activations/{activation}")
    assert reply.status in (200, 404)
    within(30, "it is in the list", lambda: activation in ids(listed(platform, f"?name={name}")))
    assert platform.record(activation)["response"]["success"] is True
