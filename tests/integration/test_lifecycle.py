"""Every state of a version with every move, over the API: what is allowed, what a refusal says, what is recorded.

The table below is the design's, written down a second time. What calls see in each state is in test_calls_of_versions.py.
"""
import os
import signal
import time

import pytest

from conftest import within

CODE = "def main(args):\n    return {}\n"
BODY = {"exec": {"kind": "python:3", "code": CODE + "\n"}}
GONE = "gone"


class Function:
    """A function of the API, by its name."""

    def __init__(self, own, name):
        self.own, self.name = own, name
        self.path = f"/narae/v1/functions/{name}"

    def ask(self, method, path="", body=None, status=200):
        reply = self.own.request(method, self.path + path, body)
        assert reply.status == status, (method, path, body, reply)
        return reply.error if status >= 400 else reply.json

    def put(self, status=200, **fields):
        reply = self.own.request("PUT", f"actions/{self.name}?overwrite=true", {**BODY, **fields})
        assert reply.status == status, reply
        return reply

    def state(self, version=0):
        """LATEST's or a version's; GONE when there is none."""
        reply = self.own.request("GET", self.path + (f"/versions/{version}" if version else ""))
        return reply.json["state"] if reply.status == 200 else GONE

    def moves(self):
        """Its history, the oldest first: (version, move, from, to)."""
        moves = []
        while True:
            page = self.ask("GET", f"/history?limit=200&skip={len(moves)}")["moves"]
            moves += page
            if len(page) < 200:
                return [(m["version"], m["move"], m["from"], m["to"]) for m in reversed(moves)]


@pytest.fixture
def function(platform, name):
    f = Function(platform, name)
    yield f
    f.own.request("POST", f.path + "/update/abort")


# ---- the table

WHOLE = {  # move: how it is asked for, of the function
    "update": ("PUT", None, BODY),
    "update-begin": ("POST", "/update", None),
    "update-commit": ("POST", "/update/commit", BODY),
    "update-abort": ("POST", "/update/abort", None),
    "publish": ("POST", "/versions", None),
    "block": ("POST", "/block", {"reason": "because"}),
    "unblock": ("POST", "/unblock", None),
    "retire": ("POST", "/retire", {"running": "finish", "reason": "because"}),
    "purge": ("POST", "/purge", None),
    "delete": ("DELETE", None, None),
}
OF_VERSION = {
    "block": ("POST", "/versions/1/block", {"reason": "because"}),
    "unblock": ("POST", "/versions/1/unblock", None),
    "retire": ("POST", "/versions/1/retire", {"running": "cancel", "reason": "because"}),
    "purge": ("POST", "/versions/1/purge", None),
    "delete": ("DELETE", "/versions/1", None),
}
REACH = {  # how a state is reached from LATEST or PUBLISHED
    "LATEST": [], "PUBLISHED": [], "UPDATING": ["update-begin"], "BLOCKED": ["block"], "RETIRED": ["retire"]}
ALLOWED = {  # state: move: state after it
    "LATEST": {"update": "LATEST", "update-begin": "UPDATING", "publish": "LATEST", "block": "BLOCKED",
               "retire": "RETIRED", "delete": GONE},
    "UPDATING": {"update-commit": "LATEST", "update-abort": "LATEST"},
    "BLOCKED": {"update": "BLOCKED", "unblock": "LATEST", "retire": "RETIRED", "delete": GONE},
    "RETIRED": {"purge": GONE, "delete": GONE},
}
ALLOWED_OF_VERSION = {
    "PUBLISHED": {"block": "BLOCKED", "retire": "RETIRED", "delete": GONE},
    "BLOCKED": {"unblock": "PUBLISHED", "retire": "RETIRED", "delete": GONE},
    "RETIRED": {"purge": GONE, "delete": GONE},
}


def ask_for(f, how):
    method, path, body = how
    if path is None:
        return f.own.request(method, f"actions/{f.name}?overwrite=true", body)
    return f.own.request(method, f.path + path, body)


def try_move(f, state, move, how, allowed, version, subject):
    """One cell of the table."""
    before = f.moves()
    reply = ask_for(f, how)
    if move in allowed:
        assert reply.status == (201 if move == "publish" else 200), (state, move, reply)
        assert f.state(version) == allowed[move], (state, move)
        added = f.moves()[len(before):]
        to = {"publish": "PUBLISHED", GONE: ""}.get(move, "" if allowed[move] == GONE else allowed[move])
        assert (1 if move == "publish" else version, move, state, to) in added, (state, move, added)
        return
    assert reply.status == 409, (state, move, reply)
    assert reply.error == (f"{subject} is {state} and does not allow '{move}'; it allows "
                           + ", ".join(allowed) + "."), (state, move)
    assert f.state(version) == state
    assert f.moves() == before, "a refusal is no move"


