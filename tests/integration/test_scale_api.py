"""/narae/v1/scaling: policies, decisions, replays, imports, forecasts, channels: what is answered, to whom, and what is refused. Every answer is judged by the API's
document."""
import itertools
import json

import pytest

from conftest import within
from functions import ECHO
from openapi import Document
from test_accounts import Admin

V1 = "/narae/v1"
SCALING = V1 + "/scaling"
counter = itertools.count(1)


class Scaling:
    """The administrator's side, or with `auth` somebody else's."""

    def __init__(self, platform, auth=None):
        self.platform, self.auth = platform, auth or platform.admin_auth
        self.document = Document(platform.request("GET", V1 + "/openapi.json", auth=None).json)

    def ask(self, method, path, body=None, status=200, **more):
        reply = self.platform.request(method, SCALING + path, body, auth=self.auth, **more)
        assert reply.status == status, (method, path, body, reply)
        sent = None if isinstance(body, bytes) else body
        assert self.document.judge(method, SCALING + path, sent, status, reply.json) == [], (method, path, reply.json)
        return reply.json

    def put(self, name, document, status=None):
        reply = self.platform.request("PUT", f"{SCALING}/policies/{name}", document, auth=self.auth)
        assert reply.status in ((200, 201) if status is None else (status,)), reply
        assert self.document.judge("PUT", f"{SCALING}/policies/{name}", document, reply.status, reply.json) == [], reply.json
        return reply.json


def short(function, account="guest", **more):
    return {"account": account, "function": function, "min": 0, "max": 5, "target_inflight": 0.7, **more}


def long(name, function, account="guest", **more):
    return {"policy": name, "target": {"account": account, "function": function}, "evaluate_every": "1s",
            "bounds": {"min": 0, "max": 5}, "rules": [
                {"id": "busy", "when": {"metric": "inflight", "aggregate": "avg", "window": "10s"}, "do": {"action": "track", "target": 1}}],
            **more}


@pytest.fixture
def name():
    """Of a policy and a function that no other test has."""
    return f"scale-api-{next(counter)}"


@pytest.fixture
def scaling(platform):
    admin = Scaling(platform)
    yield admin
    for row in admin.ask("GET", "/policies?limit=200")["policies"]:
        if row["policy"].startswith("scale-api-"):
            admin.ask("DELETE", "/policies/" + row["policy"])


@pytest.fixture(scope="module")
def neighbour(session_platform):
    """Another account's key."""
    admin = Admin(session_platform)
    yield admin.create("scale-neighbour")
    admin.delete("scale-neighbour")


# ---- policies

def test_the_life_of_a_policy(scaling, name):
    first = scaling.put(name, short("f"), 201)
    assert (first["number"], first["mode"], first["changed"]) == (1, "enforce", True)
    assert scaling.put(name, short("f"), 200) == {**first, "changed": False}, "the same again is no new version"
    assert scaling.put(name, short("f", max=6), 200)["number"] == 2
    shown = scaling.ask("GET", f"/policies/{name}")
    assert shown["document"]["max"] == 6 and shown["target"] == {"account": "guest", "function": "f"}
    full = scaling.ask("GET", f"/policies/{name}?full=true")["document"]
    assert {rule["id"] for rule in full["rules"]} == {"busy", "burst", "quiet"} and full["bounds"]["max"] == 6
    assert scaling.ask("GET", f"/policies/{name}?version=1")["document"]["max"] == 5
    scaling.ask("GET", f"/policies/{name}?version=9", status=404)
    versions = scaling.ask("GET", f"/policies/{name}/versions")["versions"]
    assert [v["number"] for v in versions] == [2, 1]
    assert name in [row["policy"] for row in scaling.ask("GET", "/policies?limit=200")["policies"]]
    assert scaling.ask("DELETE", f"/policies/{name}") == {"policy": name}
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/versions"), ("GET", "/explain"), ("GET", "/evaluate"), ("POST", "/replay")):
        assert name in scaling.ask(method, f"/policies/{name}{path}", status=404)["error"]


def test_what_full_shows_is_the_same_policy(scaling, name):
    scaling.put(name, long(name, "f"), 201)
    full = scaling.ask("GET", f"/policies/{name}?full=true")["document"]
    scaling.put(name, full)
    assert scaling.ask("GET", f"/policies/{name}?full=true")["document"] == full


