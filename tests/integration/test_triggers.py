"""Triggers as documents, and the life of feeds as clients drive it. Firing is in test_fire.py, rules are in test_rules.py."""
import json

import pytest

from functions import ECHO
from test_accounts import admin  # noqa: F401, pylint: disable=unused-import

LIST_ITEM = {"namespace", "name", "version", "publish", "annotations", "updated"}
TRIGGER = LIST_ITEM | {"parameters", "limits"}
MALFORMED = "The request content was malformed:\n"
FORBIDDEN = "The supplied authentication is not authorized to access '%s'."
MISSING = "The requested resource does not exist."
OTHER = "Resource by this name exists but is not in this collection."


class Own:
    """Entities of one test, which are removed after it. Names are as the test says, behind a prefix of its own."""

    def __init__(self, platform, prefix):
        self.platform, self.prefix, self.made = platform, prefix, []

    def name(self, word):
        return f"{self.prefix}-{word}"

    def ask(self, method, collection, word, body=None, query="", status=200, **more):
        """The JSON of a reply, or the sentence of its error."""
        path = f"{collection}/{self.name(word)}"
        reply = self.platform.request(method, path + query, body, **more)
        assert reply.status == status, (method, path, body, reply)
        if method == "PUT" and status == 200:
            self.made.append(path)
        return reply.error if status >= 400 else reply.json if reply.body else None

    def trigger(self, word, overwrite=False, status=200, **body):
        return self.ask("PUT", "triggers", word, body, f"?overwrite={str(overwrite).lower()}", status)

    def rule(self, word, trigger, action, overwrite=False, status=200, **body):
        body |= {"status": "", "trigger": f"/_/{self.name(trigger)}", "action": f"/_/{self.name(action)}"}  # as wsk sends it
        return self.ask("PUT", "rules", word, body, f"?overwrite={str(overwrite).lower()}", status)

    def function(self, word, code=ECHO["native"], kind="native"):
        self.made.append(f"actions/{self.name(word)}")
        return self.platform.put(self.name(word), code, kind)

    def state(self, word, status):
        """As `wsk rule enable` and `disable` say it."""
        reply = self.platform.request("POST", f"rules/{self.name(word)}",
                                      {"status": status, "trigger": None, "action": None})
        assert (reply.status, reply.body) == (200, b""), reply

    def forget(self):
        for path in dict.fromkeys(reversed(self.made)):
            self.platform.request("DELETE", path)


@pytest.fixture
def own(platform, name):
    o = Own(platform, name[:60])
    yield o
    o.forget()


def test_created_shown_and_deleted(own):
    made = own.trigger("t", parameters=[{"key": "who", "value": "Ada"}, {"key": "who", "value": {"deep": ["ü"]}}],
                       annotations=[{"key": "feed", "value": "/_/changes/feed"}], name="other", namespace="_",
                       updated=1, unknown={})
    assert set(made) == TRIGGER
    assert (made["namespace"], made["name"], made["version"]) == ("guest", own.name("t"), "0.0.1")
    assert made["publish"] is False and made["limits"] == {}
    assert made["parameters"] == [{"key": "who", "value": {"deep": ["ü"]}}], "of two with one key the last counts"
    assert made["annotations"] == [{"key": "feed", "value": "/_/changes/feed"}], "as it was sent"
    assert type(made["updated"]) is int and made["updated"] > 1700000000000
    assert own.ask("GET", "triggers", "t") == made
    assert own.trigger("t", status=409) == "resource already exists"
    assert own.ask("DELETE", "triggers", "t") == made
    assert own.ask("GET", "triggers", "t", status=404) == MISSING
    assert own.ask("DELETE", "triggers", "t", status=404) == MISSING
    assert own.trigger("t")["version"] == "0.0.1"


