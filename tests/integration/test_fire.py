"""Triggers are fired: what the caller sees, what each rule's function is given, and what the record says of every rule."""
import concurrent.futures
import http.client
import json
import re
import signal
import subprocess
import tempfile

import pytest

from conftest import BUILD, Platform, within
from functions import ECHO

SLEEP = "import time\n\ndef main(args):\n    time.sleep(args.get('s', 0))\n    return {'slept': args.get('s', 0)}\n"
RECORD = {"namespace", "name", "version", "publish", "subject", "activationId", "start", "response", "logs", "annotations"}
BRIEF = {"namespace", "name", "version", "publish", "annotations", "activationId", "start", "statusCode"}
STARTED = {"statusCode", "success", "activationId", "rule", "action"}
REFUSED = {"statusCode", "success", "rule", "error", "action"}
MINUTE = "Too many requests in the last minute"


@pytest.fixture(scope="module")
def own():
    """A platform with a function `echo`; what a test makes of triggers and rules has a name of its own."""
    platform = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"))
    try:
        platform.start()
        quota(platform, "guest", invocationsPerMinute=-1, firesPerMinute=-1, concurrentInvocations=200)
        platform.put("echo", ECHO["python:3"], limits={"concurrency": 1})
        yield platform
        platform.stop()
    finally:
        platform.discard()


def quota(platform, account, **limits):
    reply = platform.request("PUT", f"/narae/v1/accounts/{account}/limits", limits, auth=platform.admin_auth)
    assert reply.status == 200, reply


def put(platform, path, body, auth=""):
    reply = platform.request("PUT", f"{path}?overwrite=true", body, auth=auth)
    assert reply.status == 200, reply
    return reply.json


def trigger(platform, name, rules=None, auth="", **body):
    """A trigger with {rule: action}; the rules are active."""
    put(platform, f"triggers/{name}", body, auth)
    for rule, action in (rules or {}).items():
        put(platform, f"rules/{rule}", {"trigger": f"/_/{name}", "action": action}, auth)


def set_rule(platform, rule, status):
    reply = platform.request("POST", f"rules/{rule}", {"status": status})
    assert (reply.status, reply.body) == (200, b""), reply


def fire(platform, name, payload=None, **more):
    return platform.request("POST", f"triggers/{name}", payload, **more)


def fired(platform, name, payload=None, **more):
    """A fire that is taken: the record, and the lines of its rules by rule."""
    reply = fire(platform, name, payload, **more)
    assert reply.status == 202, reply
    assert reply.json == {"activationId": reply.activation}
    record = platform.request("GET", f"activations/{reply.activation}")  # it is there with the 202
    assert record.status == 200, record
    lines = [json.loads(text) for text in record.json["logs"]]
    return record.json, {line["rule"]: line for line in lines}


def result_of(platform, line):
    assert set(line) == STARTED, line
    return platform.record(line["activationId"])["response"]["result"]


# ---- what happens

def test_a_rule_starts_its_function(own):
    trigger(own, "plain", {"plain-r": "/_/echo"}, parameters=[{"key": "a", "value": 1}, {"key": "b", "value": 1}])
    record, lines = fired(own, "plain", {"b": 2, "c": "ü"}, headers={"X-Who": "me", "X-Request-ID": "fire-1"})
    assert set(record) == RECORD
    assert (record["namespace"], record["name"], record["subject"]) == ("guest", "plain", "guest")
    assert record["annotations"] == [] and record["publish"] is False
    version = own.request("GET", "triggers/plain").json["version"]
    assert record["version"] == version
    response = record["response"]
    assert (response["status"], response["success"], response["result"]) == ("success", True, {"b": 2, "c": "ü"})
    assert list(lines) == ["guest/plain-r"]
    line = lines["guest/plain-r"]
    assert (line["statusCode"], line["success"], line["action"]) == (0, True, "guest/echo")
    got = result_of(own, line)
    headers = got.pop("__ow_headers")
    assert got == {"a": 1, "b": 2, "c": "ü"}
    assert headers["x-who"] == "me" and headers["content-type"] == "application/json"
    assert not {"authorization", "content-length", "transfer-encoding"} & set(headers)
    started = own.record(line["activationId"])
    assert "cause" not in started and started["name"] == "echo" and "end" in started


def test_a_payload_is_not_needed(own):
    trigger(own, "bare", {"bare-r": "/_/echo"})
    record, lines = fired(own, "bare")
    assert record["response"]["result"] == {}
    assert set(result_of(own, lines["guest/bare-r"])) == {"__ow_headers"}
    assert fire(own, "bare", b"", headers={"Content-Type": None}).status == 202


