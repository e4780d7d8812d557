"""Callers who do not trust what they call, and owners who do not trust their callers: shared conductors, final parameters on every way to a
function, keys and secrets that are guessed, and keys that are shown to the wrong one."""
import json
import tempfile

import pytest
from conftest import Platform
from test_sharing import Tenant

NS = "/api/v1/namespaces"
MANAGE = "/api/v1/web/whisk.system/apimgmt/createApi"
SHARE = 5  # failed logins a minute
# Shows the text that it got, so that a name that stands in it twice is seen.
RAW = """#!/bin/sh
read -r args
printf '{"raw":"%s"}\\n' "$(printf %s "$args" | sed 's/\\\\/\\\\\\\\/g; s/"/\\\\"/g')"
"""
ECHO = '#!/bin/sh\nread -r args\necho "$args"\n'
PRIVATE = '#!/bin/sh\nread -r args\necho "{\\"mine\\":\\"canary\\",\\"key\\":\\"$__OW_API_KEY\\"}"\n'
# Calls what it is told to, then tells what it heard.
CONDUCTOR = """#!/bin/sh
read -r args
case "$args" in
*'"call"'*) name=$(printf %s "$args" | sed 's/.*"call": *"\\([^"]*\\)".*/\\1/'); echo "{\\"action\\":\\"$name\\",\\"params\\":{}}";;
*) echo "{\\"params\\":{\\"heard\\":$args}}";;
esac
"""
WEB = {"key": "web-export", "value": True}
REFUSED = "Request defines parameters that are not allowed (e.g., reserved properties)."
NO_AUTH = "The resource requires authentication, which was not supplied with the request"


def native(code, *annotations, **more):
    return {"exec": {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": code},
            "annotations": list(annotations), **more}


@pytest.fixture(scope="module")
def door():
    """A platform of its own, for its share of failed logins is used up here."""
    p = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), f"--failed-logins={SHARE}")
    try:
        p.start()
        yield p
        p.stop()
    finally:
        p.discard()


@pytest.fixture(scope="module")
def caller(door):
    return Tenant(door, "callers-alice")


@pytest.fixture(scope="module")
def owner(door):
    bob = Tenant(door, "callers-bob")
    bob.must("PUT", "packages/shared", {"publish": True})
    bob.must("PUT", "packages/private", {})
    return bob


# ---- conductors of others

@pytest.fixture(scope="module")
def conducted(caller, owner):
    """Calls the owner's conductor as the caller does, directly and through a binding, and gives what it heard."""
    caller.must("PUT", "packages/own", {"publish": True})
    for place in ("mine", "own/mine"):
        caller.must("PUT", f"actions/{place}", native(PRIVATE, {"key": "provide-api-key", "value": True}))
    caller.must("PUT", "packages/bound", {"binding": {"namespace": owner.name, "name": "shared"}})
    conductor = native(CONDUCTOR, {"key": "conductor", "value": True})
    owner.must("PUT", "actions/shared/conducts", conductor)
    owner.must("PUT", "actions/shared/echo", native(ECHO))
    caller.must("PUT", "actions/conducts", conductor)

    def call(name):
        told = [caller.call(way, {"call": name}).json for way in (f"{NS}/{owner.name}/actions/shared/conducts", "actions/bound/conducts")]
        assert told[0] == told[1], told
        return told[0]["heard"]
    return call


@pytest.mark.parametrize("name", ["mine", "/_/mine", "_/mine", "/callers-alice/mine", "own/mine", "bound/echo", "/_/absent", "absent"])
def test_a_conductor_of_another_account_runs_nothing_of_its_callers(conducted, name):
    assert conducted(name) == {"error": f"Failed entitlement check for action with name '{name}' during composition."}


def test_what_a_conductor_of_another_account_may_run(conducted, caller):
    assert conducted("/callers-bob/shared/echo") == {}
    assert "Failed entitlement check" in conducted("/callers-bob/private/echo")["error"]
    assert conducted("/whisk.system/utils/echo") == {}
    heard = caller.call("actions/conducts", {"call": "mine"}).json["heard"]  # his own may, with his key
    assert heard == {"mine": "canary", "key": caller.auth}


# ---- final parameters

