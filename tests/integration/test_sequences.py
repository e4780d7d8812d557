"""Sequences as they run: what goes from one component to the next, what their records tell, how they end early, across accounts and through
bindings, and what a crash leaves of them."""
import concurrent.futures
import os
import signal

import pytest
from conftest import within

NS = "/api/v1/namespaces"
MISSING = "Sequence component does not exist."
RETIRED = "The call was ended: the function was retired, and its running calls with it."

# Adds its own letter, which is a bound parameter, to `path`; and does as it is told.
STEP = """
import time
def main(args):
    tag = args.pop("tag")
    print("step", tag)
    if args.get("fail") == tag:
        return {"error": "as asked", "path": args.get("path")}
    if args.get("wait") == tag:
        time.sleep(args["seconds"])
    if args.get("list") == tag:
        return [tag, {"n": 1}]
    return {**args, "path": args.get("path", "") + tag}
"""
TAKES_ALL = "def main(args):\n    return {'got': args}\n"


def sequence(*components, **more):
    return {"exec": {"kind": "sequence", "components": list(components)}, **more}


def step(tag, code=STEP, memory=128, **more):
    return {"exec": {"kind": "python:3", "code": code}, "parameters": [{"key": "tag", "value": tag}], "limits": {"memory": memory}, **more}


def annotations(record):
    return {a["key"]: a["value"] for a in record["annotations"]}


@pytest.fixture(scope="module")
def put(session_platform):
    """PUTs a document of the module; all are removed at its end."""
    made = []

    def do(path, document):
        made.append(path)
        reply = session_platform.request("PUT", f"{path}?overwrite=true", document)
        assert reply.status == 200, reply
        return reply.json
    yield do
    for path in reversed(made):
        session_platform.request("DELETE", path + ("?force=true" if path.startswith("packages/") else ""))


@pytest.fixture(scope="module")
def steps(put):
    put("packages/sq", {"parameters": [{"key": "tag", "value": "package"}]})
    put("actions/sq-a", step("a"))
    put("actions/sq-b", step("b", memory=192))
    put("actions/sq/c", step("c"))
    put("actions/sq-all", {"exec": {"kind": "python:3", "code": TAKES_ALL}, "limits": {"memory": 128}})
    put("actions/sq-abc", sequence("/_/sq-a", "/_/sq-b", "/_/sq/c"))


@pytest.fixture
def call(platform, steps):
    def do(name, payload=None, query="blocking=true"):
        return platform.request("POST", f"actions/{name}?{query}", payload or {})
    return do


def test_runs_and_its_record_tells_all(platform, call):
    reply = call("sq-abc", {"n": "ñ"})
    assert reply.status == 200, reply
    told = reply.json
    assert told["response"]["result"] == {"n": "ñ", "path": "abc"} and told["logs"] == []
    record = platform.record(reply.activation)
    assert {**record, "logs": []} == told
    says = annotations(record)
    assert says["kind"] == "sequence" and says["topmost"] is True and says["path"] == "guest/sq-abc"
    assert says["limits"]["memory"] == 192 and says["waitTime"] >= 0
    assert not {"timeout", "initTime", "causedBy", "conductor"} & set(says)
    assert "cause" not in record and record["name"] == "sq-abc"
    parts = [platform.record(i) for i in record["logs"]]
    assert [p["name"] for p in parts] == ["sq-a", "sq-b", "c"]
    assert [p["response"]["result"]["path"] for p in parts] == ["a", "ab", "abc"]
    assert all(p["cause"] == record["activationId"] and annotations(p)["causedBy"] == "sequence" for p in parts)
    assert annotations(parts[2])["path"] == "guest/sq/c" and "step c" in parts[2]["logs"][0]
    assert record["duration"] == sum(p["duration"] for p in parts)
    assert record["start"] <= parts[0]["start"] and record["end"] - record["start"] >= record["duration"] - len(parts)
    # what clients read beside it
    assert platform.request("GET", f"activations/{reply.activation}/logs").json == {"logs": record["logs"]}
    assert platform.request("GET", f"activations/{reply.activation}/result").json["result"] == {"n": "ñ", "path": "abc"}
    listed = platform.request("GET", "activations?name=sq-abc").json
    assert [a["activationId"] for a in listed if a["activationId"] == reply.activation] == [reply.activation]
    assert call("sq-abc", {"n": 1}, "blocking=true&result=true").json == {"n": 1, "path": "abc"}


def test_without_waiting(platform, call):
    reply = call("sq-abc", query="blocking=false")
    assert reply.status == 202 and list(reply.json) == ["activationId"]
    record = platform.record(reply.json["activationId"])
    assert record["response"]["result"] == {"path": "abc"} and len(record["logs"]) == 3


