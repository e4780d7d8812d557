"""Packages, triggers, rules and APIs by narae: feeds as wsk tells them, what is said before something in use goes, mistakes of a tired person."""
import json
import re

import pytest

from conftest import SLOW, within
from functions import ECHO
from terminal import plain
from test_accounts import admin  # noqa: F401, pylint: disable=unused-import
from test_cli_surface import People

FEED = """
def main(args):
    if args.get("fail") == args["lifecycleEvent"]:
        return {"error": "the feed refused"}
    return {"told": args["lifecycleEvent"]}
"""


@pytest.fixture
def own(platform, tmp_path, name):
    """Somebody with an echo in a file, and everything that begins with `name` removed afterwards."""
    who = People(platform, tmp_path, platform.auth)
    who.platform, who.name = platform, name[:50]
    (tmp_path / "f.py").write_text("def main(args):\n    return args\n")
    yield who
    for collection, query in (("rules", ""), ("triggers", ""), ("actions", ""), ("packages", "?force=true")):
        for row in platform.request("GET", collection + "?limit=200").json:
            if row["name"].startswith(who.name) and "/" not in row["namespace"]:
                platform.request("DELETE", f"{collection}/{row['name']}{query}")


def ok(who, *words, **more):
    status, out, err = who.pipe(*words, **more)
    assert status == 0, (words, out, err)
    return out


def refused(who, *words):
    status, out, err = who.pipe(*words)
    assert status == 1 and out == "", (words, out, err)
    return err


def asked(who, *words, answer="n\n"):
    """What is asked on a terminal."""
    with who.terminal(*words, columns=200) as t:
        t.until(r"\? \[y/N\] ", 60 * SLOW).type(answer)
        assert t.end(60 * SLOW) == (0 if answer == "y\n" else 1)
        return plain(t.text)


def native(who, word):
    """A function that costs nothing to start."""
    who.platform.put(f"{who.name}-{word}", ECHO["native"], "native")
    return f"{who.name}-{word}"


# ---- packages

def test_parameters_of_a_package_and_of_a_binding(own):
    n = own.name
    ok(own, "package", "create", n, "-p", "unit", "C", "-p", "deep", '{"a": [1]}')
    ok(own, "deploy", "f.py", "--name", f"{n}/echo")
    assert json.loads(ok(own, "invoke", f"{n}/echo")) == {"unit": "C", "deep": {"a": [1]}}
    ok(own, "package", "bind", f"/_/{n}", f"{n}-b", "-p", "unit", "F")
    assert json.loads(ok(own, "invoke", f"{n}-b/echo"))["unit"] == "F"
    ok(own, "package", "update", n, "-p", "unit", "K")
    assert json.loads(ok(own, "invoke", f"{n}/echo")) == {"unit": "K"}
    assert json.loads(ok(own, "package", "get", f"/_/{n}"))["actions"][0]["name"] == "echo"


def test_a_package_that_is_not_empty_says_so_before_it_goes(own):
    n = own.name
    ok(own, "package", "create", n)
    for word in ("a", "b"):
        ok(own, "deploy", "f.py", "--name", f"{n}/{word}")
    assert f"delete the package {n} with its 2 functions?" in asked(own, "package", "delete", n)
    assert own.platform.request("GET", f"packages/{n}").status == 200, "no is no"
    assert f"deleted package {n}" in asked(own, "package", "delete", n, answer="y\n")
    assert own.platform.request("GET", f"packages/{n}").status == 404


# ---- triggers, rules, feeds

def test_a_fire_runs_what_the_rule_says(own):
    n, f = own.name, native(own, "f")
    ok(own, "trigger", "create", f"{n}-t", "-p", "plant", "7")
    ok(own, "rule", "create", f"{n}-r", f"{n}-t", f)
    fired = ok(own, "trigger", "fire", f"{n}-t", "-p", "value", "21").strip()
    log = within(60, "the fire is recorded", lambda: own.platform.record(fired)["logs"])
    assert json.loads(log[0])["success"] is True
    ok(own, "rule", "disable", f"{n}-r")
    assert "no rule waits" in own.pipe("trigger", "fire", f"{n}-t")[2]


