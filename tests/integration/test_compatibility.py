"""Names, texts, limits and small print of the OpenWhisk API that no other test shows."""
import http.client
import json
import urllib.parse

import pytest

from clients import Client
from conftest import SLOW, Reply, within
from functions import ECHO, HELLO

PY = "python:3"
TEXT = 'grüß "q" \\ / \u2028 \U0001F600 ﷽ \t\x7f 中文 a\u0301'


def raw(platform, method, target, data, **headers):
    """A request whose bytes are ours."""
    sent = {"Authorization": platform.basic(platform.auth), "Content-Type": "application/json", "Content-Length": str(len(data)), **headers}
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=60 * SLOW)
    connection.request(method, target, data, sent)
    reply = Reply(connection.getresponse())
    connection.close()
    return reply


# ---- text


def test_text_is_the_same_everywhere(platform, name):
    """In parameters, annotations, payload, result, logs, and in lists of records."""
    code = "def main(args):\n    print(args['text'])\n    return args\n"
    made = platform.put(name, code, parameters=[{"key": "bound", "value": TEXT}], annotations=[{"key": "ä " + TEXT[:4], "value": {TEXT: [TEXT]}}])
    assert {"key": "bound", "value": TEXT} in made["parameters"]
    read = platform.request("GET", f"actions/{name}").json
    assert {"key": "ä " + TEXT[:4], "value": {TEXT: [TEXT]}} in read["annotations"]
    ran = platform.invoke(name, {"text": "grüß 中文 \U0001F600", "deep": {TEXT: TEXT}})
    assert ran.json["response"]["result"] == {"bound": TEXT, "text": "grüß 中文 \U0001F600", "deep": {TEXT: TEXT}}
    logs = within(60, "its log is there", lambda: platform.record(ran.activation)["logs"])
    assert logs[0].endswith(" stdout: grüß 中文 \U0001F600")
    listed = platform.request("GET", f"activations?name={name}&docs=true").json
    assert listed[0]["response"]["result"]["deep"] == {TEXT: TEXT}


def test_numbers_stay_what_they_are(platform, name):
    platform.put(name, ECHO[PY], parameters=[{"key": "bound", "value": 9007199254740993}])
    reply = platform.invoke(name, {"i": 12345678901234567, "f": 1.5, "e": 1e300, "n": -0.25, "z": 0}, "blocking=true&result=true")
    assert reply.json == {"bound": 9007199254740993, "i": 12345678901234567, "f": 1.5, "e": 1e300, "n": -0.25, "z": 0}
    assert b"12345678901234567" in reply.body and b"9007199254740993" in reply.body and b"1.0" not in reply.body


@pytest.mark.parametrize("data", [b'{"a":1,"a":2}', b'{"a":{"b":1},"a":2}'])
def test_the_last_of_equal_keys_wins(platform, name, data):
    platform.put(name, ECHO[PY])
    assert raw(platform, "POST", f"/api/v1/namespaces/_/actions/{name}?blocking=true&result=true", data).json == {"a": 2}


def test_the_last_of_equal_parameters_wins(platform, name):
    platform.put(name, ECHO[PY], parameters=[{"key": "a", "value": 1}, {"key": "a", "value": 2}])
    assert platform.invoke(name, {}, "blocking=true&result=true").json == {"a": 2}


# ---- names


@pytest.mark.parametrize("collection, body", [("packages", {}), ("triggers", {}), ("actions", {"exec": {"kind": PY, "code": ECHO[PY]}})])
def test_names_obey_one_rule_in_every_collection(platform, name, collection, body):
    good = ["a", "A_b c@d&e.f-g", "9", "_x", "n" * 256]
    for one in good:
        path = f"{collection}/{urllib.parse.quote(one)}"
        made = platform.request("PUT", path + "?overwrite=true", body)
        assert made.status == 200 and made.json["name"] == one, (one, made)
        assert platform.request("GET", path).json["name"] == one
        assert platform.request("DELETE", path).status == 200
    for one in (" a", "a ", "-a", "a!b", "ä", "a\tb", "@a", ".a", "&a"):
        refused = platform.request("PUT", f"{collection}/{urllib.parse.quote(one)}", body)
        assert (refused.status, refused.error) == (400, "The name of the entity contains illegal characters."), one
    long = platform.request("PUT", f"{collection}/{'n' * 257}", body)
    assert (long.status, long.error) == (400, "Name segement longer than allowed: 257 > 256.")


def test_names_tell_their_case_apart(platform, name):
    platform.put(name, ECHO[PY])
    assert platform.request("GET", "actions/" + name.upper()).status == 404


# ---- bodies


@pytest.mark.parametrize("path", ["packages/{}", "triggers/{}", "actions/{}", "rules/{}"])
def test_fields_that_nobody_knows_are_ignored(platform, name, path):
    path, more = path.format(name + "-x"), {"name": "other", "namespace": "other", "updated": 1, "nobody": {"knows": [1]}}
    body = {"actions": {"exec": {"kind": PY, "code": ECHO[PY]}}, "rules": {"trigger": f"/_/{name}-t", "action": f"/_/{name}"}}
    platform.put(name, ECHO[PY])
    assert platform.request("PUT", f"triggers/{name}-t?overwrite=true", {}).status == 200
    made = platform.request("PUT", path, {**body.get(path.split("/")[0], {}), **more})
    assert made.status == 200 and made.json["name"] == name + "-x" and made.json["namespace"] == "guest"
    assert "nobody" not in made.json and made.json["updated"] > 1
    for one in (path, f"triggers/{name}-t"):
        assert platform.request("DELETE", one).status == 200