def test_the_caller_waits_no_longer_than_it_wants(platform, call):
    reply = call("sq-abc", {"wait": "b", "seconds": 1}, "blocking=true&timeout=200")
    assert reply.status == 202, reply
    record = platform.record(reply.json["activationId"])
    assert record["response"]["result"]["path"] == "abc" and record["duration"] >= 1000


def test_the_first_that_fails_ends_it(platform, call):
    reply = call("sq-abc", {"fail": "b"})
    assert reply.status == 502
    record = platform.record(reply.activation)
    assert record["response"] == {**record["response"], "status": "application error", "success": False, "result": {"error": "as asked"}}
    assert [platform.record(i)["name"] for i in record["logs"]] == ["sq-a", "sq-b"]
    assert call("sq-abc", {"fail": "a"}, "blocking=true&result=true").json == {"error": "as asked"}


def test_an_array_is_the_whole_input_and_answered_bare(put, platform, call):
    put("actions/sq-list", sequence("/_/sq-a", "/_/sq-all"))
    put("actions/sq-bare", sequence("/_/sq-b", "/_/sq-a"))
    reply = call("sq-bare", {"list": "a"})
    assert (reply.status, reply.json) == (200, ["a", {"n": 1}])
    # what takes an object is not given one: python's main(args) takes what comes
    assert call("sq-list", {"list": "a"}, "blocking=true&result=true").json == {"got": ["a", {"n": 1}]}


def test_the_same_twice_runs_in_one_container(put, platform, call):
    put("actions/sq-aa", sequence("/_/sq-a", "/_/sq-a", "/_/sq-a"))
    assert call("sq-a").status == 200
    record = platform.record(call("sq-aa").activation)
    assert record["response"]["result"] == {"path": "aaa"}
    starts = [annotations(platform.record(i))["narae.start"] for i in record["logs"]]
    assert "cold" not in starts and "stem" not in starts, starts


def test_nested(put, platform, call):
    put("actions/sq-outer", sequence("/_/sq-a", "/_/sq-abc", "/_/sq-b"))
    record = platform.record(call("sq-outer").activation)
    assert record["response"]["result"] == {"path": "aabcb"} and len(record["logs"]) == 3
    inner = platform.record(record["logs"][1])
    says = annotations(inner)
    assert says["topmost"] is False and says["causedBy"] == "sequence" and inner["cause"] == record["activationId"]
    assert len(inner["logs"]) == 3 and platform.record(inner["logs"][0])["cause"] == inner["activationId"]
    assert record["duration"] == sum(platform.record(i)["duration"] for i in record["logs"])
    failed = platform.record(call("sq-outer", {"fail": "c"}).activation)
    assert failed["response"]["result"] == {"error": "as asked"} and len(failed["logs"]) == 2


def test_what_a_sequence_inside_answers_waits_for_a_slow_start(put, platform, call):
    """The sequence inside has ended, and its row is on disk, long before the new function after it is ready to read its result."""
    put("actions/sq-inner", sequence("/_/sq-a", "/_/sq-all"))
    for large in ("A" * 300, "B" * 700000):
        put("actions/sq-late", {"exec": {"kind": "python:3", "code": f"# {len(large)}\n" + TAKES_ALL}, "limits": {"memory": 128}})
        put("actions/sq-waits", sequence("/_/sq-inner", "/_/sq-late"))
        reply = call("sq-waits", {"large": large}, query="blocking=true&result=true")
        assert reply.status == 200, reply
        assert reply.json == {"got": {"got": {"large": large, "path": "a"}}}


def test_large_results_for_the_web(put, platform, steps):
    """A work thread writes the page while the rows of the call and of its step go to the disk."""
    put("actions/sq-page", {"exec": {"kind": "python:3", "code": "def main(args):\n    return {'body': 'A' * 700000}\n"},
                            "limits": {"memory": 128}})
    put("actions/sq-web", sequence("/_/sq-page", annotations=[{"key": "web-export", "value": True}]))

    def page(_):
        return platform.request("GET", "/api/v1/web/guest/default/sq-web.text", auth=None)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for reply in pool.map(page, range(24)):
            assert reply.status == 200 and reply.body == b"A" * 700000, (reply.status, reply.body[:100])