@pytest.fixture(scope="module")
def kept(caller, owner):
    final = native(RAW, {"key": "final", "value": True}, parameters=[{"key": "mode", "value": "safe"}])
    owner.must("PUT", "actions/shared/kept", final)
    caller.must("PUT", "actions/passes", native(ECHO))
    caller.must("PUT", "packages/keeps", {"binding": {"namespace": owner.name, "name": "shared"}})
    conductor = ('#!/bin/sh\nread -r args\ncase "$args" in\n*raw*) echo "{\\"params\\":$args}";;\n'
                 '*) echo "{\\"action\\":\\"/callers-bob/shared/kept\\",\\"params\\":$args}";;\nesac\n')
    caller.must("PUT", "actions/leads", native(conductor, {"key": "conductor", "value": True}))
    for name, components in (("first", ["/callers-bob/shared/kept"]), ("through", ["/_/keeps/kept"]),
                             ("second", ["/_/passes", "/callers-bob/shared/kept"]), ("outer", ["/_/second"])):
        caller.must("PUT", f"actions/{name}", {"exec": {"kind": "sequence", "components": components}})
    return caller


@pytest.mark.parametrize("way", ["first", "through", "second", "outer", "leads"])
@pytest.mark.parametrize("payload", [b'{"mode":"evil","x":1}', b'{"x":1, "m\\u006fde" : {"mode":2}}'], ids=["plain", "escaped"])
def test_final_parameters_win_in_steps_too(kept, way, payload):
    reply = kept.call(f"actions/{way}", payload)
    assert reply.status == 200, reply
    seen = reply.json["raw"]
    assert json.loads(seen) == {"mode": "safe", "x": 1}
    assert "evil" not in seen and seen.count("mode") == 1 and "006f" not in seen


def test_who_gives_one_himself_is_refused(kept):
    reply = kept.call(f"{NS}/callers-bob/actions/shared/kept", {"mode": "evil"})
    assert (reply.status, reply.error) == (400, REFUSED)


def test_what_a_call_overrides_is_not_sent_beside_it(caller):
    caller.must("PUT", "actions/raw", native(RAW, parameters=[{"key": "a", "value": {"b": "bound"}}, {"key": "b", "value": 1}]))
    assert json.loads(caller.call("actions/raw", {}).json["raw"]) == {"a": {"b": "bound"}, "b": 1}
    seen = caller.call("actions/raw", {"a": 2, "c": 3}).json["raw"]
    assert json.loads(seen) == {"a": 2, "b": 1, "c": 3} and "bound" not in seen
    caller.must("PUT", "actions/echo", native(ECHO, parameters=[{"key": "b", "value": 1}, {"key": "c", "value": 2}]))
    large = "y" * 900000
    assert caller.call("actions/echo", {"b": large}).json == {"b": large, "c": 2}


# ---- keys and secrets at web actions

@pytest.fixture(scope="module")
def web(door, caller):
    caller.must("PUT", "actions/open", native(ECHO, WEB))
    caller.must("PUT", "actions/keyed", native(ECHO, WEB, {"key": "require-whisk-auth", "value": True}))
    caller.must("PUT", "actions/locked", native(ECHO, WEB, {"key": "require-whisk-auth", "value": "s3cret"}))

    def ask(name, **more):
        return door.request("GET", f"/api/v1/web/{caller.name}/default/{name}.json", **{"auth": None, **more})
    return ask


def test_a_key_that_may_not_call(door, web, owner):
    reply = door.request("POST", f"/narae/v1/accounts/{owner.name}/keys", {"scopes": ["read", "write"]}, auth=door.admin_auth)
    assert reply.status == 201, reply
    said = web("keyed", auth=reply.json["key"])
    assert (said.status, said.error) == (401, NO_AUTH)
    assert web("keyed", auth=owner.auth).status == 200


def test_no_key_is_passed_on(web, door, owner):
    mistyped = owner.auth[:-1] + ("X" if owner.auth[-1] != "X" else "Y")
    basic = door.basic(owner.auth)
    for more in ({"auth": owner.auth}, {"auth": mistyped}, {"headers": {"Proxy-Authorization": basic}},
                 {"headers": {"Authorization": owner.auth}}, {"headers": {"Authorization": f"Bearer x, {basic}"}}):
        reply = web("open", **more)
        assert reply.status == 200, (more, reply)
        assert not any("authorization" in h for h in reply.json["__ow_headers"]), (more, reply)
        assert owner.auth.split(":")[1][:-1].encode() not in reply.body
    for own in ("Bearer my.own.token", "Basic dXNlcjpwYXNzd29yZA=="):
        assert web("open", headers={"Authorization": own}).json["__ow_headers"]["authorization"] == own


