"""GET /narae/v1/openapi.json: everybody may read it, and what the platform answers is as it says."""
import time

import pytest

from conftest import within
from functions import HELLO
from openapi import Document

V1 = "/narae/v1"


@pytest.fixture
def document(platform):
    return Document(platform.request("GET", V1 + "/openapi.json", auth=None).json)


def test_everybody_may_read_it(platform, document):
    answer = platform.request("GET", V1 + "/openapi.json", auth=None)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    assert document.document["openapi"].startswith("3.1.")
    assert platform.request("POST", V1 + "/openapi.json").status == 405


def test_it_is_valid(document):
    """What an OpenAPI document must have."""
    assert {"openapi", "info", "paths"} <= set(document.document)
    assert {"title", "version"} <= set(document.document["info"])
    for path, item in document.document["paths"].items():
        for method, operation in item.items():
            assert method in ("get", "put", "post", "delete") and operation["responses"], path
            for response in operation["responses"].values():
                assert document.at(response)["description"], path
            for parameter in operation.get("parameters", []):
                assert {"name", "in", "schema"} <= set(document.at(parameter))


def test_the_document_of_the_openwhisk_api(platform):
    """Swagger 2.0, for everybody; where a page of it is looked for there is the way to it."""
    answer = platform.request("GET", "/api/v1/api-docs", auth=None)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    document = answer.json
    assert document["swagger"] == "2.0" and document["basePath"] == "/api/v1" and document["info"]["version"] != "@VERSION@"
    page = platform.request("GET", "/api/v1/docs", auth=None)
    assert page.status == 302 and page.headers["location"] == "/api/v1/api-docs" and page.body == b""
    assert platform.request("PUT", "/api/v1/api-docs").status == 405

    identifiers = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(identifiers)) == len(identifiers)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["responses"] and "refusals" not in operation, path
            named = [p["name"] for p in map(Document(document).at, operation["parameters"]) if p["in"] == "path"]
            assert sorted(named) == sorted(part[1:-1] for part in path.split("/") if part.startswith("{")), path
            if path.startswith("/namespaces"):
                assert {"200", "400", "401", "403", "429", "500", "503"} - {"200"} <= set(operation["responses"]), path


def test_objects_of_answers_are_closed(platform):
    """Nothing is answered that a document does not name: `additionalProperties` is said of each object with properties."""
    def open_objects(schema, where):
        if isinstance(schema, dict):
            if "properties" in schema and "additionalProperties" not in schema:
                yield where
            for key, value in schema.items():
                yield from open_objects(value, f"{where}/{key}")
        elif isinstance(schema, list):
            for i, value in enumerate(schema):
                yield from open_objects(value, f"{where}/{i}")
    narae = platform.request("GET", V1 + "/openapi.json", auth=None).json["components"]["schemas"]
    narae.pop("Document")  # the document itself, which is open by its nature
    whisk = platform.request("GET", "/api/v1/api-docs", auth=None).json["definitions"]
    put = {name for name in whisk if name.endswith("Put") or name == "RuleStatus"}  # bodies: what is not known is ignored there
    assert list(open_objects(narae, "")) == []
    assert list(open_objects({name: schema for name, schema in whisk.items() if name not in put}, "")) == []


class Exchange:
    """Sends requests and judges each by the document."""

    def __init__(self, platform, document):
        self.platform, self.document, self.seen, self.problems = platform, document, set(), []

    def __call__(self, method, path, body=None, status=200):
        answer = self.platform.request(method, V1 + path, body, auth=self.platform.admin_auth)
        assert answer.status == status, (method, path, answer)
        self.problems += [(method, path, problem) for problem in self.document.judge(method, V1 + path, body, status, answer.json)]
        self.seen.add((method, self.document.find(method, V1 + path)[0]))
        return answer.json


# Streams, archives, and what needs a registry of images; each has tests of its own. Answers about scaling are judged in test_scale_api.py.
ELSEWHERE = {("GET", V1 + "/events"), ("GET", V1 + "/functions/{function}/logs"), ("GET", V1 + "/functions/{package}/{name}/logs"),
             ("GET", V1 + "/accounts/{account}/export"), ("POST", V1 + "/accounts/{account}/import")}