@pytest.mark.parametrize("which", ["outer", "inner", "slow"])
def test_retired_while_it_runs(put, platform, call, which):
    """Whatever of it is retired with its running calls, the caller is told the same."""
    slow, inner, outer = (f"sq-{which}-{part}" for part in ("slow", "inner", "outer"))
    put(f"actions/{slow}", step("s"))
    put(f"actions/{inner}", sequence("/_/sq-a", f"/_/{slow}"))
    put(f"actions/{outer}", sequence(f"/_/{inner}", "/_/sq-b"))

    def runs():
        containers = platform.request("GET", "/narae/v1/invokers", auth=platform.admin_auth).json["containers"]
        return sum(c.get("calls", 0) for c in containers if c.get("function", "").endswith("/" + slow))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(call, outer, {"wait": "s", "seconds": 50})
        within(60, "the slow step runs", runs)
        reply = platform.request("POST", f"/narae/v1/functions/sq-{which}-{which}/retire", {"running": "cancel"})
        assert reply.status == 200, reply
        cut = running.result()
    assert cut.status == 502, cut
    record = platform.record(cut.activation)
    assert record["response"]["status"] == "application error"
    assert record["response"]["result"] == cut.json["response"]["result"] == {"error": RETIRED}
    assert len(record["logs"]) == 1


def test_a_component_that_is_gone(put, platform, call):
    put("actions/sq-short", step("s"))
    put("actions/sq-gap", sequence("/_/sq-a", "/_/sq-short", "/_/sq-b"))
    assert call("sq-gap").json["response"]["result"] == {"path": "asb"}
    assert platform.request("DELETE", "actions/sq-short").status == 200
    reply = call("sq-gap")
    assert reply.status == 502 and reply.json["response"]["result"] == {"error": MISSING}
    assert len(platform.record(reply.activation)["logs"]) == 1
    put("actions/sq-short", step("t"))
    assert call("sq-gap").json["response"]["result"] == {"path": "atb"}


def test_states_of_components_are_told(put, platform, call):
    put("actions/sq-state", step("s"))
    put("actions/sq-states", sequence("/_/sq-a", "/_/sq-state"))
    assert platform.request("POST", "/narae/v1/functions/sq-state/block", {"reason": "leaks"}).status == 200
    reply = call("sq-states")
    assert reply.status == 502 and reply.json["response"]["result"] == {"error": "The function is blocked: leaks"}
    assert platform.request("POST", "/narae/v1/functions/sq-state/unblock", {}).status == 200
    assert call("sq-states").json["response"]["result"] == {"path": "as"}


def test_components_by_version_and_alias(put, platform, call):
    put("actions/sq-v", step("1"))
    assert platform.request("POST", "/narae/v1/functions/sq-v/versions", {}).status == 201
    assert platform.request("PUT", "/narae/v1/functions/sq-v/aliases/prod", {"version": 1}).status in (200, 201)
    put("actions/sq-v", step("2"))
    put("actions/sq-vs", sequence("/_/sq-v?version=1", "/_/sq-v", "/_/sq-v?alias=prod"))
    record = platform.record(call("sq-vs").activation)
    assert record["response"]["result"] == {"path": "121"}
    assert [annotations(platform.record(i)).get("narae.version") for i in record["logs"]] == [1, None, 1]


def test_what_a_sequence_itself_binds_is_not_passed(put, platform, call):
    put("packages/sq-bound", {"parameters": [{"key": "from", "value": "package"}]})
    put("actions/sq-bound/s", sequence("/_/sq-all"))
    assert call("sq-bound/s", {"x": 1}, "blocking=true&result=true").json == {"got": {"x": 1}}


def test_through_a_binding_the_next_call_sees_each_change(put, platform, call):
    put("packages/sq-of", {"parameters": [{"key": "who", "value": "package"}]})
    put("actions/sq-of/f", {"exec": {"kind": "python:3", "code": TAKES_ALL}, "limits": {"memory": 128}})
    put("packages/sq-at", {"binding": {"namespace": "_", "name": "sq-of"}, "parameters": [{"key": "who", "value": "binding"}]})
    put("actions/sq-at-s", sequence("/_/sq-at/f"))
    record = platform.record(call("sq-at-s").activation)
    assert record["response"]["result"] == {"got": {"who": "binding"}}
    says = annotations(platform.record(record["logs"][0]))
    assert says["binding"] == "guest/sq-at" and says["path"] == "guest/sq-of/f"
    put("actions/sq-of/f", {"exec": {"kind": "python:3", "code": "def main(args):\n    return {'new': args}\n"}})
    assert call("sq-at-s").json["response"]["result"] == {"new": {"who": "binding"}}
    put("packages/sq-at", {"binding": {"namespace": "_", "name": "sq-of"}, "parameters": []})
    assert call("sq-at-s").json["response"]["result"] == {"new": {"who": "package"}}
    put("packages/sq-of", {"parameters": [{"key": "who", "value": "changed"}]})
    assert call("sq-at-s").json["response"]["result"] == {"new": {"who": "changed"}}
    assert platform.request("DELETE", "packages/sq-at").status == 200
    assert call("sq-at-s").json["response"]["result"] == {"error": MISSING}


