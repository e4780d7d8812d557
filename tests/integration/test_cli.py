"""narae, the command line, against a real platform: what it prints, what it exits with."""
import json
import os
import re
import subprocess
import zipfile

import pytest

from conftest import BUILD, SLOW
from functions import HELLO, TROUBLE
from terminal import Terminal

ID = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def narae(platform, tmp_path):
    """Runs narae as a person who has set address and key in the environment."""
    def run(*words, env=None, **expected):
        variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
                     "NARAE_APIHOST": platform.url, "NARAE_AUTH": platform.auth, **(env or {})}
        done = subprocess.run([BUILD / "narae", *words], capture_output=True, text=True,
                              cwd=tmp_path, timeout=120 * SLOW, check=False,
                              env={k: v for k, v in variables.items() if v is not None})
        status = expected.get("status", 0)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done
    return run


def write(folder, name, text, mode=0o644):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def annotation(document, key):
    return {a["key"]: a["value"] for a in document["annotations"]}.get(key)


@pytest.fixture
def hello(narae, platform, name, tmp_path):
    """A deployed function that greets."""
    narae("deploy", write(tmp_path, "hello.py", HELLO["python:3"]), "--name", name)
    return name


# ---- deploy

@pytest.mark.parametrize("file, code, kind", [
    ("greet.py", HELLO["python:3"], "python:3"),
    ("greet.js", HELLO["nodejs:18"], "nodejs:18"),
    ("greet.sh", HELLO["native"], "blackbox"),
    ("greet", HELLO["native"], "blackbox"),
])
def test_a_file(narae, platform, name, tmp_path, file, code, kind):
    done = narae("deploy", write(tmp_path, file, code), "--name", name)
    assert done.stdout.startswith(f"deployed {name} 0.0.1 ({kind})\n")
    assert json.loads(narae("get", name).stdout)["exec"]["kind"] == kind
    result = narae("invoke", name, "-p", "name", "Ada")
    assert json.loads(result.stdout) == {"greeting": "Hello, Ada!"}


def test_the_name_is_the_file_s(narae, platform, tmp_path):
    narae("deploy", write(tmp_path, "named-by-file.py", HELLO["python:3"]))
    assert "deleted named-by-file" in narae("delete", "named-by-file", "--yes").stdout


def test_an_executable(narae, name):
    narae("deploy", BUILD / "hello-echo" if (BUILD / "hello-echo").exists()
          else BUILD / "examples/hello-echo", "--name", name)
    assert json.loads(narae("invoke", name, "-p", "n", "5").stdout) == {"n": 5}


def test_a_folder(narae, name, tmp_path):
    write(tmp_path, "app/__main__.py", "from parts.greeting import text\n\n"
          "def main(args):\n    return {'greeting': text(args['name'])}\n")
    write(tmp_path, "app/parts/__init__.py", "")
    write(tmp_path, "app/parts/greeting.py", "def text(name):\n    return 'Hello, ' + name\n")
    done = narae("deploy", "app/", "--name", name)
    assert "(python:3)" in done.stdout
    assert json.loads(narae("invoke", name, "-p", "name", "Ada").stdout) == \
        {"greeting": "Hello, Ada"}


def test_a_folder_with_an_executable(narae, name, tmp_path):
    write(tmp_path, "app/exec", "#!/bin/sh\n. ./words\necho \"{\\\"said\\\": \\\"$word\\\"}\"\n", 0o755)
    write(tmp_path, "app/words", "word=hello\n")
    assert "(blackbox)" in narae("deploy", "app", "--name", name).stdout
    assert json.loads(narae("invoke", name).stdout) == {"said": "hello"}


def test_a_zip(narae, name, tmp_path):
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("package.json", '{"main": "app.js"}')
        archive.writestr("app.js", "exports.main = args => ({greeting: 'Hello, ' + args.name})\n")
    assert "(nodejs:18)" in narae("deploy", "app.zip", "--name", name).stdout
    assert json.loads(narae("invoke", name, "-p", "name", "Ada").stdout) == \
        {"greeting": "Hello, Ada"}