def test_answers_are_as_the_document_says(platform, document, name):
    call = Exchange(platform, document)
    for code in (HELLO["python:3"], HELLO["python:3"] + "\n"):
        body = {"exec": {"kind": "python:3", "code": code}, "limits": {"memory": 128}}
        answer = platform.request("PUT", f"actions/{name}?overwrite=true", body, auth=platform.admin_auth)
        assert answer.status == 200, answer
        call("POST", f"/functions/{name}/versions", {"note": "a note"}, 201)
    function = f"/functions/{name}"
    call("GET", "/functions")
    call("GET", "/functions?limit=1&skip=1")
    call("GET", function)
    call("GET", function + "/versions")
    call("GET", function + "/versions/1")
    call("GET", function + "/versions/1/diff/2")
    call("GET", function + "/versions/1/diff/latest")
    call("PUT", function + "/aliases/prod", {"version": 1}, 201)
    call("PUT", function + "/aliases/prod", {"weights": {"1": 50, "2": 50}, "protected": True})
    call("GET", function + "/aliases")
    call("GET", function + "/aliases/prod")
    call("POST", function + "/aliases/prod/rollback")
    call("PUT", function + "/aliases/prod", {"protected": False})
    call("DELETE", function + "/aliases/prod")
    for where in (function + "/versions/1", function):
        call("POST", where + "/block", {"reason": "a reason"})
        call("POST", where + "/unblock")
    call("POST", function + "/versions/2/retire", {"running": "cancel", "reason": "a reason"})
    call("POST", function + "/versions/2/purge")
    call("DELETE", function + "/versions/1")
    call("POST", function + "/update", {"while_updating": "hold", "hold_s": 5, "deadline_s": 60})
    call("GET", function)
    call("POST", function + "/update/abort")
    call("POST", function + "/update", {"while_updating": "old"})
    call("POST", function + "/update/commit", {"exec": {"kind": "python:3", "code": HELLO["python:3"]}})
    preenv(call, function)
    call("GET", function + "/history?limit=5")
    call("POST", function + "/retire", {})
    call("POST", function + "/purge", {})
    accounts(call)
    images(call)
    call("GET", "/invokers")
    call("GET", "/openapi.json")
    for method, path, body, status in (("GET", "/functions/none-of-this-name", None, 404), ("GET", "/functions?limit=x", None, 400),
                                       ("POST", function + "/block", {"why": "no"}, 400)):
        call(method, path, body, status)
    assert sorted({(method, path.rsplit("/", 1)[0], problem) for method, path, problem in call.problems}) == []
    scaling = {(method, path) for method, path in document.operations() if path.startswith(V1 + "/scaling/")}
    fleet = {(method, path) for method, path in document.operations() if path.startswith(V1 + "/invokers/")}  # judged in test_fleet.py
    assert document.operations() - call.seen - ELSEWHERE - scaling - fleet == set()


def preenv(call, function):
    run = call("POST", function + "/preenv", {"payloads": [{"weight": 1, "value": {}}], "tolerance": 0.5, "repeats": 3}, 202)["id"]
    call("GET", f"{function}/preenv/{run}")
    within(120, "the trial has ended", lambda: call("GET", f"{function}/preenv/{run}")["state"] != "running")
    call("GET", function + "/preenv")
    call("POST", f"{function}/preenv/{run}/apply")
    call("POST", f"{function}/preenv/{run}/cancel", None, 409)


def accounts(call):
    name = f"openapi-{time.monotonic_ns()}"
    account = "/accounts/" + name
    call("POST", "/accounts", {"name": name, "profile": "default"}, 201)
    call("GET", "/accounts")
    call("GET", account)
    call("GET", account + "/limits")
    call("PUT", account + "/limits", {"invocationsPerMinute": 10})
    call("GET", account + "/quota")
    call("PUT", account + "/quota", {"bytes": 1000000, "functions": None})
    call("GET", account + "/retention")
    call("PUT", account + "/retention", {"keepVersions": 5, "keepRetiredDays": None})
    call("GET", account + "/grants")
    call("PUT", account + "/grants", {})
    key = call("POST", account + "/keys", {"scopes": ["invoke"], "expires": 3600, "note": "a note"}, 201)["uuid"]
    call("GET", account + "/keys")
    call("POST", f"{account}/keys/{key}/rotate")
    call("DELETE", f"{account}/keys/{key}")
    call("POST", account + "/suspend", {"reason": "a reason"})
    call("POST", account + "/resume")
    call("GET", "/buckets")
    call("POST", f"/buckets/{name}/verify")
    call("DELETE", account, status=202)


def images(call):
    call("GET", "/images")
    call("POST", "/images", {"reference": "127.0.0.1:1/none:1"}, 202)
    call("POST", "/images/prune")
    call("PUT", "/registries/127.0.0.1:1", {"username": "ci", "password": "secret"})
    call("GET", "/registries")
    call("DELETE", "/registries/127.0.0.1:1")


def test_the_judge_judges(document):
    """What validates the answers finds what is wrong with one."""
    good = {"uuid": "u", "scopes": ["invoke"], "expires_ms": None}
    key = {"$ref": "#/components/schemas/Key"}
    assert document.problems(key, good) == []
    for bad in ({**good, "uuid": 1}, {"uuid": "u"}, {**good, "scopes": "invoke"}, {**good, "expires_ms": "soon"}, []):
        assert document.problems(key, bad), bad
    assert document.problems({"$ref": "#/components/schemas/Publish"}, {"nota": "x"})
    assert document.problems({"$ref": "#/components/schemas/State"}, "GONE")
