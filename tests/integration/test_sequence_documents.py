"""Sequences as documents: made and changed as stock clients do it, refused with exact texts, versioned, compared, carried to another
account. And annotation `final`: what its owner has bound no caller gives."""
import concurrent.futures
import json

import pytest
from functions import ECHO
from test_accounts import Admin

GONE = "Sequence component does not exist."
CIRCLE = "Sequence may not refer to itself."
TOO_MANY = "Too many actions in the sequence."
NONE = "No component specified for the sequence."
KEPT = "Request defines parameters that are not allowed (e.g., reserved properties)."


@pytest.fixture
def put(platform):
    """PUTs a document, and removes all of them after the test."""
    made = []

    def do(name, document, auth="", overwrite=True):
        made.append((name, auth))
        return platform.request("PUT", f"actions/{name}?overwrite={str(overwrite).lower()}", document, auth=auth)
    yield do
    for name, auth in made:
        platform.request("DELETE", f"actions/{name}", auth=auth)


@pytest.fixture
def admin(platform):
    a = Admin(platform)
    made, create = [], a.create
    a.create = lambda name, **more: (made.append(name), create(name, **more))[1]
    yield a
    for name in made:
        if a.show(name):
            a.delete(name)


def code(**more):
    return {"exec": {"kind": "python:3", "code": ECHO["python:3"]}, **more}


def sequence(*components, **more):
    return {"exec": {"kind": "sequence", "components": list(components)}, **more}


def annotations(document):
    return {a["key"]: a["value"] for a in document["annotations"]}


def test_made_and_updated_as_wsk_does_it(platform, put):
    assert put("sd-a", code()).status == put("sd-b", code()).status == 200
    body = sequence("/_/sd-a", "/guest/sd-b", namespace="_", name="sd-s", annotations=[{"key": "description", "value": "two"}])
    made = put("sd-s", body, overwrite=False)
    assert made.status == 200, made
    components = ["/guest/sd-a", "/guest/sd-b"]
    assert made.json["exec"] == {"kind": "sequence", "components": components}
    assert made.json["parameters"] == [{"key": "_actions", "value": components}]
    assert annotations(made.json) == {"description": "two", "provide-api-key": False, "exec": "sequence"}
    assert put("sd-s", body, overwrite=False).error == "resource already exists"

    # the update reads first, and sends back all annotations that it has read
    read = platform.request("GET", "actions/sd-s?code=false").json
    assert read == made.json
    again = {"namespace": "_", "name": "sd-s", "annotations": read["annotations"] + [{"key": "web-export", "value": True}],
             "delAnnotations": ["description"], "parameters": [{"key": "p", "value": 1}]}
    updated = put("sd-s", again).json
    assert updated["exec"]["components"] == components and updated["version"] == "0.0.2"
    assert updated["parameters"] == [{"key": "_actions", "value": components}]
    assert annotations(updated) == {"description": "two", "web-export": True, "provide-api-key": False, "exec": "sequence"}
    assert annotations(put("sd-s", {"delAnnotations": ["description"]}).json).get("description") is None

    listed = {a["name"]: a for a in platform.request("GET", "actions?limit=0").json}
    assert listed["sd-s"]["exec"] == {"binary": False} and "parameters" not in listed["sd-s"]
    # code in its place, and gone
    assert put("sd-s", code()).json["parameters"] == []
    assert put("sd-s", sequence("/_/sd-b")).json["exec"]["components"] == ["/guest/sd-b"]
    gone = platform.request("DELETE", "actions/sd-s")
    assert gone.status == 200 and gone.json["exec"] == {"kind": "sequence", "components": ["/guest/sd-b"]}


