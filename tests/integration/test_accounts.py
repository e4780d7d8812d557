"""Accounts: made, suspended, resumed, deleted, with their limits and quotas."""
import concurrent.futures
import os
import signal
import socket
import sqlite3
import threading
import time

import pytest
from conftest import within

ACCOUNTS = "/narae/v1/accounts"
ECHO = "def main(args):\n    return args\n"
SLEEP = "import time\n\ndef main(args):\n    time.sleep(args.get('s', 0))\n    return {'slept': args.get('s', 0)}\n"


class Admin:
    """The administrator's side of a platform."""

    def __init__(self, platform):
        self.platform = platform

    def ask(self, method, path, body=None):
        return self.platform.request(method, ACCOUNTS + path, body, auth=self.platform.admin_auth)

    def create(self, name, **more):
        reply = self.ask("POST", "", {"name": name, "profile": "local", **more})
        assert reply.status == 201, reply
        return reply.json["key"]

    def show(self, name):
        reply = self.ask("GET", f"/{name}")
        assert reply.status in (200, 404), reply
        return reply.json if reply.status == 200 else None

    def delete(self, name):
        reply = self.ask("DELETE", f"/{name}")
        assert reply.status == 202, reply
        assert reply.json == {"name": name, "state": "DELETING"}
        within(60, f"{name} is gone", lambda: self.show(name) is None)


@pytest.fixture
def admin(platform):
    a = Admin(platform)
    a.made = []
    create = a.create
    a.create = lambda name, **more: (a.made.append(name), create(name, **more))[1]
    yield a
    for name in a.made:
        if a.show(name):
            a.delete(name)


def containers_of(platform, account):
    listed = platform.request("GET", "/narae/v1/invokers", auth=platform.admin_auth).json["containers"]
    return [c for c in listed if c["function"].startswith(account + "/")]


def put(platform, key, name="f", code=ECHO, **more):
    return platform.request("PUT", f"actions/{name}?overwrite=true", {"exec": {"kind": "python:3", "code": code}, **more},
                            auth=key)


def call(platform, key, name="f", **arguments):
    return platform.request("POST", f"actions/{name}?blocking=true&result=true", arguments, auth=key)


def test_create_and_show(platform, admin):
    key = admin.create("a-made", profile="default")
    assert platform.request("GET", "/api/v1/namespaces", auth=key).json == ["a-made"]
    shown = admin.show("a-made")
    assert (shown["name"], shown["state"], shown["profile"]) == ("a-made", "ACTIVE", "default")
    assert (shown["invocationsPerMinute"], shown["concurrentInvocations"], shown["firesPerMinute"]) == (60, 30, 60)
    nothing = {"bytes": None, "functions": None, "versions": None}
    assert shown["quota"] == nothing and shown["usage"] == {"bytes": 0, "functions": 0, "versions": 0, "compiled_bytes": 0}
    assert put(platform, key).status == 200
    assert admin.show("a-made")["usage"] == {"bytes": len(ECHO), "functions": 1, "versions": 0, "compiled_bytes": 0}
    listed = {a["name"]: a for a in admin.ask("GET", "").json["accounts"]}
    assert {"admin", "guest", "a-made"} <= set(listed) and listed["a-made"]["state"] == "ACTIVE"
    assert call(platform, key, x=1).json == {"x": 1}

    # it sees itself and nobody else
    assert platform.request("GET", f"{ACCOUNTS}/a-made", auth=key).json["name"] == "a-made"
    assert platform.request("GET", f"{ACCOUNTS}/guest", auth=key).status == 404
    assert platform.request("GET", ACCOUNTS, auth=key).status == 403
    assert platform.request("GET", "/api/v1/namespaces/guest/actions", auth=key).status == 403


NAME_RULE = ("The name of an account is 1 to 64 letters, digits and '_', '.', '@', '-', and begins with a letter or a digit,"
             " not '%s'.")