class Tenant:
    def __init__(self, platform, name, **limits):
        self.platform, self.name = platform, name
        reply = platform.request("POST", "/narae/v1/accounts", {"name": name, "profile": "local"}, auth=platform.admin_auth)
        assert reply.status == 201, reply
        key = reply.json["key"]
        self.auth = f"{key['uuid']}:{key['secret']}" if isinstance(key, dict) else key

    def ask(self, method, path, body=None):
        return self.platform.request(method, f"{NS}/{path}", body, auth=self.auth)

    def must(self, method, path, body=None):
        reply = self.ask(method, path, body)
        assert reply.status < 300, (method, path, reply)
        return reply.json

    def leave(self):
        self.platform.request("DELETE", f"/narae/v1/accounts/{self.name}", auth=self.platform.admin_auth)


@pytest.fixture
def tenants(platform):
    made = []

    def make(name):
        made.append(Tenant(platform, name))
        return made[-1]
    yield make
    for tenant in made:
        tenant.leave()


def test_across_accounts_it_runs_in_the_callers_name(platform, tenants):
    owner, other = tenants("sq-owner"), tenants("sq-other")
    tell = "import os\ndef main(args):\n    return {'ns': os.environ['__OW_NAMESPACE'], **args}\n"
    owner.must("PUT", "_/packages/shared", {"publish": True})
    owner.must("PUT", "_/actions/shared/tell", {"exec": {"kind": "python:3", "code": tell}, "limits": {"memory": 128}})
    other.must("PUT", "_/actions/s", sequence("/sq-owner/shared/tell"))
    reply = other.ask("POST", "_/actions/s?blocking=true", {"x": 1})
    assert reply.status == 200 and reply.json["response"]["result"] == {"ns": "sq-other", "x": 1}
    record = within(60, "the step has a record", lambda: other.ask("GET", "_/activations?name=shared/tell&docs=true").json)
    assert record[0]["namespace"] == "sq-other" and annotations(record[0])["path"] == "sq-owner/shared/tell"
    assert owner.must("GET", "_/activations") == []
    # not shared any more: the next call is refused, and does not tell what is there
    owner.must("PUT", "_/packages/shared?overwrite=true", {"publish": False})
    reply = other.ask("POST", "_/actions/s?blocking=true&result=true", {})
    assert reply.status == 502, reply
    assert reply.json == {"error": "The supplied authentication is not authorized to access 'sq-owner/shared/tell'."}
    owner.must("PUT", "_/packages/shared?overwrite=true", {"publish": True})
    assert other.ask("POST", "_/actions/s?blocking=true", {}).status == 200
    # a shared sequence may call what its caller may call
    owner.must("PUT", "_/actions/shared/inner", sequence("/_/shared/tell"))
    assert other.ask("POST", "sq-owner/actions/shared/inner?blocking=true&result=true", {}).json == {"ns": "sq-other"}


def test_only_the_call_itself_counts(platform, tenants):
    one = tenants("sq-one")
    reply = platform.request("PUT", "/narae/v1/accounts/sq-one/limits", {"concurrentInvocations": 1}, auth=platform.admin_auth)
    assert reply.status == 200, reply
    one.must("PUT", "_/actions/a", step("a"))
    one.must("PUT", "_/actions/s", sequence(*["/_/a"] * 3))
    assert one.ask("POST", "_/actions/s?blocking=true&result=true", {}).json == {"path": "aaa"}


def test_a_crash_runs_nothing_twice(new_platform):
    p = new_platform("--stems=off").start()
    p.put("a", STEP, parameters=[{"key": "tag", "value": "a"}])
    assert p.request("PUT", "actions/s", sequence("/_/a", "/_/a")).status == 200
    reply = p.request("POST", "actions/s", {"wait": "a", "seconds": 30})
    assert reply.status == 202
    within(60, "the first step runs", lambda: p.metric("narae_accepted_running") == 1)
    os.kill(p.pid, signal.SIGKILL)
    p.process.wait()
    p.start()
    record = p.record(reply.json["activationId"])
    assert record["response"]["status"] == "whisk internal error" and record["name"] == "s"
    assert p.request("GET", "activations?count=true").json == {"activations": 1}