def test_settings(narae, name, tmp_path):
    file = write(tmp_path, "f.py", HELLO["python:3"])
    done = narae("deploy", file, "--name", name, "--memory", "128", "--timeout", "5000",
                 "--logsize", "1", "--concurrency", "2", "--network", "none", "-p", "name", "Bob",
                 "-o", "json")
    document = json.loads(done.stdout)
    assert document["limits"] == {"memory": 128, "timeout": 5000, "logs": 1, "concurrency": 2}
    assert annotation(document, "narae.network") == "none"
    assert document["parameters"] == [{"key": "name", "value": "Bob"}]
    assert "code" not in document["exec"]
    assert json.loads(narae("invoke", name).stdout) == {"greeting": "Hello, Bob!"}


def test_annotations(narae, name, tmp_path):
    file = write(tmp_path, "f.py", HELLO["python:3"])
    document = json.loads(narae("deploy", file, "--name", name, "-a", "owner", "line 4", "--annotation", "shift", "2",
                                "--web", "raw", "-o", "json").stdout)
    assert annotation(document, "owner") == "line 4" and annotation(document, "shift") == 2
    assert [annotation(document, k) for k in ("web-export", "raw-http", "final")] == [True, True, True]


def test_another_entry(narae, name, tmp_path):
    file = write(tmp_path, "f.py", "def start(args):\n    return {'started': True}\n")
    narae("deploy", file, "--name", name, "--main", "start")
    assert json.loads(narae("invoke", name).stdout) == {"started": True}


def test_an_update_and_no_overwrite(narae, hello, tmp_path):
    again = narae("deploy", tmp_path / "hello.py", "--name", hello)
    assert again.stdout.startswith(f"deployed {hello} 0.0.2 ")
    refused = narae("deploy", tmp_path / "hello.py", "--name", hello, "--no-overwrite", status=1)
    assert "(HTTP 409)" in refused.stderr and "--no-overwrite" in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("words, said", [
    (["missing.py"], "missing.py: No such file"),
    (["odd.txt"], "give --kind"),
    (["empty"], "empty holds no file"),
    (["odd.txt", "--kind", "cobol:60"], "(HTTP 400)"),
    (["odd.txt", "--kind", "python:3", "--memory", "much"], "--memory much"),
    (["odd.txt", "--kind", "python:3", "--memory", "1"], "(HTTP 400)"),
    (["odd.txt", "odd.txt", "--kind", "python:3"], "odd.txt is a file as well"),
    (["odd.txt", "--kind", "python:3", "-a", "owner"], "-a owner: a value is needed"),
])
def test_what_cannot_be_deployed(narae, tmp_path, words, said):
    write(tmp_path, "odd.txt", "def main(args):\n    return args\n")
    (tmp_path / "empty").mkdir()
    done = narae("deploy", *words, status=1)
    assert said in done.stderr and done.stdout == ""


# ---- invoke

def test_a_terminal_obeys_no_function(narae, platform, name, tmp_path):
    """What a function returns and writes may hold sequences that terminals obey: on one they are shown, in a pipe left alone."""
    trick = "\\x1b]0;owned\\x07\\x9b2Jx"
    narae("deploy", write(tmp_path, "t.py", f"def main(args):\n    print('{trick}')\n    return {{'t': '{trick}'}}\n"), "--name", name)
    piped = narae("invoke", name, "--logs")
    assert "\x1b]0;owned" in piped.stderr and "\x9b" in piped.stdout
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "NO_COLOR": "1",
           "NARAE_APIHOST": platform.url, "NARAE_AUTH": platform.auth}
    for words in (["invoke", name, "--logs"], ["result"], ["logs", name], ["activation"]):
        with Terminal([BUILD / "narae", *words], 200, cwd=tmp_path, env=env) as t:
            assert t.end(120 * SLOW) == 0
            assert "owned" in t.text and "\x1b" not in t.text and "\x9b" not in t.text, words


def test_parameters(narae, name, tmp_path):
    narae("deploy", write(tmp_path, "echo.py", "def main(args):\n    return args\n"), "--name",
          name)
    write(tmp_path, "p.json", '{"from": "file", "n": 1}')
    done = narae("invoke", name, "-P", "p.json", "-p", "n", "2", "--param", "text", "two words",
                 "-p", "minus", "-3", "-p", "list", '[1, {"a": null}]', "-p", "yes", "true")
    assert json.loads(done.stdout) == {"from": "file", "n": 2, "text": "two words", "minus": -3,
                                       "list": [1, {"a": None}], "yes": True}