@pytest.mark.parametrize("state", ALLOWED)
def test_every_move_of_a_function(function, state):
    for move, how in WHOLE.items():
        function.put()
        for step in REACH[state]:
            assert ask_for(function, WHOLE[step]).status == 200
        try_move(function, state, move, how, ALLOWED[state], 0, "The function")
        ask_for(function, WHOLE["update-abort"])
        assert ask_for(function, WHOLE["delete"]).status in (200, 404)


@pytest.mark.parametrize("state", ALLOWED_OF_VERSION)
def test_every_move_of_a_version(function, state):
    for move, how in OF_VERSION.items():
        function.put()
        function.ask("POST", "/versions", status=201)
        for step in REACH[state]:
            assert ask_for(function, OF_VERSION[step]).status == 200
        try_move(function, state, move, how, ALLOWED_OF_VERSION[state], 1, "Version 1")
        assert function.state() == "LATEST", "a move of a version is of no other"
        assert ask_for(function, WHOLE["delete"]).status == 200


def test_moves_of_what_is_not_there(function):
    for method, path, body in list(OF_VERSION.values()) + [h for h in WHOLE.values() if h[1]]:
        assert function.own.request(method, function.path + path, body).status == 404, path
    function.put()
    for method, path, body in OF_VERSION.values():
        function.ask(method, path, body, status=404)


# ---- a function and its versions

def test_a_move_without_a_version_is_of_all(function):
    function.put()
    for _ in range(3):
        function.ask("POST", "/versions", status=201)
    function.ask("POST", "/versions/2/block", {"reason": "this one"})
    states = function.ask("POST", "/block", {"reason": "all"})["states"]
    assert states == [{"version": v, "state": "BLOCKED"} for v in (0, 1, 3)]
    assert function.ask("GET", "/versions/2")["reason"] == "this one"
    assert function.ask("GET", "/versions/3")["reason"] == "all"
    states = function.ask("POST", "/unblock")["states"]
    assert [(s["version"], s["state"]) for s in states] == [
        (0, "LATEST"), (1, "PUBLISHED"), (2, "PUBLISHED"), (3, "PUBLISHED")]
    assert function.ask("GET", "/versions/3")["reason"] == ""


def test_latest_alone(function):
    function.put()
    function.ask("POST", "/versions", status=201)
    function.ask("POST", "/versions/latest/block")
    assert (function.state(), function.state(1)) == ("BLOCKED", "PUBLISHED")
    function.ask("POST", "/block")  # what is left of it
    assert function.state(1) == "BLOCKED"
    function.ask("POST", "/versions/latest/retire")
    assert (function.state(), function.state(1)) == ("RETIRED", "BLOCKED")
    for method, path in (("POST", "/versions/latest/purge"), ("DELETE", "/versions/latest")):
        assert function.ask(method, path, status=409) == "LATEST goes only with the whole function: name no version."
    text = function.ask("POST", "/purge", status=409)
    assert text == "Version 1 is BLOCKED and does not allow 'purge'; it allows unblock, retire, delete."
    function.ask("POST", "/retire")
    function.ask("POST", "/purge")
    assert function.state() == GONE


def test_an_open_update_stops_moves_of_all_but_not_of_versions(function):
    function.put()
    function.ask("POST", "/versions", status=201)
    function.ask("POST", "/update")
    for move in ("block", "unblock", "retire", "purge"):
        function.ask("POST", "/" + move, status=409)
    assert function.state(1) == "PUBLISHED"
    function.ask("POST", "/versions/1/block")
    function.ask("POST", "/update/abort")
    assert function.state(1) == "BLOCKED"


def test_what_clients_of_the_old_api_see(function):
    """PUT and DELETE of /api/v1 obey the same table."""
    own, path = function.own, f"actions/{function.name}"
    function.put()
    function.ask("POST", "/block", {"reason": "look at it"})
    document = function.put().json
    assert document["version"] == "0.0.2"
    assert function.ask("GET")["state"] == "BLOCKED" and function.ask("GET")["reason"] == "look at it"
    function.ask("POST", "/retire")
    assert function.put(status=409).error == (
        "The function is RETIRED and does not allow 'update'; it allows purge, delete.")
    assert own.request("PUT", path, BODY).error == "resource already exists"
    assert own.request("DELETE", path).status == 200
    assert function.put().json["version"] == "0.0.1", "the name is free at once"
    function.ask("POST", "/versions", status=201)
    function.ask("PUT", "/aliases/prod", {"version": 1, "protected": True}, status=201)
    assert own.request("DELETE", path).error == (
        "The function has the protected alias 'prod' and does not allow 'delete'.")
    function.ask("PUT", "/aliases/prod", {"protected": False})
    assert own.request("DELETE", path).status == 200
    function.ask("GET", "/aliases", status=404)


