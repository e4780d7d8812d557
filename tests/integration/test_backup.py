"""narae backup while calls go on, narae restore on another folder, and what a tired person or a damaged file may do to both."""
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tarfile
import tempfile
import threading

import pytest

from conftest import BUILD, SLOW, Platform, within
from functions import HELLO

NARAE = BUILD / "narae"
TOP = ["scaling.db", "calls.db", "meta.db", "secret.key", "admin.key", "guest.key"]
CANARY = "canary-of-the-backup-4711"


def narae(*words, status=0, data=None, stdin=None):
    """What it printed, on both channels, once its status is the expected one."""
    where = ["--data", data] if data else []
    done = subprocess.run([NARAE, *words, *where], input=stdin, capture_output=True, timeout=120 * SLOW, check=False)
    out, err = done.stdout, done.stderr.decode()
    assert done.returncode == status, (words, done.returncode, out[-500:], err)
    return out if words[:2] == ("backup", "-") else out.decode(), err


class World:
    """A platform with functions, versions, a secret, records; and a folder for the test."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nb", dir="/tmp"))
        self.key_file = self.folder / "sealing.key"
        self.platform = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), f"--secret-key-file={self.key_file}", "--stems=off")
        self.others = []

    def fill(self):
        p = self.platform.start()
        p.put("hello", HELLO["python:3"])
        assert p.request("POST", "/narae/v1/functions/hello/versions", {}).status == 201
        assert p.request("PUT", "/narae/v1/functions/hello/aliases/prod", {"version": 1}).status == 201
        p.put("hello", "def main(args):\n    return {'greeting': 'new'}\n")
        # how long its parameters are: the secret is in them, and not in the record
        p.put("echo", "#!/bin/sh\ninput=$(cat)\nprintf '{\"length\": %d}\\n' ${#input}\n", "native",
              parameters=[{"key": "password", "value": CANARY, "secret": True}, {"key": "unit", "value": "kWh"}])
        self.echo = p.invoke("echo", {"n": 1}, "blocking=true&result=true").json
        assert self.echo["length"] > len(CANARY)
        return self

    def other(self, data, *options):
        """A platform on a folder that was restored."""
        p = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), f"--secret-key-file={self.key_file}", "--stems=off", *options)
        p.data = data
        self.others.append(p)
        return p.start()

    def close(self):
        for p in [*self.others, self.platform]:
            p.discard()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def world():
    w = World()
    try:
        yield w.fill()
    finally:
        w.close()


@pytest.fixture(scope="module")
def backup(world):
    """A backup of the quiet platform."""
    path = world.folder / "quiet.narae"
    narae("backup", path, data=world.platform.data)
    return path


@pytest.fixture(scope="module")
def unpacked(world, backup):
    """It restored: a folder that nobody uses."""
    path = world.folder / "unpacked"
    narae("restore", backup, data=path)
    return path


@pytest.fixture
def place(world):
    """A folder of the test's own that does not exist yet."""
    path = pathlib.Path(tempfile.mkdtemp(dir=world.folder)) / "data"
    yield path
    shutil.rmtree(path.parent)


def head_of(folder, **changed):
    def version(name):
        with sqlite3.connect(f"file:{folder / name}?mode=ro", uri=True) as db:
            return db.execute("PRAGMA user_version").fetchone()[0]
    schema = {name: version(name) for name in TOP[:3]}
    schema.update(changed.pop("schema", {}))
    return json.dumps({"form": 1, "release": "0.1.0", "made": "2026-01-01T00:00:00.000Z", "schema": schema, **changed}).encode()


def members_of(folder, **head):
    """(name, bytes) of a backup of a folder that nobody uses, as an uncompressed archive has them."""
    code = sorted(p for p in (folder / "buckets").rglob("*") if p.is_file())
    order = [*TOP[:2], *[str(p.relative_to(folder)) for p in code], *TOP[2:]]
    return [("backup.json", head_of(folder, **head))] + [(name, (folder / name).read_bytes()) for name in order]