@pytest.mark.parametrize("words, said", [
    (["-p", "lonely"], "-p lonely"),
    (["-P", "absent.json"], "absent.json"),
    (["-P", "list.json"], "not one JSON object"),
    (["--unknown"], "--help"),
])
def test_bad_parameters(narae, tmp_path, words, said):
    write(tmp_path, "list.json", "[1]")
    assert said in narae("invoke", "any", *words, status=1).stderr


def test_the_whole_record(narae, hello):
    record = json.loads(narae("invoke", hello, "--record").stdout)
    assert record["response"]["result"] == {"greeting": "Hello, nobody!"}
    assert ID.fullmatch(record["activationId"])


def test_not_waiting(narae, platform, hello):
    done = narae("invoke", hello, "--async", "-p", "name", "Ada")
    activation = done.stdout.strip()
    assert ID.fullmatch(activation)
    platform.record(activation)
    assert json.loads(narae("result", activation).stdout) == {"greeting": "Hello, Ada!"}
    answer = json.loads(narae("invoke", hello, "--async", "-o", "json").stdout)
    assert list(answer) == ["activationId"]


def test_a_function_that_fails(narae, name, tmp_path):
    narae("deploy", write(tmp_path, "trouble.py", TROUBLE["python:3"]), "--name", name)
    thrown = narae("invoke", name, "-p", "do", "throw", status=2)
    assert "error" in json.loads(thrown.stdout)
    activation = re.search(r"narae logs ([0-9a-f]{32})", thrown.stderr).group(1)
    assert "boom" in narae("logs", activation).stdout
    asked = narae("invoke", name, "-p", "do", "error", status=2)
    assert json.loads(asked.stdout) == {"error": "as asked"}
    assert "application error" in asked.stderr


# ---- lists and records

def test_functions(narae, hello):
    lines = narae("functions", "--limit", "200").stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "VERSION", "KIND", "MEMORY", "TIMEOUT", "PUBLISHED", "ALIASES",
                                "UPDATED"]
    row = next(line for line in lines if line.split()[0] == hello)
    assert re.search(r" LATEST +0\.0\.1 +python:3 +256 MB +60000 ms +0  - +\d{4}-\d\d-\d\d ", row)
    listed = json.loads(narae("functions", "-o", "json", "--limit", "200").stdout)
    assert hello in [f["name"] for f in listed["functions"]]
    assert narae("functions", "--limit", "1").stdout.count("\n") == 2


def test_no_functions_yet(narae, start_platform):
    own = start_platform()
    done = narae("functions", env={"NARAE_APIHOST": own.url, "NARAE_AUTH": own.auth})
    assert (done.stdout, "narae deploy FILE" in done.stderr) == ("", True)
    none = narae("logs", env={"NARAE_APIHOST": own.url, "NARAE_AUTH": own.auth}, status=1)
    assert "narae invoke FUNCTION" in none.stderr


def test_records(narae, hello):
    narae("invoke", hello, "-p", "name", "Ada")
    narae("invoke", hello, "-p", "name", "Bob")
    lines = narae("activations", hello).stdout.splitlines()
    assert len(lines) == 3
    warm, cold = lines[1:]  # the latest first
    assert re.search(r"[0-9a-f]{32} +success +" + hello + r" +\d+ ms +warm .* python:3$", warm)
    assert re.search(r"[0-9a-f]{32} +success +" + hello + r" +\d+ ms +(cold|stem) .* python:3$", cold)
    listed = json.loads(narae("activations", hello, "-o", "json").stdout)
    first = listed[1]["activationId"]
    assert first in cold
    assert json.loads(narae("activation", first).stdout)["activationId"] == first
    assert json.loads(narae("result", first).stdout) == {"greeting": "Hello, Ada!"}
    assert json.loads(narae("result", first, "-o", "json").stdout)["success"] is True
    assert narae("logs", first).stdout.rstrip().endswith("stdout: greeting Ada")
    assert len(json.loads(narae("logs", first, "-o", "json").stdout)["logs"]) == 1


def test_the_latest(narae, hello):
    narae("invoke", hello, "-p", "name", "Zoe")
    assert json.loads(narae("result").stdout) == {"greeting": "Hello, Zoe!"}
    assert "greeting Zoe" in narae("logs").stdout
    assert json.loads(narae("activation").stdout)["name"] == hello


