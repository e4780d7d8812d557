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


# ---- the exact words of the parameters

MALFORMED = "The query parameter '{}' was malformed:\n{}"


@pytest.mark.parametrize("query,parameter,detail", [
    ("limit=201", "limit", "The value '201' is not in the range of 0 to 200 for activations."),
    ("limit=-1", "limit", "The value '-1' is not in the range of 0 to 200 for activations."),
    ("limit=99999999999999999999", "limit", "The value '99999999999999999999' is not an integer for activations."),
    ("limit=ten", "limit", "The value 'ten' is not an integer for activations."),
    ("skip=-1", "skip", "The value '-1' is not greater than or equal to 0 for activations."),
    ("skip=1.5", "skip", "The value '1.5' is not an integer for activations."),
    ("since=now", "since", "Parameter is not a valid value for epoch seconds: now"),
    ("since=1.5", "since", "Parameter is not a valid value for epoch seconds: 1.5"),
    ("upto=", "upto", "Parameter is not a valid value for epoch seconds: "),
    ("name=a%2Fb%2Fc", "name", "Parameter may be a 'simple' name or 'package-name/simple' name: a/b/c"),
    ("name=%2Fa", "name", "Parameter may be a 'simple' name or 'package-name/simple' name: /a"),
    ("name=a%2F", "name", "Parameter may be a 'simple' name or 'package-name/simple' name: a/"),
    ("docs=perhaps", "docs", "'perhaps' is not a valid Boolean value"),
])
def test_mistakes_in_a_list(history, query, parameter, detail):
    reply = history.request("GET", "activations?" + query)
    assert (reply.status, reply.error) == (400, MALFORMED.format(parameter, detail))


def test_docs_and_count(history):
    reply = history.request("GET", "activations?docs=true&count=true")
    assert (reply.status, reply.error) == (400, "The parameter 'docs' is not permitted with 'count'.")
    assert listed(history, "?docs=false&count=true&name=b") == {"activations": 3}


def test_upto_the_beginning(history):
    assert listed(history, "?upto=0") == []
    assert listed(history, "?upto=0&count=true") == {"activations": 0}
    assert listed(history, "?since=9223372036854775807") == []


def test_records_are_only_read(history):
    for path in ("activations", "activations/", f"activations/{history.ids[0]}", f"activations/{history.ids[0]}/logs",
                 f"activations/{history.ids[0]}/result"):
        for method in ("PUT", "POST", "DELETE"):
            reply = history.request(method, path, {} if method != "DELETE" else None)
            assert (reply.status, reply.headers["allow"]) == (405, "GET"), (method, path)
            assert reply.error == "HTTP method not allowed, supported methods: GET"
    assert history.request("GET", f"activations/{history.ids[0]}").status == 200


@pytest.mark.parametrize("text,error", [
    ("abc", "Activation id length is 3 but must be 32."), ("0" * 33, "Activation id length is 33 but must be 32."),
    ("g" * 32, "The activation id is not valid."), ("A" * 32, "The activation id is not valid."),
])
def test_what_is_no_id(history, text, error):
    for tail in ("", "/logs", "/result"):
        reply = history.request("GET", f"activations/{text}{tail}")
        assert (reply.status, reply.error) == (400, error)


def test_records_of_another_account(history):
    made = history.request("POST", "/narae/v1/accounts", {"name": "other-one", "profile": "local"}, auth=history.admin_auth)
    theirs = made.json["key"]
    for path in ("activations", f"activations/{history.ids[0]}", f"activations/{'0' * 32}"):
        reply = history.request("GET", f"/api/v1/namespaces/guest/{path}", auth=theirs)
        assert reply.status == 403 and "is not authorized to access 'guest" in reply.error
        assert history.request("GET", f"/api/v1/namespaces/guest/{path}").status == (404 if "0000" in path else 200)
    for tail in ("", "/logs", "/result"):
        reply = history.request("GET", f"activations/{history.ids[0]}{tail}", auth=theirs)
        assert (reply.status, reply.error) == (404, "The requested resource does not exist.")
    assert history.request("GET", "activations", auth=theirs).json == []


