"""An account leaves as one archive and comes in elsewhere: the same answers, versions, aliases and settings; or not at all."""
import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tarfile
import threading

import pytest
from conftest import within
from test_accounts import ECHO, Admin, call, files_of, put
from test_buckets import code_of, publish, verify

ACCOUNTS = "/narae/v1/accounts"
VALUE = "def main(args):\n    return {'value': %r, 'greeting': args.get('greeting')}\n"


@pytest.fixture
def admin(platform):
    a = Admin(platform)
    made, create = [], a.create
    a.create = lambda name, **more: (made.append(name), create(name, **more))[1]
    yield a
    for name in made:
        if a.show(name):
            a.delete(name)


def export(platform, name, auth):
    reply = platform.request("GET", f"{ACCOUNTS}/{name}/export", auth=auth)
    assert reply.status == 200 and reply.headers["content-type"] == "application/x-tar", reply
    return reply.body


def import_into(platform, name, archive, auth):
    return platform.request("POST", f"{ACCOUNTS}/{name}/import", archive, headers={"Content-Type": "application/x-tar"}, auth=auth)


def unpacked(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as t:
        return {m.name: t.extractfile(m).read() for m in t.getmembers()}


def packed(files, **odd):
    """A tar of these; odd: attributes of the entry that is called `name`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if name == odd.get("name"):
                entry.type, entry.linkname, entry.size = odd["type"], odd.get("linkname", ""), 0
            t.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def full(platform, admin):
    """An account with functions in every state."""
    key = admin.create("x-from")
    greeting = {"parameters": [{"key": "greeting", "value": "hello"}], "annotations": [{"key": "team", "value": {"a": [1, 2]}}],
                "limits": {"memory": 192, "timeout": 5000}}
    assert put(platform, key, code=VALUE % 1, **greeting).status == 200
    assert publish(platform, key).status == 201
    assert put(platform, key, code=VALUE % 2).status == 200
    assert publish(platform, key).status == publish(platform, key).status == 201  # two versions of one file
    assert put(platform, key, code=VALUE % "latest").status == 200
    assert platform.request("DELETE", "/narae/v1/functions/f/versions/2", auth=key).status == 200
    assert platform.request("PUT", "/narae/v1/functions/f/aliases/prod", {"weights": {"1": 90, "3": 10}}, auth=key).status == 201
    assert platform.request("PUT", "/narae/v1/functions/f/aliases/old", {"version": 1, "protected": True}, auth=key).status == 201
    assert put(platform, key, "blocked").status == 200
    assert platform.request("POST", "/narae/v1/functions/blocked/block", {"reason": "a leak"}, auth=key).status == 200
    return key


def told(platform, key, name):
    """What the platform tells of a function, but for what is of the one account only."""
    f = platform.request("GET", f"/narae/v1/functions/{name}", auth=key).json
    a = platform.request("GET", f"actions/{name}", auth=key).json
    versions = platform.request("GET", f"/narae/v1/functions/{name}/versions", auth=key).json["versions"]
    aliases = platform.request("GET", f"/narae/v1/functions/{name}/aliases", auth=key).json["aliases"]
    for one in aliases:
        one.pop("history", None)
    return ({k: f[k] for k in f if k not in ("account", "updated_ms")}, versions, aliases,
            {k: a[k] for k in a if k not in ("namespace", "updated")})


def test_there_and_back(platform, admin, full):
    archive = export(platform, "x-from", full)
    assert full.split(":")[1].encode() not in archive
    key = admin.create("x-to")
    reply = import_into(platform, "x-to", archive, key)
    assert reply.status == 200, reply
    assert reply.json == {"imported": ["f", "blocked"], "refused": []}
    for name in ("f", "blocked"):
        assert told(platform, key, name) == told(platform, full, name)
    for query, value in (("", "latest"), ("&version=1", 1), ("&version=3", 2), ("&alias=old", 1)):
        reply = platform.request("POST", f"actions/f?blocking=true&result=true{query}", {}, auth=key)
        assert reply.json == {"value": value, "greeting": "hello"}, reply
    assert platform.request("POST", "actions/blocked?blocking=true", {}, auth=key).status == 423
    assert publish(platform, key).json["version"] == 4  # numbers go on
    found = verify(platform, "x-to")
    assert (found["damaged"], found["files"]) == ([], 4)
    assert admin.show("x-to")["usage"]["bytes"] == admin.show("x-from")["usage"]["bytes"]
    # a second time all are there already
    reply = import_into(platform, "x-to", archive, key)
    assert [r["error"] for r in reply.json["refused"]] == ["There is a function of this name already."] * 2
    assert reply.json["imported"] == [] and verify(platform, "x-to")["files"] == 4

    # who may
    assert platform.request("GET", f"{ACCOUNTS}/x-from/export", auth=key).status == 404
    assert import_into(platform, "x-from", archive, key).status == 404
    assert import_into(platform, "nobody", archive, platform.admin_auth).status == 404


def change(files, path, edit):
    document = json.loads(files[path])
    edit(document)
    return {**files, path: json.dumps(document).encode()}


F = "functions/1/function.json"


def first_code(files):
    return next(n for n in files if n.startswith("functions/1/code/"))


REFUSED_FUNCTIONS = {
    "sha256": (lambda f: {**f, first_code(f): bytes([f[first_code(f)][0] ^ 1]) + f[first_code(f)][1:]}, "another SHA-256"),
    "missing code": (lambda f: {n: c for n, c in f.items() if n != first_code(f)}, "The archive lacks its code code.py."),
    "kind": (lambda f: change(f, F, lambda d: d["versions"][0]["action"]["exec"].update(kind="cobol:85")), "cobol:85"),
    "memory": (lambda f: change(f, F, lambda d: d["versions"][1]["action"]["limits"].update(memory=1 << 30)), "memory"),
    "alias": (lambda f: change(f, F, lambda d: d["aliases"][0].update(weights={"9": 100})),
              "points to version 9, which is missing."),
    "state": (lambda f: change(f, F, lambda d: d["versions"][0].update(state="PUBLISHED")), "numbers and states do not fit"),
    "number": (lambda f: change(f, F, lambda d: d["versions"][1].update(number=77)), "numbers and states do not fit"),
    "file": (lambda f: change(f, F, lambda d: d["versions"][0]["code"].update(file="../../../etc/passwd")), "cannot be"),
    "no versions": (lambda f: change(f, F, lambda d: d.update(versions=[])), "It has 0 versions"),
}


@pytest.mark.parametrize("what", REFUSED_FUNCTIONS)
def test_a_function_that_is_wrong_is_left_out_as_a_whole(platform, admin, full, what):
    edit, text = REFUSED_FUNCTIONS[what]
    key = admin.create("x-part")
    reply = import_into(platform, "x-part", packed(edit(unpacked(export(platform, "x-from", full)))), key)
    assert reply.status == 200, reply
    assert reply.json["imported"] == ["blocked"]
    (refused,) = reply.json["refused"]
    assert refused["function"] == "f" and text in refused["error"], refused
    assert [f.split("/")[0] for f in files_of(platform, "x-part")] == ["blocked"]
    found = verify(platform, "x-from")  # and nothing of anybody else went with it
    assert (found["damaged"], found["files"]) == ([], 4), found
    assert [a["name"] for a in platform.request("GET", "actions", auth=key).json] == ["blocked"]


NOT_ONE = "The archive is not one of an account: "
REFUSED_ARCHIVES = {
    "no tar": (lambda f: b"what is this" * 100, 400, NOT_ONE),
    "empty": (lambda f: b"", 400, NOT_ONE),
    "traversal": (lambda f: packed({**f, "../../evil": b"x"}), 400, NOT_ONE),
    "foreign": (lambda f: packed({"evil": b"x", **f}), 400, NOT_ONE + "it does not begin with narae-account.json."),
    "link": (lambda f: packed(f, name=first_code(f), type=tarfile.SYMTYPE, linkname="/etc/shadow"), 400,
             NOT_ONE + "it holds something that is no plain file."),
    "device": (lambda f: packed(f, name=first_code(f), type=tarfile.CHRTYPE), 400,
               NOT_ONE + "it holds something that is no plain file."),
    "name": (lambda f: packed(change(f, F, lambda d: d.update(name="../x"))), 400, NOT_ONE + "a function has no valid 'name'."),
    "form": (lambda f: packed(change(f, "narae-account.json", lambda d: d.update(format=9))), 400,
             "The archive has the form 9; this release reads 1."),
    "cut": (lambda f: packed({n: c for n, c in f.items() if n != "narae-end.json"}), 400, NOT_ONE + "it lacks its end."),
    "large and none": (lambda f: bytes((8 << 20) + 1), 400, NOT_ONE),
}


@pytest.mark.parametrize("what", REFUSED_ARCHIVES)
def test_bad_archives(platform, admin, full, what):
    edit, status, text = REFUSED_ARCHIVES[what]
    key = admin.create("x-none")
    archive = edit(unpacked(export(platform, "x-from", full)))
    try:
        reply = import_into(platform, "x-none", archive, key)
    except (BrokenPipeError, ConnectionResetError):  # refused before its body was read
        assert status == 413
        return
    assert reply.status == status and reply.error.startswith(text), reply
    named = {hashlib.sha256(c).hexdigest() for n, c in unpacked(export(platform, "x-none", key)).items() if "/code/" in n}
    assert {hashlib.sha256((platform.data / "buckets" / "x-none" / f).read_bytes()).hexdigest()
            for f in files_of(platform, "x-none")} == named
    assert verify(platform, "x-none")["damaged"] == []



def test_an_archive_larger_than_what_may_be_held_in_memory(platform, admin):
    """It lies in a file without a name while it comes in: memory does not grow with it, and nothing of it stays."""
    key, other = admin.create("x-wide"), admin.create("x-wider")
    assert put(platform, key, "f", code=ECHO + "#" + "x" * (45 << 20)).status == 200
    files = unpacked(export(platform, "x-wide", key))
    code = first_code(files)
    end = files.pop("narae-end.json")
    for n in (2, 3, 4):
        document = json.loads(files[F])
        document["name"] = f"f{n}"
        files[F.replace("functions/1/", f"functions/{n}/")] = json.dumps(document).encode()
        files[code.replace("functions/1/", f"functions/{n}/")] = files[code]
    archive = packed({**files, "narae-end.json": end})
    assert len(archive) > 180 << 20
    before = anonymous_bytes(platform)
    reply = import_into(platform, "x-wider", archive, other)
    assert reply.status == 200 and reply.json["refused"] == [], reply
    assert anonymous_bytes(platform) - before < 100 << 20
    assert call(platform, other, "f4").status == 200
    assert verify(platform, "x-wider")["damaged"] == []
    within(10, "the file is gone", lambda: not unnamed_files(platform))


def anonymous_bytes(platform):
    status = pathlib.Path(f"/proc/{platform.process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10


def unnamed_files(platform):
    held = [os.readlink(f) for f in pathlib.Path(f"/proc/{platform.process.pid}/fd").iterdir() if f.is_symlink()]
    return [f for f in held if f.startswith(str(platform.data)) and f.endswith("(deleted)")]


def test_a_client_that_leaves_in_the_middle_of_a_large_archive(platform, admin):
    key = admin.create("x-leaves")
    with socket.create_connection(("127.0.0.1", platform.port), 60) as s:
        s.sendall((f"POST {ACCOUNTS}/x-leaves/import HTTP/1.1\r\nHost: x\r\nAuthorization: {platform.basic(key)}\r\n"
                   f"Content-Length: {64 << 20}\r\n\r\n").encode())
        s.sendall(bytes(10 << 20))
        within(10, "it is kept in a file", lambda: unnamed_files(platform))
    within(10, "the file is gone", lambda: not unnamed_files(platform))


def test_who_sends_an_archive_slowly_holds_up_himself_only(start_platform):
    own = start_platform("--import-max-mb=20")
    admin = Admin(own)
    slow, other = admin.create("x-slow"), admin.create("x-other")
    with archive_announced(own, "x-slow", 15 << 20, slow):
        within(10, "it is kept in a file", lambda: len(unnamed_files(own)) == 1)
        reply = refused_early(own, "x-slow", 9 << 20, slow)
        assert b" 429 " in reply and b"\r\nRetry-After: 30\r\n" in reply and b"(allowed: 1 per account)" in reply, reply
        assert b" 403 " in refused_early(own, "x-other", 9 << 20, slow)
        with archive_announced(own, "x-other", 15 << 20, other):
            within(10, "another account's is as well", lambda: len(unnamed_files(own)) == 2)
    within(10, "the files are gone", lambda: not unnamed_files(own))


def test_archives_have_a_bound_together(start_platform):
    own = start_platform("--import-max-mb=20")
    key = own.admin_auth
    with contextlib.ExitStack() as held:
        for i in range(4):
            held.enter_context(archive_announced(own, f"x-{i}", 19 << 20, key))
        within(10, "they are kept in files", lambda: len(unnamed_files(own)) == 4)
        reply = refused_early(own, "x-4", 9 << 20, key)
        assert reply.startswith(b"HTTP/1.1 503") and b"(79691776 bytes of 83886080)" in reply and b"\r\nRetry-After: 30\r\n" in reply, reply
    within(10, "the files are gone", lambda: not unnamed_files(own))
    reply = refused_early(own, "x-4", 21 << 20, key)
    assert reply.startswith(b"HTTP/1.1 413") and b"22020096 > 20971520 bytes" in reply


KEPT = 512 << 20  # of the disk, for what must be written


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_archives_wait_for_the_disk_only_when_others_will_fill_it(new_platform):
    """What is in a file already is not wanted a second time; what is only announced makes others wait, and no more than that."""
    own = new_platform("--import-max-mb=300")
    own.data.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={KEPT + (170 << 20)},mode=755", "tmpfs", own.data], check=True)
    try:
        own.start()
        key, room = own.admin_auth, shutil.disk_usage(own.data).free - KEPT
        large, half, small = room * 6 // 10, room // 2, room // 5
        assert small > 9 << 20, room
        with archive_announced(own, "x-first", large, key) as first:
            within(10, "it is kept in a file", lambda: len(unnamed_files(own)) == 1)
            reply = refused_early(own, "x-second", half, key)
            assert reply.startswith(b"HTTP/1.1 503") and b"\r\nRetry-After: 30\r\n" in reply, reply
            assert f"still to come of them ({large} bytes)".encode() in reply and f"one of {half}.".encode() in reply, reply
            reply = refused_early(own, "x-second", room + (1 << 20), key)
            assert reply.startswith(b"HTTP/1.1 507") and b"Retry-After" not in reply and str(room + (1 << 20)).encode() in reply, reply
            first.sendall(bytes(large - 1))
            within(60, "it is in the file", lambda: shutil.disk_usage(own.data).free < KEPT + half)
            with archive_announced(own, "x-second", small, key):
                within(10, "there is room beside it", lambda: len(unnamed_files(own)) == 2)
        within(10, "the files are gone", lambda: not unnamed_files(own))
        own.stop()
    finally:
        if own.process and own.process.poll() is None:
            own.stop()
        subprocess.run(["umount", "-l", own.data], check=True)


@contextlib.contextmanager
def archive_announced(own, account, length, key):
    with socket.create_connection(("127.0.0.1", own.port), 60) as s:
        s.sendall((f"POST {ACCOUNTS}/{account}/import HTTP/1.1\r\nHost: x\r\nAuthorization: {own.basic(key)}\r\n"
                   f"Content-Length: {length}\r\n\r\n").encode())
        yield s


def refused_early(own, account, length, key):
    with archive_announced(own, account, length, key) as s:
        s.settimeout(30)
        return b"".join(iter(lambda: s.recv(65536), b""))


def test_an_import_that_waits_for_a_registry_holds_up_nobody(platform, admin):
    key, other = admin.create("x-waits"), admin.create("x-beside")
    assert put(platform, other, "here").status == 200
    files = unpacked(export(platform, "x-beside", other))
    here = json.loads(files[F])

    def with_image(name, image):
        exec_of = {"kind": "blackbox", "image": image}
        version = {k: v for k, v in here["versions"][0].items() if k != "code"}
        return json.dumps({**here, "name": name, "versions": [
            {**version, "has_code": False, "action": {**version["action"], "exec": exec_of}}]}).encode()

    replies = []
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        registry = "127.0.0.1:%d" % silent.getsockname()[1]
        archive = packed({"narae-account.json": files["narae-account.json"],
                          "functions/1/function.json": with_image("one", f"{registry}/x/one:1"),
                          "functions/2/function.json": with_image("two", f"{registry}/x/two:1"),
                          "functions/3/function.json": files[F],
                          **{n.replace("functions/1/", "functions/3/"): c for n, c in files.items() if "/code/" in n},
                          "narae-end.json": files["narae-end.json"]})
        caller = threading.Thread(target=lambda: replies.append(import_into(platform, "x-waits", archive, key)))
        caller.start()
        within(30, "it is being looked for", lambda: [
            i for i in platform.request("GET", "/narae/v1/images", auth=key).json["images"] if i["state"] == "pulling"])
        assert unpacked(export(platform, "x-beside", other))[F] == files[F]  # work on whole buckets goes on
        assert verify(platform, "x-beside")["damaged"] == []
        again = import_into(platform, "x-waits", archive, key)
        assert (again.status, again.error) == (429, "An archive is being read into this account (allowed: 1 per account); try again after it.")
        assert int(again.headers["retry-after"]) > 0
        assert caller.is_alive()
    caller.join(60)
    (reply,) = replies
    assert reply.json["imported"] == ["here"], reply
    one, two = reply.json["refused"]
    assert one["function"] == "one" and "cannot be had" in one["error"], one
    assert two == {"function": "two", "error": f"The image '{registry}/x/two:1' was not looked for: "
                                               "a registry that was asked before is not there."}


def test_a_large_account_needs_no_large_memory(platform, admin):
    def anonymous_kb():
        with open(f"/proc/{platform.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

    key = admin.create("x-large")
    for n in range(8):
        assert put(platform, key, f"f{n}", code=code_of(n, 4 << 20)).status == 200
    before = anonymous_kb()
    connection = platform.connect()
    connection.request("GET", f"{ACCOUNTS}/x-large/export", headers={"Authorization": platform.basic(key)})
    answer = connection.getresponse()
    sum_bytes = len(answer.read(1 << 20))
    assert anonymous_kb() - before < 20 << 10  # 32 MB of code; the client has read 1
    sum_bytes += len(answer.read())
    assert sum_bytes > 32 << 20
    connection.close()
    assert put(platform, key, "small", code=ECHO).status == 200
    assert call(platform, key, "small", x=1).json == {"x": 1}
