"""Versions: publication freezes code and settings, lists, differences, removal. What is kept, and files: see the unit tests."""
import base64
import io
import tarfile
import zipfile

import pytest


def code(n):
    return f"def main(args):\n    return {{'n': {n}}}\n"


def packed(files, form="zip"):
    """An archive of {path: bytes} as base64."""
    out = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            for path, content in files.items():
                z.writestr(path, content)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as t:
            for path, content in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(content)
                t.addfile(info, io.BytesIO(content))
    return base64.b64encode(out.getvalue()).decode()


class Function:
    def __init__(self, own, name):
        self.own, self.name = own, name
        self.path = f"/narae/v1/functions/{name}"

    def ask(self, method, path="", body=None, status=200):
        reply = self.own.request(method, self.path + path, body)
        assert reply.status == status, (method, path, body, reply)
        return reply.error if status >= 400 else reply.json

    def publish(self, note=None):
        return self.ask("POST", "/versions", {"note": note} if note else None, status=201)

    def numbers(self):
        return [v["version"] for v in self.ask("GET", "/versions")["versions"]]


@pytest.fixture
def function(platform, name):
    return Function(platform, name)


def test_a_version_is_frozen(function):
    own = function.own
    own.put(function.name, code(1), limits={"memory": 128, "timeout": 5000},
            parameters=[{"key": "p", "value": 1}], annotations=[{"key": "narae.network", "value": "none"}])
    first = function.publish("as it was")
    frozen = function.ask("GET", "/versions/1")
    own.put(function.name, code(2), limits={"memory": 512}, parameters=[{"key": "p", "value": 2}])
    second = function.publish()
    assert (first["version"], second["version"]) == (1, 2)
    assert first["sha256"] != second["sha256"] and len(first["sha256"]) == 64
    assert first["note"] == "as it was" and second["note"] == ""
    assert function.ask("GET", "/versions/1") == frozen
    assert (frozen["version"], frozen["state"], frozen["limits"]["memory"]) == (1, "PUBLISHED", 128)
    assert frozen["settings"]["network"] == "none" and frozen["note"] == "as it was"
    listed = function.ask("GET", "/versions")["versions"]
    assert [v["memory_mb"] for v in listed] == [128, 512] and listed == [first, second]
    answers = [own.request("POST", f"actions/{function.name}?blocking=true&result=true{q}", {}).json
               for q in ("&version=1", "&version=2", "")]
    assert answers == [{"n": 1}, {"n": 2}, {"n": 2}]


def test_numbers_are_never_given_twice(function):
    function.own.put(function.name, code(1))
    function.publish()
    function.publish()
    function.ask("DELETE", "/versions/2")
    assert function.publish()["version"] == 3
    assert function.numbers() == [1, 3]
    function.ask("GET", "/versions/2", status=404)
    function.ask("DELETE", "/versions/2", status=404)
    function.ask("POST", "/versions/2/block", status=404)


def test_what_cannot_be_published(function):
    function.ask("POST", "/versions", status=404)
    function.own.put(function.name, code(1))
    for body, text in (({"notes": "x"}, "The field 'notes' is not known; the fields are: note."),
                       ({"note": 1}, "The field 'note' must be a text, not 1.")):
        assert function.ask("POST", "/versions", body, status=400) == text
    assert "1001 bytes; at most 1000" in function.ask("POST", "/versions", {"note": "x" * 1001}, status=413)
    for path, state, back in (("/block", "BLOCKED", "/unblock"), ("/update", "UPDATING", "/update/abort")):
        function.ask("POST", path)
        assert f"is {state} and does not allow 'publish'" in function.ask("POST", "/versions", status=409)
        function.ask("POST", back)
    assert function.numbers() == []


def test_a_version_in_use_stays(function):
    function.own.put(function.name, code(1))
    for _ in range(3):
        function.publish()
    function.ask("PUT", "/aliases/prod", {"weights": {"1": 50, "2": 50}}, status=201)
    text = "Version 2 is used by the alias 'prod' and does not allow '{}': move the alias first."
    assert function.ask("DELETE", "/versions/2", status=409) == text.format("delete")
    function.ask("POST", "/versions/2/retire")
    assert function.ask("POST", "/versions/2/purge", status=409) == text.format("purge")
    assert function.ask("GET", "/versions/2")["aliases"] == ["prod"]
    function.ask("PUT", "/aliases/prod", {"version": 3})
    function.ask("POST", "/versions/2/purge")
    function.ask("DELETE", "/versions/1")
    assert function.numbers() == [3]


