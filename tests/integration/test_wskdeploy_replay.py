"""What the `wskdeploy` program sends for a project, request by request, and what it needs to find in the answers."""
import concurrent.futures
import urllib.parse

import pytest

from clients import Client, Wskdeploy
from conftest import within
from functions import ECHO, HELLO
from test_wsk_replay import annotations

PY = "python:3"


@pytest.fixture
def wsk(platform):
    return Wskdeploy(platform)


@pytest.fixture
def project(platform, name):
    """Names of a project's entities; they go after the test, whatever became of them."""
    made = {"rules": name + "-rule", "triggers": name + "-trigger", "packages": name, "actions": name + "-plain"}
    yield made
    platform.request("DELETE", f"packages/{name}-bound")
    for collection, one in made.items():
        platform.request("DELETE", f"{collection}/{one}?force=true")


def managed(project, digest):
    return [{"key": "whisk-managed", "value": {"projectName": project["packages"], "projectHash": digest, "projectDeps": [],
                                               "file": "manifest.yaml"}}]


def deploy(wsk, project, digest="1", publish=False):
    """Package, function, sequence, trigger, rule; the rule is then made active."""
    package, marks = project["packages"], managed(project, digest)
    done = {"package": wsk.ok(wsk.put("packages/" + package, {"name": package, "version": "0.0.1", "publish": publish, "annotations": marks},
                                      overwrite="true"))}
    done["action"] = wsk.ok(wsk.put(f"actions/{package}/hello", {"name": package + "/hello", "publish": False, "annotations": marks,
                                                                 "exec": {"kind": PY, "code": HELLO[PY]}}, overwrite="true"))
    done["sequence"] = wsk.ok(wsk.put(f"actions/{package}/twice", {"name": package + "/twice", "publish": False, "annotations": marks, "exec": {
        "kind": "sequence", "components": [f"/_/{package}/hello", f"/_/{package}/hello"]}}, overwrite="true"))
    done["trigger"] = wsk.ok(wsk.put("triggers/" + project["triggers"], {"name": project["triggers"], "publish": False, "annotations": marks},
                                     overwrite="true"))
    done["rule"] = wsk.ok(wsk.put("rules/" + project["rules"], {"name": project["rules"], "publish": False, "status": "", "annotations": marks,
                                                                "trigger": "/_/" + project["triggers"], "action": f"/_/{package}/hello"},
                                  overwrite="true"))
    made_active = wsk.post("rules/" + project["rules"], {"status": "active", "trigger": None, "action": None})
    assert made_active.status == 200 and made_active.body == b""
    return done


def test_the_kinds_are_asked_for_first(platform):
    """No key, no body, and yet a type. The type of the answer must be a part of what it compares with."""
    reply = Client(platform).say("GET", "/", auth=False, headers={"Content-Type": "application/json; charset=UTF-8",
                                                                  "User-Agent": "OpenWhisk-Go-Client linux amd64"})
    assert reply.status == 200 and reply.headers["content-type"] in "application/json; charset=UTF-8"
    root = reply.json
    assert root["description"] == "OpenWhisk" and root["api_paths"] == ["/api/v1"] and set(root["support"]) == {"github", "slack"}
    for family in ("python", "nodejs"):
        kinds = root["runtimes"][family]
        assert [k["default"] for k in kinds].count(True) == 1
        assert all(set(k) >= {"kind", "image", "deprecated", "default", "attached", "requireMain"} for k in kinds)
    assert all(isinstance(v, int) for v in root["limits"].values())
    for what in ("duration", "memory", "logs"):
        assert root["limits"][f"min_action_{what}"] <= root["limits"][f"max_action_{what}"]
    assert {"actions_per_minute", "triggers_per_minute", "concurrent_actions", "sequence_length"} <= set(root["limits"])


def test_deploy_run_and_deploy_again(platform, wsk, project):
    first = deploy(wsk, project)
    assert first["action"]["namespace"] == "guest/" + project["packages"] and first["action"]["name"] == "hello"
    assert first["rule"]["status"] == "active" and first["sequence"]["exec"]["kind"] == "sequence"
    again = deploy(wsk, project)
    assert again["package"]["version"] == "0.0.1", "packages say their version, which is stored as it is said"
    assert again["action"]["version"] == "0.0.2" and again["rule"]["version"] == "0.0.2" and again["trigger"]["version"] == "0.0.2"
    fired = wsk.ok(wsk.post("triggers/" + project["triggers"], {"name": "Ada"}), 202)["activationId"]
    platform.record(fired)
    ran = within(60, "the rule has started its function", lambda: wsk.ok(wsk.get(
        "activations", docs="true", limit=10, name=project["packages"] + "/hello", skip=0)))
    assert ran[0]["response"]["result"] == {"greeting": "Hello, Ada!"} and "cause" not in ran[0]