def test_lists_come_in_pages(scaling):
    names = [f"scale-api-page-{i}" for i in range(3)]
    for one in names:
        scaling.put(one, short(one))
    everything = scaling.ask("GET", "/policies?limit=200")
    seen = []
    for skip in range(everything["total"]):
        seen += scaling.ask("GET", f"/policies?limit=1&skip={skip}")["policies"]
    assert [row["policy"] for row in seen] == [row["policy"] for row in everything["policies"]]
    assert set(names) <= {row["policy"] for row in seen}


def test_every_mistake_is_told_at_once(scaling, name):
    wrong = long(name, "f", bounds={"min": 9, "max": 3}, evaluate_every="2s")
    wrong["rules"].append({"id": "hot", "when": {"metric": "cpu_percent", "window": "1s", "op": ">", "value": 80}, "do": {"action": "add", "count": 1}})
    wrong["rules"][0]["when"]["metric"] = "inflght"
    wrong["modes"] = "enforce"
    answer = scaling.put(name, wrong, 400)
    told = {problem["path"]: problem for problem in answer["problems"]}
    assert answer["code"] and answer["error"]
    assert told["rules[0].when.metric"]["nearest"] == "inflight" and told["rules[0].when.metric"]["value"]
    assert told["rules[1].when.window"]["nearest"] == "4s" and "modes" in told and any(path.startswith("bounds") for path in told)
    assert scaling.ask("POST", "/check", wrong, status=400)["problems"] == answer["problems"]
    scaling.ask("GET", f"/policies/{name}", status=404)


def test_a_good_document_is_only_checked(scaling, name):
    answer = scaling.ask("POST", "/check", long(name, "f", rules=[
        {"id": "r", "when": {"metric": "nobodys_metric", "aggregate": "max", "window": "1m", "op": ">", "value": 3},
         "do": {"action": "add", "count": 1}, "notify": ["nobody"]}]))
    assert any("nobodys_metric" in w["why"] for w in answer["warnings"]) and any("nobody" in w["why"] for w in answer["warnings"])
    assert answer["document"]["limits"] and answer["policy"] == name
    scaling.ask("GET", f"/policies/{name}", status=404)


@pytest.mark.parametrize("body, status", [
    (b"", 400), (b"[]", 400), (b"{", 400), (b'{"policy": "\xff"}', 400), (b" " * 65537, 413), (b'{"min": 1, "min": 2}', 400),
    (b'{"a":' * 3000 + b"1" + b"}" * 3000, 400)])
def test_what_is_no_document(scaling, name, body, status):
    reply = scaling.platform.request("PUT", f"{SCALING}/policies/{name}", body, auth=scaling.auth)
    assert reply.status == status and reply.json["error"] and reply.json["code"], reply


def test_two_policies_do_not_pull_at_one_function(scaling, name):
    scaling.put(name, short("contested"))
    assert name in scaling.put(name + "-b", short("contested"), 409)["error"]
    assert scaling.put(name + "-b", short("contested", mode="dry_run"), 201)["mode"] == "dry_run"


# ---- who may

WRITES = [("PUT", "/policies/scale-api-x", short("f")), ("DELETE", "/policies/scale-api-x", None), ("POST", "/check", short("f")),
          ("POST", "/evaluate", short("f")), ("POST", "/policies/scale-api-x/replay", {}), ("POST", "/import?from=keda", {}),
          ("GET", "/channels", None), ("PUT", "/channels/x", {"url": "http://127.0.0.1:1/"}), ("DELETE", "/channels/x", None),
          ("GET", "/status", None)]


@pytest.mark.parametrize("method, path, body", WRITES)
def test_only_the_administrator_writes(platform, method, path, body):
    reply = platform.request(method, SCALING + path, body)
    assert reply.status == 403 and "'admin'" in reply.error
    assert platform.request(method, SCALING + path, body, auth=None).status == 401


def test_an_account_sees_what_is_its_own(scaling, platform, neighbour, name):
    scaling.put(name, short("mine"))
    scaling.put(name + "-other", short("theirs", account="scale-neighbour"))
    for who, own, foreign in ((Scaling(platform, platform.auth), name, name + "-other"),
                              (Scaling(platform, neighbour), name + "-other", name)):
        rows = [row["policy"] for row in who.ask("GET", "/policies?limit=200")["policies"]]
        assert own in rows and foreign not in rows
        assert who.ask("GET", f"/policies/{own}")["policy"] == own
        for part in ("", "/versions", "/explain", "/evaluate"):
            absent = who.ask("GET", f"/policies/no-such-policy{part}", status=404)["error"]
            hidden = who.ask("GET", f"/policies/{foreign}{part}", status=404)["error"]
            assert hidden.replace(foreign, "no-such-policy") == absent, "in the same words whether it exists or not"