def test_an_apis_guesses_of_a_secret_are_counted(door, web, caller, owner):
    def api(tenant, base, secret):
        doc = {"namespace": tenant.name, "gatewayBasePath": base, "gatewayPath": "/p", "gatewayMethod": "GET",
               "action": {"namespace": caller.name, "name": "locked", "backendUrl": "https://h/x", "backendMethod": "GET", "secureKey": secret}}
        reply = tenant.ask("POST", f"{MANAGE}?responsetype=json", {"apidoc": doc})
        assert reply.status == 200, reply
    for n in range(3):
        api(owner, f"/guess{n}", f"guess {n}")
    api(owner, "/good", "s3cret")
    api(caller, "/own", "s3cret")
    statuses = [door.request("GET", f"/apis/{owner.name}/guess{n % 3}/p", auth=None).status for n in range(SHARE + 3)]
    assert statuses[0] == 401 and statuses[-1] == 429, statuses
    assert set(statuses) == {401, 429}
    blocked = door.request("GET", f"/apis/{owner.name}/guess0/p", auth=None)
    assert int(blocked.headers["retry-after"]) >= 1
    for base in (f"{owner.name}/good", f"{caller.name}/own"):
        assert door.request("GET", f"/apis/{base}/p", auth=None).status == 200


# ---- path parameters that can never be given

@pytest.mark.parametrize("name, words", [("__ow_user", "names that begin with '__ow_' are the platform's"),
                                         ("role", "the action 'judged' keeps the value that it has bound")])
def test_path_parameters_that_can_never_be_given(caller, name, words):
    caller.must("PUT", "actions/judged?overwrite=true",
                native(ECHO, WEB, {"key": "final", "value": True}, parameters=[{"key": "role", "value": "user"}]))
    doc = {"namespace": "_", "gatewayBasePath": "/judged", "gatewayPath": "/p/{%s}" % name, "gatewayMethod": "GET",
           "action": {"namespace": "_", "name": "judged", "backendUrl": "https://h/x", "backendMethod": "GET"}}
    reply = caller.ask("POST", f"{MANAGE}?responsetype=http", {"apidoc": doc})
    assert reply.status == 400 and f"The parameter '{name}' defined in path" in reply.error and words in reply.error, reply
    swagger = {"swagger": "2.0", "basePath": "/judged", "info": {"title": "x", "version": "1"}, "paths": {"/p/{%s}" % name: {"get": {
        "parameters": [{"name": name, "in": "path", "required": True, "type": "string"}],
        "x-openwhisk": {"namespace": "_", "action": "judged", "package": "", "url": "https://h/judged.http"}}}}}
    reply = caller.ask("POST", MANAGE, {"apidoc": {"namespace": "_", "swagger": json.dumps(swagger)}})
    assert reply.status == 400 and words in reply.error, reply
    doc["gatewayPath"] = "/p/{id}"
    assert caller.ask("POST", f"{MANAGE}?responsetype=http", {"apidoc": doc}).status == 200
    doc["action"]["name"], doc["gatewayPath"] = "not-there-yet", "/q/{role}"
    assert caller.ask("POST", f"{MANAGE}?responsetype=http", {"apidoc": doc}).status == 200


# ---- the last: it uses up the share of this address

def test_guesses_at_an_open_web_action_are_counted(web, owner):
    wrong = owner.auth[:-1] + ("X" if owner.auth[-1] != "X" else "Y")
    replies = [web("open", auth=wrong) for _ in range(SHARE + 3)]
    assert replies[-1].status == 429 and int(replies[-1].headers["retry-after"]) >= 1, replies[-1]
    assert not any(r.status == 200 and "__ow_user" in r.json for r in replies)
    assert web("open").status == 200  # who shows nothing, and who shows a good key, is served
    assert web("open", auth=owner.auth).json["__ow_user"] == owner.name
    assert web("open", headers={"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}).status == 200