@pytest.mark.parametrize("components, text", [
    ([], NONE),
    (["/_/sd-a"] * 51, TOO_MANY),
    (["/_/sd-a"] * 200000, TOO_MANY),
    (["/_/sd-a", "/_/sd-gone"], GONE),
    (["/_/sd-nopkg/x"], GONE),
    (["/_/sd-a?version=9"], GONE),
    (["/_/sd-a?alias=none"], GONE),
    (["/_/sd-refused"], CIRCLE),
    (["/_/sd-long", "/_/sd-a"], TOO_MANY),
    (["/_/a b/c "], "The name of the entity contains illegal characters."),
    (["/_/" + "n" * 257], "Name segement longer than allowed: 257 > 256."),
    ([7], None), ("/_/sd-a", None), (None, None), ([None], None), ([["/_/sd-a"]], None), (["/a/b/c/d"], None), ([""], None),
    (["/_/sd-a?version=0"], None), (["/_/sd-a?v=1"], None), (["/_/sd-a?version=1&alias=x"], None),
], ids=str)
def test_refused(platform, put, components, text):
    assert put("sd-a", code()).status == 200
    assert put("sd-long", sequence(*["/_/sd-a"] * 50)).status == 200
    reply = put("sd-refused", {"exec": {"kind": "sequence", "components": components}})
    assert reply.status == 400, reply
    assert text is None or reply.error == text
    assert platform.request("GET", "actions/sd-refused").status == 404


def test_two_at_once_close_no_circle(put):
    assert put("sd-a", code()).status == 200
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in range(8):
            assert put("sd-x", sequence("/_/sd-a")).status == put("sd-y", sequence("/_/sd-a")).status == 200
            replies = list(pool.map(lambda n: put(n[0], sequence(n[1])), [("sd-x", "/_/sd-y"), ("sd-y", "/_/sd-x")]))
            assert sorted(r.status for r in replies) == [200, 400], replies
            assert [r.error for r in replies if r.status == 400] == [CIRCLE]


def test_versions_say_what_they_run(platform, put):
    f = "/narae/v1/functions/sd-s"
    assert put("sd-a", code()).status == 200
    assert platform.request("POST", "/narae/v1/functions/sd-a/versions", {}).status == 201
    assert put("sd-s", sequence("/_/sd-a?version=1")).status == 200
    assert platform.request("POST", f + "/versions", {"note": "one"}).status == 201
    assert put("sd-s", sequence("/_/sd-a", "/_/sd-s?version=1")).status == 200  # an older one of itself ends
    assert platform.request("GET", f).json["components"] == ["/guest/sd-a", "/guest/sd-s?version=1"]
    assert platform.request("GET", f + "/versions/1").json["components"] == ["/guest/sd-a?version=1"]
    difference = platform.request("GET", f + "/versions/1/diff/latest").json
    assert {"path": "components", "from": ["/guest/sd-a?version=1"],
            "to": ["/guest/sd-a", "/guest/sd-s?version=1"]} in difference["settings"]
    assert difference["files"] == [] and not any("_actions" in s["path"] for s in difference["settings"])
    # what goes or rests leaves the sequence alone
    assert platform.request("DELETE", "actions/sd-a").status == 200
    assert platform.request("GET", "actions/sd-s").status == 200
    assert put("sd-s", {"publish": True}).json["exec"]["components"] == ["/guest/sd-a", "/guest/sd-s?version=1"]
    reply = platform.request("POST", f + "/preenv", {})
    assert (reply.status, reply.error) == (400, "A sequence has no size of its own. Measure the functions that it runs.")


def test_a_circle_that_an_alias_closes_ends(platform, put):
    """No document leads back to itself, but an alias is moved to one that does: the call counts, and ends."""
    f = "/narae/v1/functions/sd-t"
    assert put("sd-t", code()).status == 200
    assert platform.request("POST", f + "/versions", {}).status == 201
    assert platform.request("PUT", f + "/aliases/live", {"version": 1}).status == 201
    assert put("sd-s", sequence("/_/sd-t?alias=live")).status == 200
    assert put("sd-t", sequence("/_/sd-s")).status == 200
    assert platform.request("POST", f + "/versions", {}).status == 201
    assert platform.invoke("sd-s", {"n": 1}, "blocking=true&result=true").json == {"n": 1}
    assert platform.request("PUT", f + "/aliases/live", {"version": 2}).status == 200
    reply = platform.invoke("sd-s", {"n": 1})
    assert (reply.status, reply.json["response"]["result"]) == (502, {"error": TOO_MANY}), reply
    assert put("sd-s", sequence("/_/sd-t?alias=live")).error == CIRCLE
    assert platform.request("PUT", f + "/aliases/live", {"version": 1}).status == 200
    assert platform.invoke("sd-s", {"n": 2}, "blocking=true&result=true").json == {"n": 2}