@pytest.mark.parametrize("body, status, text", [
    ({}, 400, "The field 'name' is missing."),
    ({"name": ""}, 400, "The field 'name' must be a text of 1 to 4096 bytes, not of 0."),
    ({"name": 3}, 400, "The field 'name' must be a text."),
    ({"name": "_"}, 400, NAME_RULE % "_"), ({"name": "../x"}, 400, NAME_RULE % "../x"),
    ({"name": "a/b"}, 400, NAME_RULE % "a/b"), ({"name": "a b"}, 400, NAME_RULE % "a b"),
    ({"name": "x" * 65}, 400, NAME_RULE % ("x" * 65)), ({"name": "ä"}, 400, NAME_RULE % "ä"),
    ({"name": "a\0b"}, 400, "The field 'name' must be a text."),
    ({"name": "new", "profile": "huge"}, 400, "There is no profile 'huge'; there are default, iot and local."),
    ({"name": "new", "profle": "iot"}, 400, "The field 'profle' is not known; there are name and profile."),
    ({"name": "guest"}, 409, "There is an account 'guest' already."),
    ([], 400, "The request content was malformed:\nObject expected"),
])
def test_mistakes_of_create(platform, admin, body, status, text):
    before = admin.ask("GET", "").json
    reply = admin.ask("POST", "", body)
    assert (reply.status, reply.error) == (status, text)
    assert admin.ask("GET", "").json == before


@pytest.mark.parametrize("method, path, body, status, text", [
    ("POST", "/admin/suspend", {}, 409, "The account 'admin' is protected and stays ACTIVE."),
    ("POST", "/guest/resume", {}, 409, "The account 'guest' is ACTIVE, not SUSPENDED."),
    ("POST", "/guest/suspend", {"why": "x"}, 400, "The field 'why' is not known; there is reason."),
    ("POST", "/guest/suspend", {"reason": "x" * 257}, 400, "The field 'reason' must be a text of 0 to 256 bytes, not of 257."),
    ("POST", "/nobody/suspend", {}, 404, "The requested resource does not exist."),
    ("DELETE", "/guest", None, 409, "The account 'guest' is protected and cannot be deleted."),
    ("DELETE", "/admin", None, 409, "The account 'admin' is protected and cannot be deleted."),
    ("DELETE", "/nobody", None, 404, "The requested resource does not exist."),
    ("PUT", "/guest/quota", {"bytes": -1}, 400, "The field 'bytes' must be an integer from 0 to 1125899906842624."),
    ("PUT", "/guest/quota", {"files": 1}, 400, "The field 'files' is not known; there are bytes, functions and versions."),
    ("PUT", "/guest/retention", {"keepVersions": 1001}, 400, "The field 'keepVersions' must be an integer from 0 to 1000."),
    ("PUT", "/guest/retention", {"keepVersions": "all"}, 400, "The field 'keepVersions' must be an integer from 0 to 1000."),
    ("PUT", "/guest/retention", {"keep": 1}, 400, "The field 'keep' is not known; there are keepVersions, keepVersionsDays and keepRetiredDays."),
    ("PUT", "/nobody/retention", {}, 404, "The requested resource does not exist."),
    ("PUT", "/nobody/quota", {}, 404, "The requested resource does not exist."),
    ("PUT", "/guest/limits", {"invocationsPerMinute": None}, 400,
     "The field 'invocationsPerMinute' must be an integer from -1 to 100000000."),
])
def test_mistakes_of_changes(platform, admin, method, path, body, status, text):
    before = admin.ask("GET", "").json
    reply = admin.ask(method, path, body)
    assert (reply.status, reply.error) == (status, text)
    assert admin.ask("GET", "").json == before


