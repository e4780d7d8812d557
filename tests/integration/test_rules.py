"""Rules: as documents, their status, what happens to them when a trigger or a function goes, and that each change counts from its reply on."""
import json
import threading

import pytest

from functions import ECHO
from test_accounts import admin  # noqa: F401, pylint: disable=unused-import
from test_triggers import FORBIDDEN, MALFORMED, MISSING, Own

LIST_ITEM = {"namespace", "name", "version", "publish", "annotations", "updated", "trigger", "action"}
RULE = LIST_ITEM | {"status"}
VERSIONS = "/narae/v1/functions"


@pytest.fixture
def own(platform, name):
    """A function f, a trigger t, and a rule r between them."""
    o = Own(platform, name[:60])
    o.function("f")
    o.trigger("t")
    o.rule("r", "t", "f")
    yield o
    o.forget()


def fired(own, word, status=202, **payload):
    """The log of a fire, a line for each rule."""
    reply = own.platform.request("POST", f"triggers/{own.name(word)}", payload)
    assert reply.status == status, reply
    if status == 204:
        assert reply.body == b""
        return []
    return [json.loads(line) for line in own.platform.record(reply.json["activationId"])["logs"]]


def test_created_shown_and_deleted(own):
    made = own.rule("new", "t", "f", name="other", namespace="_")
    assert set(made) == RULE
    assert (made["namespace"], made["name"], made["version"]) == ("guest", own.name("new"), "0.0.1")
    assert made["trigger"] == {"path": "guest", "name": own.name("t")}
    assert made["action"] == {"path": "guest", "name": own.name("f")}
    assert made["status"] == "active" and made["publish"] is False and made["annotations"] == []
    assert own.ask("GET", "rules", "new") == made
    assert own.rule("new", "t", "f", status=409) == "resource already exists"
    shown = own.ask("GET", "triggers", "t")["rules"]
    action = {"action": made["action"], "status": "active"}
    assert shown == {f"guest/{own.name(w)}": action for w in ("new", "r")}
    assert own.trigger("t", overwrite=True)["rules"] == shown
    assert own.ask("DELETE", "rules", "new") == {**made, "status": "inactive"}
    assert own.ask("GET", "rules", "new", status=404) == MISSING
    assert own.ask("DELETE", "rules", "new", status=404) == MISSING
    assert list(own.ask("GET", "triggers", "t")["rules"]) == [f"guest/{own.name('r')}"]


def test_as_wsk_does_it(platform, own):
    own.function("g")
    path = f"rules/{own.name('r')}"
    updated = own.rule("r", "t", "g", overwrite=True)
    assert (updated["version"], updated["status"], updated["action"]["name"]) == ("0.0.2", "active", own.name("g"))
    own.state("r", "inactive")
    own.state("r", "inactive")
    assert own.ask("GET", "rules", "r")["status"] == "inactive"
    assert own.rule("r", "t", "f", overwrite=True)["status"] == "inactive", "an update keeps the status"
    own.state("r", "active")
    listed = platform.request("GET", "rules?limit=30&skip=0").json
    assert all(set(rule) == LIST_ITEM for rule in listed)
    rows = [rule["name"] for rule in listed if rule["name"].startswith(own.prefix)]
    assert [platform.request("GET", f"rules/{row}").json["status"] for row in rows] == ["active"]
    own.state("r", "inactive")  # rule delete --disable
    assert platform.request("DELETE", path).json["status"] == "inactive"


def test_as_wskdeploy_does_it(platform, own):
    for _ in range(2):
        body = {"publish": False, "status": "", "trigger": f"/_/{own.name('t')}", "action": f"/_/{own.name('f')}"}
        made = own.ask("PUT", "rules", "w", body, "?overwrite=true")
        reply = platform.request("POST", f"rules/{own.name('w')}", {"status": "active"})
        assert (reply.status, reply.body) == (200, b"")
    assert made["version"] == "0.0.2"
    for collection, word in (("rules", "w"), ("rules", "r"), ("triggers", "t"), ("actions", "f")):
        own.ask("GET", collection, word)
        own.ask("DELETE", collection, word)