def test_carried_to_another_account(platform, admin):
    old, new = admin.create("sd-from"), admin.create("sd-to")
    for name, document in (("a", code()), ("s", sequence("/_/a", "/sd-from/a"))):
        assert platform.request("PUT", f"actions/{name}", document, auth=old).status == 200
    archive = platform.request("GET", "/narae/v1/accounts/sd-from/export", auth=old)
    assert archive.status == 200
    reply = platform.request("POST", "/narae/v1/accounts/sd-to/import", archive.body,
                             headers={"Content-Type": "application/x-tar"}, auth=new)
    assert reply.status == 200 and reply.json["refused"] == [], reply
    carried = platform.request("GET", "actions/s", auth=new).json
    assert carried["exec"] == {"kind": "sequence", "components": ["/sd-to/a"] * 2}
    assert carried["parameters"] == [{"key": "_actions", "value": ["/sd-to/a"] * 2}]


def test_of_other_accounts_only_what_they_share(platform, put, admin):
    key = admin.create("sd-owner")
    assert platform.request("PUT", "packages/lib", {"publish": True}, auth=key).status == 200
    assert platform.request("PUT", "packages/own", {}, auth=key).status == 200
    for name in ("lib/f", "own/f", "f"):
        assert platform.request("PUT", f"actions/{name}", code(), auth=key).status == 200
    assert put("sd-s", sequence("/sd-owner/lib/f")).status == 200
    assert put("sd-s", sequence("/sd-owner/lib/gone")).error == GONE
    for name in ("own/f", "own/gone", "gone/f", "f", "gone"):
        reply = put("sd-s", sequence(f"/sd-owner/{name}"))
        assert reply.status == 403
        assert reply.error == f"The supplied authentication is not authorized to access 'sd-owner/{name}'."
    assert platform.request("GET", "actions/sd-s").json["exec"]["components"] == ["/sd-owner/lib/f"]


def test_final_keeps_what_is_bound(platform, put):
    bound = [{"key": "city", "value": "Incheon"}, {"key": "open", "value": ""}, {"key": "none", "value": None}]
    document = {"exec": {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": ECHO["native"]},
                "parameters": bound, "annotations": [{"key": "final", "value": True}]}
    assert put("sd-final", document).status == 200
    before = platform.request("GET", "activations?name=sd-final&count=true").json["activations"]
    for payload in ({"city": "Busan"}, {"x": 1, "city": None}, b'{"\\u0063ity":1}'):
        for query in ("blocking=true", "blocking=false"):
            reply = platform.request("POST", f"actions/sd-final?{query}", payload)
            assert (reply.status, reply.error) == (400, KEPT)
            assert "x-openwhisk-activation-id" not in reply.headers
    reply = platform.invoke("sd-final", {"open": 1, "none": 2, "City": 3, "deep": {"city": 4}}, "blocking=true&result=true")
    assert reply.json == {"city": "Incheon", "open": 1, "none": 2, "City": 3, "deep": {"city": 4}}
    after = platform.request("GET", "activations?name=sd-final&count=true").json["activations"]
    assert after == before + 1  # what was refused has no record

    # a trigger is a caller too
    for path, body in (("triggers/sd-t", {}), ("rules/sd-r", {"trigger": "/_/sd-t", "action": "/_/sd-final"})):
        assert platform.request("PUT", f"{path}?overwrite=true", body).status == 200
    fired = platform.request("POST", "triggers/sd-t", {"city": "Busan"})
    assert fired.status == 202
    line = json.loads(platform.record(fired.json["activationId"])["logs"][0])
    assert line["success"] is False and line["error"] == KEPT, line
    for path in ("rules/sd-r", "triggers/sd-t"):
        assert platform.request("DELETE", path).status == 200

    assert put("sd-final", {"annotations": [{"key": "final", "value": False}]}).status == 200
    assert platform.invoke("sd-final", {"city": "Busan"}, "blocking=true&result=true").json["city"] == "Busan"