def test_a_trigger_that_rules_wait_for_says_so_before_it_goes(own):
    n, f = own.name, native(own, "f")
    ok(own, "trigger", "create", f"{n}-t")
    for word in ("r1", "r2"):
        ok(own, "rule", "create", f"{n}-{word}", f"{n}-t", f)
    said = asked(own, "trigger", "delete", f"{n}-t")
    assert re.search(rf"the trigger {n}-t, for which the rules {n}-r\d and {n}-r\d wait\?", said), said


def test_the_life_of_a_feed(own):
    n = own.name
    (own.folder / "feed.py").write_text(FEED)
    ok(own, "deploy", "feed.py", "--name", f"{n}-feed", "-a", "feed", "true")
    assert f"which {n}-feed fires" in ok(own, "trigger", "create", f"{n}-t", "--feed", f"{n}-feed", "-p", "cron", "* * * * *")
    notes = {a["key"]: a["value"] for a in own.platform.request("GET", f"triggers/{n}-t").json["annotations"]}
    assert notes["feed"] == f"/_/{n}-feed"
    assert "updated" in ok(own, "trigger", "update", f"{n}-t", "-p", "cron", "0 * * * *")
    assert "delete and create it" in refused(own, "trigger", "update", f"{n}-t", "-a", "x", "1")
    ok(own, "trigger", "delete", f"{n}-t", "--yes")
    said = refused(own, "trigger", "create", f"{n}-no", "--feed", f"{n}-feed", "-p", "fail", "CREATE")
    assert "refused CREATE" in said and "the feed refused" in said
    assert own.platform.request("GET", f"triggers/{n}-no").status == 404, "it is taken back"


# ---- APIs

def test_an_api_out_of_its_own_document(own):
    n = own.name
    ok(own, "deploy", "f.py", "--name", f"{n}-f", "--web", "true")
    url = ok(own, "api", "create", f"/{n}", "/p/{id}", "get", f"{n}-f", "--response-type", "http").split()[1]
    assert url == f"{own.platform.url}/apis/guest/{n}/p/{{id}}"
    document = ok(own, "api", "get", f"/{n}")
    (own.folder / "api.json").write_text(document)
    ok(own, "api", "delete", f"/{n}", "--yes")
    assert "there is no API" in refused(own, "api", "get", f"/{n}")
    assert f"/apis/guest/{n}" in ok(own, "api", "create", "api.json")
    assert json.loads(ok(own, "api", "get", f"/{n}"))["paths"].keys() == {"/p/{id}"}
    ok(own, "api", "delete", f"/{n}", "--yes")


def test_an_api_that_nobody_can_reach_is_told(own):
    n = own.name
    said = refused(own, "api", "create", f"/{n}", "/p", "get", f"{n}-none")
    assert f"'/guest/{n}-none' is not there" in said and "--force makes the API all the same" in said, said
    assert "there is no API" in refused(own, "api", "get", f"/{n}")
    status, out, err = own.pipe("api", "create", f"/{n}", "/p", "get", f"{n}-none", "--force")
    assert status == 0 and "/p" in out and f"'/guest/{n}-none' is not there" in err, err
    ok(own, "deploy", "f.py", "--name", f"{n}-f", "--web", "true")
    status, _, err = own.pipe("api", "create", f"/{n}", "/q", "get", f"{n}-f")
    assert status == 0 and err == "", err
    (own.folder / "three.json").write_text(json.dumps({"openapi": "3.0.1", "info": {"title": "t"}, "paths": {}}))
    assert "is an OpenAPI 3 document; what is read is Swagger 2.0" in refused(own, "api", "create", "three.json")
    ok(own, "api", "delete", f"/{n}", "--yes")


# ---- what is said beside the platform's sentences