def test_references(platform, own):
    t, f = own.name("t"), own.name("f")
    for trigger, action in ((f"/guest/{t}", f"/guest/{f}"), (t, f), (f"guest/{t}", f"/_/default/{f}"),
                            ({"path": "_", "name": t}, {"path": "guest", "name": f})):
        made = own.ask("PUT", "rules", "new", {"trigger": trigger, "action": action}, "?overwrite=true")
        assert made["trigger"] == {"path": "guest", "name": t} and made["action"] == {"path": "guest", "name": f}
    both = "rule requires a valid trigger and a valid action"
    cases = [
        ({}, 400, both), ({"trigger": f"/_/{t}"}, 400, both), ({"action": f"/_/{f}"}, 400, both),
        ({"trigger": "/_/nobody", "action": f"/_/{f}"}, 400, "trigger /guest/nobody does not exist"),
        ({"trigger": f"/_/{t}", "action": "/_/nobody"}, 400, "action /guest/nobody does not exist"),
        ({"trigger": f"/_/{t}", "action": "/_/no/body"}, 400, "action /guest/no/body does not exist"),
        ({"trigger": f"/_/{t}", "action": f"/_/{f}?version=7"}, 400, f"action /guest/{f}?version=7 does not exist"),
        ({"trigger": f"/_/{t}", "action": f"/_/{t}"}, 400, f"action /guest/{t} does not exist"),
        ({"trigger": f"/_/{f}", "action": f"/_/{f}"}, 400, f"trigger /guest/{f} does not exist"),
        ({"trigger": f"/other/{t}", "action": f"/_/{f}"}, 403, FORBIDDEN % f"other/{t}"),
        ({"trigger": f"/_/{t}", "action": "/other/p/f"}, 403, FORBIDDEN % "other/p/f"),
        ({"trigger": [], "action": f"/_/{f}"}, 400, MALFORMED + "'trigger' must be a name or an object"),
        ({"trigger": f"/_/{t}", "action": {"name": f}}, 400, MALFORMED + "'action' needs a 'path' and a 'name'"),
    ]
    for body, status, text in cases:
        assert own.ask("PUT", "rules", "bad", body, "", status) == text, body
    assert own.ask("GET", "rules", "bad", status=404) == MISSING
    for body in ({"status": "on"}, {"status": None}, {"status": 1}, {}, []):
        assert own.ask("POST", "rules", "r", body, "", 400).startswith(MALFORMED), body
    reply = platform.request("POST", f"rules/{own.name('r')}")
    assert reply.status in (400, 415)
    assert own.ask("POST", "rules", "nobody", {"status": "active"}, "", 404) == MISSING
    assert own.ask("GET", "rules", "r")["status"] == "active"


