"""How narae fails, verb by verb: exit status, and with -o json one object with a code of the documented table, a sentence and what to do next."""
import concurrent.futures
import json
import os
import re
import signal
import subprocess

import pytest

from conftest import BUILD, ROOT, SLOW, within
from functions import HELLO
from terminal import Terminal, plain
from test_cli_surface import verbs

NARAE = BUILD / "narae"
NOBODY = "http://127.0.0.1:1"
NONE = "no-such-thing"
UUID = "00000000-0000-4000-8000-000000000000"

# What each verb is given: good words for things that are not there, or none.
WORDS = {
    "deploy": ["f.py"], "functions": [], "get": [NONE], "delete": [NONE], "invoke": [NONE], "activations": [], "activation": ["0" * 32],
    "logs": ["0" * 32], "poll": ["--exit", "1"], "result": ["0" * 32], "publish": [NONE], "versions": [NONE], "diff": [NONE, "1"],
    "alias list": [NONE], "alias set": [NONE, "prod=1"], "alias delete": [NONE, "prod"], "rollback": [NONE, "prod"], "block": [NONE],
    "unblock": [NONE], "retire": [NONE], "purge": [NONE], "update begin": [NONE], "update commit": [NONE, "f.py"], "update abort": [NONE],
    "history": [NONE], "package list": [], "package get": [NONE], "package create": [NONE], "package update": [NONE],
    "package bind": ["/whisk.system/" + NONE, NONE], "package delete": [NONE], "trigger list": [], "trigger get": [NONE],
    "trigger create": [NONE], "trigger update": [NONE], "trigger fire": [NONE], "trigger delete": [NONE], "rule list": [], "rule get": [NONE],
    "rule create": [NONE, NONE, NONE], "rule update": [NONE, NONE, NONE], "rule enable": [NONE], "rule disable": [NONE], "rule delete": [NONE],
    "api list": [], "api get": ["/" + NONE], "api create": ["/" + NONE, "/p", "get", NONE], "api update": ["/" + NONE, "/p", "get", NONE],
    "api delete": ["/" + NONE], "preenv run": [NONE], "preenv list": [NONE], "preenv show": [NONE], "preenv apply": [NONE],
    "preenv cancel": [NONE], "scale apply": ["p.json"], "scale check": ["p.json"], "scale list": [], "scale show": [NONE],
    "scale versions": [NONE], "scale mode": [NONE, "off"], "scale delete": [NONE], "scale explain": [NONE], "scale dry-run": [NONE],
    "scale replay": [NONE], "scale import": ["keda", "keda.yaml"], "scale forecasts": [], "scale channels": [NONE + "=none"], "scale status": [],
    "account list": [], "account create": [NONE], "account show": [NONE], "account suspend": [NONE], "account resume": [NONE],
    "account delete": [NONE], "account quota": [NONE], "account limits": [NONE], "account retention": [NONE], "account export": [NONE, "out.tar"],
    "account import": [NONE, "f.py"], "key list": [NONE], "key create": [NONE], "key rotate": [NONE, UUID], "key revoke": [NONE, UUID],
    "bucket usage": [], "bucket verify": [NONE], "image list": [], "image pull": ["127.0.0.1:1/none:1"], "image prune": [], "registry list": [],
    "registry set": ["127.0.0.1:1", "--username", "ci", "--password", "x"], "registry delete": ["127.0.0.1:2"], "status": [], "top": ["--once"],
    "invokers add": [NONE], "invokers remove": [NONE], "invokers cordon": [NONE], "invokers uncordon": [NONE], "invokers drain": [NONE],
    "invokers": [], "doctor": [], "completion": ["csh"], "man": [], "help": [NONE], "backup": ["out.narae"], "restore": ["in.narae"],
}
OFFLINE = {"completion", "man", "help", "backup", "restore"}
# With the administrator's key: nothing is missing for these, or they would make it.
FOUND = {verb for verb, words in WORDS.items() if not any(NONE in w or "0" * 8 in w for w in words)} | {
    "package create", "trigger create", "account create", "help", "package update", "trigger update", "backup", "restore"}  # they would make it