def test_without_an_active_rule(own):
    trigger(own, "idle")
    for _ in range(2):
        reply = fire(own, "idle", {"a": 1})
        assert (reply.status, reply.body) == (204, b""), reply
        assert "x-openwhisk-activation-id" not in reply.headers
        trigger(own, "idle", {"idle-r": "/_/echo"})
        set_rule(own, "idle-r", "inactive")
    assert own.request("GET", "activations?name=idle").json == []
    set_rule(own, "idle-r", "active")
    _, lines = fired(own, "idle")
    assert result_of(own, lines["guest/idle-r"])


def test_every_rule_has_its_line(own):
    own.put("gone", ECHO["python:3"])
    own.put("stopped", ECHO["python:3"])
    own.put("old", ECHO["python:3"])
    trigger(own, "many", {f"many-{name}": f"/_/{name}" for name in ("echo", "gone", "stopped", "old")})
    trigger(own, "many", {"many-off": "/guest/echo"})
    set_rule(own, "many-off", "inactive")
    assert own.request("DELETE", "actions/gone").status == 200
    for name, move in (("stopped", "block"), ("old", "retire")):
        assert own.request("POST", f"/narae/v1/functions/{name}/{move}", {"reason": "said so"}).status < 300
    record, lines = fired(own, "many", {"x": 1})
    assert len(record["logs"]) == 5
    assert result_of(own, lines["guest/many-echo"])["x"] == 1
    errors = {"gone": "The requested resource does not exist.", "stopped": "The function is blocked: said so",
              "old": "The function is retired: said so"}
    for name, error in errors.items():
        line = lines[f"guest/many-{name}"]
        assert set(line) == REFUSED and line["error"] == error
        assert (line["statusCode"], line["success"], line["action"]) == (1, False, f"guest/{name}")
    assert lines["guest/many-off"] == {
        "statusCode": 1, "success": False, "rule": "guest/many-off", "action": "guest/echo",
        "error": "Rule 'guest/many-off' is inactive, action 'guest/echo' was not activated."}
    logs = own.request("GET", f"activations/{record['activationId']}/logs").json
    assert logs == {"logs": record["logs"]}
    result = own.request("GET", f"activations/{record['activationId']}/result").json
    assert (result["success"], result["result"]) == (True, {"x": 1})


def test_versions_and_aliases(own):
    own.put("versioned", "def main(args):\n    return {'v': 1}\n")
    assert own.request("POST", "/narae/v1/functions/versioned/versions", {"note": ""}).status == 201
    own.put("versioned", "def main(args):\n    return {'v': 2}\n")
    assert own.request("PUT", "/narae/v1/functions/versioned/aliases/prod", {"version": 1}).status == 201
    trigger(own, "which", {"which-1": "/_/versioned?version=1", "which-latest": "/_/versioned",
                           "which-prod": "/_/versioned?alias=prod", "which-9": "/_/versioned"})
    _, lines = fired(own, "which")
    got = {rule.split("-")[1]: result_of(own, line)["v"] for rule, line in lines.items()}
    assert got == {"1": 1, "prod": 1, "latest": 2, "9": 2}


def test_packages_and_bindings(own):
    put(own, "packages/box", {"parameters": [{"key": "from", "value": "box"}]})
    own.put("box/echo", ECHO["python:3"])
    put(own, "packages/bound", {"binding": {"namespace": "_", "name": "box"}, "parameters": [{"key": "from", "value": "bound"}]})
    trigger(own, "boxed", {"boxed-p": "/_/box/echo", "boxed-b": "/_/bound/echo"})
    _, lines = fired(own, "boxed", {"n": 1})
    for rule, package in (("boxed-p", "box"), ("boxed-b", "bound")):
        line = lines[f"guest/{rule}"]
        assert line["action"] == f"guest/{package}/echo"
        got = result_of(own, line)
        assert (got["from"], got["n"]) == (package, 1)
        listed = own.request("GET", f"activations?name={package}%2Fecho").json
        assert [item["activationId"] for item in listed] == [line["activationId"]]
    assert own.request("GET", "activations?name=other%2Fecho").json == []


def test_a_sequence(own):
    own.put("add-1", "def main(args):\n    return {'n': args['n'] + 1}\n")
    put(own, "actions/twice", {"exec": {"kind": "sequence", "components": ["/_/add-1", "/_/add-1"]}})
    trigger(own, "counted", {"counted-r": "/_/twice"})
    _, lines = fired(own, "counted", {"n": 5})
    assert lines["guest/counted-r"]["action"] == "guest/twice"
    assert result_of(own, lines["guest/counted-r"]) == {"n": 7}
    record = own.record(lines["guest/counted-r"]["activationId"])
    assert "cause" not in record and len(record["logs"]) == 2
    for step in record["logs"]:
        assert own.record(step)["cause"] == record["activationId"]


