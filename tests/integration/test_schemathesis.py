"""schemathesis sends what the two documents allow and what they do not: no answer is an error of the server, each is as its document says.

It is a program of its own (PyPI), in a folder of its own: NARAE_SCHEMATHESIS, else schemathesis/bin/st of the build folder.
NARAE_SWAGGER names another document of /api/v1 that is to hold as well, for a run by hand.
"""
import json
import os
import pathlib
import re
import subprocess

import pytest

from conftest import BUILD, SLOW, Platform
from functions import HELLO

ST = os.environ.get("NARAE_SCHEMATHESIS", str(BUILD / "schemathesis/bin/st"))
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
SEED = "20260101"
# What runs a function answers 502 when that fails. Nothing else does.
RUNS = """
[[operations]]
include-operation-id = ["invokeAction", "invokeActionInPackage"]
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "502"]
"""
# The names of what this module makes, so that requests meet things that are there. The seed makes and deletes them in one order.
THERE = """
[parameters]
"path.namespace" = "_"
"path.package" = ["pack", "none"]
"path.name" = ["hello", "other"]
"path.function" = ["hello", "other"]
"path.account" = ["tenant", "other"]
"path.number" = [1, 2]
[[operations]]
include-tag = "triggers"
parameters = { "path.name" = ["trigger", "new-trigger"] }
[[operations]]
include-tag = "rules"
parameters = { "path.name" = ["rule", "new-rule"] }
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """No image is fetched for it, whatever reference is made up."""
    p = Platform(tmp_path_factory.mktemp("platform"), "--registries=none")
    try:
        p.start()
        limits = {"invocationsPerMinute": 10 ** 6, "concurrentInvocations": 1000, "firesPerMinute": 10 ** 6}
        assert p.request("PUT", "/narae/v1/accounts/guest/limits", limits, auth=p.admin_auth).status == 200
        assert p.request("POST", "/narae/v1/accounts", {"name": "tenant", "profile": "default"}, auth=p.admin_auth).status == 201
        for auth in (p.auth, p.admin_auth):
            for name in ("hello", "other"):
                body = {"exec": {"kind": "python:3", "code": HELLO["python:3"]}}
                assert p.request("PUT", f"actions/{name}", body, auth=auth).status == 200
        for path, body in (("packages/pack", {}), ("actions/pack/hello", body), ("triggers/trigger", {}),
                           ("rules/rule", {"trigger": "/_/trigger", "action": "/_/pack/hello"})):
            assert p.request("PUT", path, body).status == 200, path
        yield p
        p.stop()
    finally:
        p.discard()


def run(platform, folder, document, auth, settings, *options, cases, checks=CHECKS):
    """Every generated case passes, and there were at least so many."""
    assert pathlib.Path(ST).is_file(), f"no schemathesis at {ST}: pip install schemathesis"
    (folder / "schemathesis.toml").write_text(settings)
    ran = subprocess.run(
        [ST, "run", document, "--url", platform.url + ("/api/v1" if "narae" not in document else ""), "--auth", auth, "--seed", SEED,
         "--checks", checks, "--phases", "coverage,fuzzing", "--continue-on-failure", "--no-color", "--warnings", "off",
         "--generation-database", "none", "--exclude-operation-id", "importAccount", "--exclude-operation-id", "followEvents",
         "--suppress-health-check", "all", *options],
        cwd=folder, capture_output=True, text=True, timeout=300 * SLOW)
    text = ran.stdout + ran.stderr
    assert ran.returncode == 0, text[-20000:]
    generated = int(re.search(r"(\d+) generated", text).group(1))
    assert generated >= cases, text[-2000:]
    assert platform.request("GET", "/readyz", auth=None).status == 200


def test_the_openwhisk_document_with_anything(platform, tmp_path):
    run(platform, tmp_path, platform.url + "/api/v1/api-docs", platform.auth, RUNS, "-n", "4", cases=1000)


def test_the_openwhisk_document_with_what_is_there(platform, tmp_path):
    run(platform, tmp_path, platform.url + "/api/v1/api-docs", platform.auth, THERE + RUNS, "-n", "8", cases=1000)


def test_the_document_of_narae(platform, tmp_path):
    """With the administrator's key; archives, images and events have tests of their own: an import may take as long as it likes, events never end."""
    run(platform, tmp_path, platform.url + "/narae/v1/openapi.json", platform.admin_auth, THERE, "-n", "5", cases=1000)


@pytest.mark.skipif("NARAE_SWAGGER" not in os.environ, reason="no other document was named")
def test_another_document_of_the_openwhisk_api(platform, tmp_path):
    """It need not list every status."""
    document = json.loads(pathlib.Path(os.environ["NARAE_SWAGGER"]).read_text())
    assert document["swagger"] == "2.0"
    names = THERE.replace("[[operations]]", """"path.packageName" = ["pack", "none"]
"path.actionName" = ["hello", "other"]
"path.triggerName" = ["trigger", "new-trigger"]
"path.ruleName" = ["rule", "new-rule"]
[[operations]]""", 1) + RUNS
    run(platform, tmp_path, os.environ["NARAE_SWAGGER"], platform.auth, names, "-n", "20", cases=500,
        checks="not_a_server_error,response_schema_conformance")