def pack(members, path, sums=True, more=()):
    """Writes an archive; more: (tarfile.TarInfo, bytes) before the sums."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        lines = ""
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            tar.addfile(info, io.BytesIO(content))
            lines += f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for info, content in more:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            lines += f"{hashlib.sha256(content).hexdigest()}  {info.name}\n"
        if sums:
            info = tarfile.TarInfo("SHA256SUMS")
            info.size = len(lines)
            tar.addfile(info, io.BytesIO(lines.encode()))
    return path


class Load:
    """Calls of both sorts, until it is ended; what the platform took is remembered."""

    def __init__(self, platform):
        self.platform, self.over = platform, threading.Event()
        self.answered, self.accepted, self.wrong = [], [], []
        self.threads = [threading.Thread(target=self.go, args=(i,)) for i in range(3)]
        for thread in self.threads:
            thread.start()

    def go(self, i):
        connection, n = self.platform.connect(), 0
        while not self.over.is_set():
            n += 1
            blocking = (n + i) % 2 == 0
            reply = self.platform.invoke("echo", {"n": n}, f"blocking={str(blocking).lower()}", connection=connection)
            if reply.status == (200 if blocking else 202):
                (self.answered if blocking else self.accepted).append(reply.activation)
            else:
                self.wrong.append(reply)
        connection.close()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_a_backup_under_load_serves_the_same(world, place):
    p = world.platform
    file = world.folder / "loaded.narae"
    load = Load(p)
    try:
        within(30, "calls run", lambda: len(load.answered) > 20 and len(load.accepted) > 20)
        answered, accepted = list(load.answered), list(load.accepted)
        p.record(answered[-1])  # a question waits for the rows answered before it: those are on the disk now
        told = narae("backup", file, data=p.data)[1]
        more = len(load.answered)
        within(30, "calls go on", lambda: len(load.answered) > more)
    finally:
        load.end()
    assert load.wrong == []
    assert "sealed under a key that is not in it" in told
    assert file.stat().st_mode & 0o777 == 0o600
    guest = p.auth
    report = json.loads(narae("restore", file, "-o", "json", data=place)[0])
    assert report["damaged"] == 0 and report["records"] >= len(answered) + len(accepted)

    q = world.other(place)
    assert q.auth == guest and q.admin_auth == p.admin_auth
    assert q.invoke("echo", {"n": 1}, "blocking=true&result=true").json == world.echo  # with its secret
    assert q.invoke("hello", {"name": "Ada"}, "blocking=true&result=true&alias=prod").json == {"greeting": "Hello, Ada!"}
    assert q.invoke("hello", {}, "blocking=true&result=true").json == {"greeting": "new"}
    for activation in answered:  # what was answered before the backup began
        assert q.request("GET", f"activations/{activation}").status == 200, activation
    for activation in accepted:
        q.record(activation)
    listed = {f["name"] for f in q.request("GET", "/narae/v1/functions?limit=200").json["functions"]}
    assert {"hello", "echo"} <= listed
    q.stop()


def test_nothing_secret_in_the_open(unpacked):
    """A secret parameter is in no file of a backup; that it is sealed there is seen above."""
    for path in unpacked.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path
    assert not (unpacked / "installation").exists()


def test_what_is_restored_is_what_was_there(world, unpacked):
    data = world.platform.data
    mine = sorted(str(p.relative_to(unpacked)) for p in (unpacked / "buckets").rglob("*") if p.is_file())
    assert any(m.endswith(".py") for m in mine) and any(m.endswith("/exec") for m in mine)
    for name in [*mine, "secret.key", "admin.key", "guest.key"]:
        assert (unpacked / name).read_bytes() == (data / name).read_bytes(), name
        if name.startswith("buckets"):
            assert (unpacked / name).stat().st_mode == (data / name).stat().st_mode, name
    assert unpacked.stat().st_mode & 0o777 == 0o700
    assert [p.name for p in unpacked.iterdir() if p.name.startswith(".")] == []


def test_through_a_pipe(world, place):
    out, told = narae("backup", "-", data=world.platform.data)
    assert "functions" in told
    narae("restore", "-", data=place, stdin=out)
    assert (place / "meta.db").exists()
    assert [p.name for p in world.platform.data.iterdir() if p.name.startswith(".narae")] == []


def test_an_older_schema_is_brought_up_to_date(world, unpacked, place):
    """What the release before this one would have written: without the last step."""
    old = place.parent / "old"
    shutil.copytree(unpacked, old)
    with sqlite3.connect(old / "meta.db") as db:
        now = db.execute("PRAGMA user_version").fetchone()[0]
        for column in ("keep_versions", "keep_versions_days", "keep_retired_days"):
            db.execute(f"ALTER TABLE accounts DROP COLUMN {column}")
        db.execute(f"PRAGMA user_version={now - 1}")
    db.close()
    file = pack(members_of(old), place.parent / "old.narae")
    narae("restore", file, data=place)
    q = world.other(place)
    assert q.invoke("hello", {}, "blocking=true&result=true").json == {"greeting": "new"}
    q.stop()
    with sqlite3.connect(place / "meta.db") as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == now
    db.close()


# ---- mistakes --------------------------------------------------------------------------------------------------------------------


def test_an_existing_file_is_not_replaced(world, backup):
    before = backup.read_bytes()
    assert "is there already; --force" in narae("backup", backup, status=1, data=world.platform.data)[1]
    assert backup.read_bytes() == before
    copy = backup.with_name("again.narae")
    copy.write_bytes(b"old")
    narae("backup", copy, "--force", data=world.platform.data)
    assert copy.stat().st_size > 1000 and copy.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in copy.parent.iterdir() if p.name.startswith("again.narae.")] == []


@pytest.mark.parametrize("words, why", [
    (["backup", "{folder}/x.narae", "--data", "{folder}/nothing"], "there is no Narae in "),
    (["backup", "{folder}/no/such/folder/x"], "cannot be written: No such file"),
    (["backup", "{folder}"], "is no file: name a new file in it"),
    (["backup"], "narae backup FILE"),
    (["restore", "{folder}/nothing"], "No such file"),
    (["restore", "{folder}"], "is a folder: name a file in it"),
    (["invoke", "hello", "--data", "folder"], "--data is not one JSON object"),
])
def test_wrong_words(world, words, why):
    words = [w.format(folder=world.folder) for w in words]
    data = None if "--data" in words else world.folder / "unused" if words[0] == "restore" else world.platform.data
    assert why in narae(*words, status=1, data=data if len(words) > 1 else None)[1]


def test_a_running_naraed_keeps_its_folder(world, backup):
    assert "is in use by a naraed: stop it first" in narae("restore", backup, "--force", status=1, data=world.platform.data)[1]
    assert world.platform.invoke("hello", {}, "blocking=true&result=true").json == {"greeting": "new"}


def test_a_folder_with_data_is_kept(backup, unpacked, place):
    shutil.copytree(unpacked, place)
    (place / "meta.db-wal").write_bytes(b"of another database")
    (place / "installation").write_bytes(b"0123456789abcdef")
    marked = place / "buckets" / "mine"
    marked.write_text("kept")
    assert "holds data" in narae("restore", backup, status=1, data=place)[1]
    assert marked.read_text() == "kept"
    told = narae("restore", backup, "--force", data=place)[1]
    aside, = [p for p in place.iterdir() if p.name.startswith("before-restore-")]
    assert str(aside) in told
    assert (aside / "buckets" / "mine").read_text() == "kept" and (aside / "meta.db-wal").exists()
    assert not marked.exists() and not (place / "meta.db-wal").exists()
    assert (place / "installation").read_bytes() == b"0123456789abcdef"


def refused(file, place, why):
    """It is refused, and the folder is as it was: empty but for the lock."""
    assert why in narae("restore", file, status=1, data=place)[1]
    assert [p.name for p in place.iterdir()] == ["lock"]


def test_a_damaged_file_is_refused(backup, unpacked, place):
    whole = backup.read_bytes()
    file = place.parent / "bad.narae"
    for cut in (0, 100, len(whole) // 2, len(whole) - 10):
        file.write_bytes(whole[:cut])
        refused(file, place, "no whole backup")
    for at in range(len(whole) // 10, len(whole), len(whole) // 7):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1:])
        refused(file, place, "bad.narae: it is ")
    members = members_of(unpacked)
    at = next(i for i, m in enumerate(members) if m[0].endswith(".py"))
    pack(members, file)
    text = file.read_bytes()
    assert text.count(members[at][1]) == 1
    file.write_bytes(text.replace(members[at][1], members[at][1].replace(b"new", b"old").replace(b"Hello", b"Hallo")))
    refused(file, place, f"the sum of {members[at][0]} is not the one that was written")


def link(name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


@pytest.mark.parametrize("what, why", [
    ([(tarfile.TarInfo("../escaped"), b"x")], "a file that no backup has"),
    ([(tarfile.TarInfo("buckets/guest/../../x/1"), b"x")], "a file that no backup has"),
    ([(tarfile.TarInfo("buckets/guest/f/1/2/code.py"), b"x")], "a file that no backup has"),
    ([(tarfile.TarInfo("buckets/guest//1/code.py"), b"x")], "a file that no backup has"),
    ([(tarfile.TarInfo("/etc/narae-was-here"), b"x")], "a file that no backup has"),
    ([(tarfile.TarInfo("installation"), b"x")], "a file that no backup has"),
    ([(tarfile.TarInfo("guest.key"), b"x")], "a name is in it twice"),
    ([(tarfile.TarInfo("tls.key"), b"x" * 100000)], "a key file is too large"),
    ([(link("buckets", "/tmp"), b"")], "no plain file"),
    ([(link("buckets/guest/f/9/code.py", "/etc/passwd"), b"")], "no plain file"),
])
def test_a_hostile_archive_is_refused(unpacked, place, what, why):
    refused(pack(members_of(unpacked), place.parent / "hostile", more=what), place, why)
    assert not (place.parent / "escaped").exists() and not os.path.exists("/etc/narae-was-here")


def test_other_files_are_refused(unpacked, place):
    members = members_of(unpacked)
    bad = place.parent / "bad"
    bad.write_text("no archive\n")
    refused(bad, place, "no whole backup")
    refused(pack(members, bad, sums=False), place, "it ends before the list of sums")
    refused(pack(members[1:], bad), place, "does not begin with backup.json")
    refused(pack([m for m in members if m[0] != "secret.key"], bad), place, "it has no secret.key")
    refused(pack(members_of(unpacked, form=2, release="9.0"), bad), place, "restore it with release 9.0")
    refused(pack(members_of(unpacked, schema={"meta.db": 99}), bad), place, "the schema of its meta.db is version 99")
    now = json.loads(members[0][1])["schema"]["meta.db"]
    refused(pack(members_of(unpacked, schema={"meta.db": now - 1}), bad), place, "is not the database that backup.json says")
    narae("restore", pack(members, bad), data=place)  # the control: what was changed was the reason


def test_a_damaged_code_file_is_told(world, unpacked, place):
    """The rest is worth having: the backup is made, and says what is missing."""
    data = place.parent / "damaged"
    shutil.copytree(unpacked, data)
    code = next(p for p in (data / "buckets").rglob("*.py"))
    code.chmod(0o600)
    code.write_text("something else\n")
    file = place.parent / "part.narae"
    told = narae("backup", file, status=1, data=data)[1]
    assert str(code.parent.relative_to(data)) in told and "the code of 1 uploads is damaged" in told
    assert "was damaged when the backup was made" in narae("restore", file, data=place)[1]


def test_it_can_be_ended(place):
    """A signal in the middle, also while nothing comes out of a pipe, leaves the folder as it was."""
    fifo = place.parent / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen([NARAE, "restore", fifo, "--data", place], stderr=subprocess.PIPE)
    with fifo.open("wb"):  # and nothing comes
        within(30, "the folder is there", lambda: list(place.glob(".restore-*")))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30 * SLOW) == 1
    assert b"signal 15" in process.stderr.read()
    assert [p.name for p in place.iterdir()] == ["lock"]


def test_of_another_owner(unpacked, backup, place):
    """Root restores into a folder of another user: all of it is that user's, and he can make a backup of it. A third one cannot."""
    place.mkdir(mode=0o700)
    os.chown(place, 12345, 12345)
    for folder in (place.parent, place.parent.parent):
        folder.chmod(0o755)
    narae("restore", backup, data=place)
    assert {p.stat().st_uid for p in place.rglob("*")} == {12345}

    def as_user(user):
        target = pathlib.Path(tempfile.mkdtemp(dir="/tmp"))
        os.chown(target, user, user)
        done = subprocess.run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", NARAE, "backup", target / "f",
                               "--data", place], capture_output=True, text=True, check=False)
        shutil.rmtree(target)
        return done.returncode, done.stderr
    assert as_user(12345)[0] == 0
    status, told = as_user(12346)
    assert status == 1 and "root" in told