NO_NEXT = {"package bind", "rule create", "rule update", "invokers add", "invokers remove", "invokers cordon", "invokers uncordon", "invokers drain"}
ELSE = {"rule create": {"bad_request", "not_found"}, "package bind": {"bad_request", "forbidden", "not_found"}, "api create": {"conflict"},
        "api update": {"conflict"}, "invokers add": {"bad_request"}, "rule update": {"bad_request", "not_found"}}


class Script:
    """A program that calls narae with -o json."""

    def __init__(self, folder, url, auth):
        self.folder = folder
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", "NARAE_APIHOST": url, "NARAE_AUTH": auth}

    def run(self, *words, json_form=True, **env):
        env = {k: v for k, v in {**self.env, **env}.items() if v is not None}
        return subprocess.run([NARAE, *words, *(["-o", "json"] if json_form else [])], capture_output=True, text=True, cwd=self.folder,
                              env=env, timeout=120 * SLOW, check=False, stdin=subprocess.DEVNULL)

    def failure(self, *words, **env):
        """The object; with it go what is true of every failure."""
        done = self.run(*words, **env)
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert lines, (words, done)
        *notes, told = lines
        assert all(list(note) == ["note"] for note in notes), (words, done.stderr)
        assert told["code"] in CODES and told["error"] and "\n" not in told["error"], (words, told)
        assert done.returncode == CODES[told["code"]], (words, done)
        assert set(told) >= {"request_id", "http_status"} if "http_status" in told else "request_id" not in told, (words, told)
        told["output"] = done.stdout
        return told


def documented():
    """The table of docs/cli.md: {code: exit status}."""
    text = (ROOT / "docs/cli.md").read_text()
    return {m[1]: int(m[2]) for m in re.finditer(r"(?m)^\| `(\w+)` \| ([12]) \| ", text)}


CODES = documented()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "f.py").write_text(HELLO["python:3"])
    (tmp_path / "p.json").write_text('{"account": "guest", "function": "f", "min": 0, "max": 2, "target_inflight": 0.7}')
    (tmp_path / "keda.yaml").write_text("kind: ScaledObject\nspec:\n  scaleTargetRef: {name: f}\n  triggers: []\n")
    return tmp_path


@pytest.fixture
def admin(platform, folder):
    return Script(folder, platform.url, platform.admin_auth)


@pytest.fixture
def guest(platform, folder):
    return Script(folder, platform.url, platform.auth)


def test_every_verb_is_in_the_table():
    assert set(WORDS) == verbs()


def test_the_codes_are_those_of_the_manual():
    page = subprocess.run([NARAE, "man"], capture_output=True, text=True, check=True).stdout
    section = page.split(".SH ERRORS")[1].split(".SH ")[0]
    assert {m[1]: int(m[2]) for m in re.finditer(r"\\fB(\w+)\\fR \((\d)\)", section)} == CODES and len(CODES) > 15


