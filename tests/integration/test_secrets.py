"""Secret parameters: the function gets the value, and no file, answer or log has it."""
import hashlib
import json
import pathlib
import signal
import subprocess
import tempfile

import pytest
from conftest import Platform
from test_accounts import Admin
from test_cli_surface import NARAE, People
from test_export import export, import_into

SECRET, SEEN = "open-sesame-4711", "no-secret-at-all-4711"
DIGEST = """import hashlib, os

def main(args):
    told = lambda v: hashlib.sha256(repr(v).encode()).hexdigest()
    return {'args': {k: told(v) for k, v in args.items() if k[0] != '_'}, 'env': told(os.environ.get('AT_INIT'))}
"""


def digest(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()


def secret(key, value, **more):
    return {"key": key, "value": value, "secret": True, **more}


def sealed(listed):
    """The sealed values of parameters, by key."""
    return {p["key"]: p["value"] for p in listed if p.get("encryption") == "aes-256"}


def holders(platform, text=SECRET):
    """What of the platform's files holds the text: its data folder, what it has written, what runs."""
    found, read = [], set()
    for f in [f for f in platform.folder.rglob("*") if f.is_file()]:
        try:
            held = text.encode() in f.read_bytes()
        except FileNotFoundError:  # of a container that has ended
            continue
        read.add(f.name)
        found += [f] if held else []
    assert {"meta.db", "calls.db", "log"} <= read
    return found


def call(platform, name, **payload):
    reply = platform.invoke(name, payload, "blocking=true&result=true")
    assert reply.status == 200, reply
    return reply.json


@pytest.fixture(scope="module")
def own():
    platform = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"))
    try:
        platform.start()
        yield platform
        assert holders(platform) == []
        assert SECRET not in platform.said()
        platform.stop()
    finally:
        platform.discard()
        pathlib.Path(f"{platform.data}.secret.key").unlink(missing_ok=True)


def test_the_function_gets_it_and_nobody_reads_it(own):
    put = own.put("f", DIGEST, parameters=[secret("text", SECRET), secret("object", {"a": [1, SECRET]}),
                                           secret("AT_INIT", SECRET, init=True), {"key": "open", "value": 1}])
    assert SECRET not in json.dumps(put)
    assert set(sealed(put["parameters"])) == {"text", "object", "AT_INIT"}
    assert [set(p) for p in put["parameters"]] == [{"key", "value", "encryption"}] * 2 + [
        {"key", "value", "encryption", "init"}, {"key", "value"}]
    given = {"text": digest(SECRET), "object": digest({"a": [1, SECRET]}), "open": digest(1)}
    assert call(own, "f") == {"args": given, "env": digest(SECRET)}
    assert call(own, "f", text="mine")["args"]["text"] == digest("mine")
    read = own.request("GET", "actions/f").json
    assert read["parameters"] == put["parameters"]
    assert own.request("GET", "/narae/v1/functions/f/history").body.find(SECRET.encode()) < 0
    assert holders(own) == []


def test_what_was_read_is_sent_again(own):
    """As clients do that read a whole function, change something, and write it back."""
    first = own.put("again", DIGEST, parameters=[secret("token", SECRET), {"key": "n", "value": 1}])
    again = own.request("PUT", "actions/again?overwrite=true", {
        "namespace": "_", "name": "again", "parameters": first["parameters"], "limits": first["limits"], "version": first["version"],
        "annotations": [{"key": "description", "value": "changed"}]})
    assert again.status == 200, again
    assert again.json["parameters"] == first["parameters"]
    only = own.request("PUT", "actions/again?overwrite=true", {"annotations": [{"key": "k", "value": 1}]})
    assert only.json["parameters"] == first["parameters"]
    assert call(own, "again")["args"] == {"token": digest(SECRET), "n": digest(1)}
    copied = own.put("copied", DIGEST, parameters=first["parameters"])  # another function of the account
    assert copied["parameters"] == first["parameters"]
    assert call(own, "copied")["args"]["token"] == digest(SECRET)
    replaced = own.put("again", DIGEST, parameters=[{"key": "n", "value": 2}])
    assert replaced["parameters"] == [{"key": "n", "value": 2}]


def test_mistakes(own):
    def refused(element, status=400, path="actions/no"):
        body = {"exec": {"kind": "python:3", "code": DIGEST}, "parameters": [element]}
        reply = own.request("PUT", f"{path}?overwrite=true", body)
        assert reply.status == status and SECRET not in reply.error, reply
        return reply.error

    for path in ("actions/no", "packages/no", "triggers/no"):
        assert "'secret' of the parameter 'k' must be true or false" in refused({"key": "k", "value": SECRET, "secret": "yes"}, path=path)
        assert "sealed for another account" in refused({"key": "k", "value": SECRET, "encryption": "aes-256"}, path=path)
        assert "must be 'aes-256'" in refused({"key": "k", "value": SECRET, "encryption": "none"}, path=path)
        assert "larger than allowed" in refused(secret("k", SECRET * 70000), 413, path)
        assert own.request("GET", path).status == 404
    annotated = own.request("PUT", "actions/no", {"exec": {"kind": "python:3", "code": DIGEST}, "annotations": [secret("k", SECRET)]})
    assert annotated.status == 400 and "only parameters may be secret" in annotated.error


def test_another_account(own):
    admin = Admin(own)
    key = admin.create("other")
    package = own.request("PUT", "packages/shared", {"publish": True, "parameters": [secret("token", SECRET)]}).json
    own.put("shared/f", DIGEST)
    read = own.request("GET", "/api/v1/namespaces/guest/packages/shared", auth=key).json
    assert read["parameters"] == package["parameters"]
    stolen = own.request("PUT", "actions/thief", {"exec": {"kind": "python:3", "code": DIGEST}, "parameters": read["parameters"]}, auth=key)
    assert stolen.status == 400 and "sealed for another account" in stolen.error
    assert own.request("PUT", "packages/mine", {"binding": {"namespace": "guest", "name": "shared"},
                                                "parameters": [secret("more", SECRET)]}, auth=key).status == 200
    run = own.request("POST", "/api/v1/namespaces/_/actions/mine/f?blocking=true&result=true", {}, auth=key)
    assert run.json["args"] == {"token": digest(SECRET), "more": digest(SECRET)}


def test_a_trigger_keeps_it_over_a_kill(own):
    """A fire's calls wait on disk while their function is updated: what they were given is not to be read there, and is there again."""
    own.put("waits", DIGEST)
    seen = {"key": "seen", "value": SEEN}
    for trigger, parameters in (("t", [secret("token", SECRET), seen]), ("open", [seen])):
        assert own.request("PUT", f"triggers/{trigger}", {"parameters": parameters}).status == 200
    assert own.request("PUT", "rules/open-r", {"trigger": "/_/open", "action": "/_/waits"}).status == 200
    assert own.request("PUT", "rules/r", {"trigger": "/_/t", "action": "/_/waits"}).status == 200
    begun = own.request("POST", "/narae/v1/functions/waits/update", {"while_updating": "hold", "hold_s": 300, "deadline_s": 600})
    assert begun.status < 300, begun
    fired = own.request("POST", "triggers/t", {"n": 1})
    assert fired.status == 202, fired
    lines = [json.loads(line) for line in own.request("GET", f"activations/{fired.activation}").json["logs"]]
    held = lines[0]["activationId"]
    assert own.request("GET", f"activations/{held}").status == 404
    assert holders(own) == []
    assert {f.name for f in holders(own, SEEN)} <= {"meta.db", "meta.db-wal"}
    assert own.request("POST", "triggers/open").status == 202  # of a trigger without secrets it can be read
    assert any(f.name.startswith("calls.db") for f in holders(own, SEEN))
    own.process.send_signal(signal.SIGKILL)
    assert own.wait() == -signal.SIGKILL
    own.start()
    done = own.request("POST", "/narae/v1/functions/waits/update/commit", {"exec": {"kind": "python:3", "code": DIGEST}})
    assert done.status < 300, done
    assert own.record(held, 120)["response"]["result"]["args"] == {"token": digest(SECRET), "seen": digest(SEEN), "n": digest(1)}
    assert holders(own) == []


def test_archives(own):
    """The same account gets its secrets back; another one gets the rest, and is told; so does the next one of its name."""
    admin = Admin(own)
    key = admin.create("from")
    for path, body in (("packages/p", {}), ("triggers/t", {}), ("actions/f", {"exec": {"kind": "python:3", "code": DIGEST}})):
        body["parameters"] = [secret("token", SECRET), {"key": "n", "value": 1}]
        assert own.request("PUT", path, body, auth=key).status == 200
    archive = export(own, "from", own.admin_auth)
    assert SECRET.encode() not in archive
    elsewhere = admin.create("elsewhere")

    def comes_without(account, auth):
        told = import_into(own, account, archive, own.admin_auth).json
        assert sorted(told["imported"]) == ["f", "package:p", "trigger:t"]
        assert sorted(r.get("function") or r["entity"] for r in told["refused"]) == ["f", "package:p", "trigger:t"]
        for one in told["refused"]:
            assert one["error"].startswith("1 secret parameters were left out") and one["error"].endswith("'token'.")
        for path in ("packages/p", "triggers/t", "actions/f"):
            assert own.request("GET", path, auth=auth).json["parameters"] == [{"key": "n", "value": 1}]

    comes_without("elsewhere", elsewhere)
    for path in ("packages/p", "triggers/t", "actions/f"):
        assert own.request("DELETE", path, auth=key).status in (200, 204)
    assert import_into(own, "from", archive, own.admin_auth).json["refused"] == []
    run = own.request("POST", "actions/f?blocking=true&result=true", {}, auth=key)
    assert run.json["args"] == {"token": digest(SECRET), "n": digest(1)}
    admin.delete("from")
    comes_without("from", admin.create("from"))


def test_the_command_line(own, tmp_path):
    people = People(own, tmp_path, own.auth)
    (tmp_path / "cli.py").write_text(DIGEST)
    status, out, err = people.pipe("deploy", "cli.py", "-s", "token", "12", "-p", "n", "1")
    assert status == 0, err
    assert call(own, "cli")["args"] == {"token": digest("12"), "n": digest(1)}  # a text, as it was given
    piped = subprocess.run([NARAE, "deploy", "cli.py", "--secret", "a", "-", "-s", "b", "-", "-o", "json"], text=True, check=False,
                           input=f"{SECRET}\r\n{SECRET}2\n", capture_output=True, cwd=tmp_path, env=people.env)
    assert piped.returncode == 0, piped.stderr
    assert SECRET not in piped.stdout + piped.stderr
    assert call(own, "cli")["args"] == {"a": digest(SECRET), "b": digest(SECRET + "2")}
    status, out, err = people.pipe("deploy", "cli.py", "-s", "token", "-")
    assert status == 1 and "there is no line with a text on the standard input" in err
    status, out, err = people.pipe("deploy", "cli.py", "-s", "token")
    assert status == 1 and "-s KEY VALUE" in err
    status, out, err = people.pipe("deploy", "seq", "--sequence", "cli", "-s", "token", "x")
    assert status == 1 and "no --secret" in err


def test_what_is_typed_is_not_shown(own, tmp_path):
    people = People(own, tmp_path, own.auth)
    (tmp_path / "typed.py").write_text(DIGEST)
    with people.terminal("deploy", "typed.py", "-s", "token", "-") as t:
        t.until("token: ").type(SECRET + "\n")
        assert t.end() == 0
        assert SECRET not in t.text and "deployed typed" in t.text
    assert call(own, "typed")["args"] == {"token": digest(SECRET)}
    with people.terminal("deploy", "typed.py", "-s", "token", "-") as t:
        t.until("token: ").type("\x03")
        assert t.end() == 1  # given up: nothing is deployed
        assert "deployed" not in t.text
