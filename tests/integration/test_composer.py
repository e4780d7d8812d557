"""The stock npm package `openwhisk-composer`: its compositions are deployed by its own client and run as conductors; composer_client.js does,
this file starts it and checks."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import BUILD, SLOW

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def compose(platform, name):
    """Runs one of the programs of composer_client.js; what its compositions and functions are called begins with `name`."""
    def do(which):
        modules = os.environ.get("NODE_PATH") or str(BUILD / "npm/node_modules")
        assert shutil.which("node"), "node is needed"
        assert (pathlib.Path(modules) / "openwhisk-composer").is_dir(), f"no package openwhisk-composer in {modules}"
        # no __OW_NAMESPACE: with it the client would send a token instead of the key
        env = {"PATH": os.environ["PATH"], "NODE_PATH": modules, "__OW_API_HOST": platform.url, "__OW_API_KEY": platform.auth,
               "WSK_CONFIG_FILE": "/dev/null"}
        ran = subprocess.run(["node", HERE / "composer_client.js", which], input=json.dumps({"name": name}), env=env,
                             capture_output=True, text=True, timeout=120 * SLOW)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout)
    yield do
    for action in platform.request("GET", "actions?limit=200").json:
        if action["name"].startswith(name):
            platform.request("DELETE", "actions/" + action["name"])


def annotations(entity):
    return {a["key"]: a["value"] for a in entity["annotations"]}


def test_a_sequence(compose, name):
    """(4 + 2) * 2 + 1. The primary record lists the runs of the conductor and of what it called, in turn."""
    done = compose("sequence")
    assert done["record"]["response"]["result"] == {"n": 13} and done["record"]["response"]["success"] is True
    marks = annotations(done["got"])
    assert isinstance(marks["conductor"], dict) and marks["provide-api-key"] is True and marks["exec"] == "nodejs:18"
    assert {"composerVersion", "conductorVersion"} <= set(marks)
    record = annotations(done["whole"])
    assert record["kind"] == "sequence" and record["conductor"] is True and record["topmost"] is True
    assert [one["name"] for one in done["chain"]] == [name, name + "-add", name, name + "-double", name]
    assert {one["cause"] for one in done["chain"]} == {done["whole"]["activationId"]}


def test_its_state_comes_back(compose):
    """What the composition keeps between its steps is what it gave, also where it is not ASCII."""
    done = compose("state")
    assert done["record"]["response"]["result"] == {"n": 13, "text": 'ü \U0001F600 "quoted" \\ /', "left": -1}


def test_retry(compose, name):
    done = compose("retry")
    assert done["failed"]["statusCode"] == 502 and done["failed"]["error"]["response"]["result"] == {"error": "as always"}
    tries = [one for one in done["chain"] if one["name"] == name + "-fails"]
    assert len(tries) == 3 and not any(one["success"] for one in tries), "once, and twice again"
    assert done["saved"]["response"]["result"] == {"recovered": "as always"}


def test_parallel_without_redis_is_refused_clearly(compose):
    done = compose("parallel")
    assert done["failed"]["statusCode"] == 502
    assert "redis" in done["failed"]["error"]["response"]["result"]["error"].lower()


def test_a_branch_with_functions_of_its_own(compose, name):
    done = compose("branch")
    assert sorted(done["deployed"]) == sorted([f"/_/{name}-authenticate", f"/_/{name}-success", f"/_/{name}-failure", name])
    assert done["good"]["response"]["result"] == {"value": "success"} and done["bad"]["response"]["result"] == {"value": "failure"}
