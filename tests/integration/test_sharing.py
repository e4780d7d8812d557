"""What one account has of another's: what is in a shared package, and nothing else; the answers do not tell what exists."""
import json

import pytest
from conftest import within

NS = "/api/v1/namespaces"
CANARY = "canary-of-the-owner"
# Tells in whose name it runs, and whether somebody else was in this container before.
TELL = f"""#!/bin/sh
: {CANARY}
read -r args
seen=$(cat /tmp/mark 2>/dev/null)
echo "$__OW_NAMESPACE" > /tmp/mark
echo "{{\\"ns\\":\\"$__OW_NAMESPACE\\",\\"key\\":\\"$__OW_API_KEY\\",\\"name\\":\\"$__OW_ACTION_NAME\\",\\"seen\\":\\"$seen\\",\\"args\\":$args}}"
"""
NATIVE = {"exec": {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": TELL}}


class Tenant:
    def __init__(self, platform, name):
        self.platform, self.name = platform, name
        reply = platform.request("POST", "/narae/v1/accounts", {"name": name, "profile": "local"},
                                 auth=platform.admin_auth)
        assert reply.status == 201, reply
        key = reply.json["key"]
        self.auth = f"{key['uuid']}:{key['secret']}" if isinstance(key, dict) else key

    def ask(self, method, path, body=None, **more):
        path = path if path.startswith("/") else f"{NS}/_/{path}"
        return self.platform.request(method, path, body, auth=self.auth, **more)

    def must(self, method, path, body=None):
        reply = self.ask(method, path, body)
        assert reply.status < 300, (method, path, reply)
        return reply.json if reply.body else None

    def call(self, path, payload=None, query="blocking=true&result=true"):
        return self.ask("POST", f"{path}?{query}", payload or {})


@pytest.fixture(scope="module")
def tenants(session_platform):
    """The owner has one of everything; the other account has nothing."""
    owner, other = Tenant(session_platform, "sharing-owner"), Tenant(session_platform, "sharing-other")
    owner.must("PUT", "packages/private", {"annotations": [{"key": CANARY, "value": CANARY}]})
    owner.must("PUT", "packages/shared", {"publish": True, "parameters": [{"key": "bound", "value": 1}]})
    owner.must("PUT", "packages/bound", {"publish": True, "binding": {"namespace": "_", "name": "shared"}})
    for place in ("it", "private/it"):
        owner.must("PUT", f"actions/{place}", NATIVE)
    owner.must("PUT", "actions/shared/it", {**NATIVE, "annotations": [{"key": "provide-api-key", "value": True}]})
    owner.must("PUT", "triggers/tr", {"annotations": [{"key": CANARY, "value": CANARY}]})
    owner.must("PUT", "rules/ru", {"trigger": "/_/tr", "action": "/_/it"})
    owner.must("POST", "/narae/v1/functions/it/versions", {})
    owner.must("PUT", "/narae/v1/functions/it/aliases/al", {"version": 1})
    owner.activation = owner.call("actions/it", query="blocking=true").activation
    yield owner, other
    for tenant in (owner, other):
        session_platform.request("DELETE", f"/narae/v1/accounts/{tenant.name}", auth=session_platform.admin_auth)


BODY = {"exec": NATIVE["exec"]}
# Each with the names of a thing that is there, and of none, of the same length.
MATRIX = [
    ("GET", "actions", None, [("", "")]),
    ("GET", "actions/{}", None, [("it", "no"), ("ru", "no"), ("private", "missing")]),
    ("GET", "actions/{}?code=false", None, [("it", "no")]),
    ("PUT", "actions/{}", BODY, [("it", "no")]),
    ("PUT", "actions/{}?overwrite=true", BODY, [("it", "no")]),
    ("DELETE", "actions/{}", None, [("it", "no")]),
    ("POST", "actions/{}", {}, [("it", "no")]),
    ("POST", "actions/{}?blocking=true&result=true", {}, [("it", "no")]),
    ("POST", "actions/{}?version=1", {}, [("it", "no")]),
    ("POST", "actions/{}?alias=al", {}, [("it", "no")]),
    ("GET", "actions/{}/", None, [("private", "missing"), ("bound", "none1")]),
    ("GET", "actions/{}/?count=true", None, [("private", "missing")]),
    ("GET", "actions/{}/it", None, [("private", "missing"), ("bound", "none1")]),
    ("PUT", "actions/{}/it?overwrite=true", BODY, [("private", "missing"), ("shared", "absent")]),
    ("PUT", "actions/{}/new", BODY, [("private", "missing"), ("shared", "absent")]),
    ("DELETE", "actions/{}/it", None, [("private", "missing"), ("shared", "absent")]),
    ("POST", "actions/{}/it", {}, [("private", "missing"), ("bound", "none1")]),
    ("POST", "actions/{}/it?blocking=true", {}, [("private", "missing"), ("bound", "none1")]),
    ("POST", "actions/private/{}", {}, [("it", "no")]),
    ("GET", "actions/private/{}", None, [("it", "no")]),
    ("GET", "packages/{}", None, [("private", "missing"), ("bound", "none1"), ("it", "no")]),
    ("PUT", "packages/{}", {}, [("private", "missing"), ("shared", "absent")]),
    ("PUT", "packages/{}?overwrite=true", {"publish": True}, [("private", "missing"), ("shared", "absent")]),
    ("DELETE", "packages/{}", None, [("private", "missing"), ("shared", "absent")]),
    ("DELETE", "packages/{}?force=true", None, [("private", "missing"), ("shared", "absent")]),
    ("GET", "triggers", None, [("", "")]),
    ("GET", "triggers/{}", None, [("tr", "no")]),
    ("PUT", "triggers/{}?overwrite=true", {}, [("tr", "no")]),
    ("DELETE", "triggers/{}", None, [("tr", "no")]),
    ("POST", "triggers/{}", {}, [("tr", "no")]),
    ("GET", "rules", None, [("", "")]),
    ("GET", "rules/{}", None, [("ru", "no")]),
    ("PUT", "rules/{}?overwrite=true", {"trigger": "/_/t", "action": "/_/a"}, [("ru", "no")]),
    ("POST", "rules/{}", {"status": "inactive"}, [("ru", "no")]),
    ("DELETE", "rules/{}", None, [("ru", "no")]),
    ("GET", "activations", None, [("", "")]),
    ("GET", "activations?name={}", None, [("it", "no")]),
    ("GET", "activations/{}", None, [("ACTIVATION", "0a" * 16)]),
    ("GET", "activations/{}/logs", None, [("ACTIVATION", "0a" * 16)]),
    ("GET", "activations/{}/result", None, [("ACTIVATION", "0a" * 16)]),
    ("GET", "limits", None, [("", "")]),
]


def forbidden(tenants, method, template, body, thing):
    """The answer to the other account, without what it was asked for."""
    owner, other = tenants
    thing = owner.activation if thing == "ACTIVATION" else thing
    reply = other.ask(method, f"{NS}/{owner.name}/{template.format(thing)}", body)
    assert reply.status == 403, (method, template, thing, reply)
    assert CANARY.encode() not in reply.body
    assert reply.error.startswith("The supplied authentication is not authorized to access '")
    head, named = reply.error.split("'", 1)
    return head + named.replace("/" + thing, "/{}") if thing else reply.error


@pytest.mark.parametrize("row", MATRIX, ids=lambda r: f"{r[0]} {r[1]}")
def test_what_is_there_and_what_is_not_answer_alike(tenants, row):
    method, template, body, names = row
    for there, absent in names:
        assert forbidden(tenants, method, template, body, there) == \
            forbidden(tenants, method, template, body, absent)


# How the name of a thing is spelt; what opens nothing may be refused as no name at all.
SPELLINGS = [str.upper, lambda t: f"%{ord(t[0]):02x}{t[1:]}", lambda t: f"%25{ord(t[0]):02x}{t[1:]}", lambda t: t + "%20",
             lambda t: "%20" + t, lambda t: t + ";x", lambda t: t + "%00", lambda t: t + "%2Fx", lambda t: "..%2F" + t,
             lambda t: "%2e%2e%2F%2e%2e%2F_%2F" + t, lambda t: t + "%C3%A9", lambda t: "%c0%ae" + t, lambda t: t + "x" * 254]


@pytest.mark.parametrize("row", [r for r in MATRIX if "{}" in r[1]], ids=lambda r: f"{r[0]} {r[1]}")
def test_no_spelling_tells_what_is_there(tenants, row):
    owner, other = tenants
    method, template, body, names = row
    for there, absent in names:
        there = owner.activation if there == "ACTIVATION" else there
        for spell in SPELLINGS:
            answers = []
            for thing in (there, absent):
                reply = other.ask(method, f"{NS}/{owner.name}/{template.format(spell(thing))}", body)
                assert reply.status in (400, 403, 404, 405), (method, template, spell(thing), reply)
                assert CANARY.encode() not in reply.body
                answers.append((reply.status, reply.error.split("'")[0]))
            assert answers[0] == answers[1], (template, spell(there))


def test_an_account_that_is_none_answers_alike(tenants):
    owner, other = tenants
    nobody = "sharing-nobod"
    for method, template, body, names in MATRIX:
        thing = names[0][0] if names[0][0] != "ACTIVATION" else owner.activation
        answers = [other.ask(method, f"{NS}/{ns}/{template.format(thing)}", body) for ns in (owner.name, nobody)]
        assert answers[0].status == answers[1].status == 403
        assert answers[0].error.replace(owner.name, nobody) == answers[1].error


def test_the_owner_still_has_it_all(tenants):
    """After everything that the others tried."""
    owner, _ = tenants
    for path in ("actions/it", "actions/private/it", "actions/shared/it", "packages/private", "packages/shared",
                 "packages/bound", "triggers/tr", "rules/ru", f"activations/{owner.activation}"):
        reply = owner.ask("GET", path)
        assert reply.status == 200, (path, reply)
    assert owner.must("GET", "packages/shared")["version"] == "0.0.1"
    assert owner.must("GET", "rules/ru")["status"] == "active"


FORMS = ["{ns}%2Factions%2Fit", "{ns}/actions/private%2Fit", "{ns}/actions/../actions/it", "{ns}/actions/%2e%2e/it",
         "{ns}//actions/it", "{ns}/actions//it", "{ns}/actions/it/", "{upper}/actions/it", "{ns}/actions/IT",
         "{ns};/actions/it", "{ns}/actions/it;x", "{ns}/actions/it%00", "{ns}%00/actions/it", "{ns}/actions/%c0%e9t",
         "_/../{ns}/actions/it", "%5f%2f..%2f{ns}/actions/it", "{ns}%20/actions/it", "_/actions/%2Fsharing-owner%2Fit",
         "_/actions/sharing-owner%2Fit", "_/packages/sharing-owner%2Fprivate", "{ns}/packages/private/",
         "{ns}/actions/private/it/", "{ns}/actions/private/../shared/it", "{ns}/activations/../actions/it"]


@pytest.mark.parametrize("form", FORMS)
def test_no_spelling_of_a_name_opens_anything(tenants, form):
    owner, other = tenants
    path = f"{NS}/" + form.format(ns=owner.name, upper=owner.name.upper())
    for method, body in (("GET", None), ("PUT", BODY), ("POST", {}), ("DELETE", None)):
        reply = other.ask(method, path, body)
        assert reply.status in (400, 403, 404, 405), (method, path, reply)
        assert CANARY.encode() not in reply.body
    if form.startswith("_"):  # nothing of the kind came to be in the own namespace either
        assert other.must("GET", "actions?limit=0") == []


def test_the_platforms_own_api_answers_alike(tenants):
    owner, other = tenants
    for path in ("accounts/{}", "accounts/{}/export", "accounts/{}/quota", "accounts/{}/keys", "accounts/{}/limits",
                 "accounts/{}/grants", "accounts/{}/retention"):
        answers = [other.ask("GET", "/narae/v1/" + path.format(n)) for n in (owner.name, "sharing-nobod")]
        assert answers[0].status == answers[1].status and answers[0].status in (403, 404), answers
        assert answers[0].error.replace(owner.name, "sharing-nobod") == answers[1].error
    for path in ("functions/it", "functions/it/versions", "functions/it/aliases", "functions/private%2Fit"):
        assert other.ask("GET", f"/narae/v1/{path}").status == 404


def test_bindings_to_what_is_not_shared(tenants):
    owner, other = tenants
    told = set()
    for target in ("private", "missing", "bound", "it"):
        reply = other.ask("PUT", "packages/mine", {"binding": {"namespace": owner.name, "name": target}})
        assert reply.status == 403, reply
        told.add(reply.error.replace(target, "{}"))
    assert len(told) == 1
    assert other.ask("GET", "packages/mine").status == 404


def test_lists_show_what_is_shared(tenants):
    owner, other = tenants
    listed = other.must("GET", f"{NS}/{owner.name}/packages")
    assert [p["name"] for p in listed] == ["shared"]
    assert other.must("GET", f"{NS}/{owner.name}/packages?count=true") == {"packages": 1}
    assert other.must("GET", f"{NS}/sharing-nobod/packages") == []
    shown = other.must("GET", f"{NS}/{owner.name}/packages/shared")
    assert (shown["namespace"], [a["name"] for a in shown["actions"]]) == (owner.name, ["it"])
    assert [a["name"] for a in other.must("GET", f"{NS}/{owner.name}/actions/shared/")] == ["it"]
    assert other.must("GET", f"{NS}/{owner.name}/actions/shared/it")["namespace"] == f"{owner.name}/shared"


def test_shared_functions_run_for_who_calls(tenants, session_platform):
    owner, other = tenants
    other.must("PUT", "packages/mine?overwrite=true",
               {"binding": {"namespace": owner.name, "name": "shared"}, "parameters": [{"key": "own", "value": 2}]})
    mine = owner.call("actions/shared/it", {"c": 3}).json
    assert (mine["ns"], mine["args"]) == (owner.name, {"bound": 1, "c": 3})
    assert mine["key"] == owner.auth
    direct = other.call(f"{NS}/{owner.name}/actions/shared/it", {"c": 3}).json
    bound = other.call("actions/mine/it", {"c": 3}).json
    assert (direct["ns"], direct["args"], direct["seen"]) == (other.name, {"bound": 1, "c": 3}, "")
    assert (bound["ns"], bound["args"], bound["seen"]) == (other.name, {"bound": 1, "own": 2, "c": 3}, "")
    assert direct["key"] == bound["key"] == ""  # the caller's key is not for another account's code
    assert direct["name"] == bound["name"] == f"/{owner.name}/shared/it"
    # another call of each: its own container, nobody else's
    assert other.call(f"{NS}/{owner.name}/actions/shared/it").json["seen"] in ("", other.name)
    assert owner.call("actions/shared/it").json["seen"] in ("", owner.name)
    # the records are the caller's
    reply = other.call("actions/mine/it", query="blocking=true")
    path = {a["key"]: a["value"] for a in reply.json["annotations"]}
    assert (path["path"], path["binding"]) == (f"{owner.name}/shared/it", f"{other.name}/mine")
    assert other.ask("GET", f"activations/{reply.activation}").status in (200, 404)  # maybe not yet
    assert owner.ask("GET", f"activations/{reply.activation}").status == 404
    assert json.loads(reply.body)["namespace"] == other.name


def test_changes_of_the_owner_are_seen_at_once(tenants):
    owner, other = tenants
    owner.must("PUT", "packages/turns?overwrite=true", {"publish": True, "parameters": [{"key": "p", "value": 1}]})
    owner.must("PUT", "actions/turns/it?overwrite=true", NATIVE)
    other.must("PUT", "packages/turns?overwrite=true", {"binding": {"namespace": owner.name, "name": "turns"}})
    ways = [f"{NS}/{owner.name}/actions/turns/it", "actions/turns/it"]
    assert [other.call(w).json["args"] for w in ways] == [{"p": 1}] * 2
    owner.must("PUT", "packages/turns?overwrite=true", {"parameters": [{"key": "p", "value": 2}]})
    assert [other.call(w).json["args"] for w in ways] == [{"p": 2}] * 2
    owner.must("PUT", "actions/turns/it?overwrite=true", {"parameters": [{"key": "p", "value": 3}]})
    assert [other.call(w).json["args"] for w in ways] == [{"p": 3}] * 2
    owner.must("PUT", "packages/turns?overwrite=true", {"publish": False})
    assert [other.call(w).status for w in ways] == [403, 403]
    assert other.ask("GET", "packages/turns").status == 403
    assert owner.call("actions/turns/it").status == 200
    owner.must("PUT", "packages/turns?overwrite=true", {"publish": True})
    assert [other.call(w).status for w in ways] == [200, 200]
    owner.must("DELETE", "packages/turns?force=true")
    assert [other.call(w).status for w in ways] == [403, 403]
    assert other.ask("DELETE", "packages/turns").status == 200


def test_an_account_that_leaves_takes_what_it_shared(tenants, session_platform):
    _, other = tenants
    leaves = Tenant(session_platform, "sharing-leaves")
    leaves.must("PUT", "packages/lib", {"publish": True})
    leaves.must("PUT", "actions/lib/it", NATIVE)
    other.must("PUT", "packages/leaves", {"binding": {"namespace": leaves.name, "name": "lib"}})
    ways = [f"{NS}/{leaves.name}/actions/lib/it", "actions/leaves/it"]
    assert [other.call(w).status for w in ways] == [200, 200]
    gone = session_platform.request("DELETE", f"/narae/v1/accounts/{leaves.name}", auth=session_platform.admin_auth)
    assert gone.status == 202
    within(60, "the account is gone", lambda: session_platform.request(
        "GET", f"/narae/v1/accounts/{leaves.name}", auth=session_platform.admin_auth).status == 404)
    assert [other.call(w).status for w in ways] == [403, 403]
    again = Tenant(session_platform, leaves.name)  # another owner of the name
    again.must("PUT", "packages/lib", {})
    again.must("PUT", "actions/lib/it", NATIVE)
    assert [other.call(w).status for w in ways] == [403, 403]
    session_platform.request("DELETE", f"/narae/v1/accounts/{leaves.name}", auth=session_platform.admin_auth)
    other.must("DELETE", "packages/leaves")


def administer(platform, method, path, body=None, status=200):
    reply = platform.request(method, f"/narae/v1/accounts/{path}", body, auth=platform.admin_auth)
    assert reply.status == status, (method, path, reply)
    return reply


def leave(platform, name):
    administer(platform, "DELETE", name, status=202)
    within(60, "the account is gone", lambda: platform.request(
        "GET", f"/narae/v1/accounts/{name}", auth=platform.admin_auth).status == 404)


@pytest.fixture
def tenant(session_platform):
    """Makes accounts of a test's own."""
    made = []

    def make(name):
        made.append(Tenant(session_platform, name))
        return made[-1]
    yield make
    for one in made:
        session_platform.request("DELETE", f"/narae/v1/accounts/{one.name}", auth=session_platform.admin_auth)


VOLUME = {"volumes": [{"name": "rows", "quota_mb": 8}]}
ASKS = [{"key": "narae.volumes", "value": [{"name": "rows", "path": "/data"}]}]
KEEPS = """#!/bin/sh
read -r args
found=$(cat /data/kept 2>/dev/null)
echo private > /data/kept
echo "{\\"found\\":\\"$found\\"}"
"""
DISK = {"exec": {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": KEEPS}, "annotations": ASKS}


def test_code_of_others_gets_no_grants(tenant, session_platform):
    """Neither those of who calls it nor those of its owner, directly, through a binding, or in the caller's sequence."""
    owner, other = tenant("grants-owner"), tenant("grants-other")
    for who in (owner, other):
        administer(session_platform, "PUT", f"{who.name}/grants", VOLUME)
    owner.must("PUT", "packages/lib", {"publish": True})
    owner.must("PUT", "actions/lib/disk", DISK)
    owner.must("PUT", "actions/lib/plain", NATIVE)
    other.must("PUT", "actions/disk", DISK)
    assert [other.call("actions/disk").json for _ in (1, 2)] == [{"found": ""}, {"found": "private"}]
    other.must("PUT", "packages/mine", {"binding": {"namespace": owner.name, "name": "lib"}})
    theirs = f"{NS}/{owner.name}/actions/lib"
    other.must("PUT", "actions/chain", {"exec": {"kind": "sequence", "components": [f"/{owner.name}/lib/disk"]}})
    for way in (f"{theirs}/disk", "actions/mine/disk"):
        reply = other.call(way)
        assert (reply.status, reply.error) == (403, f"The function '{owner.name}/lib/disk' asks for a volume or a device; "
                                               "such a function can only be called by the account that it belongs to.")
        assert other.call(way.replace("disk", "plain")).status == 200
    reply = other.call("actions/chain")
    assert reply.status >= 400 and b"private" not in reply.body, reply
    assert owner.call("actions/lib/disk").json == {"found": ""}  # the owner's own volume, in the owner's own call
    # without any grant it is refused in the same words
    administer(session_platform, "PUT", f"{other.name}/grants", {})
    assert "can only be called by" in other.call(f"{theirs}/disk").error


def test_grants_that_are_taken_away_reach_bindings(tenant, session_platform):
    """One's own function, called through a binding of one's own package, and by parameters of it: both run under revisions of their own."""
    own = tenant("grants-bound")
    administer(session_platform, "PUT", f"{own.name}/grants", VOLUME)
    own.must("PUT", "packages/lib", {"parameters": [{"key": "p", "value": 1}]})
    own.must("PUT", "actions/lib/disk", DISK)
    own.must("PUT", "packages/mine", {"binding": {"namespace": "_", "name": "lib"}, "parameters": [{"key": "q", "value": 1}]})
    ways = ["actions/lib/disk", "actions/mine/disk"]
    assert [own.call(w).status for w in ways] == [200, 200]
    administer(session_platform, "PUT", f"{own.name}/grants", {})
    for way in ways:
        reply = own.call(way)
        assert (reply.status, reply.error) == (403, "volume 'rows' is not granted to this account")
    administer(session_platform, "PUT", f"{own.name}/grants", VOLUME)
    assert [own.call(w).json for w in ways] == [{"found": "private"}] * 2


def test_who_gets_a_name_gets_nothing_of_those_before(tenant, session_platform):
    """Bindings that were called, what they bound, containers, and secrets that were read while they were there."""
    owner, first = tenant("names-owner"), tenant("names-other")
    owner.must("PUT", "packages/lib", {"publish": True})
    owner.must("PUT", "actions/lib/it", NATIVE)
    binding = {"binding": {"namespace": owner.name, "name": "lib"}}
    first.must("PUT", "packages/mine", {**binding, "parameters": [{"key": "p", "value": "hers"}]})
    secret = first.must("PUT", "actions/sealed", {**NATIVE, "parameters": [{"key": "s", "value": "hush", "secret": True}]})
    first.must("PUT", "packages/same", {**binding, "parameters": [{"key": "p", "value": 1}]})
    assert first.call("actions/mine/it").json["args"] == {"p": "hers"}
    assert [first.call("actions/same/it").json["seen"] for _ in (1, 2)] == ["", first.name]
    assert first.call("actions/sealed").json["args"] == {"s": "hush"}
    leave(session_platform, first.name)
    again = tenant(first.name)
    reply = again.call("actions/mine/it")
    assert reply.status == 404 and b"hers" not in reply.body, reply
    again.must("PUT", "packages/same", {**binding, "parameters": [{"key": "p", "value": 1}]})
    assert again.call("actions/same/it").json["seen"] == ""
    # what was read of the earlier account's secret is worth nothing to this one
    parameters = [p for p in secret["parameters"] if p["key"] == "s"]
    assert parameters[0].get("encryption"), secret
    reply = again.ask("PUT", "actions/sealed", {**NATIVE, "parameters": parameters})
    assert reply.status == 400 and "sealed for another account" in reply.error, reply


def test_a_suspended_account_shares_nothing(tenant, session_platform):
    owner, other = tenant("halts-owner"), tenant("halts-other")
    owner.must("PUT", "packages/lib", {"publish": True})
    owner.must("PUT", "actions/lib/it", {**NATIVE, "annotations": [{"key": "web-export", "value": True}]})
    other.must("PUT", "packages/mine", {"binding": {"namespace": owner.name, "name": "lib"}})
    theirs = f"{NS}/{owner.name}"
    calls = [f"{theirs}/actions/lib/it", "actions/mine/it"]
    reads = [f"{theirs}/packages/lib", f"{theirs}/actions/lib/it", f"{theirs}/actions/lib/", "packages/mine", "actions/mine/it"]
    web = f"/api/v1/web/{owner.name}/lib/it.json"
    assert [other.call(w).status for w in calls] == [200, 200]
    assert [other.ask("GET", r).status for r in reads] == [200] * len(reads)
    assert session_platform.request("GET", web, auth=None).status == 200
    administer(session_platform, "POST", f"{owner.name}/suspend", {"reason": "abuse"})
    for reply in [other.call(w) for w in calls] + [other.ask("GET", r) for r in reads]:
        assert reply.status == 403, reply
        assert reply.error.startswith("The supplied authentication is not authorized to access '")
    assert other.must("GET", f"{theirs}/packages") == []
    assert other.must("GET", f"{theirs}/packages?count=true") == {"packages": 0}
    assert other.ask("PUT", "packages/more", {"binding": {"namespace": owner.name, "name": "lib"}}).status == 403
    assert session_platform.request("GET", web, auth=None).status == 404
    administer(session_platform, "POST", f"{owner.name}/resume", {})
    assert [other.call(w).status for w in calls] == [200, 200]
    assert [other.ask("GET", r).status for r in reads] == [200] * len(reads)
    assert session_platform.request("GET", web, auth=None).status == 200
    # and containers are kept again between calls
    for who, way in ((owner, "actions/lib/it"), (other, "actions/mine/it")):
        within(60, "a container is kept", lambda: who.call(way).json["seen"] == who.name)