def test_a_lost_race_says_the_text_that_it_tries_again_after(wsk, project):
    """Writers at the same time are merged, or told of the conflict in the words that the program waits for."""
    deploy(wsk, project)

    def write(number):
        return wsk.put("packages/" + project["packages"], {"name": project["packages"], "annotations": managed(project, str(number))},
                       overwrite="true")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(write, range(24)))
    assert {r.status for r in replies} <= {200, 409} and any(r.status == 200 for r in replies)
    assert {r.error for r in replies if r.status == 409} <= {"Concurrent modification to resource detected."}
    versions = [r.json["version"] for r in replies if r.status == 200]
    assert len(set(versions)) == len(versions), "each that was told 200 has a version of its own"


def test_undeploy(wsk, project):
    """Each is read, then deleted: the rule first, then triggers, sequences, functions, and the package without force."""
    deploy(wsk, project)
    package = project["packages"]
    for path in ("rules/" + project["rules"], "triggers/" + project["triggers"], f"actions/{package}/twice", f"actions/{package}/hello",
                 "packages/" + package):
        wsk.ok(wsk.get(path))
        wsk.ok(wsk.delete(path))
        assert wsk.get(path).status == 404


def test_sync_finds_what_is_left_by_annotations_in_lists(wsk, project):
    deploy(wsk, project, "old")
    package = project["packages"]
    left = {}
    for path in ("triggers", "rules", "packages", f"actions/{package}/"):
        for item in wsk.ok(wsk.get(path, limit=0, skip=0)):
            mark = annotations(item).get("whisk-managed")
            if mark and mark["projectName"] == package:
                assert mark == managed(project, "old")[0]["value"]
                left.setdefault(path, []).append(item["name"])
    assert {k: sorted(v) for k, v in left.items()} == {
        "triggers": [project["triggers"]], "rules": [project["rules"]], "packages": [package], f"actions/{package}/": ["hello", "twice"]}


def test_a_binding(wsk, project):
    deploy(wsk, project)
    package = project["packages"]
    bound = wsk.ok(wsk.put(f"packages/{package}-bound", {"name": package + "-bound", "publish": False, "version": "0.0.1",
                                                         "binding": {"namespace": "guest", "name": package}}, overwrite="true"))
    assert bound["binding"] == {"namespace": "guest", "name": package}
    assert wsk.ok(wsk.post(f"actions/{package}-bound/hello", {}, blocking="true", result="true")) == {"greeting": "Hello, nobody!"}
    wsk.ok(wsk.delete(f"packages/{package}-bound"))


@pytest.mark.parametrize("where", ["https://http://{host}/api/v1/web/_/default/{action}.http", "https://192.0.2.1/anything", ""])
def test_an_api_is_made_of_its_action_not_of_its_url(platform, wsk, project, where):
    """The URL it builds is no URL where the host was given with its scheme, and the id names a path instead of a base path."""
    action, base = project["actions"], "/" + project["actions"]
    wsk.ok(wsk.put("actions/" + action, {"name": action, "publish": False, "exec": {"kind": PY, "code": ECHO[PY]}, "annotations": [
        {"key": "web-export", "value": True}, {"key": "final", "value": True}]}, overwrite="true"))
    management = "/api/v1/web/whisk.system/apimgmt/"
    query = {"accesstoken": "DUMMY TOKEN", "spaceguid": wsk.auth.split(":")[0], "responsetype": "json"}
    made = wsk.ok(wsk.post(management + "createApi.http", {"apidoc": {
        "namespace": "_", "apiName": "An API", "gatewayBasePath": base, "gatewayPath": "/path", "gatewayMethod": "POST", "id": "API:_:/path",
        "action": {"name": action, "namespace": "_", "backendMethod": "POST", "authkey": wsk.auth,
                   "backendUrl": where.format(host=f"127.0.0.1:{platform.port}", action=action)}}}, **query))
    served = Client(platform).say("POST", urllib.parse.urlsplit(made["gwApiUrl"]).path + "/path", {"x": 1}, auth=False)
    assert served.status == 200 and served.json["x"] == 1
    wsk.ok(wsk.delete(management + "deleteApi.http", basepath=base, **query))