def test_a_function_in_use_says_by_whom_before_it_goes(own):
    n, f = own.name, native(own, "f")
    own.platform.put(f"{n}-other", ECHO["native"], "native")
    ok(own, "trigger", "create", f"{n}-t")
    ok(own, "rule", "create", f"{n}-r", f"{n}-t", f)
    ok(own, "deploy", f"{n}-s", "--sequence", f"{n}-other,{f}")
    said = asked(own, "delete", f)
    assert f"delete {f} with all versions, which the rule {n}-r, the sequence {n}-s use?" in said, said
    assert "which" not in asked(own, "delete", f"{n}-s")
    status, out, err = own.pipe("delete", f, "--yes")
    assert status == 0 and f"deleting {f}, which the rule {n}-r, the sequence {n}-s use" in err, (out, err)


def test_the_component_that_is_not_there_is_named(own):
    n, f = own.name, native(own, "f")
    said = refused(own, "deploy", f"{n}-s", "--sequence", f"{f},{n}-gone,/_/{n}-gone/too")
    assert f"there is no function {n}-gone\n" in said and f"there is no function /_/{n}-gone/too" in said
    assert f"there is no function {f}\n" not in said


@pytest.mark.parametrize("key, value, told", [
    ("web-export", "yes", True), ("web-export", "true", False), ("raw-http", "on", True), ("final", '"true"', True),
    ("about", "yes", False)])
def test_an_annotation_that_does_nothing_is_told(own, key, value, told):
    status, _, err = own.pipe("deploy", "f.py", "--name", f"{own.name}-f", "-a", key, value)
    assert status == 0 and ("neither true nor false" in err) == told, err


def test_a_package_where_a_function_is_meant(own):
    ok(own, "package", "create", own.name)
    for words in (("get", own.name), ("delete", own.name, "--yes"), ("invoke", own.name)):
        assert "narae package list" in refused(own, *words)


def test_a_function_is_not_written_into_a_binding(own):
    n = own.name
    ok(own, "package", "create", f"{n}-p")
    ok(own, "package", "bind", f"{n}-p", f"{n}-b")
    said = refused(own, "deploy", "f.py", "--name", f"{n}-b/f")
    assert "Operation not permitted on package binding" in said and "narae package get NAME" in said


def test_what_is_not_there(own):
    for words, hint in ((("package", "get", "nobody"), "narae package list"), (("trigger", "fire", "nobody"), "narae trigger list"),
                        (("rule", "disable", "nobody"), "narae rule list"), (("trigger", "delete", "nobody", "--yes"), "narae trigger list"),
                        (("api", "delete", "/nobody", "--yes"), "narae api list")):
        assert hint in refused(own, *words), words


def test_an_account_that_is_not_there(admin, platform, tmp_path):  # noqa: F811
    who = People(platform, tmp_path, platform.admin_auth)
    for words in (("account", "limits", "nobody"), ("account", "quota", "nobody"), ("key", "list", "nobody")):
        assert "narae account list" in refused(who, *words), words


MISTAKES = [
    (["package", "creat", "p"], "did you mean `narae package create`"),
    (["trigger", "mke", "t"], "is no verb"),
    (["rule", "create", "r", "t"], "narae rule create RULE TRIGGER FUNCTION"),
    (["package", "create", "a/b"], "NAME or /NAMESPACE/NAME"),
    (["package", "get", "/a/b/c"], "NAME or /NAMESPACE/NAME"),
    (["trigger", "create", "t", "--feed", "/x"], "a feed is named"),
    (["api", "create", "/b", "/p", "fetch", "f"], "a method is get, post"),
    (["api", "create", "b", "/p", "get", "f"], "begin with a slash"),
    (["api", "create", "/b", "/p"], "narae api create BASE PATH METHOD FUNCTION|FILE"),
    (["api", "create", "absent.json"], "absent.json"),
    (["package", "update", "p", "--shared", "maybe"], "it can be yes|no"),
    (["package", "create", "p", "--memory", "128"], "takes no --memory"),
]


@pytest.mark.parametrize("words, said", MISTAKES)
def test_mistakes_are_told_and_nothing_is_done(own, words, said):
    assert said in refused(own, *words)