def test_annotations_tell_the_old_api(function):
    """State and versions are annotations there; who writes back what he has read changes nothing by it."""
    def shown():
        document = function.own.request("GET", f"actions/{function.name}").json
        listed = [a for a in function.own.request("GET", "actions?limit=200").json if a["name"] == function.name][0]
        assert listed["annotations"] == document["annotations"]
        return {a["key"]: a["value"] for a in document["annotations"]}

    function.put()
    plain = shown()
    assert not {"narae.state", "narae.published"} & set(plain)
    for _ in range(2):
        function.ask("POST", "/versions", status=201)
    assert shown() == {**plain, "narae.published": 2}
    function.ask("POST", "/versions/latest/block")
    assert shown() == {**plain, "narae.published": 2, "narae.state": "BLOCKED"}
    back = [{"key": k, "value": v} for k, v in shown().items()]
    written = function.put(annotations=back).json["annotations"]
    assert {a["key"]: a["value"] for a in written} == shown()
    function.ask("POST", "/unblock")
    assert shown() == {**plain, "narae.published": 2}
    stored = function.ask("GET", "/versions/latest/diff/1")["settings"]
    assert stored == [], "and nothing of it is stored"


def test_a_function_in_a_package_and_of_somebody_else(platform, name):
    mine, theirs = Function(platform, name), Function(platform, "nobodys%2F" + name)
    mine.put()
    assert theirs.ask("POST", "/block", status=404) == "The requested resource does not exist."
    foreign = platform.request("POST", mine.path + "/block", auth=platform.admin_auth)
    assert foreign.status == 404, "an account sees its own"
    assert mine.state() == "LATEST"


# ---- what is recorded

def test_who_when_and_why(function):
    began = time.time() * 1000
    function.put()
    function.ask("POST", "/versions", {"note": "the first"}, status=201)
    function.ask("POST", "/versions/1/block", {"reason": "wrong sums"})
    function.ask("DELETE", "/versions/1")
    function.ask("POST", "/retire", {"reason": "no more needed", "running": "cancel"})
    function.ask("POST", "/purge", {"reason": "tidy"})
    uuid = function.own.auth.split(":")[0]
    moves = function.ask("GET", "/history")["moves"]  # also of what is gone
    assert [(m["version"], m["move"], m["from"], m["to"], m["reason"]) for m in moves] == [
        (0, "purge", "RETIRED", "", "tidy"),
        (0, "retire", "LATEST", "RETIRED", "no more needed"),
        (1, "delete", "BLOCKED", "", ""),
        (1, "block", "PUBLISHED", "BLOCKED", "wrong sums"),
        (1, "publish", "LATEST", "PUBLISHED", "the first"),
        (0, "create", "", "LATEST", "")]
    for m in moves:
        assert (m["by"], m["key"]) == ("guest", uuid)
        assert began - 1000 < m["at_ms"] < time.time() * 1000 + 1000
    assert function.ask("GET", "/history?limit=2&skip=1")["moves"] == moves[1:3]


@pytest.mark.parametrize("path, body, status, text", [
    ("/block", {"reasn": "x"}, 400, "The field 'reasn' is not known; the fields are: reason."),
    ("/block", {"reason": 7}, 400, "The field 'reason' must be a text, not 7."),
    ("/block", {"reason": "x" * 501}, 413, "The field 'reason' has 501 bytes; at most 500 are allowed."),
    ("/block", b"[]", 400, "The request content was malformed:\nObject expected"),
    ("/block", b"{", 400, "The request content was malformed:"),
    ("/retire", {"running": "kill"}, 400, "The field 'running' must be finish or cancel, not 'kill'."),
    ("/update", {"hold": 1}, 400,
     "The field 'hold' is not known; the fields are: while_updating, hold_s, deadline_s, reason."),
    ("/update", {"hold_s": 0}, 400, "The field 'hold_s' must be a whole number from 1 to 300, not 0."),
    ("/update", {"hold_s": 1.5}, 400, "The field 'hold_s' must be a whole number from 1 to 300, not 1.5."),
    ("/update", {"deadline_s": 86401}, 400,
     "The field 'deadline_s' must be a whole number from 1 to 86400, not 86401."),
    ("/update", {"while_updating": "stop"}, 400, "The field 'while_updating' must be hold or old, not 'stop'."),
    ("/update", {"while_updating": "old", "hold_s": 5}, 400,
     "The field 'hold_s' has no meaning while the old code serves."),
    ("/versions/0/block", None, 400, "A version is a number from 1, or 'latest', not '0'."),
    ("/versions/x/block", None, 400, "A version is a number from 1, or 'latest', not 'x'."),
])
def test_mistakes(function, path, body, status, text):
    function.put()
    assert function.ask("POST", path, body, status=status).startswith(text)
    assert function.state() == "LATEST" and len(function.moves()) == 1