def test_a_policy_that_moves_to_another_account_takes_its_past_out_of_sight(scaling, platform, neighbour, name):
    scaling.put(name, short("mine"))
    scaling.put(name, short("theirs", account="scale-neighbour"))
    Scaling(platform, platform.auth).ask("GET", f"/policies/{name}", status=404)
    theirs = Scaling(platform, neighbour)
    assert [v["number"] for v in theirs.ask("GET", f"/policies/{name}/versions")["versions"]] == [2]
    theirs.ask("GET", f"/policies/{name}?version=1", status=404)


# ---- decisions

@pytest.fixture
def kept(scaling, platform, name):
    """A function of which a policy keeps one container, and that has decided so."""
    platform.put(name, ECHO["native"], "native")
    scaling.put(name, long(name, name, bounds={"min": 1, "max": 3}))
    yield within(60, "it has decided", lambda: scaling.ask("GET", f"/policies/{name}/explain")["decisions"])
    scaling.ask("DELETE", f"/policies/{name}")
    platform.request("DELETE", f"actions/{name}")


def test_what_was_decided_is_explained(scaling, platform, kept, name):
    decision = kept[-1]
    assert (decision["kind"], decision["policy"], decision["number"], decision["to"]) == ("decision", name, 1, 1)
    assert decision["inputs"][0]["metric"] == "inflight" and decision["target"] == {"account": "guest", "function": name}
    assert decision["mode"] == "enforce" and decision["maximum"] == 3 and decision["on_demand"] is True
    assert Scaling(platform, platform.auth).ask("GET", f"/policies/{name}/explain?limit=200")["decisions"][-1] == decision
    Scaling(platform, platform.auth).ask("GET", f"/policies/{name}/explain?all=true", status=403)
    row = scaling.ask("GET", f"/policies/{name}")
    assert row["desired"] == 1 and row["decided_ms"] >= decision["t"]
    before = scaling.ask("GET", f"/policies/{name}/explain?upto={decision['t'] - 1}")["decisions"]
    assert before == [], "nothing before the first"
    assert len(scaling.ask("GET", f"/policies/{name}/explain?all=true&limit=3")["decisions"]) <= 3


def test_one_evaluation_changes_nothing(scaling, kept, name):
    before = scaling.ask("GET", f"/policies/{name}/explain?limit=200")["decisions"]
    now = scaling.ask("GET", f"/policies/{name}/evaluate")
    assert now["to"] == 1 and now["policy"] == name
    edited = scaling.ask("POST", "/evaluate", long(name, name, bounds={"min": 2, "max": 3}))
    assert edited["to"] == 2
    assert scaling.ask("GET", f"/policies/{name}")["desired"] == 1
    assert scaling.ask("GET", f"/policies/{name}/explain?limit=200")["decisions"] == before


def test_what_was_recorded_is_replayed(scaling, kept, name):
    def replayed():
        answer = scaling.ask("POST", f"/policies/{name}/replay?since={kept[-1]['t'] - 1000}")
        return answer if answer["evaluations"] >= 2 else None
    answer = within(60, "some evaluations were recorded", replayed)
    assert answer["same"] is True and answer["differences"] == [] and answer["recorded"]["desired_max"] == 1
    more = scaling.ask("POST", f"/policies/{name}/replay?since={kept[-1]['t'] - 1000}", long(name, name, bounds={"min": 3, "max": 3}))
    assert more["replayed"]["desired_max"] == 3 and more["recorded"]["desired_max"] == 1 and more["differences"]
    assert scaling.ask("GET", f"/policies/{name}")["desired"] == 1


# ---- import