def test_a_parameter_that_is_final(own):
    """A trigger gives no function what it keeps for itself; the others of the same fire start."""
    own.put("keeps", ECHO["python:3"], parameters=[{"key": "token", "value": "mine"}], annotations=[{"key": "final", "value": True}])
    trigger(own, "gives", {"gives-r": "/_/keeps", "gives-other": "/_/echo"})
    _, lines = fired(own, "gives", {"token": "yours"})
    assert lines["guest/gives-r"]["error"] == "Request defines parameters that are not allowed (e.g., reserved properties)."
    assert result_of(own, lines["guest/gives-other"])["token"] == "yours"
    _, lines = fired(own, "gives", {"other": 1})
    assert result_of(own, lines["guest/gives-r"])["token"] == "mine"


def test_a_trigger_and_its_rules_change(own):
    """What a fire does is what its trigger and rules were when it came."""
    trigger(own, "moved", {"moved-r": "/_/echo"}, parameters=[{"key": "n", "value": 1}])
    assert result_of(own, fired(own, "moved")[1]["guest/moved-r"])["n"] == 1
    trigger(own, "moved", parameters=[{"key": "n", "value": 2}])
    assert result_of(own, fired(own, "moved")[1]["guest/moved-r"])["n"] == 2
    own.put("moved-to", "def main(args):\n    return {'here': True}\n")
    trigger(own, "moved", {"moved-r": "/_/moved-to"}, parameters=[])
    assert result_of(own, fired(own, "moved")[1]["guest/moved-r"]) == {"here": True}
    assert own.request("DELETE", "rules/moved-r").status == 200
    assert fire(own, "moved").status == 204
    assert own.request("DELETE", "triggers/moved").status == 200
    assert fire(own, "moved").status == 404


# ---- what is not taken

@pytest.mark.parametrize("body,headers,status,text", [
    (b"[1]", {}, 400, "The request content was malformed:\nthe payload must be a JSON object"),
    (b"7", {}, 400, "The request content was malformed:"),
    (b'{"a":', {}, 400, "The request content was malformed:"),
    (b'{"a":1}', {"Content-Type": "text/plain"}, 415, "The request's Content-Type is not supported."),
    (b'{"a":"' + b"x" * (1 << 20) + b'"}', {}, 413, "Request larger than allowed: 1048584 > 1048576 bytes."),
], ids=["array", "number", "cut", "type", "large"])
def test_mistakes(own, body, headers, status, text):
    trigger(own, "strict", {"strict-r": "/_/echo"})
    reply = fire(own, "strict", body, headers=headers)
    assert reply.status == status and reply.error.startswith(text), reply
    assert own.request("GET", "activations?name=strict").json == []


def test_no_such_trigger(own):
    reply = fire(own, "absent", {})
    assert (reply.status, reply.error) == (404, "The requested resource does not exist.")
    assert fire(own, "a%2Fb", {}).error == "The name of the entity contains illegal characters."
    reply = own.request("PATCH", "triggers/absent", {})
    assert reply.status == 405 and "POST" in reply.headers["allow"]
    assert fire(own, "absent", {}, auth=None).status == 401


def test_names_of_other_collections(own):
    trigger(own, "a-trigger", {"a-rule": "/_/echo"})
    text = "Resource by this name exists but is not in this collection."
    for path in ("triggers/echo", "triggers/a-rule", "actions/a-trigger", "actions/a-rule"):
        reply = own.request("POST", path, {})
        assert (reply.status, reply.error) == (409, text), path
    assert own.request("GET", "activations?name=a-trigger").json == []


def test_another_account(own):
    made = own.request("POST", "/narae/v1/accounts", {"name": "neighbour", "profile": "local"}, auth=own.admin_auth)
    assert made.status == 201, made
    trigger(own, "private", {"private-r": "/_/echo"})
    texts = []
    for name in ("private", "absent"):
        reply = own.request("POST", f"/api/v1/namespaces/guest/triggers/{name}", {}, auth=made.json["key"])
        texts.append((reply.status, reply.error.replace(name, "NAME")))
    assert texts == [(403, "The supplied authentication is not authorized to access 'guest/NAME'.")] * 2
    assert own.request("GET", "activations?name=private").json == []