@pytest.mark.parametrize("path", ["packages/{}", "triggers/{}", "actions/{}", "rules/{}"])
@pytest.mark.parametrize("data, why", [(b"{", 400), (b"[]", 400), (b'{"annotations":', 400), (b"\xff", 400), (b"[" * 5000, 400),
                                       (b'{"annotations":' + b"[" * 5000, 400), (b'{"publish":"yes"}', 400), (b'{"annotations":{}}', 400)])
def test_bodies_that_are_none_change_nothing(platform, name, path, data, why):
    reply = raw(platform, "PUT", "/api/v1/namespaces/_/" + path.format(name), data)
    assert reply.status == why and reply.error.startswith("The request content was malformed:\n"), reply
    assert platform.request("GET", path.format(name)).status == 404


@pytest.mark.parametrize("method, path", [("GET", "actions"), ("GET", "packages/none-of-these"), ("DELETE", "triggers/none-of-these")])
def test_a_body_where_none_belongs_is_not_looked_at(platform, method, path):
    replies = [raw(platform, method, "/api/v1/namespaces/_/" + path, data, **{"Content-Type": "text/plain"}) for data in (b"", b"nonsense {")]
    assert replies[0].status == replies[1].status in (200, 404)


@pytest.mark.parametrize("collection", ["actions", "packages", "triggers", "rules", "activations"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_verbs_that_a_collection_has_not(platform, collection, method):
    reply = platform.request(method, collection, {})
    assert reply.status == 405 and reply.headers["allow"] == "GET"
    assert reply.error == "HTTP method not allowed, supported methods: GET"


def test_a_truncated_body_leaves_nothing(platform, name):
    """The client says more than it sends, and goes."""
    connection = platform.connect()
    connection.putrequest("PUT", f"/api/v1/namespaces/_/triggers/{name}-cut")
    for header, value in (("Authorization", platform.basic(platform.auth)), ("Content-Type", "application/json"), ("Content-Length", "1000")):
        connection.putheader(header, value)
    connection.endheaders(b'{"annotations":[')
    connection.close()
    assert platform.request("GET", f"triggers/{name}-cut").status == 404


# ---- limits


def test_what_limits_say_is_what_is_judged(platform, name):
    """The lowest and the highest value of each is taken, one beyond is refused with its text."""
    limits = platform.request("GET", "limits").json
    words = {"timeout": ("Timeout", "duration {} milliseconds {} allowed threshold of {} milliseconds"),
             "memory": ("Memory", "memory size {} MB {} allowed threshold of {} MB"), "logs": ("Logs", "log size {} MB {} allowed threshold of {} MB"),
             "concurrency": ("Concurrency", "concurrency {} {} allowed threshold of {}")}
    root = platform.request("GET", "/", auth=None).json["limits"]
    assert root["max_action_memory"] == limits["maxActionMemory"] << 20 and root["max_action_duration"] == limits["maxActionTimeout"]
    for field, (called, text) in words.items():
        low, high = limits["minAction" + called], limits["maxAction" + called]
        for value, status, beyond in ((low, 200, None), (high, 200, None), (low - 1, 400, "below"), (high + 1, 400, "exceeds")):
            reply = platform.request("PUT", f"actions/{name}?overwrite=true", {"exec": {"kind": PY, "code": ECHO[PY]}, "limits": {field: value}})
            assert reply.status == status, (field, value, reply)
            if beyond:
                assert text.format(value, beyond, low if beyond == "below" else high) in reply.error
            else:
                assert reply.json["limits"][field] == value


def test_limits_are_merged_by_field(platform, name):
    platform.put(name, ECHO[PY], limits={"memory": 128, "timeout": 5000})
    updated = platform.request("PUT", f"actions/{name}?overwrite=true", {"limits": {"timeout": 7000}}).json
    assert (updated["limits"]["memory"], updated["limits"]["timeout"]) == (128, 7000) and updated["exec"]["code"] == ECHO[PY]


# ---- small print


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_every_method_reaches_a_web_action(platform, name, method):
    platform.put(name, "def main(args):\n    return {'body': args['__ow_method'] + args.get('who', '')}\n",
                 annotations=[{"key": "web-export", "value": True}])
    reply = Client(platform).say(method, f"/api/v1/web/guest/default/{name}?who=you", auth=False)
    assert reply.status == 200 and reply.body == method.lower().encode() + b"you"


def test_the_header_for_more_logging_changes_nothing(platform, name):
    platform.put(name, HELLO[PY])
    plain, more = [platform.invoke(name, {}, headers=h) for h in ({}, {"X-OW-EXTRA-LOGGING": "on"})]
    assert plain.status == more.status == 200 and sorted(plain.json) == sorted(more.json)


def test_packages_that_the_catalog_has_not(platform):
    """As every package of others that is not shared, whether it exists or not."""
    for package in ("alarms", "github", "slack", "websocket"):
        reply = platform.request("GET", "/api/v1/namespaces/whisk.system/packages/" + package)
        assert reply.status == 403 and reply.error == f"The supplied authentication is not authorized to access 'whisk.system/{package}'."


def test_answers_are_compact_and_their_times_are_integers(platform, name):
    platform.put(name, HELLO[PY])
    reply = platform.request("GET", f"actions/{name}?code=false")
    assert reply.body == json.dumps(reply.json, separators=(",", ":"), ensure_ascii=False).encode()
    assert isinstance(reply.json["updated"], int) and reply.json["updated"] > 1600000000000
