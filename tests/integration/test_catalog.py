"""The packages of whisk.system: there from the first start on, for everybody, and kept up to date."""
import sqlite3

import pytest

SYSTEM = "/api/v1/namespaces/whisk.system"
UTILS = ["cat", "date", "echo", "head", "hosturl", "namespace", "smash", "sort", "split"]
SAMPLES = ["curl", "greeting", "helloWorld", "wordCount"]


def invoke(p, name, parameters=None, expect=200):
    reply = p.request("POST", f"{SYSTEM}/actions/{name}?blocking=true&result=true", parameters or {})
    assert reply.status == expect, (name, reply.status, reply.body)
    return reply.json


def annotation(document, key):
    return {a["key"]: a["value"] for a in document["annotations"]}[key]


def test_packages_are_seen_by_everybody(platform):
    packages = platform.request("GET", f"{SYSTEM}/packages").json
    assert {p["name"]: p["publish"] for p in packages} == {"utils": True, "samples": True}
    for package, names in (("utils", UTILS), ("samples", SAMPLES)):
        document = platform.request("GET", f"{SYSTEM}/packages/{package}").json
        assert sorted(a["name"] for a in document["actions"]) == names and annotation(document, "description")
        for name in names:
            action = platform.request("GET", f"{SYSTEM}/actions/{package}/{name}").json
            assert action["namespace"] == f"whisk.system/{package}" and annotation(action, "description")
    assert platform.request("PUT", f"{SYSTEM}/packages/mine", {}).status == 403
    assert platform.request("DELETE", f"{SYSTEM}/actions/utils/echo").status == 403


@pytest.mark.parametrize("package, name", [("utils", n) for n in UTILS if n not in ("date", "hosturl", "namespace")] +
                         [("samples", n) for n in SAMPLES if n != "curl"])
def test_each_does_what_its_sample_says(platform, package, name):
    action = platform.request("GET", f"{SYSTEM}/actions/{package}/{name}").json
    assert invoke(platform, f"{package}/{name}", annotation(action, "sampleInput")) == annotation(action, "sampleOutput")


def test_what_the_caller_or_the_time_decides(platform):
    date = invoke(platform, "utils/date")["date"]
    assert len(date) == 24 and date[10] == "T" and date[-1] == "Z"
    assert invoke(platform, "utils/namespace") == {"namespace": "guest"}
    assert invoke(platform, "utils/sort", {"lines": [10, 9, "a"]}) == {"lines": [10, 9, "a"], "length": 3}
    assert invoke(platform, "utils/split", {"payload": "a\r\nb\nc"})["lines"] == ["a", "b", "c"]
    assert invoke(platform, "utils/head", {"lines": ["a", "b"]}) == {"lines": ["a"], "num": 1}
    assert invoke(platform, "samples/greeting") == {"payload": "Hello, stranger from somewhere!"}
    for name in ("utils/smash", "utils/split", "samples/wordCount", "samples/curl"):
        assert invoke(platform, name, expect=502)["error"], name
    assert "http" in invoke(platform, "samples/curl", {"payload": "file:///etc/passwd"}, expect=502)["error"]


def test_address_of_an_action(start_platform):
    p = start_platform("--api-host=http://192.0.2.1:8080")
    assert invoke(p, "utils/hosturl", {"path": "pkg/a"}) == {"url": "http://192.0.2.1:8080/api/v1/namespaces/guest/actions/pkg/a"}
    assert invoke(p, "utils/hosturl", {"web": True, "path": "a b"})["url"].endswith("/api/v1/web/guest/default/a%20b.json")
    assert invoke(p, "utils/hosturl", {"trigger": True, "path": "t"})["url"].endswith("/namespaces/guest/triggers/t")
    assert "'ext'" in invoke(p, "utils/hosturl", {"web": True, "path": "a", "ext": ".exe"}, expect=502)["error"]
    # what somebody else made stays, what an earlier version made is brought up to date, what is gone comes again
    assert p.request("GET", f"{SYSTEM}/actions/utils/echo").json["version"] == "0.0.1"
    p.stop()
    db = sqlite3.connect(p.data / "meta.db")
    change = "UPDATE versions SET annotations = ? WHERE function_id = (SELECT id FROM functions WHERE name = ?)"
    db.execute(change, ('[{"key":"narae.catalog","value":"of an earlier version"}]', "echo"))
    db.execute(change, ('[{"key":"mine","value":true}]', "sort"))
    db.execute("DELETE FROM functions WHERE name = 'cat'")
    db.commit()
    db.close()
    p.start()
    versions = {n: p.request("GET", f"{SYSTEM}/actions/utils/{n}").json["version"] for n in ("echo", "sort", "head", "cat")}
    assert versions == {"echo": "0.0.2", "sort": "0.0.1", "head": "0.0.1", "cat": "0.0.1"}
    assert invoke(p, "utils/echo", {"a": 1}) == {"a": 1}
    assert annotation(p.request("GET", f"{SYSTEM}/actions/utils/sort").json, "mine") is True
    p.stop()


def test_bound_and_in_sequences(platform, name):
    body = {"binding": {"namespace": "whisk.system", "name": "utils"}, "parameters": [{"key": "separator", "value": "-"}]}
    assert platform.request("PUT", f"packages/{name}?overwrite=true", body).status == 200
    try:
        reply = platform.invoke(f"{name}/split", {"payload": "b-a"}, "blocking=true&result=true")
        assert reply.json == {"lines": ["b", "a"], "payload": "b-a"}, reply.body
        steps = [f"/_/{name}/split", "/whisk.system/utils/sort", "/whisk.system/utils/cat"]
        reply = platform.request("PUT", f"actions/{name}-s?overwrite=true", {"exec": {"kind": "sequence", "components": steps}})
        assert reply.status == 200, reply.body
        assert platform.invoke(f"{name}-s", {"payload": "b-a"}, "blocking=true&result=true").json["payload"] == "a\nb"
    finally:
        platform.request("DELETE", f"actions/{name}-s")
        platform.request("DELETE", f"packages/{name}")


def test_without_the_catalog(start_platform):
    p = start_platform("--no-catalog")
    assert p.request("GET", f"{SYSTEM}/packages/utils").status == 403
    assert [a["name"] for a in p.request("GET", "/narae/v1/accounts", auth=p.admin_auth).json["accounts"]] == ["admin", "guest"]
    p.stop()