def test_suspend_and_resume(platform, admin):
    """Its keys are refused with the reason at once, what runs is answered, containers go; resumed, all is as before."""
    key = admin.create("a-suspended")
    assert put(platform, key, code=SLEEP).status == 200
    assert call(platform, key).status == 200
    assert containers_of(platform, "a-suspended") != []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(call, platform, key, s=2)
        within(20, "it runs", lambda: platform.metric("narae_running_activations") > 0)
        reply = admin.ask("POST", "/a-suspended/suspend", {"reason": "the invoice of March"})
        assert reply.status == 200 and reply.json["state"] == "SUSPENDED"
        for method, path in (("GET", "actions"), ("POST", "actions/f"), ("GET", "/api/v1/namespaces")):
            refused = platform.request(method, path, auth=key)
            assert (refused.status, refused.error) == (403, "The account 'a-suspended' is suspended: the invoice of March.")
        assert running.result(60).json == {"slept": 2}
    within(30, "its containers are gone", lambda: containers_of(platform, "a-suspended") == [])
    assert admin.show("a-suspended")["reason"] == "the invoice of March"
    assert admin.ask("POST", "/a-suspended/suspend", {}).status == 409
    assert admin.ask("POST", "/a-suspended/resume", {}).json["state"] == "ACTIVE"
    assert call(platform, key, s=0).json == {"slept": 0}


def test_suspended_after_a_restart(start_platform):
    p = start_platform()
    admin = Admin(p)
    key = admin.create("late")
    assert admin.ask("POST", "/late/suspend", {}).status == 200
    p.process.send_signal(signal.SIGKILL)
    p.wait()
    p.start()
    reply = p.request("GET", "actions", auth=key)
    assert (reply.status, reply.error) == (403, "The account 'late' is suspended.")


def test_limits_at_the_same_time(platform, admin):
    """Two administrators who set different limits both find theirs."""
    admin.create("a-raced")

    def set_one(field, value):
        reply = admin.ask("PUT", "/a-raced/limits", {field: value})
        assert reply.status == 200, reply

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for n in range(1, 26):
            list(pool.map(set_one, ["invocationsPerMinute", "concurrentInvocations"], [n, n]))
            shown = admin.show("a-raced")
            assert (shown["invocationsPerMinute"], shown["concurrentInvocations"]) == (n, n)


def files_of(platform, account):
    bucket = platform.data / "buckets" / account
    return sorted(str(f.relative_to(bucket)) for f in bucket.rglob("*") if f.is_file())


def test_delete(platform, admin):
    """Everything goes: functions, keys, files, records, grants. The name is free, and who takes it finds nothing."""
    key = admin.create("a-deleted")
    assert put(platform, key, code=SLEEP).status == 200
    assert put(platform, key, "g").status == 200
    assert platform.request("PUT", f"{ACCOUNTS}/a-deleted/grants", {"egress": ["10.0.0.5:502/tcp"]},
                            auth=platform.admin_auth).status == 200
    assert call(platform, key, "g").status == 200
    assert len(files_of(platform, "a-deleted")) == 2
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(call, platform, key, s=3)
        within(20, "it runs", lambda: platform.metric("narae_running_activations") > 0)
        assert admin.ask("DELETE", "/a-deleted").status == 202
        refused = platform.request("GET", "actions", auth=key)
        assert refused.status in (401, 403), refused
        assert running.result(60).json == {"slept": 3}  # it was drained, not cut
    within(60, "it is gone", lambda: admin.show("a-deleted") is None)
    assert platform.request("GET", "actions", auth=key).status == 401
    assert not (platform.data / "buckets" / "a-deleted").exists()
    within(30, "its containers are gone", lambda: containers_of(platform, "a-deleted") == [])
    with sqlite3.connect(f"file:{platform.data}/meta.db?mode=ro", uri=True) as db:
        for table, column in (("keys", "account"), ("functions", "account"), ("grants", "account"), ("usage", "account"),
                              ("accounts", "name")):
            assert db.execute(f"SELECT count(*) FROM {table} WHERE {column} = 'a-deleted'").fetchone() == (0,)
        moves = [m for m, in db.execute("SELECT move FROM audit WHERE object = 'a-deleted' ORDER BY id")]
    assert moves[0] == "account-create" and moves[-1] == "account-gone" and "account-delete" in moves
    with sqlite3.connect(f"file:{platform.data}/calls.db?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM calls WHERE account = 'a-deleted'").fetchone() == (0,)

    again = admin.create("a-deleted")
    assert platform.request("GET", "actions", auth=again).json == []
    assert platform.request("GET", "activations", auth=again).json == []
    assert platform.request("GET", f"{ACCOUNTS}/a-deleted/grants", auth=again).json["egress"] == []