def test_what_is_not_there(narae):
    for verb in ("get", "delete", "invoke"):
        done = narae(verb, "no-such-function", "--yes", status=1)
        assert "(HTTP 404)" in done.stderr and "narae functions" in done.stderr
    assert "(HTTP 404)" in narae("logs", "0" * 32, status=1).stderr
    assert "32 hex digits" in narae("logs", "latest", status=1).stderr


def test_names_with_a_namespace(narae, hello):
    """One's own is one's own however it is written; nothing is done to a function of one's own that is called like another one's."""
    assert json.loads(narae("invoke", f"/guest/{hello}", "-p", "name", "Ada").stdout) == {"greeting": "Hello, Ada!"}
    assert json.loads(narae("invoke", f"/_/{hello}", "-p", "name", "Bo").stdout) == {"greeting": "Hello, Bo!"}
    for words in (["delete", f"/nobody/{hello}", "--yes"], ["retire", f"/nobody/{hello}", "--yes"], ["versions", f"/nobody/{hello}"],
                  ["block", f"/nobody/{hello}"], ["logs", "-n", "1", f"/nobody/{hello}"]):
        assert f"/nobody/{hello} is in the namespace nobody, and the key is of guest" in narae(*words, status=1).stderr, words
    for verb in ("invoke", "get"):
        assert "(HTTP 403)" in narae(verb, f"/nobody/{hello}", status=1).stderr
    for name in ("a/b/c", "/guest", "/guest/", "//a", "/guest/a/b/c"):
        assert "a function is named NAME, PACKAGE/NAME or /NAMESPACE/PACKAGE/NAME" in narae("invoke", name, status=1).stderr, name
    assert narae("get", hello).stdout


def test_what_others_share_is_called(narae):
    assert json.loads(narae("invoke", "/whisk.system/utils/echo", "-p", "a", "1").stdout) == {"a": 1}
    assert json.loads(narae("get", "/whisk.system/utils/echo").stdout)["namespace"] == "whisk.system/utils"


def test_create_as_wsk_has_it_does_not_overwrite(narae, hello, tmp_path):
    refused = narae("action", "create", hello, tmp_path / "hello.py", status=1)
    assert "(HTTP 409)" in refused.stderr and "action update" in refused.stderr
    assert "0.0.2" in narae("action", "update", hello, tmp_path / "hello.py").stdout


def test_delete(narae, hello):
    assert narae("delete", hello, "--yes").stdout == f"deleted {hello}\n"
    assert "(HTTP 404)" in narae("get", hello, status=1).stderr


def test_doctor(narae, platform):
    lines = narae("doctor").stdout.splitlines()
    assert lines and all(re.match(r"(yes|no)  +\S", line) for line in lines)
    assert json.loads(narae("doctor", "-o", "json").stdout)


# ---- hands used to wsk

def test_the_words_of_wsk(narae, platform, name, tmp_path):
    file = write(tmp_path, "hello.py", HELLO["python:3"])
    assert f"deployed {name} 0.0.1" in narae("action", "create", name, file).stdout
    assert f"deployed {name} 0.0.2" in narae("action", "update", name, file).stdout
    assert name in narae("action", "list", "--limit", "200").stdout
    assert json.loads(narae("action", "get", name).stdout)["name"] == name
    result = {"greeting": "Hello, Ada!"}
    assert json.loads(narae("action", "invoke", name, "-r", "-p", "name", "Ada").stdout) == result
    record = json.loads(narae("action", "invoke", "-b", f"/_/{name}", "-p", "name", "Ada").stdout)
    assert record["response"]["result"] == result
    activation = record["activationId"]
    assert activation in narae("activation", "list", name).stdout
    assert json.loads(narae("activation", "get", activation).stdout)["name"] == name
    assert "greeting Ada" in narae("activation", "logs", activation).stdout
    assert json.loads(narae("activation", "result", activation).stdout) == result
    assert narae("action", "delete", name).stdout == f"deleted {name}\n"