SETTINGS = {
    "knative": b"""
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello}
spec:
  template:
    metadata:
      annotations: {autoscaling.knative.dev/target: "10", autoscaling.knative.dev/max-scale: "20"}
""",
    "keda": b"""
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: hello}
spec:
  scaleTargetRef: {name: hello}
  minReplicaCount: 0
  maxReplicaCount: 20
  triggers:
  - type: kafka
    metadata: {bootstrapServers: "127.0.0.1:1", consumerGroup: g, topic: plant.raw, lagThreshold: "100"}
""",
    "hpa": b"""
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: hello}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: hello}
  minReplicas: 1
  maxReplicas: 20
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}
""",
    "openfaas": b"""
version: 1.0
provider: {name: openfaas}
functions:
  hello:
    lang: python3
    handler: ./hello
    labels: {com.openfaas.scale.min: "1", com.openfaas.scale.max: "20", com.openfaas.scale.target: "50", com.openfaas.scale.type: rps}
""",
    "fission": b"""
apiVersion: fission.io/v1
kind: Function
metadata: {name: hello}
spec:
  InvokeStrategy:
    ExecutionStrategy: {ExecutorType: newdeploy, MinScale: 1, MaxScale: 20, TargetCPUPercent: 80}
    StrategyType: execution
""",
}


@pytest.mark.parametrize("platform_name", SETTINGS)
def test_settings_of_another_platform_become_a_policy(scaling, platform_name):
    yaml = {"headers": {"Content-Type": "application/yaml"}}
    answer = scaling.ask("POST", f"/import?from={platform_name}", SETTINGS[platform_name], **yaml)
    bounds = answer["document"]["bounds"]
    assert bounds["max"] == 20, answer
    assert "account" not in answer["document"]["target"], "whose it is nobody has said"
    answer["document"]["target"]["account"] = "guest"
    assert scaling.ask("POST", "/check", answer["document"])["document"]["bounds"]["max"] == 20
    other = "hpa" if platform_name != "hpa" else "knative"
    error = scaling.ask("POST", f"/import?from={other}", SETTINGS[platform_name], status=400, **yaml)["error"]
    assert error


@pytest.mark.parametrize("body", [b"", b"a: [", b"a: &a [*a, *a]", b"x: " + b"[" * 5000, b"\xff\xfe", b'{"kind": "ScaledObject"}'])
def test_what_cannot_be_imported(scaling, body):
    assert scaling.ask("POST", "/import?from=keda", body, status=400)["error"]


# ---- forecasts, channels, status

def test_forecasts_are_of_ones_own(scaling, platform, neighbour):
    platform.put("scale-forecast", ECHO["native"], "native")
    assert platform.invoke("scale-forecast").status == 200
    row = within(90, "it is learned", lambda: scaling.ask("GET", "/forecasts?account=guest&function=scale-forecast")["forecasts"])[0]
    assert (row["account"], row["function"]) == ("guest", "scale-forecast") and 0 <= row["confidence"] <= 1
    own = Scaling(platform, platform.auth).ask("GET", "/forecasts?limit=200")["forecasts"]
    assert {row["account"] for row in own} == {"guest"}
    theirs = Scaling(platform, neighbour)
    assert theirs.ask("GET", "/forecasts?function=scale-forecast")["forecasts"] == []
    theirs.ask("GET", "/forecasts?account=guest", status=403)
    platform.request("DELETE", "actions/scale-forecast")


def test_channels(scaling):
    url = "http://127.0.0.1:9/told"
    assert scaling.ask("PUT", "/channels/scale-ops", {"url": url}) == {"channel": "scale-ops", "url": url}
    assert [c["url"] for c in scaling.ask("GET", "/channels")["channels"] if c["channel"] == "scale-ops"] == [url]
    for wrong in ({"url": "file:///etc/passwd"}, {"url": "gopher://x"}, {"url": "http://a b"}, {"url": 7}, {}, {"url": url, "to": 1}):
        assert scaling.ask("PUT", "/channels/scale-ops", wrong, status=400)["error"]
    assert scaling.ask("DELETE", "/channels/scale-ops") == {"channel": "scale-ops"}
    scaling.ask("DELETE", "/channels/scale-ops", status=404)


def test_status(scaling):
    status = scaling.ask("GET", "/status")
    assert status["decides"] is True and status["scaler"] == "here" and status["bus"] == "connected"
    assert scaling.platform.metric("narae_scaler_policies") >= 0


def test_a_platform_without_a_scaler_says_so(new_platform):
    platform = new_platform("--scaler=off").start()
    for method, path, body in (("GET", "/policies", None), ("PUT", "/policies/p", short("f")), ("GET", "/forecasts", None), ("GET", "/status", None)):
        reply = platform.request(method, SCALING + path, body, auth=platform.admin_auth)
        assert reply.status == 404 and "--scaler=off" in reply.error
    assert platform.request("GET", SCALING + "/policies").status == 404
    platform.put("f", ECHO["native"], "native")
    assert json.loads(platform.invoke("f", {"a": 1}, "blocking=true&result=true").body)["a"] == 1
