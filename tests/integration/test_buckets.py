"""Buckets: what an account uses and may use, whether its files are what was uploaded, what is refused and leaves nothing behind."""
import base64
import concurrent.futures
import hashlib
import io
import os
import pathlib
import signal
import sqlite3
import subprocess
import tarfile
import zipfile

import pytest
from conftest import within
from test_accounts import ECHO, Admin, call, files_of, put

BUCKETS = "/narae/v1/buckets"
OLD_S = 3600  # what is older than a minute is no upload under way


@pytest.fixture
def admin(platform):
    a = Admin(platform)
    made, create = [], a.create
    a.create = lambda name, **more: (made.append(name), create(name, **more))[1]
    yield a
    for name in made:
        if a.show(name):
            a.delete(name)


def bucket(platform, name, auth=None):
    reply = platform.request("GET", BUCKETS, auth=auth or platform.admin_auth)
    assert reply.status == 200, reply
    return {b["account"]: b for b in reply.json["buckets"]}.get(name)


def verify(platform, name, auth=None):
    reply = platform.request("POST", f"{BUCKETS}/{name}/verify", {}, auth=auth or platform.admin_auth)
    assert reply.status == 200, reply
    return reply.json


def publish(platform, key, name="f"):
    return platform.request("POST", f"/narae/v1/functions/{name}/versions", {}, auth=key)


def quota(admin, name, **limits):
    reply = admin.ask("PUT", f"/{name}/quota", limits)
    assert reply.status == 200, reply
    return reply.json


def code_of(n, size=1000):
    """A function of its own of exactly so many bytes."""
    text = f"# {n}\n" + ECHO
    return text + "#" * (size - len(text))


# ---- usage

def test_usage_counts_bytes_once(platform, admin):
    key = admin.create("b-usage")
    nothing = {"account": "b-usage", "bytes": 0, "functions": 0, "versions": 0, "compiled_bytes": 0, "garbage_bytes": 0,
               "quota": {"bytes": None, "functions": None, "versions": None}}
    assert bucket(platform, "b-usage") == nothing
    assert put(platform, key, code=code_of(1)).status == 200
    assert put(platform, key, "pkgless", code=code_of(2, 500)).status == 200
    for n in (1, 2):
        assert publish(platform, key).json["version"] == n
    used = {"bytes": 1500, "functions": 2, "versions": 2}
    assert {k: bucket(platform, "b-usage")[k] for k in used} == used

    # new code of LATEST: the versions keep the old file
    assert put(platform, key, code=code_of(3, 700)).status == 200
    assert bucket(platform, "b-usage")["bytes"] == 2200 and bucket(platform, "b-usage")["garbage_bytes"] == 0
    assert put(platform, key, code=code_of(4, 900)).status == 200
    assert bucket(platform, "b-usage")["bytes"] == 2400 and bucket(platform, "b-usage")["garbage_bytes"] == 700
    assert verify(platform, "b-usage") == {"files": 3, "bytes": 2400, "damaged_count": 0, "orphan_count": 0,
                                           "damaged": [], "orphans": [],
                                           "compiled": {"files": 0, "bytes": 0, "damaged_count": 0, "damaged": []}}
    assert platform.request("DELETE", "actions/f", auth=key).status == 200
    last = bucket(platform, "b-usage")
    assert (last["bytes"], last["functions"], last["versions"], last["garbage_bytes"]) == (500, 1, 0, 2600)

    # an account sees its own bucket
    assert [b["account"] for b in platform.request("GET", BUCKETS, auth=key).json["buckets"]] == ["b-usage"]
    assert platform.request("POST", f"{BUCKETS}/guest/verify", {}, auth=key).status == 404
    assert verify(platform, "b-usage", key)["files"] == 1


def test_layout(platform, admin):
    """<account>/<function>/<upload>/<file>, a published version in the folder of the upload that it was made from."""
    key = admin.create("b-layout")
    assert platform.request("PUT", "packages/pkg", {}, auth=key).status in (200, 404, 405)
    assert put(platform, key).status == 200 and publish(platform, key).status == 201
    (first,) = files_of(platform, "b-layout")
    assert pathlib.Path(first).parts[0] == "f" and pathlib.Path(first).name == "code.py" and len(pathlib.Path(first).parts) == 3
    assert put(platform, key, code=code_of(2)).status == 200
    assert first in files_of(platform, "b-layout") and len(files_of(platform, "b-layout")) == 2


# ---- verify