# ---- update windows

def test_commit_brings_code_and_settings(function):
    function.put(limits={"memory": 256})
    shown = function.ask("POST", "/update", {"hold_s": 7, "deadline_s": 900, "reason": "new model"})
    assert shown["state"] == "UPDATING" and shown["version"] == "0.0.1"
    assert shown["update"]["while_updating"] == "hold" and shown["update"]["hold_s"] == 7
    assert 0 < shown["update"]["deadline_ms"] - time.time() * 1000 < 901000
    text = function.ask("POST", "/update/commit", {"limits": {"memory": 1}}, status=400)
    assert "memory" in text and function.state() == "UPDATING", "a refused commit leaves the window open"
    shown = function.ask("POST", "/update/commit", {**BODY, "limits": {"memory": 512}})
    assert (shown["state"], shown["version"], shown["limits"]["memory"]) == ("LATEST", "0.0.2", 512)
    assert shown["update"] is None
    function.ask("POST", "/update", {"while_updating": "old"})
    assert function.ask("GET")["update"]["hold_s"] == 0
    shown = function.ask("POST", "/update/abort", {"reason": "not good"})
    assert (shown["state"], shown["version"]) == ("LATEST", "0.0.2")
    function.ask("POST", "/update")
    assert function.ask("POST", "/update/commit")["version"] == "0.0.3", "nothing given, nothing changed"
    assert [m[1] for m in function.moves()] == [
        "create", "update-begin", "update-commit", "update-begin", "update-abort", "update-begin", "update-commit"]


def test_the_deadline_gives_the_old_code_back(function):
    function.put()
    function.ask("POST", "/update", {"deadline_s": 1})
    within(20, "the window ends", lambda: function.state() == "LATEST")
    shown = function.ask("GET")
    assert (shown["version"], shown["update"]) == ("0.0.1", None)
    last = function.ask("GET", "/history?limit=1")["moves"][0]
    assert (last["move"], last["by"], last["from"], last["to"]) == ("update-deadline", "narae", "UPDATING", "LATEST")
    function.ask("POST", "/update/commit", BODY, status=409)


# ---- a restart; kills in the middle of moves are the unit tests'

def crash(own):
    os.kill(own.pid, signal.SIGKILL)
    own.wait()


def test_windows_versions_and_aliases_outlive_a_kill(start_platform):
    own = start_platform("--stems=off")
    late, soon = Function(own, "late"), Function(own, "soon")
    for f, deadline in ((late, 3600), (soon, 1)):
        f.put()
        f.ask("POST", "/update", {"deadline_s": deadline, "hold_s": 3})
    late.ask("POST", "/versions/latest/block", status=409)
    kept = Function(own, "kept")
    kept.put()
    for _ in range(2):
        kept.ask("POST", "/versions", {"note": "kept"}, status=201)
    kept.ask("PUT", "/aliases/prod", {"version": 1, "protected": True}, status=201)
    kept.ask("PUT", "/aliases/prod", {"version": 2})
    stored = [kept.ask("GET", p) for p in ("", "/versions", "/aliases", "/history")]
    open_until = late.ask("GET")["update"]
    crash(own)
    end = time.time() + 1
    within(20, "the deadline passes while nobody is there", lambda: time.time() > end)
    own.start()
    assert late.ask("GET")["update"] == open_until
    within(20, "the window that is over ends", lambda: soon.state() == "LATEST")
    assert soon.moves()[-1][1] == "update-deadline"
    late.ask("POST", "/update/commit", BODY)
    assert late.ask("GET")["version"] == "0.0.2"
    assert [kept.ask("GET", p) for p in ("", "/versions", "/aliases", "/history")] == stored
    assert kept.ask("POST", "/aliases/prod/rollback")["version"] == 1