# ---- differences

def test_difference_of_settings(function):
    own = function.own
    own.put(function.name, code(1), limits={"memory": 256}, parameters=[
        {"key": "same", "value": [1, 2]}, {"key": "gone", "value": None}, {"key": "other", "value": {"a": 1}}])
    function.publish()
    own.put(function.name, code(1), limits={"memory": 512, "timeout": 1000}, parameters=[
        {"key": "same", "value": [1, 2]}, {"key": "other", "value": {"a": 2}}, {"key": "new", "value": "x"}],
        annotations=[{"key": "narae.network", "value": "none"}])
    function.publish()
    found = function.ask("GET", "/versions/1/diff/2")
    assert (found["from"], found["to"], found["files"]) == (1, 2, [])
    assert {s["path"]: (s["from"], s["to"]) for s in found["settings"]} == {
        "limits.memory": (256, 512), "limits.timeout": (60000, 1000), "parameters.gone": (None, None),
        "parameters.other": ({"a": 1}, {"a": 2}), "parameters.new": (None, "x"),
        "annotations.narae.network": (None, "none")}
    back = function.ask("GET", "/versions/2/diff/1")["settings"]
    assert {s["path"]: s["to"] for s in back}["limits.memory"] == 256
    assert function.ask("GET", "/versions/2/diff/latest") == {"from": 2, "to": "latest", "settings": [], "files": []}
    assert function.ask("GET", "/versions/latest/diff/2")["from"] == "latest"
    for path, status in (("/versions/1/diff/3", 404), ("/versions/3/diff/1", 404), ("/versions/1/diff/prod", 400)):
        function.ask("GET", path, status=status)


@pytest.mark.parametrize("form", ["zip", "tgz"])
def test_difference_of_files(function, form):
    own = function.own
    first = {"__main__.py": code(1).encode(), "lib/same.py": b"x = 1\n", "lib/old.py": b"old" * 1000}
    second = {"__main__.py": code(22).encode(), "lib/same.py": b"x = 1\n", "data/new.bin": bytes(5000)}
    own.put(function.name, packed(first, form))
    function.publish()
    own.put(function.name, packed(second, form))
    assert function.ask("GET", "/versions/1/diff/latest")["files"] == [
        {"path": "__main__.py", "change": "changed", "from_bytes": len(code(1)), "to_bytes": len(code(22))},
        {"path": "data/new.bin", "change": "added", "to_bytes": 5000},
        {"path": "lib/old.py", "change": "removed", "from_bytes": 3000}]
    own.put(function.name, code(1))
    kinds = {f["path"]: f["change"] for f in function.ask("GET", "/versions/1/diff/latest")["files"]}
    assert kinds == {"__main__.py": "removed", "lib/same.py": "removed", "lib/old.py": "removed", "code.py": "added"}


# ---- the list of functions

def test_list_of_functions(platform, name):
    own, names = platform, [f"{name}-{i}" for i in range(4)]
    try:
        for n in reversed(names):
            own.put(n, code(1))
        f = Function(own, names[1])
        f.publish()
        f.publish()
        for alias, version in (("prod", 1), ("beta", 2)):
            f.ask("PUT", "/aliases/" + alias, {"version": version}, status=201)
        f.ask("POST", "/versions/latest/block")
        found, total = [], own.request("GET", "/narae/v1/functions?limit=1").json["total"]
        while len(found) < total:  # page by page
            page = own.request("GET", f"/narae/v1/functions?limit=2&skip={len(found)}").json
            assert page["total"] == total and 1 <= len(page["functions"]) <= 2
            found += page["functions"]
        assert [one["name"] for one in found] == sorted(one["name"] for one in found)
        ours = {one["name"]: one for one in found if one["name"] in names}
        assert list(ours) == names
        one = ours[names[1]]
        assert set(one) == {"name", "state", "version", "kind", "memory_mb", "timeout_ms", "code_bytes", "versions",
                            "aliases", "updated_ms"}
        assert (one["state"], one["versions"], one["aliases"]) == ("BLOCKED", 2, ["beta", "prod"])
        others = own.request("GET", "/narae/v1/functions?limit=200", auth=own.admin_auth).json["functions"]
        assert not [one for one in others if one["name"] in names]
        assert own.request("GET", "/narae/v1/functions?limit=201").status == 400
        assert own.request("GET", "/narae/v1/functions", auth=None).status == 401
    finally:
        for n in names:
            own.request("DELETE", f"actions/{n}")