def test_settings_change_without_a_file(narae, name, tmp_path):
    file = write(tmp_path, "hello.py", HELLO["python:3"])
    said = narae("action", "update", name, "-p", "name", "Ada", status=1).stderr
    assert "(HTTP 400)" in said  # there is nothing whose settings could change
    notes = write(tmp_path, "notes.json", '{"about": "greetings", "rooms": [1, 2]}')
    narae("action", "create", name, file, "-A", notes, "-a", "owner", "me")
    assert annotation(json.loads(narae("get", name).stdout), "rooms") == [1, 2]
    assert f"deployed {name} 0.0.2" in narae("action", "update", name, "-p", "name", "Ada", "-m", "128").stdout
    assert json.loads(narae("invoke", name).stdout) == {"greeting": "Hello, Ada!"}
    document = json.loads(narae("get", name).stdout)
    assert document["limits"]["memory"] == 128 and annotation(document, "about") == "greetings"
    narae("action", "update", name, "--del-annotation", "about", "--del-annotation", "nothing")
    document = json.loads(narae("get", name).stdout)
    assert annotation(document, "about") is None and annotation(document, "owner") == "me"
    said = narae("deploy", name, "-m", "128", status=1).stderr
    assert "No such file" in said and "narae action update NAME" in said


def test_a_copy(narae, platform, name, tmp_path):
    narae("deploy", write(tmp_path, "hello.py", HELLO["python:3"]), "--name", name, "-p", "name", "Ada", "-m", "128", "-a", "about", "x",
          "-s", "token", "open-sesame")
    narae("action", "create", f"{name}-2", f"/_/{name}", "--copy", "-p", "more", "1", "-a", "about", "y")
    copy = json.loads(narae("get", f"{name}-2").stdout)
    assert copy["limits"]["memory"] == 128 and annotation(copy, "about") == "y"
    parameters = {p["key"]: p for p in copy["parameters"]}
    assert parameters["name"]["value"] == "Ada" and parameters["more"]["value"] == 1 and "encryption" in parameters["token"]
    assert json.loads(narae("invoke", f"{name}-2").stdout) == {"greeting": "Hello, Ada!"}
    assert "(HTTP 404)" in narae("deploy", "new", "nobody", "--copy", status=1).stderr
    assert "NEW OLD --copy" in narae("deploy", "new", "--copy", status=1).stderr
    narae("delete", f"{name}-2", "--yes")


def test_code_is_saved(narae, platform, name, tmp_path):
    code = HELLO["python:3"]
    narae("package", "create", name)
    narae("deploy", write(tmp_path, "hello.py", code), "--name", f"{name}/inner", "--web", "true")
    assert narae("get", f"{name}/inner", "--save").stdout == f"wrote the code of {name}/inner to inner.py\n"
    assert (tmp_path / "inner.py").read_text() == code
    assert "inner.py: File exists" in narae("action", "get", f"{name}/inner", "--save", status=1).stderr
    narae("action", "get", f"{name}/inner", "--save-as", "other")
    assert (tmp_path / "other").read_text() == code
    url = narae("action", "get", f"{name}/inner", "--url").stdout.strip()
    assert url == f"{platform.url}/api/v1/web/guest/{name}/inner"
    assert platform.request("GET", url.removeprefix(platform.url) + ".json?name=Ada", auth=None).json == {"greeting": "Hello, Ada!"}
    folder = tmp_path / "app"
    write(folder, "__main__.py", code)
    narae("deploy", "app", "--name", f"{name}/zipped")
    narae("get", f"{name}/zipped", "--save")
    with zipfile.ZipFile(tmp_path / "zipped.zip") as z:
        assert z.read("__main__.py").decode() == code
    listed = narae("action", "list", name).stdout
    assert "inner" in listed and "zipped" in listed and f"guest/{name}" in listed
    assert narae("functions", f"/guest/{name}").stdout == listed
    for one in ("inner", "zipped"):
        narae("delete", f"{name}/{one}", "--yes")
    assert "no functions in it" in narae("functions", name).stderr
    narae("package", "delete", name, "--yes")


def test_a_web_action_with_a_secret(narae, platform, name, tmp_path):
    def status(secret=None):
        headers = {"X-Require-Whisk-Auth": secret} if secret else {}
        return platform.request("GET", f"/api/v1/web/guest/default/{name}.json", headers=headers, auth=None).status
    file = write(tmp_path, "hello.py", HELLO["python:3"])
    narae("action", "create", name, file, "--web", "true", "--web-secure", "s3cret")
    assert (status(), status("wrong"), status("s3cret")) == (401, 401, 200)
    made = re.search(r"X-Require-Whisk-Auth: (\d+)\n", narae("action", "update", name, "--web-secure", "true").stderr)[1]
    assert (status("s3cret"), status(made)) == (401, 200)
    narae("action", "update", name, "--web-secure", "false")
    assert status() == 200


