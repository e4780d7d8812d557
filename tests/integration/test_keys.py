"""Keys of accounts: several with scopes and an end, shown once, rotated and revoked at once."""
import concurrent.futures
import datetime
import os
import re
import sqlite3
import time

import pytest
from conftest import within

ALL = ["invoke", "read", "write", "admin"]
LACKS = "The supplied authentication is not authorized to access this resource: its key lacks the scope '%s'."
ECHO = "def main(args):\n    return args\n"


@pytest.fixture
def account(platform, request):
    """An account of the test's own, as (name, first key)."""
    name = "k-" + re.sub(r"\W", "-", request.node.name)[:50].strip("-")
    reply = platform.request("POST", "/narae/v1/accounts", {"name": name, "profile": "local"}, auth=platform.admin_auth)
    assert reply.status == 201, reply
    yield name, reply.json["key"]
    path = f"/narae/v1/accounts/{name}"
    assert platform.request("DELETE", path, auth=platform.admin_auth).status == 202
    within(30, "the account is gone", lambda: platform.request("GET", path, auth=platform.admin_auth).status == 404)


def keys_path(name, *more):
    return "/".join([f"/narae/v1/accounts/{name}/keys", *more])


def make(platform, name, **body):
    reply = platform.request("POST", keys_path(name), body, auth=platform.admin_auth)
    assert reply.status == 201, reply
    return reply.json


def listed(platform, name, auth=None):
    reply = platform.request("GET", keys_path(name), auth=auth or platform.admin_auth)
    assert reply.status == 200, reply
    return {k["uuid"]: k for k in reply.json["keys"]}


def opens(platform, key):
    return platform.request("GET", "/api/v1/namespaces", auth=key).status


def test_a_key_is_shown_once(platform, account):
    name, first = account
    made = make(platform, name, note="for the line 3 controller")
    uuid, secret = made["key"].split(":")
    assert (made["uuid"], made["scopes"], made["expires_ms"], made["note"]) == (
        uuid, ALL[:3], None, "for the line 3 controller")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uuid)
    assert re.fullmatch(r"[A-Za-z0-9_-]{64}", secret)
    keys = listed(platform, name)
    assert sorted(keys) == sorted([uuid, first.split(":")[0]])
    assert keys[uuid] == {k: v for k, v in made.items() if k != "key"}
    assert opens(platform, made["key"]) == opens(platform, first) == 200
    with sqlite3.connect(f"file:{platform.data}/meta.db?mode=ro", uri=True) as db:
        stored = repr(db.execute("SELECT * FROM keys").fetchall() + db.execute("SELECT * FROM audit").fetchall())
    assert uuid in stored and secret not in stored


ROUTES = [("read", "GET", "actions/echo"), ("read", "GET", "activations"), ("write", "PUT", "actions/echo?overwrite=true"),
          ("invoke", "POST", "actions/echo?blocking=true"), ("admin", "GET", "/narae/v1/accounts"),
          ("write", "DELETE", "actions/nothing")]


@pytest.mark.parametrize("scope", ALL)
def test_a_key_may_do_what_its_scope_says(platform, account, scope):
    name, first = account
    body = {"exec": {"kind": "python:3", "code": ECHO}}
    assert platform.request("PUT", "actions/echo", body, auth=first).status == 200
    key = make(platform, name, scopes=[scope])["key"]
    for needed, method, path in ROUTES:
        reply = platform.request(method, path, body if method == "PUT" else {} if method == "POST" else None, auth=key)
        if needed != scope:
            assert (reply.status, reply.error) == (403, LACKS % needed)
        else:
            assert reply.status in (200, 404), reply


def test_a_key_ends(platform, account):
    name, _ = account
    key = make(platform, name, expires=1)["key"]
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    made = make(platform, name, expires=later.isoformat())
    assert abs(made["expires_ms"] - later.timestamp() * 1000) <= 1
    within(10, "the key is over", lambda: opens(platform, key) == 401)
    assert opens(platform, made["key"]) == 200


@pytest.mark.parametrize("body, text", [
    ({"scopes": []}, "The field 'scopes' must be a list of one or more of invoke, read, write and admin."),
    ({"scopes": "read"}, "The field 'scopes' must be a list of one or more of invoke, read, write and admin."),
    ({"scopes": ["reed"]}, "There is no scope 'reed'; there are invoke, read, write and admin."),
    ({"scopes": [1]}, "There is no scope ''; there are invoke, read, write and admin."),
    ({"expire": 1}, "The field 'expire' is not known; there are scopes, expires and note."),
    ({"note": 7}, "The field 'note' must be a text."),
    ({"note": "x" * 257}, "The field 'note' must be a text of 0 to 256 bytes, not of 257."),
    *[({"expires": e}, "The field 'expires' must be a time to come such as \"2030-01-31T12:00:00Z\", or seconds from now,"
       " 1 to 3162240000.") for e in (0, -5, 1.5, True, 10**12, "tomorrow", "2019-01-31T12:00:00Z", "2030-02-31T12:00:00Z",
                                      "2030-01-31T12:00:00", "2030-01-31T12:00:00Zz", "2030-01-31T25:00:00Z",
                                      "2030-13-01T00:00:00Z", "2030-01-31T12:00:00+0200", "", "9999-01-01T00:00:00Z")],
])
def test_mistakes(platform, body, text):
    before = listed(platform, "guest")
    reply = platform.request("POST", keys_path("guest"), body, auth=platform.admin_auth)
    assert (reply.status, reply.error) == (400, text)
    assert listed(platform, "guest") == before


