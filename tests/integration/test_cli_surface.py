"""Every verb of narae through a pipe and through a terminal: what it does, how it looks, what it asks."""
import json
import os
import re
import subprocess

import pytest

from conftest import BUILD, SLOW, within
from functions import HELLO
from terminal import Terminal, plain, width

NARAE = BUILD / "narae"
PIPE, TERMINAL = "pipe", "terminal"

ECHO = "def main(args):\n    print('called with', args)\n    return args\n"
ECHO_2 = "def main(args):\n    return {**args, 'second': True}\n"
UUID = r"[0-9a-f]{{8}}-[0-9a-f-]{{27}}"  # doubled for str.format

# What is typed, the exit status, what is seen. A group of a pattern can be used in later lines. ASKS: the verb asks on a terminal, and
# wants --yes in a pipe.
ASKS = object()
SESSION = {"functions": [
    ("deploy {file} --name {f} --memory 128 --publish --note first", 0,
     r"deployed {f} 0\.0\.1 \(python:3\)\n +published as version 1\n"),
    ("functions --limit 0", 0, r"NAME +STATE +VERSION +KIND +MEMORY[^\n]*\n(.*\n)*{f} +LATEST +0\.0\.1 +python:3"),
    ("get {f}", 0, r'"name": "{f}"'),
    ("get {f} --version 1", 0, r'"version": 1'),
    ("invoke {f} -p name Zoë --logs", 0, r'(?s)called with.*"name": "Zoë"|"name": "Zoë".*called with'),
    ("deploy {file2} --name {f}", 0, r"deployed {f} 0\.0\.2"),
    ("publish {f} --note second", 0, r"published {f} as version 2"),
    ("invoke {f} --version 1", 0, r"^\{{\}}\s*$"),
    ("invoke {f} --version 2", 0, r'"second": true'),
    ("deploy {f}-s --sequence {f}?version=1,/_/{f}?version=2", 0, r"deployed {f}-s 0\.0\.1 \(sequence\)"),
    ("get {f}-s", 0, r'"components": \[\s*"/[^/]+/{f}\?version=1",\s*"/[^/]+/{f}\?version=2"\s*\]'),
    ("invoke {f}-s", 0, r'"second": true'),
    ("deploy {f}-s --sequence {f},{f}-gone", 1, r"Sequence component does not exist\."),
    ("deploy {f}-s {file} --sequence {f}", 1, r"--sequence names functions: it takes no file"),
    ("deploy {f}-s --sequence {f} --watch", 1, r"no file to watch"),
    ("delete {f}-s", ASKS, r"deleted {f}-s\n"),
    ("versions {f}", 0, r"VERSION +STATE[^\n]*\n +\d +PUBLISHED"),
    ("diff {f} 1 2", 0, r"FILE +CHANGE|SETTING +FROM"),
    ("diff {f} 2", 0, r"they are the same"),
    ("alias set {f} prod=1", 0, r"prod of {f} is version 1\n"),
    ("alias set {f} prod=1:50,2:50 --protected yes", 0, r"prod of {f} is version 1:50,2:50\n"),
    ("alias list {f}", 0, r"ALIAS +VERSION +PROTECTED[^\n]*\nprod +1:50,2:50 +yes"),
    ("rollback {f} prod", 0, r"prod of {f} is version 1\n"),
    ("invoke {f} --alias prod", 0, r"^\{{\}}\s*$"),
    ("alias set {f} prod --protected no", 0, r"prod of {f} is version 1\n"),
    ("alias delete {f} prod", ASKS, r"deleted alias prod of {f}"),
    ("block {f} --reason 'wrong prices'", 0, r"VERSION +STATE\n(.*\n)*LATEST +BLOCKED"),
    ("invoke {f}", 1, r"wrong prices.*\(HTTP 423\)\n +`narae unblock"),
    ("unblock {f}", 0, r"LATEST +LATEST"),
    ("update begin {f} --while-updating old", 0, r"{f} is being updated: calls run the old code"),
    ("update abort {f}", 0, r"{f} keeps its old code"),
    ("update begin {f}", 0, r"calls wait"),
    ("update commit {f} {file}", 0, r"{f} has its new code"),
    ("retire {f} --version 1 --running cancel --reason old", ASKS, r"1 +RETIRED"),
    ("purge {f} --version 1", ASKS, r"1 +gone"),
    ("delete {f} --version 2", ASKS, r"deleted {f}, version 2"),
    ("history {f}", 0, r"TIME +MOVE +VERSION"),
    ("activations {f}", 0, r"TIME +ID +STATUS"),
    ("activation {f}", 0, r'"activationId": "[0-9a-f]{{32}}"'),
    ("result {f}", 0, r"\{{"),
    ("logs {f}", 0, r"called with|^\s*$"),
    ("poll {f} --exit 1", 0, r"waiting for activations"),
    ("get {f} --url", 0, r"^http\S+/actions/{f}\s*$"),
    ("delete {f}", ASKS, r"deleted {f}\n"),
], "accounts": [
    ("account create {a} --profile iot", 0, r"created {a}; its key, shown only now:\n" + UUID + r":\S+"),
    ("account list", 0, r"ACCOUNT +STATE +PROFILE[^\n]*\n(.*\n)*{a} +ACTIVE +iot"),
    ("account show {a}", 0, r"ACCOUNT +{a}\nSTATE +ACTIVE"),
    ("account limits {a}", 0, r"invocationsPerMinute +6000"),
    ("account limits {a} invocationsPerMinute=600", 0, r"invocationsPerMinute +600\n"),
    ("account quota {a} bytes=1000000", 0, r"bytes +1000000"),
    ("account quota {a} functions=none", 0, r"bytes +1000000\nfunctions +none"),
    ("account quota {a}", 0, r"bytes +1000000"),
    ("account retention {a}", 0, r"keepVersions +all \(default\)\nkeepVersionsDays +for ever \(default\)\nkeepRetiredDays +30 \(default\)"),
    ("account retention {a} keepVersions=20 keepRetiredDays=0", 0, r"keepVersions +20\nkeepVersionsDays +for ever \(default\)\nkeepRetiredDays +for ever\n"),
    ("account retention {a} keepVersions=default", 0, r"keepVersions +all \(default\)"),
    ("key create {a} --scopes invoke,read --expires 30d --note ci", 0, r"the new key; shown only now:\n(?P<uuid>" + UUID + r"):\S+"),
    ("key list {a}", 0, r"UUID +SCOPES +EXPIRES[^\n]*\n(.*\n)*{uuid} +invoke,read"),
    ("key rotate {a} {uuid}", ASKS, r"the key with its new secret; shown only now:\n" + UUID + r":\S+"),
    ("key list", 0, r"UUID +SCOPES"),
    ("key revoke {a} {uuid}", ASKS, r"revoked {uuid}"),
    ("bucket usage", 0, r"ACCOUNT +BYTES"),
    ("bucket verify {a}", 0, r"0 files with 0 bytes were read; 0 damaged"),
    ("account suspend {a}", 0, r"{a} is suspended"),
    ("account resume {a}", 0, r"{a} goes on"),
    ("account delete {a}", ASKS, r"account {a} is being deleted|deleted account {a}"),
], "archives": [
    ("account create {a}-old", 0, r"created {a}-old"),
    ("account create {a}-new", 0, r"created {a}-new"),
    ("account export {a}-old {tar}", 0, r"wrote \d+ bytes of {a}-old to farm\.tar"),
    ("account import {a}-new {tar}", 0, r"{a}-new has 0 functions of farm\.tar"),
    ("account delete {a}-old", ASKS, r"{a}-old"),
    ("account delete {a}-new", ASKS, r"{a}-new"),
], "images": [
    ("image list", 0, r"REFERENCE +STATE|no own images"),
    ("image pull 127.0.0.1:1/none:1", 1, r"narae: .*127\.0\.0\.1:1"),
    ("image prune", ASKS, r"removed 0 images"),
    ("registry set 127.0.0.1:1 --username ci --password secret", 0, r"kept the credentials of 127\.0\.0\.1:1"),
    ("registry list", 0, r"REGISTRY +USERNAME[^\n]*\n127\.0\.0\.1:1 +ci"),
    ("registry delete 127.0.0.1:1", ASKS, r"forgot the credentials of 127\.0\.0\.1:1"),
], "entities": [
    ("package create {f} -p unit C -a about weather", 0, r"created package {f} 0\.0\.1\n"),
    ("package create {f}", 1, r"already exists.*\(HTTP 409\)\n +`narae package update"),
    ("package update {f} --shared yes", 0, r"updated package {f} 0\.0\.2\n"),
    ("package bind {f} {f}-mine -p unit F", 0, r"created package {f}-mine 0\.0\.1\n"),
    ("package list -n 0", 0, r"PACKAGE +VERSION +SHARED +BINDS[^\n]*\n(.*\n)*{f} +0\.0\.2 +yes +- "),
    ("package list -n 0", 0, r"entities\S+ +0\.0\.1 +- +/\S+"),
    ("deploy {file} --name {f}/inner", 0, r"deployed {f}/inner 0\.0\.1"),
    ("package get {f}", 0, r'(?s)"name": "inner".*"publish": true'),
    ("deploy {file} --name {f}-run --web true", 0, r"deployed {f}-run"),
    ("trigger create {f}-t -p plant 7", 0, r"created trigger {f}-t 0\.0\.1\n"),
    ("trigger fire {f}-t -p value 1", 0, r"no rule waits for {f}-t"),
    ("trigger update {f}-t -p plant 8", 0, r"updated trigger {f}-t 0\.0\.2\n"),
    ("rule create {f}-r {f}-t {f}-run", 0, r"created rule {f}-r 0\.0\.1\n"),
    ("rule list -n 0", 0, r"RULE +TRIGGER +FUNCTION[^\n]*\n(.*\n)*entities\S+ +entities\S+ +entities"),
    ("trigger list -n 0", 0, r"TRIGGER +VERSION[^\n]*\n(.*\n)*entities\S+ +0\.0\.2"),
    ("trigger fire {f}-t -p value 1", 0, r"^[0-9a-f]{{32}}\n$"),
    ("trigger get {f}-t", 0, r'(?s)"plant".*"rules": \{{[^}}]*{f}-r'),
    ("rule disable {f}-r", 0, r"rule {f}-r is inactive\n"),
    ("rule get {f}-r", 0, r'"status": "inactive"'),
    ("rule enable {f}-r", 0, r"rule {f}-r is active\n"),
    ("rule update {f}-r {f}-t {f}/inner", 0, r"updated rule {f}-r 0\.0\.2\n"),
    ("rule list -n 0", 0, r"entities\S+ +entities\S+ +entities"),
    ("api create /{f} /p/{{id}} get {f}-run --response-type http", 0, r"^GET +http\S+/apis/\S+/{f}/p/\{{id\}}\n$"),
    ("api update /{f} /q post {f}-run", 0, r"^POST +http\S+/{f}/q\n$"),
    ("api list -n 0", 0, r"METHOD +URL +FUNCTION[^\n]*\n(.*\n)*POST +\S+ +{f}"),
    ("api get /{f}", 0, r'(?s)"basePath": "/{f}".*"/p/\{{id\}}"'),
    ("api delete /{f} /q post", ASKS, r"deleted POST /{f}/q\n"),
    ("api delete /{f}", ASKS, r"deleted /{f}\n"),
    ("rule delete {f}-r", ASKS, r"deleted rule {f}-r\n"),
    ("trigger delete {f}-t", ASKS, r"deleted trigger {f}-t\n"),
    ("package delete {f}-mine", ASKS, r"deleted package {f}-mine\n"),
    ("package delete {f}", ASKS, r"deleted package {f}\n"),
    ("delete {f}-run", ASKS, r"deleted {f}-run\n"),
], "platform": [
    ("status", 0, r"state +ready\n"),
    ("top --once", 0, r"calls run[^$]*\n\nFUNCTION +CALLS/S"),
    ("invokers", 0, r"invoker 0: up"),
    ("doctor", 0, r"(?m)^yes +"),
    ("help", 0, r"narae VERB"),
    ("help alias", 0, r"narae alias VERB"),
    ("help alias set", 0, r"ALIAS\[=VERSION"),
    ("completion bash", 0, r"complete -F _narae narae"),
]}
# Run by tests of their own, below or in files of their own.
APART = {"man", "backup", "restore",  # test_backup.py
         "invokers add", "invokers remove", "invokers cordon", "invokers uncordon", "invokers drain",  # test_fleet.py
         "scale apply", "scale check", "scale list", "scale show", "scale versions", "scale mode", "scale delete",
         "scale explain", "scale dry-run", "scale replay", "scale import", "scale forecasts", "scale channels", "scale status",  # test_scale_cli.py
         "preenv run", "preenv list", "preenv show", "preenv apply", "preenv cancel"}