def test_overwrite_replaces_what_is_named(own):
    own.trigger("t", parameters=[{"key": "p", "value": 1}], annotations=[{"key": "a", "value": 1}])
    kept = own.trigger("t", overwrite=True)
    assert (kept["version"], kept["parameters"]) == ("0.0.2", [{"key": "p", "value": 1}])
    changed = own.trigger("t", overwrite=True, parameters=[{"key": "q", "value": None}], publish=True)
    assert changed["parameters"] == [{"key": "q", "value": None}] and changed["publish"] is True
    assert changed["annotations"] == [{"key": "a", "value": 1}]
    assert own.trigger("t", overwrite=True, version="1.0.0")["version"] == "1.0.0"
    assert own.trigger("t", overwrite=True)["version"] == "1.0.1"
    assert own.trigger("new", overwrite=True)["version"] == "0.0.1"


def test_namespaces_and_names(platform, own):
    own.trigger("t")
    name = own.name("t")
    for path in (f"/api/v1/namespaces/guest/triggers/{name}", f"/api/v1/namespaces/_/triggers/{name}?",
                 f"/api/v1/namespaces/guest/triggers/{name.replace('-', '%2D')}"):
        assert platform.request("GET", path).json["name"] == name
    for good in ("a b.c@d&e-f", "_", "9"):
        assert own.trigger(good.replace(" ", "%20"))["name"] == own.name(good)
    for bad, text in (("a%20", "The name of the entity contains illegal characters."),
                      ("a!", "The name of the entity contains illegal characters."),
                      ("%C3%BC", "The name of the entity contains illegal characters."),
                      ("x" * 256, f"Name segement longer than allowed: {len(own.name('')) + 256} > 256.")):
        assert own.trigger(bad, status=400) == text
    assert platform.request("GET", f"/api/v1/namespaces/_/triggers/p/{name}").status == 404


def test_lists(platform, own, admin):  # noqa: F811
    for word in "abc":
        own.trigger(word, parameters=[{"key": "p", "value": 1}], annotations=[{"key": "whisk-managed", "value": {"a": 1}}])
    own.trigger("a", overwrite=True)

    def mine(query):
        listed = platform.request("GET", f"triggers{query}").json
        return [t for t in listed if t["name"].startswith(own.prefix)]
    listed = mine("?limit=0&skip=0")
    assert [t["name"] for t in listed] == [own.name(w) for w in "acb"], "the latest change first"
    assert all(set(t) == LIST_ITEM for t in listed)
    assert listed[1]["annotations"] == [{"key": "whisk-managed", "value": {"a": 1}}]
    assert [t["name"] for t in mine("/?limit=2")] == [own.name(w) for w in "ac"]
    assert [t["name"] for t in mine("?limit=1&skip=1")] == [own.name("c")]
    count = platform.request("GET", "triggers?count=true").json["triggers"]
    assert platform.request("GET", "triggers?count=true&skip=1").json == {"triggers": count - 1}
    assert platform.request("GET", "triggers?count=true&skip=999").json == {"triggers": 0}
    for query, detail in (("limit=201", "The value '201' is not in the range of 0 to 200 for triggers."),
                          ("limit=x", "The value 'x' is not an integer for triggers."),
                          ("skip=-1", "The value '-1' is not greater than or equal to 0 for triggers.")):
        reply = platform.request("GET", f"triggers?{query}")
        assert reply.status == 400 and reply.error.endswith(":\n" + detail)
    assert platform.request("GET", "triggers", auth=admin.create("empty-" + own.prefix[-20:])).json == []