def calls_of(platform, op):
    text = platform.request("GET", "/metrics", auth=None).body.decode()
    name = f'narae_fnmanager_calls_total{{op="{op}"}} '
    return sum(float(line[len(name):]) for line in text.splitlines() if line.startswith(name))


def test_deleted_again_and_again(platform, admin):
    """However often it is deleted it leaves once: what is removed afterwards would be another tenant's, who has the name by then."""
    key = admin.create("a-impatient")
    assert put(platform, key, code=SLEEP).status == 200
    purged, removed = calls_of(platform, "account_purge"), calls_of(platform, "account_remove")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(call, platform, key, s=3)
        within(20, "it runs", lambda: platform.metric("narae_running_activations") > 0)
        for _ in range(4):  # it cannot leave before its call has ended
            assert admin.ask("DELETE", "/a-impatient").status == 202
        assert admin.show("a-impatient")["state"] == "DELETING"
        assert running.result(60).json == {"slept": 3}
    within(60, "it is gone", lambda: admin.show("a-impatient") is None)
    key = admin.create("a-impatient")
    assert put(platform, key, "mine").status == 200
    # all the deletions together looked once more, found somebody else there, and left
    within(60, "they have looked", lambda: calls_of(platform, "account_purge") >= purged + 2)
    assert (calls_of(platform, "account_purge"), calls_of(platform, "account_remove")) == (purged + 2, removed + 1)
    assert call(platform, key, "mine", x=1).json == {"x": 1}
    assert len(files_of(platform, "a-impatient")) == 1
    # and the new one can be deleted like any other
    admin.delete("a-impatient")
    assert not (platform.data / "buckets" / "a-impatient").exists()


def test_a_request_of_the_one_before(platform, admin):
    """Begun with a key of an account that is gone when its body is there: it is not carried out in the next one's of that name."""
    old = admin.create("a-renamed")
    late = platform.begin("PUT", "actions/pay?overwrite=true", {"exec": {"kind": "python:3", "code": SLEEP}}, auth=old)
    admin.delete("a-renamed")
    key = admin.create("a-renamed")
    assert put(platform, key, "pay").status == 200
    reply = late()
    assert (reply.status, reply.error) == (401, "The supplied authentication is invalid")
    assert call(platform, key, "pay", card="4242").json == {"card": "4242"}
    assert len(files_of(platform, "a-renamed")) == 1


def test_delete_while_a_registry_is_waited_for(platform, admin):
    """What the account's last key began ends before the name is free, and is not carried out; others can leave meanwhile."""
    key = admin.create("a-waiting")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
            image = "127.0.0.1:%d/x/y:1" % silent.getsockname()[1]
            waiting = pool.submit(platform.request, "PUT", "actions/f", {"exec": {"kind": "blackbox", "image": image}}, auth=key)
            within(30, "it is looked for",
                   lambda: platform.request("GET", "/narae/v1/images", auth=key).json["images"] != [])
            assert admin.ask("DELETE", "/a-waiting").status == 202
            admin.create("a-passing")
            admin.delete("a-passing")
            assert admin.show("a-waiting")["state"] == "DELETING" and not waiting.done()
        assert waiting.result(120).status >= 400
    within(60, "it is gone", lambda: admin.show("a-waiting") is None)
    again = admin.create("a-waiting")
    assert platform.request("GET", "/narae/v1/images", auth=again).json["images"] == []
    assert platform.request("GET", "actions", auth=again).json == []


