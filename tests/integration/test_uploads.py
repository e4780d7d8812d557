"""Uploads that are refused, cut or killed: a clear sentence, the old code untouched, nothing left behind.

NARAE_UPLOAD_KILLS: how often the platform is killed in the middle of sixteen uploads (default: 2; `scripts/soak uploads` 50).
NARAE_UPLOAD_SEED: the same moments again.
"""
import base64
import concurrent.futures
import contextlib
import functools
import gzip
import hashlib
import http.client
import io
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import tarfile
import threading
import time
import zipfile

import pytest
from conftest import within
from test_buckets import verify

OLD = "def main(args):\n    return {'code': 'old'}\n"
MB = 1 << 20


def body(code, kind="python:3"):
    return {"exec": {"kind": kind, "code": code if isinstance(code, str) else base64.b64encode(code).decode()}}


def zipped(*names, content=b"x", method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name in names:
            z.writestr(name, content)
    return out.getvalue()


def tarred(name="__main__.py", kind=tarfile.REGTYPE, link="", count=1):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return gzip.compress(entry.tobuf(tarfile.USTAR_FORMAT) * count + bytes(1024), 1)


def encrypted():
    """A zip whose headers say that its entry is encrypted."""
    packed = bytearray(zipped("__main__.py"))
    packed[6] |= 1
    packed[packed.index(b"PK\1\2") + 8] |= 1
    return bytes(packed)


BAD = {
    "traversal": (lambda: zipped("__main__.py", "../evil.py"), 400,
                  "The archive holds a path that leaves its folder: '../evil.py'."),
    "absolute": (lambda: tarred("/etc/passwd"), 400, "The archive holds an absolute path: '/etc/passwd'."),
    "link": (lambda: tarred("link", tarfile.SYMTYPE, "/etc/shadow"), 400,
             "The archive holds a link: 'link'. Store the file itself."),
    "hard link": (lambda: tarred("hard", tarfile.LNKTYPE, "/etc/shadow"), 400,
                  "The archive holds a link: 'hard'. Store the file itself."),
    "device": (lambda: tarred("sda", tarfile.BLKTYPE), 400,
               "The archive holds something that is neither file nor folder: 'sda'."),
    "encrypted": (encrypted, 400, "The archive is encrypted: '__main__.py'."),
    "ratio": (lambda: zipped("__main__.py", content=bytes(40 * MB), method=zipfile.ZIP_BZIP2), 413,
              "The archive unpacks to more than the allowed 200 times its size"),
    "entries": (lambda: tarred("f", count=100_001), 413,
                "The archive holds more than the allowed 100000 entries (100001 and more)."),
    "damaged": (lambda: zipped("__main__.py", content=os.urandom(5000))[:3000], 400, "The archive cannot be read: "),
    "empty": (lambda: tarred(count=0), 400, "The archive holds no files."),
}


def state_of(platform, account="guest"):
    """What the registry and the bucket hold of an account."""
    with sqlite3.connect(f"file:{platform.data}/meta.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT f.package, f.name, v.number, v.revision, v.code_folder, v.sha256 FROM versions v JOIN functions f"
                          " ON f.id = v.function_id WHERE f.account = ? ORDER BY v.id", (account,)).fetchall()
        used = db.execute("SELECT bytes, functions, versions FROM usage WHERE account = ?", (account,)).fetchall()
    bucket = platform.data / "buckets"
    files = sorted((str(f.relative_to(bucket)), f.stat().st_size) for f in (bucket / account).rglob("*") if f.is_file())
    return rows, used, files


@pytest.fixture
def old(platform, name):
    platform.put(name, OLD)
    return name


@pytest.mark.parametrize("what", BAD)
def test_bad_archives(platform, old, what):
    make, status, text = BAD[what]
    before, code = state_of(platform), make()
    for path in (f"actions/{old}?overwrite=true", f"actions/{old}-new"):
        reply = platform.request("PUT", path, body(code))
        assert reply.status == status and reply.error.startswith(text), reply
    assert state_of(platform) == before
    assert platform.invoke(old, {}, "blocking=true&result=true").json == {"code": "old"}


def test_sha256(platform, old):
    """A client that says what it sends hears when something else arrived."""
    code = "def main(args):\n    return {'code': 'new'}\n"
    right = hashlib.sha256(code.encode()).hexdigest()
    before = state_of(platform)

    def send(said, what):
        return platform.request("PUT", f"actions/{old}?overwrite=true", what, headers={"X-Narae-SHA256": said})

    reply = send("0" * 64, body(code))
    assert (reply.status, reply.error) == (400, f"The code has the SHA-256 {right}, not {'0' * 64} as x-narae-sha256 says.")
    for said in ("0" * 63, "x" * 64, ""):
        reply = send(said, body(code))
        assert (reply.status, reply.error) == (400, "The header x-narae-sha256 must be 64 hexadecimal digits.")
    reply = send(right, {"limits": {"memory": 128}})
    assert (reply.status, reply.error) == (400, "The header x-narae-sha256 was given without code.")
    assert state_of(platform) == before
    assert send(right.upper(), body(code)).status == 200
    assert platform.invoke(old, {}, "blocking=true&result=true").json == {"code": "new"}
    packed = zipped("__main__.py", content=code.encode())  # of what is stored, not of its base64
    assert send(hashlib.sha256(packed).hexdigest(), body(packed)).status == 200


def test_upload_that_is_cut(platform, old):
    before = state_of(platform)
    text = json.dumps(body("#" * 5 * MB)).encode()
    connection = platform.connect()
    connection.putrequest("PUT", f"/api/v1/namespaces/_/actions/{old}?overwrite=true")
    for header in (("Authorization", platform.basic(platform.auth)), ("Content-Type", "application/json"),
                   ("Content-Length", str(len(text)))):
        connection.putheader(*header)
    connection.endheaders(text[:len(text) // 2])
    connection.close()
    assert platform.invoke(old, {}, "blocking=true&result=true").json == {"code": "old"}
    assert state_of(platform) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_disk_full_in_the_middle_of_an_upload(new_platform):
    p = new_platform()
    p.data.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=755", "tmpfs", p.data], check=True)
    try:
        p.start()
        p.put("old", OLD)
        fitting = 0
        while True:  # each a file of its own, until it does not fit
            before = state_of(p)
            reply = p.request("PUT", f"actions/f{fitting}", body(f"# {fitting}\n" + "#" * 6 * MB))
            if reply.status != 200:
                break
            fitting += 1
            assert fitting < 10
        assert (reply.status, reply.error) == (507, "There is no space left to store this.")
        assert fitting >= 1 and state_of(p) == before
        reply = p.request("PUT", "actions/old?overwrite=true", body("#" * 12 * MB))
        assert reply.status == 507 and state_of(p) == before
        assert p.request("GET", "actions/old").json["exec"]["code"] == OLD
        assert verify(p, "guest")["damaged"] == []
        for n in range(fitting):
            assert p.request("DELETE", f"actions/f{n}").status == 200
        assert p.request("PUT", "actions/again", body("#" * 6 * MB)).status == 200  # garbage goes when there is no room
        p.stop()
    finally:
        if p.process and p.process.poll() is None:
            p.stop()
        subprocess.run(["umount", "-l", p.data], check=True)


# ---- acceptance: killed at whatever moment

FUNCTIONS, UPLOAD_BYTES = 16, 5 * MB


FILLER = "#" + base64.b64encode(random.Random(1).randbytes(UPLOAD_BYTES * 3 // 4)).decode()


def source(n, generation):
    """5 MB of code that no other function or generation has; a mix of two fits neither hash."""
    return f"# {n} {generation}\n{FILLER}# {n} {generation}\n"


@functools.cache
def digest(n, generation):
    return hashlib.sha256(source(n, generation).encode()).digest()


def upload_all(p, generation, answered):
    def one(n):
        with contextlib.suppress(OSError, http.client.HTTPException):
            reply = p.request("PUT", f"actions/k{n}?overwrite=true", body(source(n, generation)))
            if reply.status == 200:
                answered.add(n)

    with concurrent.futures.ThreadPoolExecutor(FUNCTIONS) as pool:
        list(pool.map(one, range(FUNCTIONS)))


def residue(p):
    """Files that no version names, and those that are named and missing."""
    rows, _, files = state_of(p)
    named = {r[4] for r in rows}
    there = {str(pathlib.Path(f).parent) for f, _ in files}
    return sorted(named ^ there) + [f for f, _ in files if pathlib.Path(f).name != "code.py"]


def generations(p, old, new, answered):
    """The generation of each function's code after a kill; fails unless it is the old or the new one, whole."""
    now = []
    for n in range(FUNCTIONS):
        code = p.request("GET", f"actions/k{n}").json["exec"]["code"]
        which = [g for g in {old[n], new} if digest(n, g) == hashlib.sha256(code.encode()).digest()]
        assert which, f"k{n} has neither its old nor its new code: {code[:40]!r}..."
        assert which == [new] or n not in answered, f"k{n} was answered with 200 and has its old code"
        now += which
    for _, name, _, _, folder, sha256 in state_of(p)[0]:
        assert hashlib.sha256((p.data / "buckets" / folder / "code.py").read_bytes()).digest() == sha256, name
    return now


def test_killed_in_the_middle_of_uploads(start_platform):
    kills = int(os.environ.get("NARAE_UPLOAD_KILLS", "2"))
    chance = random.Random(os.environ.get("NARAE_UPLOAD_SEED") or print(seed := random.randrange(1 << 30)) or seed)
    p = start_platform("--network=none", "--stems=off")
    answered = set()
    began = time.monotonic()
    upload_all(p, 0, answered)
    takes = time.monotonic() - began
    assert len(answered) == FUNCTIONS
    now = [0] * FUNCTIONS
    for kill in range(1, kills + 1):
        answered = set()
        uploads = threading.Thread(target=upload_all, args=(p, kill, answered))
        uploads.start()
        uploads.join(chance.uniform(0, takes))
        p.process.send_signal(signal.SIGKILL)
        p.wait()
        uploads.join()
        p.start()
        within(30, "the sweeper leaves nothing that no version names", lambda: residue(p) == [])
        now = generations(p, now, kill, answered)
        found = verify(p, "guest")
        assert (found["damaged"], found["orphans"], found["files"]) == ([], [], FUNCTIONS)
        print(f"kill {kill}: {sum(g == kill for g in now)} of {FUNCTIONS} have the new code, {len(answered)} were answered")
