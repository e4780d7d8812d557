"""Packages, bindings, triggers, rules and APIs leave with their account's archive and come into another account of another name."""
import json

import pytest
from test_accounts import Admin
from test_export import change, export, import_into, packed, unpacked

NS = "/api/v1/namespaces"
NATIVE = {"exec": {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": "#!/bin/sh\ncat\n"}}
APIMGMT = "/api/v1/web/whisk.system/apimgmt"


@pytest.fixture
def admin(platform):
    a = Admin(platform)
    made, create = [], a.create
    a.create = lambda name, **more: (made.append(name), create(name, **more))[1]
    yield a
    for name in made:
        if a.show(name):
            a.delete(name)


def asker(platform, key):
    def ask(method, path, body=None, status=200):
        reply = platform.request(method, path, body, auth=key)
        assert reply.status == status, (method, path, reply)
        return reply.json if reply.body else None
    return ask


@pytest.fixture
def full(platform, admin):
    """An account with one of each, and one thing of another account's."""
    lib = asker(platform, admin.create("y-lib"))
    lib("PUT", "packages/lib", {"publish": True})
    lib("PUT", "actions/lib/f", NATIVE)
    key = admin.create("y-from")
    ask = asker(platform, key)
    ask("PUT", "packages/p", {"publish": True, "version": "1.2.3", "annotations": [{"key": "binding", "value": {"namespace": "y-from"}}],
                              "parameters": [{"key": "a", "value": {"binding": {"namespace": "y-from"}}}]})
    ask("PUT", "actions/p/f", NATIVE)
    ask("PUT", "actions/g", {**NATIVE, "annotations": [{"key": "web-export", "value": True}]})
    ask("PUT", "packages/b", {"binding": {"namespace": "_", "name": "p"}, "parameters": [{"key": "b", "value": 2}]})
    ask("PUT", "packages/foreign", {"binding": {"namespace": "y-lib", "name": "lib"}})
    ask("PUT", "triggers/t", {"parameters": [{"key": "t", "value": 1}], "annotations": [{"key": "k", "value": "v"}]})
    ask("PUT", "rules/on", {"trigger": "/_/t", "action": "/_/b/f"})
    ask("PUT", "rules/off", {"trigger": "/y-from/t", "action": "/y-lib/lib/f"})
    ask("POST", "rules/off", {"status": "inactive"})
    ask("POST", f"{APIMGMT}/createApi.http?responsetype=http", {"apidoc": {
        "namespace": "_", "gatewayBasePath": "/base", "gatewayPath": "/path/{id}", "gatewayMethod": "GET",
        "pathParameters": [{"name": "id", "in": "path", "required": True, "type": "string"}],
        "action": {"name": "g", "namespace": "_", "backendMethod": "GET",
                   "backendUrl": "http://localhost/api/v1/web/_/default/g.http", "authkey": "x:y"}}})
    return key


def told(platform, key):
    """What the account has, without its name and the times."""
    ask = asker(platform, key)
    shown = {path: ask("GET", path) for path in
             ("packages/p", "packages/b", "packages/foreign", "triggers/t", "rules/on", "rules/off", "actions/b/f?code=false")}
    shown["apis"] = [i["value"]["apidoc"]["paths"] for i in ask("GET", f"{APIMGMT}/getApi")["apis"]]
    for document in shown.values():
        if isinstance(document, dict):
            document.pop("updated")
            for a in document["annotations"]:  # of the platform, with the account's name
                if a["key"] == "binding" and document["namespace"] + "/" not in a:
                    a["value"]["namespace"] = a["value"]["namespace"].replace(document["namespace"], "OWN")
            if "parameters" in document:  # a client's own text is left as it is
                document["parameters"] = [p for p in document["parameters"] if p["key"] != "a"]
    own = shown["triggers/t"]["namespace"]
    return json.loads(json.dumps(shown).replace(own, "OWN"))


def test_there_and_back(platform, admin, full):
    archive = export(platform, "y-from", full)
    names = sorted(n for n in unpacked(archive) if not n.startswith(("narae-", "functions/")))
    assert names == ["apis/1.json", "bindings/1.json", "bindings/2.json", "packages/1.json", "rules/1.json", "rules/2.json",
                     "triggers/1.json"]
    key = admin.create("y-to")
    reply = import_into(platform, "y-to", archive, key)
    assert reply.status == 200, reply
    assert reply.json["refused"] == []
    assert sorted(reply.json["imported"]) == ["api:/base", "g", "p/f", "package:b", "package:foreign", "package:p",
                                              "rule:off", "rule:on", "trigger:t"]
    assert told(platform, key)["packages/p"]["version"] == "1.2.3"
    assert told(platform, key)["rules/off"]["status"] == "inactive"
    before, after = told(platform, full), told(platform, key)
    for what, document in before.items():
        assert after[what] == document, what
    ask = asker(platform, key)
    values = {p["key"]: p["value"] for p in ask("GET", "packages/p")["parameters"]}
    assert values == {"a": {"binding": {"namespace": "y-from"}}}  # what a client says is not rewritten
    called = platform.request("POST", "actions/b/f?blocking=true&result=true", {"c": 3}, auth=key)
    assert called.json == {"a": {"binding": {"namespace": "y-from"}}, "b": 2, "c": 3}
    # a second time all are there already
    reply = import_into(platform, "y-to", archive, key)
    assert reply.status == 200 and reply.json["imported"] == []
    assert {r["entity"]: r["error"] for r in reply.json["refused"] if "entity" in r} == {
        **{n: "resource already exists" for n in ("package:b", "package:foreign", "package:p", "rule:off", "rule:on", "trigger:t")},
        "api:/base": "There is an API of this base path already."}
    for what, document in after.items():
        assert told(platform, key)[what] == document, what


WRONG = {
    "package name": ("packages/1.json", lambda d: d.update(name="a/b"), "package:a/b", "It has no valid name."),
    "reserved": ("packages/1.json", lambda d: d.update(name="default"), "package:default", "Package name 'default' is reserved."),
    "publish": ("packages/1.json", lambda d: d.update(publish="x"), "package:p", "'publish' must be true or false"),
    "target": ("bindings/1.json", lambda d: d["binding"].update(name="none"), "package:b", "Binding references a package"),
    "unshared": ("bindings/2.json", lambda d: d["binding"].update(name="none"), "package:foreign", "not authorized to access 'y-lib/none'"),
    "trigger": ("triggers/1.json", lambda d: d.update(parameters=1), "trigger:t", "'parameters' must be"),
    "rule": ("rules/1.json", lambda d: d["action"].update(name="none"), "rule:on", "does not exist"),
    "api": ("apis/1.json", lambda d: d.pop("paths"), "api:/base", "API creation failure"),
    "api without a path": ("apis/1.json", lambda d: d.pop("basePath"), "api:?", "It has no 'basePath'."),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_left_out(platform, admin, full, what):
    path, edit, entity, text = WRONG[what]
    files = unpacked(export(platform, "y-from", full))
    key = admin.create("y-part")
    reply = import_into(platform, "y-part", packed(change(files, path, edit)), key)
    assert reply.status == 200, reply
    refused = {r.get("entity"): r["error"] for r in reply.json["refused"]}
    assert text in refused[entity], reply
    assert "g" in reply.json["imported"]


@pytest.mark.parametrize("name, content", [("packages/1.json", b"{"), ("packages/1.json", b"[]"), ("packages/1.json", b""),
                                           ("rules/1.json", b'{"name":1}'), ("triggers/2.json", b"[" * 200)],
                         ids=["cut", "array", "empty", "no name", "deep"])
def test_what_is_no_document_is_left_out(platform, admin, full, name, content):
    files = unpacked(export(platform, "y-from", full))
    end = files.pop("narae-end.json")
    key = admin.create("y-part")
    reply = import_into(platform, "y-part", packed({**files, name: content, "narae-end.json": end}), key)
    assert reply.status == 200, reply
    assert any("entity" in r for r in reply.json["refused"]), reply


@pytest.mark.parametrize("package", ["none", "b"])
def test_no_function_comes_into_what_is_no_package(platform, admin, full, package):
    files = unpacked(export(platform, "y-from", full))
    key = admin.create("y-part")
    reply = import_into(platform, "y-part", packed(change(files, "functions/1/function.json", lambda d: d.update(package=package))), key)
    refused = {r.get("function"): r["error"] for r in reply.json["refused"]}
    assert refused[f"{package}/f"] == f"The package '{package}' does not exist.", reply
    assert [a["name"] for a in platform.request("GET", "actions", auth=key).json] == ["g"]