def test_polling(narae, platform, hello):
    narae("invoke", hello, "-p", "name", "before")
    variables = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NARAE_APIHOST": platform.url, "NARAE_AUTH": platform.auth}
    with subprocess.Popen([BUILD / "narae", "activation", "poll", hello], env=variables, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE) as poll:
        try:
            assert "waiting for activations" in poll.stderr.readline()
            for who in ("Ada", "Bob"):
                narae("invoke", hello, "-p", "name", who)
                assert re.fullmatch(rf"Activation: '{hello}' \([0-9a-f]{{32}}\)\n", poll.stdout.readline())
                assert poll.stdout.readline() == "[\n" and f"greeting {who}" in poll.stdout.readline()
                assert poll.stdout.readline() == "]\n"
        finally:
            poll.kill()


def test_logs_of_a_sequence_are_explained(narae, name, hello):
    narae("deploy", f"{name}-s", "--sequence", f"{hello},{hello}")
    narae("invoke", f"{name}-s")
    done = narae("logs", f"{name}-s")
    assert len(ID.findall(done.stdout)) == 2 and "`narae logs ID`" in done.stderr
    assert "greeting" in narae("logs", done.stdout.split()[0]).stdout
    narae("delete", f"{name}-s", "--yes")


def test_names_are_not_given_with_n(narae, tmp_path):
    said = narae("deploy", write(tmp_path, "hello.py", HELLO["python:3"]), "-n", "5", status=1).stderr
    assert "(-n); a name is given with --name" in said


def test_the_properties_of_wsk(narae, platform, hello, tmp_path):
    bare = {"NARAE_APIHOST": None, "NARAE_AUTH": None}
    text = f"APIHOST={platform.url}\nAUTH={platform.auth}\n"
    write(tmp_path, ".wskprops", text)
    assert hello in narae("functions", "--limit", "200", env=bare).stdout
    write(tmp_path, ".wskprops", "APIHOST=http://127.0.0.1:1\nAUTH=a:b\n")
    elsewhere = str(write(tmp_path, "other", text))
    assert hello in narae("functions", "--limit", "200",
                          env={**bare, "WSK_CONFIG_FILE": elsewhere}).stdout
    owns = {"__OW_API_HOST": platform.url, "__OW_API_KEY": platform.auth}
    assert hello in narae("functions", "--limit", "200", env={**bare, **owns}).stdout
    flags = ["--apihost", platform.url, "--auth", platform.auth]
    assert hello in narae("functions", "--limit", "200", *flags, env=bare).stdout


# ---- what goes wrong

def test_a_wrong_key(narae):
    done = narae("functions", "-u", "nobody:nothing", "-o", "json", status=1)
    told = json.loads(done.stderr)
    assert done.stdout == "" and (told["code"], told["http_status"]) == ("unauthorized", 401)
    done = narae("functions", env={"NARAE_AUTH": "nobody:nothing"}, status=1)
    assert "(HTTP 401)" in done.stderr and "not known there, or its secret is another one" in done.stderr


def test_no_key(narae):
    done = narae("functions", env={"NARAE_AUTH": None}, status=1)
    assert "(HTTP 401)" in done.stderr and "guest.key" in done.stderr


def test_nobody_there(narae):
    done = narae("functions", env={"NARAE_APIHOST": "http://127.0.0.1:1"}, status=1)
    assert "no answer from http://127.0.0.1:1" in done.stderr and "scripts/run" in done.stderr


@pytest.mark.parametrize("words, said", [
    (["deplyo", "x.py"], "deplyo is no verb"),
    (["invoke"], "narae invoke FUNCTION"),
    (["get", "a", "b"], "narae get FUNCTION"),
    (["functions", "-o", "xml"], "--output xml"),
    ([], "narae VERB"),
])
def test_a_mistaken_command(narae, words, said):
    done = narae(*words, status=1)
    assert said in done.stderr and done.stdout == ""


def test_help(narae):
    text = narae("--help").stdout
    for verb in ("deploy", "invoke", "functions", "get", "delete", "activations", "activation",
                 "logs", "result", "doctor"):
        assert re.search(rf"^  {verb} ", text, re.M)
    assert "Exit status" in text