def verbs():
    """Each verb with the words it takes, as --help lists them."""
    text = subprocess.run([NARAE, "--help"], capture_output=True, text=True, check=True).stdout
    known = {"alias", "update", "preenv", "account", "key", "bucket", "image", "registry", "scale", "package", "trigger",
             "rule", "api", "invokers"}
    found = set()
    for line in re.findall(r"(?m)^  ([a-z]+(?: [a-z-]+)?)(?: |$)", text):
        first, _, second = line.partition(" ")
        found.add(line if first in known and second else first)
    return found




class People:
    """Somebody at a keyboard, or a script."""

    def __init__(self, platform, folder, auth):
        self.folder = folder
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "xterm",
                    "NARAE_APIHOST": platform.url, "NARAE_AUTH": auth}

    def pipe(self, *words, **env):
        done = subprocess.run([NARAE, *words], capture_output=True, text=True, cwd=self.folder, check=False,
                              env={**self.env, **env}, timeout=120 * SLOW, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def terminal(self, *words, columns=80, env=None):
        return Terminal([NARAE, *words], columns, cwd=self.folder, env={**self.env, **(env or {})})

    def seen(self, *words, **more):
        """Exit status and screen of a verb that asks nothing."""
        with self.terminal(*words, **more) as t:
            status = t.end(120 * SLOW)
            return status, plain(t.text)


@pytest.fixture
def admin(platform, tmp_path):
    return People(platform, tmp_path, platform.admin_auth)


@pytest.fixture
def people(platform, tmp_path):
    return People(platform, tmp_path, platform.auth)


def words_of(line, values):
    return [word.strip("'").format(**values) for word in re.findall(r"'[^']*'|\S+", line)]


def run(who, mode, words, status):
    """Exit status as it should be; everything that was printed."""
    asks = status is ASKS
    if mode == PIPE:
        got, out, err = who.pipe(*words, *(["--yes"] if asks else []))
        text = out + err
    else:
        with who.terminal(*words) as t:
            if asks:
                t.until(r"\? \[y/N\] ", 60 * SLOW).type("y\n")
            got, text = t.end(120 * SLOW), plain(t.text)
    assert got == (0 if asks else status), (words, got, text)
    return text


@pytest.mark.parametrize("mode", [PIPE, TERMINAL])
@pytest.mark.parametrize("part", SESSION)
def test_every_verb(admin, platform, part, mode):
    document = platform.request("GET", "/narae/v1/openapi.json", auth=None).json
    if part == "archives" and "/narae/v1/accounts/{account}/export" not in document["paths"]:
        pytest.skip("this platform has no archives of accounts")
    folder = admin.folder
    (folder / "echo.py").write_text(ECHO)
    (folder / "echo2.py").write_text(ECHO_2)
    values = {"f": f"{part}-{mode}", "a": f"{part}-{mode}-farm", "file": "echo.py", "file2": "echo2.py", "tar": "farm.tar"}
    for line, status, pattern in SESSION[part]:
        text = run(admin, mode, words_of(line, values), status)
        quoted = {k: re.escape(v) for k, v in values.items()}
        found = re.search(pattern.format(**quoted) if "{" in pattern else pattern, text)
        assert found, (line, pattern, text)
        values.update(found.groupdict())


def test_no_verb_is_left_out():
    lines = [line.split() for part in SESSION.values() for line, _, _ in part]
    run_here = {" ".join(words[:2]) for words in lines} | {words[0] for words in lines}
    assert verbs() - run_here - APART == set()


# ---- PreEnv

def test_preenv(people, name):
    (people.folder / "f.py").write_text("def main(args):\n    return {'n': sum(range(20000))}\n")
    (people.folder / "p.json").write_text('{"n": 1}')
    assert people.pipe("deploy", "f.py", "--name", name, "--memory", "128")[0] == 0
    status, out, err = people.pipe("preenv", name, "--payload", "p.json:3", "--tolerance", "50", "--repeats", "3")
    assert status == 0, (out, err)
    assert re.search(r"is done: \d+ MB instead of 128 MB", out), out
    assert re.search(r"(?m)^-> +\d+ MB .* MB  ", out), out
    assert re.search(r"(?m)^test: ", err), err
    status, seen = people.seen("preenv", "show", name)
    assert status == 0 and re.search(r"median +P50 ms +P95 ms +PEAK", seen), seen
    status, narrow = people.seen("preenv", "show", name, columns=60)
    assert all(width(line) <= 60 for line in narrow.splitlines()), narrow
    assert re.search(r"(?m)^[0-9a-f]+ +done +0\.0\.1 +128 MB", people.pipe("preenv", "list", name)[1])
    assert f"{name} has what the trial has chosen" in people.pipe("preenv", "apply", name)[1]
    assert people.pipe("preenv", "cancel", name)[0] == 1  # it has ended


def test_preenv_is_left_and_cancelled(people, name):
    (people.folder / "f.py").write_text("import time\n\ndef main(args):\n    time.sleep(0.3)\n    return {}\n")
    assert people.pipe("deploy", "f.py", "--name", name, "--memory", "128")[0] == 0
    with people.terminal("preenv", "run", name, "--repeats", "50") as t:
        t.until(r"\d tested ", 60 * SLOW).type("\x03")
        assert t.end(60 * SLOW) == 0
        assert f"narae preenv show {name}" in plain(t.text)
    assert "the trial of" in people.pipe("preenv", "cancel", name)[1]
    within(60, "it is cancelled", lambda: "cancelled" in people.pipe("preenv", "list", name)[1])


# ---- how it looks

TABLES = (["functions"], ["activations"], ["invokers"], ["status"], ["doctor"], ["top", "--once"])


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_tables_fit_the_terminal(people, name, columns):
    (people.folder / "f.py").write_text(HELLO["python:3"])
    assert people.pipe("deploy", "f.py", "--name", name)[0] == 0
    assert people.pipe("invoke", name)[0] == 0
    for words in TABLES:
        status, seen = people.seen(*words, columns=columns)
        assert status == 0, seen
        assert [line for line in seen.splitlines() if width(line) > columns] == [], (words, seen)
    assert re.search(r"(?m)^NAME +STATE", people.seen("functions", columns=40)[1])


def test_a_long_name_is_cut_on_a_terminal_only(people, platform):
    long = "n" * 100
    (people.folder / "f.py").write_text(HELLO["python:3"])
    assert people.pipe("deploy", "f.py", "--name", long)[0] == 0
    assert re.search(r"(?m)^n+… +LATEST", people.seen("functions", "--limit", "0")[1])
    assert re.search(r"(?m)^n{100} +LATEST", people.pipe("functions", "--limit", "0")[1])
    assert re.search(r"(?m)^n+~ +LATEST", people.seen("functions", "--limit", "0", env={"LC_ALL": "C"})[1])
    assert people.pipe("delete", long, "--yes")[0] == 0


def test_colours(people):
    def escapes(*words, **more):
        with people.terminal(*words, **more) as t:
            assert t.end(60 * SLOW) == 0
            return "\x1b[" in t.text

    assert escapes("status")
    assert not escapes("status", env={"NO_COLOR": "1"})
    assert not escapes("status", env={"TERM": "dumb"})
    assert "\x1b[" not in people.pipe("status")[1]


def test_wide_and_json(people, platform, name):
    (people.folder / "f.py").write_text(HELLO["python:3"])
    assert people.pipe("deploy", "f.py", "--name", name, "--publish")[0] == 0
    assert "SHA-256" in people.pipe("versions", name, "-o", "wide")[1]
    assert "SHA-256" not in people.pipe("versions", name)[1]
    for words, path in ((["versions", name], f"/narae/v1/functions/{name}/versions"),
                        (["alias", "list", name], f"/narae/v1/functions/{name}/aliases"),
                        (["history", name], f"/narae/v1/functions/{name}/history?limit=30&skip=0")):
        assert json.loads(people.pipe(*words, "-o", "json")[1]) == platform.request("GET", path).json


def test_names_of_every_kind(people, platform):
    for name in ("größe", "函数", "a b", "p/q"):
        (people.folder / "f.py").write_text(HELLO["python:3"])
        status, out, err = people.pipe("deploy", "f.py", "--name", name)
        if status:  # OpenWhisk's rule for names does not have it
            assert "(HTTP 4" in err and out == "", err
            continue
        assert people.pipe("invoke", name, "-p", "name", "Ada Löveläß 💐")[1] == \
            '{\n  "greeting": "Hello, Ada Löveläß 💐!"\n}\n'
        assert people.pipe("delete", name, "--yes")[0] == 0


def test_a_reason_cannot_write_on_the_screen(people, name):
    (people.folder / "f.py").write_text(HELLO["python:3"])
    assert people.pipe("deploy", "f.py", "--name", name)[0] == 0
    assert people.pipe("block", name, "--reason", "bad\x1b[2J\x07 news")[0] == 0
    for words in (["history", name], ["invoke", name]):
        with people.terminal(*words, env={"NO_COLOR": "1"}) as t:
            t.end(60 * SLOW)
            assert "bad?[2J? news" in t.text and "\x1b" not in t.text


# ---- questions

@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"])
def test_no_is_no(people, name, answer):
    (people.folder / "f.py").write_text(HELLO["python:3"])
    assert people.pipe("deploy", "f.py", "--name", name)[0] == 0
    with people.terminal("delete", name) as t:
        t.until(r"\[y/N\] ").type(answer)
        assert t.end(60 * SLOW) == 1
        assert "nothing was done" in t.text
    assert people.pipe("get", name)[0] == 0


def test_a_pipe_is_not_asked(people, name):
    (people.folder / "f.py").write_text(HELLO["python:3"])
    assert people.pipe("deploy", "f.py", "--name", name)[0] == 0
    status, out, err = people.pipe("delete", name)
    assert (status, out) == (1, "") and "--yes" in err
    assert people.pipe("get", name)[0] == 0


# ---- what goes on

def test_watch(people, platform, name):
    file = people.folder / "w.py"
    file.write_text("def main(args):\n    return {'n': 1}\n")
    with people.terminal("deploy", "w.py", "--name", name, "--watch") as t:
        t.until("watching w.py", 60 * SLOW)
        for n in (2, 3):
            (people.folder / "new").write_text(f"def main(args):\n    return {{'n': {n}}}\n")
            (people.folder / "new").rename(file)  # as editors do
            t.until("watching w.py", 60 * SLOW, times=n)
            assert json.loads(people.pipe("invoke", name)[1]) == {"n": n}
        file.write_text("")  # a mistake does not end it
        (people.folder / "unrelated").write_text("no reason to deploy")
        t.until("watching w.py", 60 * SLOW, times=4).type("\x03")
        t.end(60 * SLOW)


def test_watch_a_folder(people, name):
    (people.folder / "app" / "parts").mkdir(parents=True)
    (people.folder / "app/__main__.py").write_text("from parts.n import n\n\ndef main(args):\n    return {'n': n}\n")
    (people.folder / "app/parts/n.py").write_text("n = 1\n")
    with people.terminal("deploy", "app/", "--name", name, "--watch") as t:
        t.until("watching app", 60 * SLOW)
        (people.folder / "app/parts/n.py").write_text("n = 2\n")
        t.until("watching app", 60 * SLOW, times=2).type("\x03")
        t.end(60 * SLOW)
    assert json.loads(people.pipe("invoke", name)[1]) == {"n": 2}


def test_top_is_drawn_again_and_leaves_the_terminal_as_it_was(people):
    with people.terminal("top", "--every", "1") as t:
        t.until("FUNCTION", 60 * SLOW, times=2).type("\x03")
        assert t.end(60 * SLOW) == 0
        assert t.text.startswith("\x1b[?1049h") and t.text.endswith("\x1b[?25h\x1b[?1049l")


def test_logs_are_streamed_until_a_long_call_ends(people, name):
    (people.folder / "f.py").write_text("def main(args):\n    print('written')\n    return {'done': True}\n")
    assert people.pipe("deploy", "f.py", "--name", name)[0] == 0
    status, out, err = people.pipe("invoke", name, "--logs")
    assert (status, json.loads(out)) == (0, {"done": True}) and "stdout: written" in err


def test_data(people, name):
    (people.folder / "f.py").write_text(ECHO)
    (people.folder / "d.json").write_text('{"from": "file"}')
    assert people.pipe("deploy", "f.py", "--name", name)[0] == 0
    assert json.loads(people.pipe("invoke", name, "--data", '{"a": [1]}', "-p", "b", "2")[1]) == {"a": [1], "b": 2}
    assert json.loads(people.pipe("invoke", name, "-d", "@d.json")[1]) == {"from": "file"}
    done = subprocess.run([NARAE, "invoke", name, "--data", "-"], input='{"from": "input"}', text=True, env=people.env,
                          capture_output=True, check=True, timeout=120 * SLOW)
    assert json.loads(done.stdout) == {"from": "input"}


# ---- mistakes of a tired person

MISTAKES = [
    (["deplyo"], "did you mean `narae deploy`"),
    (["fucntions"], "did you mean `narae functions`"),
    (["alias", "sett", "f", "a=1"], "did you mean `narae alias set`"),
    (["alias"], "alias list FUNCTION"),
    (["functions", "--memory", "3"], "narae functions takes no --memory"),
    (["deploy", "x.py", "--memroy", "3"], "did you mean --memory"),
    (["deploy", "x.py", "--memory"], "--memory needs a value: MB"),
    (["retire", "f", "--running", "now"], "it can be finish|cancel"),
    (["alias", "set", "f", "prod"], "give ALIAS=VERSION"),
    (["alias", "set", "f", "prod=x"], "give ALIAS=VERSION"),
    (["alias", "set", "f", "=1"], "give ALIAS=VERSION"),
    (["account", "quota", "a", "bites=1"], "KEY is bytes, functions or versions"),
    (["registry", "set", "h"], "--username and --password are needed"),
    (["invoke", "f", "--version", "1", "--alias", "prod"], "not both"),
    (["completion", "csh"], "bash, zsh and fish have one"),
    (["get", ""], "a word is empty"),
    (["preenv", "run", "f", "--payload", "absent.json"], "absent.json"),
    (["deploy", "no-such-file.py", "--watch"], "No such file"),
]


@pytest.mark.parametrize("words, said", MISTAKES)
def test_mistakes_are_told_and_nothing_is_done(people, words, said):
    status, out, err = people.pipe(*words)
    assert (status, out) == (1, "") and said in err, err


def test_what_is_not_there(people, name):
    (people.folder / "f.py").write_text(HELLO["python:3"])
    assert people.pipe("deploy", "f.py", "--name", name)[0] == 0
    for words, status, next_step in ((["invoke", name, "--version", "9"], 404, "narae"),
                                     (["invoke", name, "--alias", "no"], 404, "narae"),
                                     (["alias", "set", name, "prod=9"], 404, "narae versions"),
                                     (["rollback", name, "prod"], 404, "narae alias list"),
                                     (["alias", "set", name, "prod=1:50"], 400, None),
                                     (["purge", name, "--yes"], 409, "narae history"),
                                     (["get", name, "--version", "nine"], 400, None),
                                     (["account", "list"], 403, "scope")):
        code, out, err = people.pipe(*words)
        assert (code, out) == (1, "") and f"(HTTP {status})" in err, (words, err)
        assert next_step is None or next_step in err, (words, err)


def test_a_mistyped_name_is_told(people, name):
    (people.folder / "f.py").write_text(HELLO["python:3"])
    assert people.pipe("deploy", "f.py", "--name", name)[0] == 0
    for words in (["invoke", name[:-1]], ["versions", name[:-2] + name[-1] + name[-2]], ["block", name + "x"]):
        status, out, err = people.pipe(*words)
        assert (status, out) == (1, "") and f"did you mean {name}?" in err, err
    assert "did you mean" not in people.pipe("invoke", "nothing-like-it")[2]


def test_no_daemon_and_a_wrong_key(people):
    for words in (["functions"], ["status"], ["top"], ["account", "list"], ["preenv", "show", "f"], ["deploy", "f.py"]):
        (people.folder / "f.py").write_text(HELLO["python:3"])
        status, out, err = people.pipe(*words, NARAE_APIHOST="http://127.0.0.1:1")
        assert (status, out) == (1, "") and "scripts/run" in err, err
        status, out, err = people.pipe(*words, NARAE_AUTH="nobody:nothing")
        assert status == 1 and "(HTTP 401)" in err and "not known there" in err, err


# ---- help, manual, completion

def test_help_of_each_verb():
    for verb in sorted(verbs()):
        done = subprocess.run([NARAE, *verb.split(), "--help"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"narae {verb}"), verb
        assert re.search(r"(?m)^Examples?$", done.stdout) and f"narae {verb}" in done.stdout, verb
    again = subprocess.run([NARAE, "help", *verb.split()], capture_output=True, text=True, check=True)
    assert again.stdout == done.stdout, verb


def test_the_manual():
    page = subprocess.run([NARAE, "man"], capture_output=True, text=True, check=True).stdout
    assert page == (BUILD / "narae.1").read_text()
    for verb in verbs():
        assert "\\fBnarae " + verb.replace("-", "\\-") + "\\fR" in page, verb
    groff = subprocess.run(["sh", "-c", "command -v groff"], capture_output=True, check=False)
    if groff.returncode == 0:
        done = subprocess.run(["groff", "-man", "-ww", "-Tascii"], input=page, capture_output=True, text=True, check=True)
        assert done.stderr == ""


def test_completion_of_bash(people, name):
    (people.folder / "f.py").write_text(HELLO["python:3"])
    assert people.pipe("deploy", "f.py", "--name", name)[0] == 0
    script = '''
        PATH=%s:$PATH
        source <(narae completion bash)
        complete_line() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _narae
            echo "${COMPREPLY[*]}"
        }
        complete_line narae dep
        complete_line narae alias ''
        complete_line narae deploy --no-ov
        complete_line narae functions -o ''
        complete_line narae invoke %s
        complete_line narae -o json alias s
        complete_line narae deploy ./f.
        complete_line narae help ali
        complete_line narae completion ''
        complete_line narae nonsense ''
    ''' % (BUILD, name[:-1])
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, env=people.env,
                          cwd=people.folder, timeout=60 * SLOW)
    assert done.stdout.splitlines() == ["deploy", "list set delete", "--no-overwrite", "json table wide", name, "set",
                                        "./f.py", "alias", "bash zsh fish", ""], done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("shell, check", [("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])])
def test_completion_of_other_shells(people, shell, check):
    file = people.folder / "completion"
    file.write_text(people.pipe("completion", shell)[1])
    text = file.read_text()
    assert "narae" in text and ":files" in text and "complete" in text
    if subprocess.run(["sh", "-c", f"command -v {shell}"], capture_output=True, check=False).returncode:
        return
    subprocess.run([*check, file], check=True, env=people.env)
    if shell == "fish":
        done = subprocess.run(["fish", "-c", f"set PATH {BUILD} $PATH; source {file}; complete -C 'narae alias '"],
                              capture_output=True, text=True, check=True, env=people.env)
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["delete", "list", "set"]


def test_completion_in_zsh(people):
    """Typed at a prompt, where zsh is installed."""
    if subprocess.run(["sh", "-c", "command -v zsh"], capture_output=True, check=False).returncode:
        pytest.skip("zsh is not installed")
    (people.folder / "hello.py").write_text(HELLO["python:3"])
    env = {**people.env, "PATH": f"{BUILD}:{people.env['PATH']}", "PS1": "> "}
    with Terminal(["zsh", "-f", "-i"], 100, cwd=people.folder, env=env) as t:
        t.until("> ", 60 * SLOW)
        t.type("autoload -U compinit; compinit -D -u; source <(narae completion zsh); echo loaded$((1+1))\n")
        t.until("loaded2", 60 * SLOW)
        t.type("narae alias \t").until("delete an alias", 60 * SLOW)
        t.type("\x15narae dep\t").until("narae deploy", 60 * SLOW)
        t.type("\x15narae deploy hel\t").until(r"hello\.py", 60 * SLOW)


def test_completion_does_not_wait_for_a_platform_that_is_away(people):
    status, out, err = people.pipe("complete", "invoke", "", NARAE_APIHOST="http://127.0.0.1:1")
    assert (status, out, err) == (0, "", "")
