"""The stock npm package `openwhisk` drives the platform: npm_client.js does and checks, this file starts it."""
import base64
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import BUILD, SLOW
from functions import HELLO, KINDS, TROUBLE
from test_invoke import ARCHIVES

HERE = pathlib.Path(__file__).parent


def node(platform, *arguments, stdin):
    modules = os.environ.get("NODE_PATH") or str(BUILD / "npm/node_modules")
    assert shutil.which("node"), "node is needed"
    assert (pathlib.Path(modules) / "openwhisk").is_dir(), f"no package openwhisk in {modules}"
    env = {"PATH": os.environ["PATH"], "NODE_PATH": modules, "__OW_API_HOST": platform.url,
           "__OW_API_KEY": platform.auth}
    ran = subprocess.run(["node", HERE / "npm_client.js", *arguments], input=json.dumps(stdin), env=env,
                         capture_output=True, text=True, timeout=120 * SLOW)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_file(platform, name, kind):
    done = node(platform, "life", stdin={"name": name, "kind": kind, "code": HELLO[kind],
                                         "newer": TROUBLE[kind], "params": {"name": "Ada"}})
    greeting = {"greeting": "Hello, Ada!"}
    assert done["created"]["version"] == "0.0.1" and done["updated"]["version"] == "0.0.2"
    assert done["listed"] is True
    assert done["got"]["name"] == name
    assert done["result"] == greeting
    assert done["blocking"]["response"]["result"] == greeting
    assert done["blocking"]["response"]["success"] is True
    assert done["later"]["response"]["result"] == greeting
    assert len(done["logs"]["logs"]) == 1
    assert done["fetched"]["result"] == greeting
    assert "who" in done["newer"]
    assert done["failed"] == {"statusCode": 502, "error": "as asked"}
    assert done["deleted"]["name"] == name
    assert done["missing"]["statusCode"] == 404
    assert "The requested resource does not exist." in done["missing"]["message"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_zip(platform, name, kind):
    done = node(platform, "zip", stdin={"name": name, "kind": kind, "zip": ARCHIVES[kind],
                                        "params": {"n": 41}})
    assert done["created"]["exec"]["binary"] is True
    assert done["result"] == {"n": 42}
    assert done["deleted"]["name"] == name


def test_what_else_it_asks(platform, name):
    done = node(platform, "rest", stdin={"name": name})
    assert done["namespaces"] == ["guest"]
    assert done["exists"]["statusCode"] == 409
    assert done["empty"]["exec"]["code"] == ""
    assert done["own"]["namespace"] == "guest", "the namespace option puts the name into the path"
    assert done["unauthorized"]["statusCode"] == 401
    assert isinstance(done["activations"], list)


def test_packages(platform, name):
    done = node(platform, "packages", stdin={"name": name})
    assert done["created"]["parameters"] == [{"key": "a", "value": 1}] and done["created"]["binding"] == {}
    assert done["listed"]["binding"] is False
    assert [a["name"] for a in done["got"]["actions"]] == ["echo"] and done["got"]["feeds"] == []
    assert done["updated"]["publish"] is True and done["bare"]["version"] == "0.0.3", "an update without anything sends {}"
    assert done["result"] == {"a": 1, "b": 2} == done["full"]
    assert done["nonempty"]["statusCode"] == 409 and "Package not empty (contains 1 entity)" in done["nonempty"]["message"]
    assert done["deleted"]["name"] == name and done["missing"]["statusCode"] == 404


@pytest.mark.parametrize("space", [None, "guest"])
def test_triggers_and_rules(platform, name, space):
    """Without a namespace every path has `_`, with it the name; references have it too."""
    done = node(platform, "events", stdin={"name": name, "space": space})
    assert done["trigger"]["namespace"] == "guest" and done["trigger"]["limits"] == {} and "rules" not in done["trigger"]
    assert done["nothing"] == {"type": "Buffer", "data": []}, "a trigger without a rule fires nothing: an empty 204"
    assert done["rule"]["status"] == "active" and done["rule"]["trigger"] == {"path": "guest", "name": name + "-trigger"}
    assert done["shown"]["rules"] == {f"guest/{name}-rule": {"action": {"name": name, "path": "guest"}, "status": "active"}}
    assert done["listed"] == [True, True]
    assert done["record"]["response"]["result"] == {"x": 1} and len(done["record"]["logs"]) == 1
    assert done["ran"]["response"]["result"]["x"] == 1
    assert (done["inactive"], done["active"]) == ("inactive", "active")
    assert done["updated"] == ["0.0.2", "0.0.2"] and done["deleted"] == [name + "-rule", name + "-trigger"]


def test_feeds(platform, name):
    done = node(platform, "feed", stdin={"name": name})
    for call, event in (("create", "CREATE"), ("get", "READ"), ("update", "UPDATE"), ("delete", "DELETE")):
        told = done[call]["response"]["result"]
        assert told["lifecycleEvent"] == event and told["authKey"] == platform.auth and told["x"] == call
        assert told["triggerName"] in ("/_/some-trigger", "/guest/some-trigger")


def test_routes(platform, name):
    """The function needs no web-export annotation, and the answer is the API's document."""
    done = node(platform, "routes", stdin={"name": name})
    assert done["created"]["gwApiUrl"].endswith("/" + name)
    assert "/" + name in done["listed"] and "/" + name not in done["after"]
    assert list(done["got"]["apis"][0]["value"]["apidoc"]["paths"]) == ["/p"] and done["deleted"] == {}


def test_lists(platform, name):
    done = node(platform, "lists", stdin={"name": name})
    assert done["one"] == 1 and done["skipped"] == 0 and list(done["count"]) == ["actions"] and done["count"]["actions"] >= 1
    assert done["named"] == [True] and done["docs"]["success"] is True and done["none"] == []
    assert done["space"] == ["actions", "packages", "rules", "triggers"]
    assert done["wrong"]["statusCode"] == 400 and "The value '201' is not in the range of 0 to 200 for actions." in done["wrong"]["message"]


def test_sequences(platform, name):
    done = node(platform, "sequence", stdin={"name": name})
    assert done["created"]["exec"]["components"] == [f"/guest/{name}"] * 2
    assert done["whole"]["response"]["result"] == {"n": 5}