def test_the_history_of_the_one_before(platform, admin):
    """Who did what and why in an account is not for whoever has its name later; of the own ones a deleted function's stays."""
    key = admin.create("a-historic")
    assert put(platform, key).status == 200

    def history(key, name="f"):
        return platform.request("GET", f"/narae/v1/functions/{name}/history", auth=key)

    def moves(key):
        return [m["move"] for m in history(key).json["moves"]]

    def block(key, reason):
        reply = platform.request("POST", "/narae/v1/functions/f/versions/latest/block", {"reason": reason}, auth=key)
        assert reply.status == 200, reply

    block(key, "the contract with Mueller ends")
    before = moves(key)
    assert len(before) == 2
    admin.delete("a-historic")
    key = admin.create("a-historic")
    assert history(key).status == 404
    assert put(platform, key).status == 200
    assert moves(key) == before[1:]
    assert "Mueller" not in history(key).body.decode()
    assert platform.request("DELETE", "actions/f", auth=key).status == 200
    assert len(moves(key)) == 2 and moves(key)[1:] == before[1:]
    with sqlite3.connect(f"file:{platform.data}/meta.db?mode=ro", uri=True) as db:  # the administrator's log has it all
        assert db.execute("SELECT count(*) FROM audit WHERE object = 'a-historic/f'").fetchone()[0] >= 4


SECRET = """
import os

def main(args):
    path = "/data/rows/secret"
    before = open(path).read() if os.path.exists(path) else None
    if "write" in args:
        with open(path, "w") as f:
            f.write(args["write"])
    return {"before": before}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_a_volume_goes_with_its_account(start_platform):
    """Who gets the name finds a new volume; neither what was used nor a folder is left of the one before."""
    p = start_platform()
    admin = Admin(p)
    for found in (None, None):
        key = admin.create("a-volume")
        grants = {"volumes": [{"name": "rows", "quota_mb": 8}]}
        assert admin.ask("PUT", "/a-volume/grants", grants).status == 200
        volume = [{"key": "narae.volumes", "value": [{"name": "rows", "path": "/data/rows"}]}]
        assert p.request("GET", "/narae/v1/invokers", auth=key).json["functions"] == []
        assert put(p, key, code=SECRET, annotations=volume).status == 200
        assert call(p, key, write="of this one").json == {"before": found}
        assert call(p, key).json == {"before": "of this one"}
        within(20, "its use is told", lambda: p.request("GET", "/narae/v1/invokers", auth=key).json["functions"])
        admin.delete("a-volume")
        assert list((p.data / "volumes").iterdir()) == []
        assert containers_of(p, "a-volume") == []
    assert str(p.data) not in open("/proc/self/mounts").read()
    p.stop()


def test_delete_is_finished_after_a_kill(start_platform):
    """Killed at whatever point of the deletion: the next start leaves nothing of the account."""
    p = start_platform()
    admin = Admin(p)
    key = admin.create("doomed")
    for n in range(8):
        assert put(p, key, f"f{n}").status == 200
    for pause in (0, 0.005):
        if admin.show("doomed") is None:
            break
        threading.Thread(target=lambda: quietly(admin.ask, "DELETE", "/doomed")).start()
        within(10, "it is told", lambda: state_of(p, "doomed") != "ACTIVE", every=0.001)
        time.sleep(pause)
        p.process.send_signal(signal.SIGKILL)
        p.wait()
        p.start()
        admin = Admin(p)
    within(60, "it is gone", lambda: admin.show("doomed") is None)
    assert not (p.data / "buckets" / "doomed").exists()
    assert p.request("GET", "actions", auth=key).status == 401
    assert admin.ask("DELETE", "/doomed").status == 404


def quietly(what, *args):
    try:
        what(*args)
    except Exception:  # noqa: BLE001  the platform is killed under it
        pass


def state_of(p, name):
    with sqlite3.connect(f"file:{p.data}/meta.db?mode=ro", uri=True) as db:
        row = db.execute("SELECT state FROM accounts WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None