def test_rules_of_other_accounts(platform, own, admin):  # noqa: F811
    """Nobody sees, changes or fires into what is another's; what is shared may be named."""
    account = "r-" + own.prefix[-20:]
    stranger = admin.create(account)
    for method, path, body in (("GET", "rules/%s", None), ("DELETE", "rules/%s", None), ("GET", "rules", None),
                               ("PUT", "rules/%s", {"trigger": "/_/t", "action": "/_/f"}),
                               ("POST", "rules/%s", {"status": "inactive"})):
        for word in ("r", "none"):
            full = path % own.name(word) if "%s" in path else path
            reply = platform.request(method, f"/api/v1/namespaces/guest/{full}", body, auth=stranger)
            assert reply.status == 403, (method, full, reply)
            if "%s" in path:
                assert reply.error == FORBIDDEN % f"guest/{own.name(word)}"

    def put(path, body, auth):
        reply = platform.request("PUT", path + "?overwrite=true", body, auth=auth)
        assert reply.status == 200, reply

    code = {"exec": {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": ECHO["native"]}}
    put("packages/shared", {"publish": True}, stranger)
    put("packages/closed", {}, stranger)
    for package in ("shared", "closed"):
        put(f"actions/{package}/f", code, stranger)
    trigger = f"/_/{own.name('t')}"
    made = own.ask("PUT", "rules", "far", {"trigger": trigger, "action": f"/{account}/shared/f"})
    assert made["action"] == {"path": f"{account}/shared", "name": "f"}
    for place in ("closed/f", "closed/none", "none/f"):
        text = own.ask("PUT", "rules", "bad", {"trigger": trigger, "action": f"/{account}/{place}"}, "", 403)
        assert text == FORBIDDEN % f"{account}/{place}"
    lines = {line["rule"]: line for line in fired(own, "t", who="Ada")}
    record = platform.record(lines[f"guest/{own.name('far')}"]["activationId"])
    assert record["namespace"] == "guest" and record["response"]["result"]["who"] == "Ada"
    put("packages/shared", {"publish": False}, stranger)
    lines = {line["rule"]: line for line in fired(own, "t")}
    assert lines[f"guest/{own.name('far')}"]["success"] is False
    assert lines[f"guest/{own.name('r')}"]["success"] is True


def test_each_change_counts_from_its_reply_on(own):
    own.trigger("u")
    line, = fired(own, "t")
    assert line["success"] and line["action"] == f"guest/{own.name('f')}"
    for _ in range(5):
        own.state("r", "inactive")
        fired(own, "t", 204)
        own.state("r", "active")
        assert len(fired(own, "t")) == 1
    own.rule("s", "t", "f")
    assert [line["rule"] for line in fired(own, "t")] == [f"guest/{own.name(w)}" for w in "rs"]
    own.rule("r", "u", "f", overwrite=True)  # it moves to another trigger
    assert [line["rule"] for line in fired(own, "t")] == [f"guest/{own.name('s')}"]
    assert [line["rule"] for line in fired(own, "u")] == [f"guest/{own.name('r')}"]
    own.ask("DELETE", "rules", "s")
    fired(own, "t", 204)
    own.trigger("u", overwrite=True, parameters=[{"key": "bound", "value": 7}])
    line, = fired(own, "u", said=1)
    result = own.platform.record(line["activationId"])["response"]["result"]
    assert (result["bound"], result["said"]) == (7, 1)


def test_a_trigger_goes_and_comes(own):
    own.ask("DELETE", "triggers", "t")
    assert own.ask("GET", "rules", "r")["status"] == "inactive"
    text = own.ask("POST", "rules", "r", {"status": "active"}, "", 404)
    assert text == "Only rules with existing triggers can be activated"
    own.state("r", "inactive")
    text = own.ask("PUT", "rules", "r", {}, "?overwrite=true", 400)
    assert text == f"trigger /guest/{own.name('t')} does not exist"
    assert "rules" not in own.trigger("t"), "it is another trigger"
    fired(own, "t", 204)
    own.state("r", "active")
    assert len(fired(own, "t")) == 1


def test_a_function_goes_and_comes(own):
    own.ask("DELETE", "actions", "f")
    assert own.ask("GET", "rules", "r")["status"] == "active"
    line, = fired(own, "t")
    assert (line["success"], line["error"]) == (False, MISSING)
    text = own.ask("PUT", "rules", "r", {}, "?overwrite=true", 400)
    assert text == f"action /guest/{own.name('f')} does not exist"
    own.function("f")
    line, = fired(own, "t")
    assert line["success"] is True


def test_versions_aliases_and_states(platform, own):
    """A rule names a version or an alias; what is blocked or retired is told in the log of the fire."""
    path = f"{VERSIONS}/{own.name('f')}"

    def ask(method, rest, body=None):
        reply = platform.request(method, path + rest, body)
        assert reply.status in (200, 201), reply

    ask("POST", "/versions")
    own.platform.put(own.name("f"), "#!/bin/sh\necho '{\"latest\": true}'\n", "native")
    ask("PUT", "/aliases/prod", {"version": 1})
    own.ask("DELETE", "rules", "r")
    for word, choice in (("latest", ""), ("first", "?version=1"), ("prod", "?alias=prod")):
        made = own.rule(word, "t", "f" + choice)
        assert made["action"] == {"path": "guest", "name": own.name("f") + choice}

    def results():
        found = {}
        for line in fired(own, "t", who="Ada"):
            word = line["rule"].removeprefix(f"guest/{own.prefix}-")
            record = platform.record(line["activationId"]) if line["success"] else None
            found[word] = record["response"]["result"].get("latest", False) if record else line["error"]
        return found

    assert results() == {"latest": True, "first": False, "prod": False}
    ask("POST", "/versions/1/block", {"reason": "a bug"})
    blocked = results()
    assert blocked["latest"] is True and "blocked" in blocked["first"] and "blocked" in blocked["prod"]
    ask("POST", "/versions/1/unblock")
    assert results() == {"latest": True, "first": False, "prod": False}
    ask("POST", "/versions")
    ask("PUT", "/aliases/prod", {"version": 2})
    ask("POST", "/versions/1/retire")
    retired = results()
    assert retired["latest"] is True and retired["prod"] is True and "retired" in retired["first"]
    text = own.rule("more", "t", "f?version=1", status=410)
    assert "retired" in text


def test_a_rule_of_a_sequence(platform, own):
    own.function("g", "#!/bin/sh\ncat >/dev/null\necho '{\"last\": true}'\n")
    parts = [f"/_/{own.name('f')}", f"/_/{own.name('g')}"]
    own.made.append(f"actions/{own.name('s')}")
    reply = platform.request("PUT", f"actions/{own.name('s')}", {"exec": {"kind": "sequence", "components": parts}})
    assert reply.status == 200, reply
    own.rule("r", "t", "s", overwrite=True)
    line, = fired(own, "t", who="Ada")
    assert line["action"] == f"guest/{own.name('s')}"
    record = platform.record(line["activationId"])
    assert record["response"]["result"] == {"last": True} and "cause" not in record
    steps = [platform.record(step) for step in record["logs"]]
    assert [step["name"] for step in steps] == [own.name("f"), own.name("g")]
    assert steps[0]["response"]["result"]["who"] == "Ada" and steps[0]["cause"] == line["activationId"]


def test_at_the_same_time(platform, own):
    """Many who change one rule and one trigger: each reply is true, and the versions count every change."""
    failed = []

    def change(method, path, body):
        connection = platform.connect()
        for _ in range(10):
            reply = platform.request(method, path, body, connection=connection)
            if reply.status != 200:
                failed.append(reply)
        connection.close()

    rule = {"trigger": f"/_/{own.name('t')}", "action": f"/_/{own.name('f')}"}
    work = [("PUT", f"rules/{own.name('r')}?overwrite=true", rule), ("PUT", f"triggers/{own.name('t')}?overwrite=true", {}),
            ("PUT", f"rules/{own.name('r')}?overwrite=true", rule), ("POST", f"rules/{own.name('r')}", {"status": "inactive"})]
    threads = [threading.Thread(target=change, args=w) for w in work]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed
    assert own.ask("GET", "rules", "r")["version"] == "0.0.21"
    assert own.ask("GET", "rules", "r")["status"] == "inactive"
    assert own.ask("GET", "triggers", "t")["version"] == "0.0.11"


def test_one_name_two_collections_at_once(platform, own):
    """Of several who want a name in different collections one gets it."""
    bodies = {"triggers": {}, "packages": {}, "actions": {"exec": {"kind": "python:3", "code": ECHO["python:3"]}},
              "rules": {"trigger": f"/_/{own.name('t')}", "action": f"/_/{own.name('f')}"}}
    for i in range(5):
        found = {}

        def take(collection, name=own.name(f"race{i}"), found=found):
            found[collection] = platform.request("PUT", f"{collection}/{name}", bodies[collection]).status

        threads = [threading.Thread(target=take, args=(c,)) for c in bodies]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        own.made += [f"{c}/{own.name(f'race{i}')}" for c, status in found.items() if status == 200]
        assert sorted(found.values()) == [200, 409, 409, 409], found


def test_all_is_there_after_a_kill(start_platform):
    p = start_platform()
    own = Own(p, "k")
    own.function("f")
    own.trigger("t", parameters=[{"key": "p", "value": "ü"}])
    own.rule("r", "t", "f")
    own.rule("s", "t", "f")
    own.state("s", "inactive")
    before = [own.ask("GET", c, w) for c, w in (("triggers", "t"), ("rules", "r"), ("rules", "s"))]
    p.process.kill()
    p.process.wait()
    p.start()
    assert [own.ask("GET", c, w) for c, w in (("triggers", "t"), ("rules", "r"), ("rules", "s"))] == before
    lines = fired(own, "t")
    assert [line["success"] for line in lines] == [True, False]
    p.record(lines[0]["activationId"])