def test_verify_finds_what_is_damaged(platform, admin):
    key = admin.create("b-verify")
    for n in range(4):
        assert put(platform, key, f"f{n}", code=code_of(n)).status == 200
    assert publish(platform, key, "f1").status == 201
    root = platform.data / "buckets" / "b-verify"
    path = {n: next(root.glob(f"f{n}/*/code.py")) for n in range(4)}
    content = path[0].read_bytes()
    os.chmod(path[0], 0o644)
    path[0].write_bytes(content[:-1] + b"x")
    os.chmod(path[1], 0o644)
    path[1].write_bytes(content[:10])
    path[2].unlink()
    strays = [root / "f3" / path[3].parent.name / "stray", root / "f3" / "999999" / "code.py", root / "loose"]
    for stray in strays:
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_text("x")
    (root / "f3" / "1000000").mkdir()  # young: may be an upload
    for old in (*strays, strays[1].parent):
        os.utime(old, (1, 1))
    found = verify(platform, "b-verify")
    assert sorted((d["function"], d["version"], d["problem"], d["expected_bytes"], d["bytes"]) for d in found["damaged"]) == [
        ("f0", 0, "sha256", 1000, 1000), ("f1", 0, "size", 1000, 10), ("f2", 0, "missing", 1000, 0)]
    assert all(d["file"] == str(path[int(d["function"][1])].relative_to(platform.data / "buckets")) for d in found["damaged"])
    assert sorted(found["orphans"]) == sorted(["b-verify/f3/999999", "b-verify/loose", f"b-verify/f3/{path[3].parent.name}/stray"])
    assert (found["damaged_count"], found["orphan_count"], found["files"]) == (3, 3, 4)
    path[0].write_bytes(content)
    assert len(verify(platform, "b-verify")["damaged"]) == 2
    assert platform.request("POST", f"{BUCKETS}/nobody/verify", {}, auth=platform.admin_auth).status == 404


def test_strays_go_at_the_next_start(start_platform):
    p = start_platform()
    assert p.put("kept", ECHO)
    root = p.data / "buckets" / "guest"
    for stray in (root / "kept" / "77777" / "code.py", root / "gone" / "88888" / "code.py", root / "gone" / ".tmp-0123456789abcdef",
                  root / "loose"):
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_text("x")
    p.stop()
    p.start()
    within(30, "strays are swept", lambda: [f.split("/")[0] for f in files_of(p, "guest")] == ["kept"])
    assert p.invoke("kept", {"x": 1}, "blocking=true&result=true").json == {"x": 1}


# ---- quotas

def test_quota_of_bytes(platform, admin):
    key = admin.create("b-quota")
    assert quota(admin, "b-quota", bytes=2500) == {"bytes": 2500, "functions": None, "versions": None}
    assert put(platform, key, "a", code=code_of(1)).status == put(platform, key, "b", code=code_of(2)).status == 200
    before = files_of(platform, "b-quota")
    reply = put(platform, key, "c", code=code_of(3))
    assert (reply.status, reply.error) == (
        403, "The account 'b-quota' would have 3000 bytes of code, more than its quota of 2500.")
    assert files_of(platform, "b-quota") == before
    assert platform.request("GET", "actions/c", auth=key).status == 404
    assert put(platform, key, "c", code=code_of(3, 500)).status == 200
    reply = put(platform, key, "a", code=code_of(4, 1001))
    assert (reply.status, reply.error) == (
        403, "The account 'b-quota' would have 2501 bytes of code, more than its quota of 2500.")
    assert call(platform, key, "a", x=1).json == {"x": 1}

    # above a quota that was lowered, what takes nothing more is allowed
    quota(admin, "b-quota", bytes=100)
    assert put(platform, key, "a", code=code_of(5, 900)).status == 200
    assert put(platform, key, "a", code=code_of(6, 901)).status == 403
    assert platform.request("PUT", "actions/a?overwrite=true", {"limits": {"memory": 128}}, auth=key).status == 200
    assert publish(platform, key, "a").status == 201
    assert platform.request("DELETE", "actions/b", auth=key).status == 200
    quota(admin, "b-quota", bytes=None)
    assert put(platform, key, "d", code=code_of(7)).status == 200
    assert verify(platform, "b-quota")["damaged"] == []


def test_quota_of_functions_and_versions(platform, admin):
    key = admin.create("b-counts")
    quota(admin, "b-counts", functions=1, versions=2)
    assert put(platform, key).status == 200
    reply = put(platform, key, "g")
    assert (reply.status, reply.error) == (403, "The account 'b-counts' would have 2 functions, more than its quota of 1.")
    assert publish(platform, key).status == publish(platform, key).status == 201
    reply = publish(platform, key)
    assert (reply.status, reply.error) == (
        403, "The account 'b-counts' would have 3 published versions, more than its quota of 2.")
    assert [v["version"] for v in platform.request("GET", "/narae/v1/functions/f/versions", auth=key).json["versions"]] in (
        [1, 2], [2, 1])


def test_uploads_at_the_same_time_do_not_exceed_a_quota(platform, admin):
    key = admin.create("b-raced")
    quota(admin, "b-raced", bytes=5 * 80_000)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:  # half of them are uploads, half quick calls
        replies = list(pool.map(lambda n: put(platform, key, f"f{n}", code=code_of(n, 80_000 if n % 2 else 40_000)), range(16)))
    assert {r.status for r in replies} == {200, 403}
    used = bucket(platform, "b-raced")
    assert used["bytes"] <= 5 * 80_000 and used["bytes"] > 4 * 80_000
    assert sum((platform.data / "buckets" / "b-raced" / f).stat().st_size for f in files_of(platform, "b-raced")) == used["bytes"]
    assert used["functions"] == sum(r.status == 200 for r in replies)
    assert verify(platform, "b-raced")["damaged"] == []