def test_rotate(platform, account):
    name, first = account
    made = make(platform, name, scopes=["read"], expires=3600, note="n")
    reply = platform.request("POST", keys_path(name, made["uuid"], "rotate"), {}, auth=platform.admin_auth)
    assert reply.status == 200
    new = reply.json
    assert {k: v for k, v in new.items() if k != "key"} == {k: v for k, v in made.items() if k != "key"}
    assert new["key"] != made["key"]
    assert opens(platform, made["key"]) == 401
    assert opens(platform, new["key"]) == opens(platform, first) == 200
    assert listed(platform, name)[made["uuid"]]["note"] == "n"


def test_revoke_while_it_is_used(platform, account):
    """From the answer on nothing is open to it, on no connection and for no thread of the client."""
    name, first = account
    made = make(platform, name)
    connections = [platform.connect() for _ in range(4)]

    def hammer(connection):
        statuses = []
        while not statuses or statuses[-1] == 200:
            statuses.append(platform.request("GET", "/api/v1/namespaces", auth=made["key"], connection=connection).status)
        return time.monotonic(), statuses[-1]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(hammer, c) for c in connections]
        reply = platform.request("DELETE", keys_path(name, made["uuid"]), auth=platform.admin_auth)
        answered = time.monotonic()
        assert reply.status == 200 and reply.json == {"uuid": made["uuid"]}
        ends = [r.result(60) for r in runs]
    assert all(status in (401, 429) and end - answered < 10 for end, status in ends)
    assert opens(platform, first) == 200
    assert platform.request("DELETE", keys_path(name, made["uuid"]), auth=platform.admin_auth).status == 404
    assert platform.request("POST", keys_path(name, made["uuid"], "rotate"), auth=platform.admin_auth).status == 404


@pytest.mark.parametrize("method, path, body", [
    ("PUT", "actions/late?overwrite=true", {"exec": {"kind": "python:3", "code": ECHO}}),
    ("POST", "actions/early?blocking=true&result=true", {"x": 1}),
    ("POST", "actions/early?blocking=true&result=true", {"x": "x" * 100_000}),
    ("PUT", "/narae/v1/registries/registry.invalid", {"username": "u", "password": "p"}),
])
def test_revoked_before_the_body_is_there(platform, account, method, path, body):
    """The headers came with a good key; when the body is there it is none any more."""
    name, first = account
    put = {"exec": {"kind": "python:3", "code": "def main(args):\n    return {'first': 1}\n"}}
    assert platform.request("PUT", "actions/early", put, auth=first).status == 200
    made = make(platform, name)
    late = platform.begin(method, path, body, auth=made["key"])
    in_time = platform.begin(method, path, body, auth=first)
    assert platform.request("DELETE", keys_path(name, made["uuid"]), auth=platform.admin_auth).status == 200
    reply = late()
    assert (reply.status, reply.error) == (401, "The supplied authentication is invalid")
    assert [f["name"] for f in platform.request("GET", "actions", auth=first).json] == ["early"]
    assert platform.request("GET", "activations", auth=first).json == []
    assert platform.request("GET", "/narae/v1/registries", auth=first).json["registries"] == []
    assert in_time().status == 200


def test_suspended_before_the_body_is_there(platform, account):
    name, first = account
    late = platform.begin("PUT", "actions/f", {"exec": {"kind": "python:3", "code": ECHO}}, auth=first)
    path = f"/narae/v1/accounts/{name}"
    assert platform.request("POST", path + "/suspend", {"reason": "unpaid"}, auth=platform.admin_auth).status == 200
    reply = late()
    assert (reply.status, reply.error) == (403, f"The account '{name}' is suspended: unpaid.")
    assert platform.request("POST", path + "/resume", {}, auth=platform.admin_auth).status == 200
    assert platform.request("GET", "actions", auth=first).json == []


def test_only_the_administrator_gives_keys(platform, account):
    name, first = account
    assert list(listed(platform, name, first)) == [first.split(":")[0]]
    assert platform.request("GET", keys_path("guest"), auth=first).status == 404
    assert platform.request("POST", keys_path(name), {}, auth=first).error == LACKS % "admin"
    assert platform.request("GET", keys_path("nobody"), auth=platform.admin_auth).status == 404
    assert platform.request("POST", keys_path("nobody"), {}, auth=platform.admin_auth).status == 404
    foreign = platform.admin_auth.split(":")[0]  # the key of another account cannot be reached through this one
    assert platform.request("DELETE", keys_path(name, foreign), auth=platform.admin_auth).status == 404
    assert platform.request("POST", keys_path(name, foreign, "rotate"), auth=platform.admin_auth).status == 404


def test_the_last_key_of_the_administrator(start_platform):
    p = start_platform()
    first = p.admin_auth.split(":")[0]
    reply = p.request("DELETE", keys_path("admin", first), auth=p.admin_auth)
    assert (reply.status, reply.error) == (
        409, "This is the last key with scope admin that is in force; it cannot be revoked.")

    # the file of the key follows it
    new = p.request("POST", keys_path("admin", first, "rotate"), auth=p.admin_auth).json["key"]
    assert (p.data / "admin.key").read_text() == new + "\n"
    assert os.stat(p.data / "admin.key").st_mode & 0o7777 == 0o600
    p.admin_auth = new

    # another account's may take over; then the account with the last one stays
    assert p.request("POST", "/narae/v1/accounts", {"name": "second"}, auth=new).status == 201
    other = make(p, "second", scopes=["admin"])["key"]
    assert p.request("DELETE", keys_path("admin", first), auth=other).status == 200
    assert not (p.data / "admin.key").exists()
    assert opens(p, new) == 401
    for method, path in (("DELETE", ""), ("POST", "/suspend")):
        reply = p.request(method, "/narae/v1/accounts/second" + path, auth=other)
        assert (reply.status, reply.error) == (409, "No key with scope admin would be left that is in force.")
    assert p.request("GET", "/narae/v1/accounts", auth=other).status == 200
