"""Functions as documents: create, read, update, list, delete; exactly the fields clients know."""
import base64
import io
import zipfile

import pytest

from functions import ECHO, HELLO, KINDS, SHOWN_KIND

ACTION = {"namespace", "name", "version", "publish", "exec", "limits", "annotations", "parameters",
          "updated"}
LIST_ITEM = ACTION - {"parameters"}
LIMITS = {"timeout": 60000, "memory": 256, "logs": 10, "concurrency": 1}


def by_key(pairs):
    return {p["key"]: p["value"] for p in pairs}


@pytest.mark.parametrize("kind", KINDS)
def test_create_and_get(platform, name, kind):
    created = platform.put(name, ECHO[kind], kind, overwrite=False)
    assert set(created) == ACTION
    assert (created["namespace"], created["name"], created["version"]) == ("guest", name, "0.0.1")
    assert created["publish"] is False
    assert created["parameters"] == []
    assert created["limits"] == LIMITS
    assert by_key(created["annotations"]) == {"exec": SHOWN_KIND[kind], "provide-api-key": False}
    assert created["exec"]["kind"] == SHOWN_KIND[kind]
    assert created["exec"]["code"] == ECHO[kind]
    assert created["exec"]["binary"] is False
    assert type(created["updated"]) is int and created["updated"] > 1700000000000
    assert platform.request("GET", f"actions/{name}").json == created
    assert platform.request("GET", f"actions/{name}?code=true").json == created


def test_without_code(platform, name):
    platform.put(name, ECHO["python:3"])
    document = platform.request("GET", f"actions/{name}?code=false").json
    assert document["exec"] == {"kind": "python:3", "binary": False}
    assert set(document) == ACTION


def test_update_bumps_and_merges(platform, name):
    platform.put(name, ECHO["python:3"], overwrite=False,
                 parameters=[{"key": "p", "value": 1}, {"key": "q", "value": {"deep": [1, 2]}}],
                 annotations=[{"key": "a", "value": 1}, {"key": "b", "value": "two"}],
                 limits={"memory": 128, "timeout": 2000})
    updated = platform.request("PUT", f"actions/{name}?overwrite=true", {
        "annotations": [{"key": "b", "value": 2}, {"key": "c", "value": 3}],
        "limits": {"timeout": 3000}}).json
    assert updated["version"] == "0.0.2"
    assert by_key(updated["annotations"]) == {"a": 1, "b": 2, "c": 3, "exec": "python:3",
                                              "provide-api-key": False}
    assert by_key(updated["parameters"]) == {"p": 1, "q": {"deep": [1, 2]}}
    assert updated["limits"] == {**LIMITS, "memory": 128, "timeout": 3000}
    assert updated["exec"]["code"] == ECHO["python:3"]
    replaced = platform.request("PUT", f"actions/{name}?overwrite=true", {
        "parameters": [{"key": "r", "value": None}], "delAnnotations": ["a", "b"]}).json
    assert by_key(replaced["parameters"]) == {"r": None}
    assert "a" not in by_key(replaced["annotations"]) and by_key(replaced["annotations"])["c"] == 3
    assert replaced["version"] == "0.0.3"


def test_an_explicit_version_stays(platform, name):
    assert platform.put(name, "x = 1", version="1.2.3")["version"] == "1.2.3"
    assert platform.put(name, "x = 2")["version"] == "1.2.4"


def test_delete_returns_the_document_and_frees_the_name(platform, name):
    platform.put(name, ECHO["python:3"])
    platform.put(name, ECHO["python:3"])
    deleted = platform.request("DELETE", f"actions/{name}")
    assert (deleted.status, deleted.json["name"], deleted.json["version"]) == (200, name, "0.0.2")
    assert platform.request("GET", f"actions/{name}").status == 404
    assert platform.put(name, ECHO["python:3"], overwrite=False)["version"] == "0.0.1"


def test_fields_of_the_body_that_the_path_decides(platform, name):
    created = platform.request("PUT", f"actions/{name}", {
        "namespace": "somebody", "name": "pkg/other", "updated": 5,
        "exec": {"kind": "python:3", "code": "x"}}).json
    assert (created["namespace"], created["name"]) == ("guest", name)
    assert created["updated"] > 5


@pytest.mark.parametrize("given, stored", [
    ("python:default", "python:3"), ("nodejs:default", "nodejs:18"), ("PYTHON:3", "python:3"),
    ("python:3.11", "python:3")])
def test_kinds_that_resolve(platform, name, given, stored):
    created = platform.put(name, "x", given)
    assert created["exec"]["kind"] in (stored, given)
    if given.endswith("default") or given.isupper():
        assert created["exec"]["kind"] == stored
    assert by_key(created["annotations"])["exec"] == created["exec"]["kind"]


def test_binary_is_computed(platform, name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as z:
        z.writestr("__main__.py", ECHO["python:3"])
    text = base64.b64encode(packed.getvalue()).decode()
    created = platform.request("PUT", f"actions/{name}", {
        "exec": {"kind": "python:3", "code": text, "binary": False}}).json
    assert created["exec"]["binary"] is True
    assert created["exec"]["code"] == text


def test_empty_code_is_accepted(platform, name):
    assert platform.put(name, "", "nodejs:default")["exec"]["code"] == ""


def test_main(platform, name):
    created = platform.request("PUT", f"actions/{name}", {
        "exec": {"kind": "python:3", "main": "go", "code": "def go(a):\n    return {'ran': 'go'}"}})
    assert created.json["exec"]["main"] == "go"
    assert platform.invoke(name, query="blocking=true&result=true").json == {"ran": "go"}


# ---- lists

@pytest.fixture
def three(start_platform):
    """A platform with exactly three functions, in this order."""
    own = start_platform()
    for n in ("first", "second", "third"):
        own.put(n, HELLO["python:3"], parameters=[{"key": "k", "value": "v"}])
    return own


def test_lists(three):
    own = three

    def names(query=""):
        return [a["name"] for a in own.request("GET", "actions" + query).json]

    assert names() == names("/") == names("?limit=0") == ["third", "second", "first"]
    assert names("?limit=2") == ["third", "second"]
    assert names("?skip=1") == ["second", "first"]
    assert names("?limit=1&skip=1") == ["second"]
    assert names("?skip=3") == []
    own.put("first", HELLO["python:3"])
    assert names() == ["first", "third", "second"], "the last updated comes first"
    assert own.request("GET", "actions?count=true").json == {"actions": 3}
    assert own.request("GET", "actions?count=true&skip=2").json == {"actions": 1}
    for item in own.request("GET", "actions").json:
        assert set(item) == LIST_ITEM
        assert item["exec"] == {"binary": False}
        assert by_key(item["annotations"])["exec"] == "python:3"
    assert own.request("GET", "actions/nopackage/").status in (200, 404)


def test_documents_survive_a_restart(three):
    own = three
    before = own.request("GET", "actions").json
    own.stop()
    own.start()
    assert own.request("GET", "actions").json == before
    assert own.invoke("first", query="blocking=true&result=true").json == {
        "greeting": "Hello, nobody!"}