def test_a_function_that_another_account_shares(own):
    """It runs in the name of whose trigger it is, sees no key of his, and is refused from the moment it is shared no more."""
    made = own.request("POST", "/narae/v1/accounts", {"name": "sharer", "profile": "local"}, auth=own.admin_auth)
    theirs = made.json["key"]
    put(own, "packages/shared", {"publish": True, "parameters": [{"key": "of", "value": "sharer"}]}, theirs)
    code = {"exec": {"kind": "python:3", "code": "import os\n\ndef main(args):\n    return {**args, 'runs_for': os.environ['__OW_NAMESPACE'],"
                                                 " 'key': os.environ.get('__OW_API_KEY')}\n"}}
    put(own, "actions/shared/f", code, theirs)
    trigger(own, "uses", {"uses-r": "/sharer/shared/f"})
    _, lines = fired(own, "uses", {"n": 1})
    line = lines["guest/uses-r"]
    assert line["action"] == "sharer/shared/f"
    got = result_of(own, line)
    assert (got["of"], got["n"], got["runs_for"], got["key"]) == ("sharer", 1, "guest", None)
    assert "authorization" not in got["__ow_headers"]
    record = own.record(line["activationId"])
    assert record["namespace"] == "guest" and {"key": "path", "value": "sharer/shared/f"} in record["annotations"]
    assert own.request("GET", "activations", auth=theirs).json == []
    put(own, "packages/shared", {"publish": False}, theirs)
    _, lines = fired(own, "uses", {"n": 2})
    line = lines["guest/uses-r"]
    assert set(line) == REFUSED and line["statusCode"] == 1
    assert line["error"] == "The supplied authentication is not authorized to access 'sharer/shared/f'."


def test_fires_per_minute(own):
    trigger(own, "often", {"often-r": "/_/echo"})
    quota(own, "guest", firesPerMinute=0)
    try:
        reply = fire(own, "often")
        assert reply.status == 429 and reply.error.startswith(MINUTE) and reply.error.endswith("allowed: 0).")
        assert 1 <= int(reply.headers["retry-after"]) <= 61
        assert own.invoke("echo").status == 200  # calls have a counter of their own
    finally:
        quota(own, "guest", firesPerMinute=-1)
    assert fire(own, "often").status == 202


def test_a_rule_over_the_limit(own):
    """The fire is taken; the call that its account may not have is a line of the record."""
    trigger(own, "over", {"over-r": "/_/echo"})
    quota(own, "guest", invocationsPerMinute=0)
    try:
        _, lines = fired(own, "over")
    finally:
        quota(own, "guest", invocationsPerMinute=-1)
    line = lines["guest/over-r"]
    assert set(line) == REFUSED and line["statusCode"] == 1
    assert line["error"].startswith(MINUTE) and line["error"].endswith("allowed: 0).")


# ---- what lasts

def test_lists(own):
    trigger(own, "listed", {"listed-r": "/_/echo"})
    first, lines = fired(own, "listed", {"n": 1})
    second, _ = fired(own, "listed", {"n": 2})
    result_of(own, lines["guest/listed-r"])
    brief = own.request("GET", "activations?name=listed").json
    assert [item["activationId"] for item in brief] == [second["activationId"], first["activationId"]]
    for item in brief:
        assert set(item) == BRIEF and item["statusCode"] == 0
    full = own.request("GET", "activations?name=listed&docs=true").json
    assert full == [second, first]
    assert own.request("GET", "activations?name=listed&count=true").json == {"activations": 2}
    since = own.request("GET", f"activations?name=listed&since={second['start']}").json
    assert second["activationId"] in [item["activationId"] for item in since]


def test_people_see_what_was_fired(own):
    trigger(own, "shown", {"shown-r": "/_/echo"})
    record, lines = fired(own, "shown")
    result_of(own, lines["guest/shown-r"])
    narae = [BUILD / "narae", f"--apihost={own.url}", f"--auth={own.auth}"]
    table = subprocess.run([*narae, "activations", "shown"], capture_output=True, text=True, check=True).stdout.splitlines()
    row = table[1].split()
    assert len(table) == 2 and row[2:] == [record["activationId"], "success", "shown", "-", "-", "-", "-", "trigger"]
    logs = subprocess.run([*narae, "activation", "logs", record["activationId"]], capture_output=True, text=True, check=True).stdout
    assert logs.splitlines() == record["logs"]