def each(judge, verbs_of=WORDS):
    """Several verbs at a time: narae does little but wait for answers."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(judge, verb, WORDS[verb]) for verb in verbs_of]:
            done.result()


def test_a_mistake_in_the_command(guest):
    def judge(verb, words, more=("x",) * 70):
        told = guest.failure(*verb.split(), *words, *more, NARAE_APIHOST=NOBODY)  # nothing is sent
        assert told["code"] == "usage" and told["output"] == "", (verb, told)

    each(judge)
    for more in (("--memroy", "1"), ("--limit", "many"), ("--output", "xml")):
        judge("functions", [], more)


@pytest.mark.parametrize("words", [["deplyo"], ["alias"], ["alias", "sett"], ["help", "deplyo"], []])
def test_words_that_are_no_verb(guest, words):
    told = guest.failure(*words)
    assert told["code"] == "usage" and re.search("narae (--help|help)", told["error"] + told.get("next", "")), told


def test_the_form_is_known_wherever_it_stands(guest):
    for words in (["-o", "json", "deploy", "f.py", "--memroy"], ["deploy", "-ojson", "f.py", "--memory", "x"],
                  ["invoke", "f", "-p", "-o", "table", "--nonsense", "--output=json"]):
        done = guest.run(*words, json_form=False)
        assert done.returncode == 1 and json.loads(done.stderr)["code"] == "usage", done


def test_nobody_there(guest):
    def judge(verb, words):
        told = guest.failure(*verb.split(), *words, "--yes", NARAE_APIHOST=NOBODY)
        assert told["code"] == "no_answer" and told["verb"] == verb and "NARAE_APIHOST" in told["next"], (verb, told)

    each(judge, WORDS.keys() - OFFLINE)


def test_a_key_that_may_only_call(platform, guest):
    reply = platform.request("POST", "/narae/v1/accounts/guest/keys", {"scopes": ["invoke"]}, auth=platform.admin_auth)
    assert reply.status == 201, reply
    def judge(verb, words):
        told = guest.failure(*verb.split(), *words, "--yes", NARAE_AUTH=reply.json["key"])
        if verb in ("invoke", "trigger fire"):
            assert told["code"] == "not_found", (verb, told)
        elif verb == "account import":  # what is not there is said before it is judged
            assert told["code"] in ("forbidden", "not_found"), (verb, told)
        else:
            assert (told["code"], told["http_status"]) == ("forbidden", 403) and "NARAE_AUTH" in told["next"], (verb, told)

    each(judge, WORDS.keys() - OFFLINE)
    platform.request("DELETE", f"/narae/v1/accounts/guest/keys/{reply.json['uuid']}", auth=platform.admin_auth)


def test_what_is_not_there(admin):
    def judge(verb, words):
        told = admin.failure(*verb.split(), *words, "--yes")
        assert told["code"] in ELSE.get(verb, {"not_found"}) and told["output"] == "", (verb, told)
        assert told.get("next") or verb in NO_NEXT, (verb, told)

    each(judge, WORDS.keys() - FOUND)


@pytest.mark.parametrize("verb", ["invoke", "package create", "trigger update", "rule create", "api delete", "scale show", "account create", "key create"])
def test_names_that_none_can_have(admin, verb):
    told = admin.failure(*verb.split(), *["a\tb" if NONE in w else w for w in WORDS[verb]], "--yes")
    assert told["code"] in ("bad_request", "not_found", "forbidden"), (verb, told)


@pytest.mark.parametrize("env, said", [({"NARAE_APIHOST": "ftp://host"}, "ftp://host is no address"), ({"NARAE_APIHOST": "http://"}, "is no address"),
                                       ({"NARAE_AUTH": "no-colon"}, "the key of NARAE_AUTH has no colon")])
def test_an_address_or_a_key_that_is_none(guest, env, said):
    told = guest.failure("functions", **env)
    assert told["code"] == "usage" and said in told["error"] and "no-colon" not in str(told), told


def test_a_wrong_key_and_where_it_came_from(start_platform, folder):
    script = Script(folder, start_platform().url, "nobody:nothing")
    told = script.failure("functions", __OW_API_KEY="another:key")
    assert told["code"] == "unauthorized" and "the key comes from NARAE_AUTH; __OW_API_KEY is set too" in told["next"], told
    told = script.failure("functions", NARAE_AUTH=None, __OW_API_KEY="another:key")
    assert told["next"].endswith("the key comes from __OW_API_KEY"), told
    told = script.failure("functions", "--auth", "a:b")
    assert "the key comes from --auth; NARAE_AUTH is set too" in told["next"], told
    (folder / ".wskprops").write_text("AUTH=c:d\n")
    told = script.failure("functions", NARAE_AUTH=None)
    assert f"the key comes from {folder}/.wskprops" in told["next"], told
    (folder / ".wskprops").unlink()
    told = script.failure("functions", NARAE_AUTH=None)
    assert "there is no key" in told["next"] and "comes from" not in told["next"], told


def test_a_function_that_fails(guest, platform, name):
    platform.put(name, "def main(args):\n    return {'error': 'as asked'}\n")
    told = guest.failure("invoke", name)
    assert told["code"] == "function_failed" and json.loads(told["output"]) == {"error": "as asked"}, told
    assert re.fullmatch("[0-9a-f]{32}", told["activation_id"]) and told["activation_id"] in told["error"]


def test_files(guest):
    (guest.folder / "empty").mkdir()
    (guest.folder / "list.json").write_text("[1]")
    for words in (["deploy", "absent.py"], ["deploy", "empty"], ["invoke", "f", "-P", "absent.json"], ["invoke", "f", "-P", "list.json"],
                  ["invoke", "f", "-P", "empty"], ["scale", "apply", "absent.json"], ["scale", "apply", "empty"], ["account", "import", "guest", "empty"],
                  ["account", "import", "guest", "absent.tar"], ["account", "export", "guest", "absent/x.tar"], ["api", "create", "absent.json"],
                  ["api", "create", "empty"], ["preenv", "run", "f", "--payload", "absent.json"]):
        told = guest.failure(*words)
        assert told["code"] == "file", (words, told)
        assert ("absent" if "absent" in " ".join(words) else words[-1]) in told["error"], (words, told)
        assert words[-1] != "empty" or "folder" in told["error"] or "holds no file" in told["error"], (words, told)


def test_several_files_and_a_list_of_mistakes(admin):
    (admin.folder / "wrong.json").write_text('{"account": "guest", "function": "f", "min": 0, "max": 2, "target_infligt": 0.7}')
    done = admin.run("scale", "check", "wrong.json", "absent.json", "p.json")
    first, second = [json.loads(line) for line in done.stderr.splitlines() if "note" not in json.loads(line)]
    assert done.returncode == 1 and (first["code"], second["code"]) == ("bad_request", "file"), done
    assert first["problems"][0]["nearest"] == "target_inflight" and "target_infligt" in first["next"], first
    assert json.loads(done.stdout)  # the third is right


def test_what_is_beside_a_success(guest, name):
    done = guest.run("deploy", "f.py", "--name", name, "-a", "web-export", "maybe")
    assert done.returncode == 0 and json.loads(done.stdout)["name"] == name
    assert "neither true nor false" in json.loads(done.stderr)["note"]


def test_nobody_to_ask(guest, platform, name):
    platform.put(name, HELLO["python:3"])
    told = guest.failure("delete", name)
    assert told["code"] == "not_confirmed" and "--yes" in told["next"], told
    assert platform.request("GET", f"actions/{name}").status == 200


# ---- what was done, and what was not

@pytest.fixture
def small(platform, folder, request):
    """Somebody whose bucket takes one version."""
    account = "e-" + re.sub(r"\W", "-", request.node.name)[:40]
    reply = platform.request("POST", "/narae/v1/accounts", {"name": account, "profile": "local"}, auth=platform.admin_auth)
    assert reply.status == 201, reply
    assert platform.request("PUT", f"/narae/v1/accounts/{account}/quota", {"versions": 1}, auth=platform.admin_auth).status == 200
    yield Script(folder, platform.url, reply.json["key"])
    path = f"/narae/v1/accounts/{account}"
    assert platform.request("DELETE", path, auth=platform.admin_auth).status == 202
    within(30, "the account is gone", lambda: platform.request("GET", path, auth=platform.admin_auth).status == 404)


def test_a_deployment_whose_publication_or_alias_fails(small):
    told = small.failure("deploy", "f.py", "--publish", "--alias", "no/name")
    assert told["done"] == {"deployed": "0.0.1", "published": 1}, told
    assert "done: f 0.0.1 is deployed and published as version 1" in told["next"], told
    assert "not done: the alias no/name is as it was; to go on: narae alias set f no/name=1" in told["next"], told
    done = small.run("deploy", "f.py", "--publish", "--alias", "prod", json_form=False)  # a second version is too many
    assert done.returncode == 1 and done.stdout == "deployed f 0.0.2 (python:3)\n", done
    assert re.search(r"(?m)^  done: f 0\.0\.2 is deployed: calls without a version run it$", done.stderr), done.stderr
    assert re.search(r"(?m)^  not done: it is not published, and the alias prod is as it was; to go on: narae publish f\n  then: narae alias set f prod=VERSION$",
                     done.stderr), done.stderr
    assert "bucket usage" in done.stderr and "the key comes from" not in done.stderr, done.stderr
    assert small.run("alias", "set", "f", "prod=1").returncode == 0  # the way on of the first


def test_an_import_says_what_became_of_each(small, platform):
    account = json.loads(small.run("status").stdout)["account"]
    assert small.run("deploy", "f.py", "-s", "token", "abc").returncode == 0
    assert small.run("package", "create", "p", "-p", "a", "b").returncode == 0
    assert small.run("account", "export", account, "all.tar").returncode == 0
    done = small.run("account", "import", account, "all.tar", json_form=False)
    assert done.returncode == 1 and re.search(r"(?m)^narae: left out: the function f: There is a function of this name already\.$", done.stderr), done.stderr
    assert re.search(r"0 came in whole, 0 not whole, \d+ not at all", done.stderr), done.stderr
    told = small.failure("account", "import", account, "all.tar")
    assert told["code"] == "partly" and {r["function"] for r in told["refused"] if "function" in r} == {"f"}, told
    other = platform.request("POST", "/narae/v1/accounts", {"name": account + "2", "profile": "local"}, auth=platform.admin_auth).json["key"]
    try:
        done = small.run("account", "import", account + "2", "all.tar", json_form=False, NARAE_AUTH=other)
        assert done.returncode == 1 and "came in, but not whole: the function f: " in done.stderr, done.stderr
    finally:
        platform.request("DELETE", f"/narae/v1/accounts/{account}2", auth=platform.admin_auth)


def test_an_api_that_would_answer_404_is_not_made(guest, platform, name):
    base = "/" + name
    platform.put(name, HELLO["python:3"])
    told = guest.failure("api", "create", base, "/p", "get", name)
    assert told["code"] == "conflict" and "is no web action" in told["error"] and "--force" in told["next"], told
    assert "nothing was made" in told["next"]
    assert guest.failure("api", "get", base)["code"] == "not_found"
    document = {"swagger": "2.0", "info": {"title": name, "version": "1"}, "basePath": base, "paths": {"/p": {"get": {
        "operationId": "p", "responses": {}, "x-openwhisk": {"namespace": "_", "package": "", "action": name + "-no", "url": "http://x/a.json"}}}}}
    (guest.folder / "api.json").write_text(json.dumps(document))
    assert guest.failure("api", "create", "api.json")["code"] == "conflict"
    done = guest.run("api", "create", base, "/p", "get", name, "--force")
    assert done.returncode == 0 and "is no web action" in json.loads(done.stderr)["note"], done
    platform.put(name, HELLO["python:3"], annotations=[{"key": "web-export", "value": True}])
    assert guest.run("api", "create", base, "/q", "get", name).stderr == ""
    # as stock clients have it: made, with a warning
    reply = platform.request("POST", "/api/v1/web/whisk.system/apimgmt/createApi", {"apidoc": {
        "namespace": "_", "gatewayBasePath": base, "gatewayPath": "/r", "gatewayMethod": "get", "action": {
            "name": name + "-no", "namespace": "_", "backendMethod": "get", "backendUrl": "http://x/a.json", "authkey": ""}}})
    assert reply.status == 200 and "not there" in reply.headers["x-narae-warning"], reply
    assert guest.run("api", "delete", base, "--yes").returncode == 0


def test_a_key_that_writes_reads_nothing(platform, guest, name):
    """An update of one annotation is no way to read what others have written."""
    key = platform.request("POST", "/narae/v1/accounts/guest/keys", {"scopes": ["write"]}, auth=platform.admin_auth).json
    parameters = [{"key": "secret-of-another", "value": "s3cret"}]
    platform.put(name, HELLO["python:3"], parameters=parameters)
    for path in (f"packages/{name}-p", f"triggers/{name}-t"):
        assert platform.request("PUT", path, {"parameters": parameters}).status == 200
    try:
        for path, body in ((f"actions/{name}", {"annotations": [{"key": "a", "value": 1}]}), (f"packages/{name}-p", {"publish": False}),
                           (f"triggers/{name}-t", {"publish": False})):
            whole = platform.request("PUT", path + "?overwrite=true", body)
            assert "s3cret" in whole.body.decode()
            told = platform.request("PUT", path + "?overwrite=true", body, auth=key["key"])
            assert told.status == 200 and told.json["parameters"] == [] and "s3cret" not in told.body.decode(), told
            assert "code" not in told.json.get("exec", {}) and set(whole.json) == set(told.json), told
            gone = platform.request("DELETE", path, auth=key["key"])
            assert gone.status == 200 and "s3cret" not in gone.body.decode() and "greeting" not in gone.body.decode(), gone
        done = guest.run("deploy", "f.py", "--name", name, NARAE_AUTH=key["key"])
        assert done.returncode == 0 and json.loads(done.stdout)["exec"]["kind"] == "python:3", done
    finally:
        platform.request("DELETE", f"/narae/v1/accounts/guest/keys/{key['uuid']}", auth=platform.admin_auth)


@pytest.mark.parametrize("value", ["open sesame", 5577006791947779410, 4.5, True, False], ids=["text", "number", "real", "key", "open"])
def test_a_key_that_writes_is_not_told_what_opens_a_web_action(platform, guest, name, value):
    key = platform.request("POST", "/narae/v1/accounts/guest/keys", {"scopes": ["write"]}, auth=platform.admin_auth).json
    platform.put(name, HELLO["python:3"], annotations=[{"key": "web-export", "value": True}, {"key": "require-whisk-auth", "value": value}])

    def asked_of(reply):
        assert reply.status == 200, reply
        return next(a["value"] for a in reply.json["annotations"] if a["key"] == "require-whisk-auth")

    try:
        change = {"annotations": [{"key": "x", "value": 1}]}
        shown = value if isinstance(value, bool) else None
        assert asked_of(platform.request("PUT", f"actions/{name}?overwrite=true", change)) == value
        told = platform.request("PUT", f"actions/{name}?overwrite=true", change, auth=key["key"])
        assert asked_of(told) is shown and {"key": "x", "value": 1} in told.json["annotations"], told
        assert isinstance(value, bool) or str(value) not in told.body.decode()
        back = platform.request("PUT", f"actions/{name}?overwrite=true", {"annotations": told.json["annotations"]}, auth=key["key"])
        assert back.status == (200 if isinstance(value, bool) else 400), back  # it neither opens nor locks what it does not know
        assert asked_of(platform.request("GET", f"actions/{name}")) == value
        assert asked_of(platform.request("DELETE", f"actions/{name}", auth=key["key"])) is shown
    finally:
        platform.request("DELETE", f"/narae/v1/accounts/guest/keys/{key['uuid']}", auth=platform.admin_auth)


# ---- a tired hand

def test_a_file_whose_name_is_no_text(guest):
    """Its name is told as far as it can be, in JSON that is whole."""
    told = guest.failure("deploy", "/tmp/\udcff\udcfe-narae.txt")
    assert "/tmp/\ufffd\ufffd-narae.txt" in told["error"] or "\ufffd" in told.get("next", ""), told
    assert told["error"] != "?", told


def test_a_reader_that_goes_away(guest):
    done = subprocess.run(f"{NARAE} --help | head -n 1", shell=True, capture_output=True, text=True, env=guest.env, check=False)
    assert done.stdout.startswith("narae VERB") and done.stderr == ""


def test_an_output_that_takes_nothing(guest):
    with open("/dev/full", "w") as full:
        done = subprocess.run([NARAE, "functions", "-o", "json"], stdout=full, stderr=subprocess.PIPE, text=True, env=guest.env, check=False)
    assert done.returncode == 1 and json.loads(done.stderr)["code"] == "file"


def test_ctrl_c_ends_the_command_and_not_the_call(guest, platform, name):
    platform.put(name, "import time\n\ndef main(args):\n    time.sleep(3)\n    return {'done': True}\n")

    def runs():
        reply = platform.request("GET", "/narae/v1/invokers").json
        rows = [c for one in (reply if isinstance(reply, list) else [reply]) for c in one["containers"]]
        return any(c["state"] == "busy" and c.get("function", "").endswith(name) for c in rows)

    with Terminal([NARAE, "invoke", name], cwd=guest.folder, env={**guest.env, "TERM": "xterm"}) as t:
        within(60, "the call runs", runs)
        t.type("\x03")
        assert t.end(60 * SLOW) == -signal.SIGINT and "the call itself goes on" in plain(t.text), t.text
    within(60, "it ended as it would have", lambda: [a["response"]["result"] for a in platform.request(
        "GET", f"activations?name={name}&docs=true").json] == [{"done": True}])