@pytest.mark.parametrize("body, status, text", [
    (b"", 400, MALFORMED), (b"{", 400, MALFORMED), (b"[]", 400, MALFORMED + "Object expected"),
    (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", 400, MALFORMED),
    ({"parameters": {"a": 1}}, 400, MALFORMED + "'parameters' must be an array"),
    ({"annotations": [{"key": "a"}]}, 400, MALFORMED + "annotations malformed"),
    ({"publish": 1}, 400, MALFORMED + "'publish'"),
    ({"version": "one"}, 400, MALFORMED),
    ({"limits": []}, 400, MALFORMED + "'limits' must be an object"),
    ({"annotations": [{"key": "feed", "value": "/_/a b /c"}]}, 400, "Feed name is not valid"),
    ({"annotations": [{"key": "feed", "value": ["x"]}]}, 400, "Feed name is not valid"),
    ({"parameters": [{"key": "big", "value": "x" * (1 << 20)}]}, 413,
     f"parameters larger than allowed: {(1 << 20) + 5} > 1048576 bytes."),
    ({"annotations": [{"key": "big", "value": "x" * (1 << 20)}]}, 413,
     f"annotations larger than allowed: {(1 << 20) + 5} > 1048576 bytes."),
    (b'{"a":"' + b"x" * (8 << 20) + b'"}', 413, "Request larger than allowed: "),
    (b'{"parameters":[{"key":"k","value":[' + b"0," * (4 << 19) + b"0]}]}", 413, ""),
], ids=range(15))
def test_mistakes(platform, own, body, status, text):
    before = own.trigger("t", parameters=[{"key": "p", "value": 1}])
    reply = platform.request("PUT", f"triggers/{own.name('t')}?overwrite=true", body)
    assert reply.status == status and reply.error.startswith(text), reply
    assert own.ask("GET", "triggers", "t") == before, "nothing is half written"


def test_other_mistakes(platform, own, admin):  # noqa: F811
    path = f"triggers/{own.name('t')}"
    reply = platform.request("PUT", path, {}, headers={"Content-Type": "text/plain"})
    assert reply.status == 415
    reply = platform.request("PATCH", path, {})
    assert reply.status == 405 and "PUT" in reply.headers["allow"]
    reply = platform.request("PUT", path + "?overwrite=maybe", {})
    assert reply.status == 400 and "'overwrite' was malformed" in reply.error
    twice = platform.request("PUT", path, b'{"publish":false,"publish":true}')
    own.made.append(path)
    assert twice.json["publish"] is True, "of two with one key the last counts"
    stranger = admin.create("s-" + own.prefix[-20:])
    for method in ("GET", "PUT", "DELETE"):
        for word in ("t", "none"):  # the same for what exists and what does not
            reply = platform.request(method, f"/api/v1/namespaces/guest/triggers/{own.name(word)}", {}, auth=stranger)
            assert (reply.status, reply.error) == (403, FORBIDDEN % f"guest/{own.name(word)}")
    assert platform.request("GET", "/api/v1/namespaces/guest/triggers", auth=stranger).status == 403
    assert platform.request("GET", path, auth=None).status == 401
    reply = platform.request("DELETE", path, b"what is this")
    assert reply.status == 200


def test_one_name_one_collection(platform, own):
    own.function("f")
    own.trigger("t")
    own.rule("r", "t", "f")
    bodies = {"triggers": {}, "actions": {"exec": {"kind": "python:3", "code": ECHO["python:3"]}}, "packages": {},
              "rules": {"trigger": f"/_/{own.name('t')}", "action": f"/_/{own.name('f')}"}}
    for word, home in (("f", "actions"), ("t", "triggers"), ("r", "rules")):
        for collection, body in bodies.items():
            if collection == home:
                continue
            for method in ("GET", "PUT", "DELETE"):
                for query in ("", "?overwrite=true"):
                    text = own.ask(method, collection, word, body if method == "PUT" else None, query, 409)
                    assert text == OTHER, (method, collection, word)
        if home != "actions":
            assert own.ask("POST", "actions", word, {}, "?blocking=true", 409) == OTHER
        if home != "triggers":
            assert own.ask("POST", "triggers", word, {}, "", 409) == OTHER
        if home != "rules":
            assert own.ask("POST", "rules", word, {"status": "active"}, "", 409) == OTHER


FEED = """
def main(args):
    if args.get("fail"):
        return {"error": "no such source"}
    return {key: args.get(key) for key in ("lifecycleEvent", "triggerName", "authKey", "rate")}
"""


def test_the_life_of_a_feed(platform, own):
    """As `wsk trigger create --feed`, `get`, `update` and `delete` do it, and as the npm client does."""
    own.function("changes", FEED, "python:3")
    feed = f"actions/{own.name('changes')}"

    def tell(event, trigger, query="blocking=true&result=false", **more):
        body = {"lifecycleEvent": event, "triggerName": trigger, "authKey": platform.auth, **more}
        reply = platform.request("POST", f"{feed}?{query}", body)
        assert reply.status in (200, 502), reply
        return reply.status, reply.json["response"]["result"]

    own.trigger("t", annotations=[{"key": "feed", "value": f"/_/{own.name('changes')}"}])
    told = tell("CREATE", f"/_/{own.name('t')}", rate=5)
    assert told == (200, {"lifecycleEvent": "CREATE", "triggerName": f"/_/{own.name('t')}", "authKey": platform.auth,
                          "rate": 5})
    for event in ("READ", "UPDATE", "DELETE"):
        shown = own.ask("GET", "triggers", "t")
        assert {"key": "feed", "value": f"/_/{own.name('changes')}"} in shown["annotations"]
        assert tell(event, f"/_/{own.name('t')}")[1]["lifecycleEvent"] == event
    own.ask("DELETE", "triggers", "t")

    own.trigger("u", annotations=[{"key": "feed", "value": f"/guest/{own.name('changes')}"}])
    status, result = tell("CREATE", f"/_/{own.name('u')}", fail=True)
    assert (status, result) == (502, {"error": "no such source"})
    own.ask("GET", "triggers", "u")  # what the client does then
    assert tell("DELETE", f"/_/{own.name('u')}")[0] == 200
    own.ask("DELETE", "triggers", "u")

    for event in ("CREATE", "READ", "UPDATE", "DELETE", "PAUSE", "UNPAUSE"):
        assert tell(event, f"/guest/{own.name('v')}", "blocking=true")[1]["lifecycleEvent"] == event


def test_a_feed_of_another_account(platform, own, admin):  # noqa: F811
    """A provider shares a feed; with what it is told it fires the trigger, until the trigger is gone."""
    provider = "feeds-" + own.prefix[-20:]
    key = admin.create(provider)
    for path, body in (("packages/sources", {"publish": True}),
                       ("actions/sources/changes", {"exec": {"kind": "python:3", "code": FEED},
                                                    "annotations": [{"key": "feed", "value": True}]})):
        reply = platform.request("PUT", path, body, auth=key)
        assert reply.status == 200, reply
    shown = platform.request("GET", f"/api/v1/namespaces/{provider}/packages/sources").json
    assert [f["name"] for f in shown["feeds"]] == ["changes"] and shown["actions"] == []
    feed = f"/{provider}/sources/changes"
    own.function("f")
    own.trigger("t", annotations=[{"key": "feed", "value": feed}])
    own.rule("r", "t", "f")
    reply = platform.request("POST", f"/api/v1/namespaces/{provider}/actions/sources/changes?blocking=true",
                             {"lifecycleEvent": "CREATE", "triggerName": f"/guest/{own.name('t')}", "authKey": platform.auth})
    told = reply.json["response"]["result"]
    assert reply.json["namespace"] == "guest", "who calls a shared function has the record"
    _, namespace, name = told["triggerName"].split("/")
    source = f"/api/v1/namespaces/{namespace}/triggers/{name}"
    fired = platform.request("POST", source, {"changed": 1}, auth=told["authKey"])
    assert fired.status == 202
    line = json.loads(platform.record(fired.json["activationId"])["logs"][0])
    assert platform.record(line["activationId"])["response"]["result"]["changed"] == 1
    own.ask("DELETE", "triggers", "t")
    assert platform.request("POST", source, {"changed": 2}, auth=told["authKey"]).status == 404


def test_triggers_go_with_their_account(platform, own, admin):  # noqa: F811
    account = "gone-" + own.prefix[-20:]
    code = {"exec": {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": ECHO["native"]}}
    rule = {"trigger": "/_/t", "action": "/_/f"}

    def ask(method, path, body, status):
        reply = platform.request(method, path, body, auth=key)
        assert reply.status == status, (path, reply)
        return reply

    key = admin.create(account)
    for path, body in (("actions/f", code), ("triggers/t", {}), ("rules/r", rule)):
        ask("PUT", path, body, 200)
    ask("POST", "triggers/t", {}, 202)
    admin.delete(account)
    key = admin.create(account)
    for path in ("triggers/t", "rules/r"):
        ask("GET", path, None, 404)
    ask("POST", "triggers/t", {}, 404)
    ask("PUT", "triggers/t", {"parameters": [{"key": "new", "value": 1}]}, 200)
    ask("POST", "triggers/t", {}, 204)
    assert json.loads(ask("GET", "rules", None, 200).body) == []