def test_many_fires_at_once(own):
    trigger(own, "storm", {"storm-1": "/_/echo", "storm-2": "/_/echo"})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        records = [r for r, _ in pool.map(lambda n: fired(own, "storm", {"n": n}), range(24))]
    started = [json.loads(text)["activationId"] for record in records for text in record["logs"]]
    assert len(set(started)) == 48
    for activation in started:
        assert own.record(activation)["response"]["success"]
    assert own.request("GET", "activations?name=storm&count=true").json == {"activations": 24}
    assert own.metric("narae_accepted_drift") == 0


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "stop"])
def test_an_end_under_fires(start_platform, end):
    """What a 202 promised is there after the platform's end: the record of the trigger, and a record of each call. What had none left nothing."""
    own = start_platform()
    own.put("slow", SLEEP)
    assert own.invoke("slow").status == 200
    trigger(own, "t", {f"r{n}": "/_/slow" for n in range(3)})
    taken = []

    def fire_on():
        try:
            while True:
                reply = fire(own, "t", {"s": 0.05})
                if reply.status != 202:
                    return
                taken.append(reply.activation)
        except (OSError, http.client.HTTPException):
            return

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(fire_on)
        within(60, "fires are taken", lambda: len(taken) >= 10)
        own.process.send_signal(end)
        assert own.wait() == (0 if end == signal.SIGTERM else -end)
    own.start()
    for activation in taken:
        lines = [json.loads(text) for text in own.request("GET", f"activations/{activation}").json["logs"]]
        assert [line["success"] for line in lines] == [True] * 3, lines
        for line in lines:
            status = own.record(line["activationId"], 120)["response"]["status"]
            assert status in ("success", "whisk internal error")  # the platform ended while it ran
    fires = own.request("GET", "activations?name=t&count=true").json["activations"]
    assert fires >= len(taken)
    within(120, "a fire whose 202 nobody read is whole, too", lambda: own.request(
        "GET", "activations?name=slow&count=true").json["activations"] == 3 * fires + 1)
    assert own.metric("narae_accepted_drift") == 0


def test_who_waits_is_served_before_what_was_fired(own):
    own.put("one-by-one", SLEEP, limits={"instances": 1, "concurrency": 1})
    assert own.invoke("one-by-one").status == 200
    trigger(own, "bulk", {f"bulk-{n}": "/_/one-by-one" for n in range(10)})
    started = [line["activationId"] for _ in range(3) for line in fired(own, "bulk", {"s": 0.2})[1].values()]
    assert own.invoke("one-by-one", {"s": 0}).status == 200
    assert own.metric("narae_accepted_queued") > 15  # of 30
    for activation in started:
        assert own.record(activation, 120)["response"]["success"]  # and they go on


def memory_mb(platform):
    return int(open(f"/proc/{platform.process.pid}/statm").read().split()[1]) * 4096 >> 20


def test_large_fires_have_a_ceiling(start_platform):
    """Their calls wait for one container. An account's share is 64 MiB on the disk; in memory each fire is there once."""
    own = start_platform("--drain-s=1")
    own.put("slow", SLEEP, limits={"instances": 1, "concurrency": 1})
    quota(own, "guest", invocationsPerMinute=-1, firesPerMinute=-1, concurrentInvocations=1000)
    trigger(own, "large", {f"large-{n}": "/_/slow" for n in range(20)})
    before = memory_mb(own)
    payload = {"s": 60, "text": "x" * 1_000_000}
    replies = [fire(own, "large", payload) for _ in range(6)]
    assert [reply.status for reply in replies] == [202] * 3 + [429] * 3
    assert replies[3].headers["retry-after"] == "5"
    assert re.fullmatch(r"The requests of this account's calls that wait are too large together "
                        r"\(bytes: 80\d{6}, allowed: 67108864\)\.", replies[3].error), replies[3]
    assert memory_mb(own) - before < 40
    assert own.request("GET", "activations?name=large&count=true").json == {"activations": 3}
    put(own, "actions/echo", {"exec": {"kind": "python:3", "code": ECHO["python:3"]}})
    assert own.invoke("echo", {"a": 1}).status == 200  # what is answered at once takes no room
    assert own.metric("narae_accepted_drift") == 0


def test_an_update_does_not_hold_the_fire(own):
    own.put("updated", "def main(args):\n    return {'v': 1}\n")
    trigger(own, "during", {"during-r": "/_/updated"})
    begun = own.request("POST", "/narae/v1/functions/updated/update", {"while_updating": "hold", "hold_s": 60, "deadline_s": 120})
    assert begun.status < 300, begun
    _, lines = fired(own, "during")
    activation = lines["guest/during-r"]["activationId"]
    assert own.request("GET", f"activations/{activation}").status == 404
    done = own.request("POST", "/narae/v1/functions/updated/update/commit",
                       {"exec": {"kind": "python:3", "code": "def main(args):\n    return {'v': 2}\n"}})
    assert done.status < 300, done
    assert own.record(activation)["response"]["result"] == {"v": 2}
