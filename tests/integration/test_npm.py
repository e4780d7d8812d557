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