def test_every_kind_is_read_at_once(history):
    """Whoever has an answer finds what it stands for: by its id and in the lists; and the steps with their sequence."""
    assert history.request("PUT", "actions/both", {"exec": {"kind": "sequence", "components": ["/_/a", "/_/a"]}}).status == 200
    history.put("web", "def main(args):\n    return {'body': 'hi'}\n", annotations=[{"key": "web-export", "value": True}])
    history.put("conducts", "def main(args):\n    return {'params': {'done': True}} if 'greeting' in args else {'action': '/_/a'}\n",
                annotations=[{"key": "conductor", "value": True}])
    calls = {"a": lambda: history.invoke("a"), "both": lambda: history.invoke("both"), "conducts": lambda: history.invoke("conducts"),
             "web": lambda: history.request("GET", "/api/v1/web/guest/default/web.http", auth=None)}
    for _ in range(5):
        for name, call in calls.items():
            reply = call()
            assert reply.status == 200, (name, reply)
            record = history.request("GET", f"activations/{reply.activation}")
            assert record.status == 200, (name, record)
            assert reply.activation in ids(listed(history, f"?name={name}&limit=4"))  # a conductor's runs have its name
            for step in record.json["logs"] if name in ("both", "conducts") else ():
                found = history.request("GET", f"activations/{step}")
                assert found.status == 200 and found.json["cause"] == reply.activation
                assert {"key": "causedBy", "value": "sequence"} in found.json["annotations"]


# ---- as clients poll

def test_a_poll(history):
    """The newest one, and from then on what began at its start or after it, in full; nothing is missed, nothing comes twice."""
    newest = listed(history, "?docs=true&limit=1&skip=0")
    since, called = newest[0]["start"], []
    seen = set(ids(listed(history, f"?docs=true&limit=0&since={since}&skip=0")))
    assert newest[0]["activationId"] in seen
    for n in range(5):
        called.append(history.invoke("a", {"name": f"polled {n}"}).activation)
        new = [item for item in listed(history, f"?docs=true&limit=0&since={since}&skip=0") if item["activationId"] not in seen]
        assert ids(new) == called[-1:]
        assert new[0]["logs"][0].endswith(f"polled {n}")
        seen.update(ids(new))
        since = max(item["start"] for item in new)


# ---- which calls leave a record

@pytest.mark.parametrize("policy,kept", [("all", {"good", "bad"}), ("errors", {"bad"}), ("none", set())])
def test_the_store_policy(history, policy, kept):
    name = f"stored-{policy}"
    history.put(name, TROUBLE["python:3"], annotations=[{"key": "narae.store", "value": policy}])
    ended = history.metric("narae_activations_total")
    called = {"good": [], "bad": []}
    for kind, do in (("good", {}), ("bad", {"do": "error"})):
        reply = history.invoke(name, do)
        assert reply.status == {"good": 200, "bad": 502}[kind]  # answered as ever
        called[kind] += [reply.activation, history.invoke(name, do, "").activation]
    within(60, "all have ended", lambda: history.metric("narae_activations_total") == ended + 4)
    within(60, "and are stored, or not", lambda: history.metric("narae_running_activations") == 0)
    for kind, activations in called.items():
        for activation in activations:
            for tail in ("", "/logs", "/result"):
                status = history.request("GET", f"activations/{activation}{tail}").status
                assert status == (200 if kind in kept else 404), (kind, tail)
    assert sorted(ids(listed(history, f"?name={name}"))) == sorted(sum((called[kind] for kind in kept), []))
    assert history.metric("narae_accepted_drift") == 0


def test_a_store_policy_that_there_is_not(history):
    reply = history.request("PUT", "actions/stored-never", {
        "exec": {"kind": "python:3", "code": HELLO["python:3"]}, "annotations": [{"key": "narae.store", "value": "never"}]})
    assert reply.status == 400 and "narae.store" in reply.error


def test_packaged_functions_are_listed_by_both_names(history):
    assert history.request("PUT", "packages/box", {}).status == 200
    history.put("box/a", HELLO["python:3"])
    activation = history.invoke("box/a", {"name": "in a box"}).activation
    assert ids(listed(history, "?name=box%2Fa")) == [activation]
    assert activation not in ids(listed(history, "?name=a&limit=0"))
    assert listed(history, "?name=box%2Fa")[0]["name"] == "a"
