"""What the `wsk` program sends, request by request, and what it needs to find in the answers. One test for each of its commands."""
import base64
import urllib.parse

import pytest

from clients import Client, Wrk, Wsk
from conftest import within
from functions import ECHO, HELLO

PY = "python:3"
# Remembers nothing: what it was told is what it answers; a feed of which the event `FAIL` fails.
FEED = """
def main(args):
    print(args["lifecycleEvent"])
    if args.get("fail") == args["lifecycleEvent"]:
        return {"error": "the feed refused"}
    return {"status": "success", "told": args}
"""
LISTS = ("actions", "packages", "triggers", "rules", "activations")


@pytest.fixture
def wsk(platform):
    return Wsk(platform)


@pytest.fixture
def things(platform, name):
    """Names of one test's entities by collection; they go after it, whatever became of them."""
    made = {"rules": name + "-r", "triggers": name + "-t", "packages": name + "-p", "actions": name}
    yield made
    for collection, one in made.items():
        platform.request("DELETE", f"{collection}/{urllib.parse.quote(one)}?force=true")


def annotations(entity):
    return {a["key"]: a["value"] for a in entity["annotations"]}


# ---- what it asks about the platform


def test_property_get(platform, wsk):
    """The build is asked for without a key, by another client; namespaces without a slash at the end."""
    assert wsk.ok(wsk.say("GET", "/api/v1/namespaces")) == ["guest"]
    plain = Client(platform).say("GET", "/api/v1", headers={"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}, auth=False)
    said = wsk.ok(plain)
    assert isinstance(said["build"], str) and isinstance(said["buildno"], str)
    assert said["api_version"] == "1.0.0" and said["swagger_paths"] == {"ui": "/docs", "api-docs": "/api-docs"}


def test_sdk_install_docker(platform):
    reply = Client(platform).say("GET", "/blackbox.tar.gz", headers={"User-Agent": "Go-http-client/1.1"}, auth=False)
    assert reply.status == 404 and reply.error


@pytest.mark.parametrize("collection", LISTS)
def test_any_list(wsk, collection):
    assert isinstance(wsk.ok(wsk.get(collection, limit=30, skip=0)), list)


def test_namespace_get(wsk):
    assert wsk.ok(wsk.say("GET", "/api/v1/namespaces")) == ["guest"]
    for collection in LISTS[:4]:
        assert isinstance(wsk.ok(wsk.get(collection, limit=0, skip=0)), list)


def test_errors_are_recognised(platform, wsk):
    """The program recognises an error by both fields."""
    for reply, status in ((wsk.get("actions/none-of-this-name", code="false"), 404), (Wsk(platform, "a:b").get("actions"), 401),
                          (wsk.put("actions/no-exec", {"namespace": "_", "name": "no-exec"}, overwrite="false"), 400)):
        assert reply.status == status and reply.error and reply.json["code"]


# ---- actions


def test_action_create(wsk, things):
    """The body's name holds the package and the namespace is `_`: the path is what counts."""
    package = things["packages"]
    wsk.ok(wsk.put("packages/" + package, {}, overwrite="false"))
    made = wsk.ok(wsk.create(f"{package}/hello", HELLO[PY]))
    assert (made["namespace"], made["name"], made["version"]) == ("guest/" + package, "hello", "0.0.1")
    assert made["parameters"] == [] and made["exec"]["kind"] == PY and made["exec"]["binary"] is False
    assert annotations(made) == {"exec": PY, "provide-api-key": False}
    again = wsk.create(f"{package}/hello", HELLO[PY])
    assert again.status == 409 and again.error == "resource already exists"


def test_action_update_repeats_all_annotations(wsk, things):
    name = things["actions"]
    assert wsk.get("actions/" + name, code="false").status == 404, "it asks for what is there, and goes on when nothing is"
    wsk.ok(wsk.put("actions/" + name, {"namespace": "_", "name": name, "exec": {"kind": "python:default", "code": HELLO[PY]},
                                       "annotations": [{"key": "web-export", "value": True}, {"key": "require-whisk-auth", "value": 42},
                                                       {"key": "mine", "value": {"x": [1]}}]}, overwrite="true"))
    read = wsk.ok(wsk.get("actions/" + name, code="false"))
    assert "code" not in read["exec"]
    updated = wsk.ok(wsk.put("actions/" + name, {"namespace": "_", "name": name, "annotations": read["annotations"],
                                                 "delAnnotations": ["require-whisk-auth"]}, overwrite="true"))
    assert updated["version"] == "0.0.2" and updated["exec"]["code"] == HELLO[PY]
    # the annotations that are sent come back even when one of them is deleted: what is deleted goes first
    assert annotations(updated)["mine"] == {"x": [1]} and annotations(updated)["exec"] == PY


def test_web_secure_false_deletes_its_annotation(wsk, things):
    name = things["actions"]
    wsk.ok(wsk.create(name, HELLO[PY], annotations={"web-export": True, "require-whisk-auth": 4711}))
    kept = [a for a in wsk.ok(wsk.get("actions/" + name, code="false"))["annotations"] if a["key"] != "require-whisk-auth"]
    updated = wsk.ok(wsk.put("actions/" + name, {"namespace": "_", "name": name, "annotations": kept,
                                                 "delAnnotations": ["require-whisk-auth"]}, overwrite="true"))
    assert "require-whisk-auth" not in annotations(updated) and annotations(updated)["web-export"] is True


def test_action_create_copy(wsk, things):
    name = things["actions"]
    wsk.ok(wsk.create(name, HELLO[PY], parameters=[{"key": "name", "value": "Ada"}]))
    read = wsk.ok(wsk.get("actions/" + name, code="true"))
    copy = wsk.ok(wsk.put(f"actions/{name}-copy", {"namespace": "_", "name": name + "-copy", "exec": read["exec"],
                                                   "parameters": read["parameters"], "annotations": read["annotations"],
                                                   "limits": read["limits"]}, overwrite="false"))
    assert copy["exec"] == read["exec"] and copy["parameters"] == read["parameters"] and copy["version"] == "0.0.1"
    wsk.ok(wsk.delete(f"actions/{name}-copy"))


def test_action_get_and_save(wsk, things):
    name = things["actions"]
    wsk.ok(wsk.create(name, HELLO[PY]))
    assert "code" not in wsk.ok(wsk.get("actions/" + name, code="false"))["exec"]
    assert wsk.ok(wsk.get("actions/" + name, code="true"))["exec"]["code"] == HELLO[PY]


def test_action_invoke(platform, wsk, things):
    name = things["actions"]
    wsk.ok(wsk.create(name, HELLO[PY]))
    accepted = wsk.ok(wsk.post("actions/" + name, {}, blocking="false", result="false"), 202)
    assert list(accepted) == ["activationId"]
    whole = wsk.ok(wsk.post("actions/" + name, {"name": "Ada"}, blocking="true", result="false"))
    assert whole["response"]["result"] == {"greeting": "Hello, Ada!"} and whole["logs"] == []
    assert wsk.ok(wsk.post("actions/" + name, {}, blocking="true", result="true")) == {"greeting": "Hello, nobody!"}
    assert wsk.ok(wsk.post("actions/" + name, {}, blocking="false", result="true"), 202)["activationId"]
    platform.record(accepted["activationId"])


def test_action_that_fails_is_a_502(wsk, things):
    name = things["actions"]
    wsk.ok(wsk.create(name, "def main(args):\n    return {'error': 'as asked'}\n"))
    whole = wsk.post("actions/" + name, {}, blocking="true", result="false")
    assert whole.status == 502 and whole.json["response"]["status"] == "application error" and "code" not in whole.json
    assert wsk.post("actions/" + name, {}, blocking="true", result="true").json == {"error": "as asked"}


@pytest.mark.parametrize("special", ["a b", "a@b", "a&b", "a.b-c", "A_b c@d&e.f-g"])
def test_names_are_not_escaped_but_for_the_space(wsk, things, special):
    name = things["actions"] = "n " + special
    assert wsk.ok(wsk.create(name, ECHO[PY]))["name"] == name
    assert wsk.ok(wsk.post("actions/" + name, {"x": 1}, blocking="true", result="true")) == {"x": 1}
    assert wsk.ok(wsk.delete("actions/" + name))["name"] == name


def test_action_list_of_a_package(wsk, things):
    package = things["packages"]
    wsk.ok(wsk.put("packages/" + package, {}, overwrite="false"))
    wsk.ok(wsk.create(package + "/hello", HELLO[PY]))
    listed = wsk.ok(wsk.get(f"actions/{package}/", limit=30, skip=0))
    assert [(a["namespace"], a["name"]) for a in listed] == [("guest/" + package, "hello")]
    assert listed[0]["exec"] == {"binary": False} and "parameters" not in listed[0]
    everything = wsk.ok(wsk.get("actions", limit=200, skip=0))
    assert ("guest/" + package, "hello") in [(a["namespace"], a["name"]) for a in everything]


def test_sequence_create(wsk, things):
    name = things["actions"]
    wsk.ok(wsk.create(name, ECHO[PY]))
    made = wsk.ok(wsk.put(f"actions/{name}-s", {"namespace": "_", "name": name + "-s", "exec": {
        "kind": "sequence", "components": [f"/_/{name}", f"/_/{name}"]}}, overwrite="false"))
    assert made["exec"]["components"] == [f"/guest/{name}"] * 2 and annotations(made)["exec"] == "sequence"
    assert wsk.ok(wsk.post(f"actions/{name}-s", {"x": 1}, blocking="true", result="true")) == {"x": 1}
    wsk.ok(wsk.delete(f"actions/{name}-s"))


@pytest.mark.parametrize("secret", [8493871, "my secret"])
def test_web_secure(platform, wsk, things, secret):
    """The program makes a random integer; it is compared as a text."""
    name = things["actions"]
    wsk.ok(wsk.create(name, "def main(args):\n    return {'body': 'here'}\n", annotations={
        "web-export": True, "raw-http": False, "final": True, "require-whisk-auth": secret}))
    url = f"/api/v1/web/guest/default/{name}"
    assert Client(platform).say("GET", url, auth=False).status == 401
    assert Client(platform).say("GET", url, auth=False, headers={"X-Require-Whisk-Auth": "other"}).status == 401
    good = Client(platform).say("GET", url, auth=False, headers={"X-Require-Whisk-Auth": str(secret)})
    assert good.status == 200 and good.body == b"here"


# ---- packages


def test_package_create_update_get_delete(wsk, things):
    package = things["packages"]
    made = wsk.ok(wsk.put("packages/" + package, {"name": package, "namespace": "_", "publish": False}, overwrite="false"))
    assert (made["name"], made["namespace"], made["version"], made["binding"]) == (package, "guest", "0.0.1", {})
    updated = wsk.ok(wsk.put("packages/" + package, {"name": package, "parameters": [{"key": "a", "value": 1}]}, overwrite="true"))
    assert updated["version"] == "0.0.2"
    wsk.ok(wsk.create(package + "/hello", HELLO[PY]))
    read = wsk.ok(wsk.get("packages/" + package))
    assert [a["name"] for a in read["actions"]] == ["hello"] and read["feeds"] == []
    full = wsk.delete("packages/" + package)
    assert full.status == 409 and full.error == "Package not empty (contains 1 entity). Set force param or delete package contents."
    wsk.ok(wsk.delete(f"actions/{package}/hello"))
    assert wsk.ok(wsk.delete("packages/" + package))["name"] == package


def test_package_list_of_a_namespace(wsk, things):
    package = things["packages"]
    wsk.ok(wsk.put("packages/" + package, {}, overwrite="false"))
    for target in ("packages", "/api/v1/namespaces/guest/packages"):
        item = next(p for p in wsk.ok(wsk.get(target, limit=200, skip=0)) if p["name"] == package)
        assert item["binding"] is False and sorted(item) == ["annotations", "binding", "name", "namespace", "publish", "updated", "version"]


def test_package_bind(wsk, things):
    """The body has no name, and its namespace is `_`."""
    package, bound = things["packages"], things["packages"] + "-b"
    wsk.ok(wsk.put("packages/" + package, {"parameters": [{"key": "a", "value": 1}, {"key": "b", "value": 1}]}, overwrite="false"))
    wsk.ok(wsk.create(package + "/echo", ECHO[PY]))
    made = wsk.ok(wsk.put("packages/" + bound, {"binding": {"namespace": "_", "name": package},
                                                "parameters": [{"key": "b", "value": 2}]}, overwrite="false"))
    assert made["binding"] == {"namespace": "guest", "name": package}
    assert annotations(made)["binding"] == {"namespace": "guest", "name": package}
    assert wsk.ok(wsk.post(f"actions/{bound}/echo", {"c": 3}, blocking="true", result="true")) == {"a": 1, "b": 2, "c": 3}
    item = next(p for p in wsk.ok(wsk.get("packages", limit=200, skip=0)) if p["name"] == bound)
    assert item["binding"] == {"namespace": "guest", "name": package}
    assert wsk.ok(wsk.delete("packages/" + bound))["name"] == bound


def test_package_refresh_is_not_allowed(wsk):
    """Neither body nor type; the program prints what the 405 says."""
    reply = wsk.post("packages/refresh")
    assert reply.status == 405 and reply.error.startswith("HTTP method not allowed, supported methods: ")


# ---- triggers, rules, feeds


@pytest.fixture
def rule(wsk, things):
    """A trigger, a function and a rule, made as the program does."""
    wsk.ok(wsk.put("triggers/" + things["triggers"], {"name": things["triggers"]}, overwrite="false"))
    wsk.ok(wsk.create(things["actions"], ECHO[PY]))
    return {**things, "made": wsk.ok(wsk.put("rules/" + things["rules"], {
        "name": things["rules"], "status": "", "trigger": "/_/" + things["triggers"], "action": "/_/" + things["actions"]},
        overwrite="false"))}


def test_rule_create_and_update(wsk, rule):
    """The empty status is not judged."""
    assert rule["made"]["status"] == "active"
    assert rule["made"]["trigger"] == {"path": "guest", "name": rule["triggers"]}
    assert rule["made"]["action"] == {"path": "guest", "name": rule["actions"]}
    package = rule["packages"]
    wsk.ok(wsk.put("packages/" + package, {}, overwrite="false"))
    wsk.ok(wsk.create(package + "/echo", ECHO[PY]))
    updated = wsk.ok(wsk.put("rules/" + rule["rules"], {"name": rule["rules"], "status": "", "trigger": "/_/" + rule["triggers"],
                                                        "action": f"/_/{package}/echo"}, overwrite="true"))
    assert updated["action"] == {"path": "guest/" + package, "name": "echo"} and updated["version"] == "0.0.2"
    assert updated["status"] == "active"


def test_rule_list_asks_for_each_status(wsk, rule):
    listed = wsk.ok(wsk.get("rules", limit=30, skip=0))
    assert all("status" not in r for r in listed) and rule["rules"] in [r["name"] for r in listed]
    assert wsk.ok(wsk.get("rules/" + rule["rules"]))["status"] == "active"


def test_rule_enable_and_disable(wsk, rule):
    """The body names a trigger and an action, both null; the answer is empty."""
    for status in ("inactive", "active", "active"):
        reply = wsk.post("rules/" + rule["rules"], {"status": status, "trigger": None, "action": None})
        assert reply.status == 200 and reply.body == b""
        assert wsk.ok(wsk.get("rules/" + rule["rules"]))["status"] == status


def test_rule_delete_with_disable(wsk, rule):
    assert wsk.post("rules/" + rule["rules"], {"status": "inactive", "trigger": None, "action": None}).status == 200
    assert wsk.ok(wsk.delete("rules/" + rule["rules"]))["status"] == "inactive"
    assert "rules" not in wsk.ok(wsk.get("triggers/" + rule["triggers"]))


def test_trigger_fire(platform, wsk, rule):
    reply = wsk.post("triggers/" + rule["triggers"], {"temperature": 20})
    fired = wsk.ok(reply, 202)
    assert fired["activationId"] == reply.activation
    record = platform.record(fired["activationId"])
    assert record["response"]["result"] == {"temperature": 20} and "end" not in record and len(record["logs"]) == 1
    assert wsk.post("rules/" + rule["rules"], {"status": "inactive", "trigger": None, "action": None}).status == 200
    nothing = wsk.post("triggers/" + rule["triggers"], {})
    assert nothing.status == 204 and nothing.body == b""


@pytest.fixture
def feed(wsk, things):
    wsk.ok(wsk.put("packages/" + things["packages"], {}, overwrite="false"))
    wsk.ok(wsk.create(things["packages"] + "/feed", FEED, annotations={"feed": True}))
    return {**things, "feed": things["packages"] + "/feed"}


def lifecycle(wsk, feed, event, **parameters):
    """What the program posts to a feed: the trigger's name keeps its underscore."""
    return wsk.post("actions/" + feed["feed"], {"authKey": wsk.auth, "lifecycleEvent": event, "triggerName": "/_/" + feed["triggers"],
                                                **parameters}, blocking="true", result="false")


def test_trigger_create_with_a_feed(wsk, feed):
    made = wsk.ok(wsk.put("triggers/" + feed["triggers"], {"name": feed["triggers"], "annotations": [
        {"key": "feed", "value": "/_/" + feed["feed"]}]}, overwrite="false"))
    assert annotations(made)["feed"] == "/_/" + feed["feed"], "it is kept as it was sent"
    told = wsk.ok(lifecycle(wsk, feed, "CREATE", cron="* * * * *"))["response"]["result"]["told"]
    assert told == {"authKey": wsk.auth, "lifecycleEvent": "CREATE", "triggerName": "/_/" + feed["triggers"], "cron": "* * * * *"}


def test_trigger_whose_feed_fails_is_taken_back(wsk, feed):
    wsk.ok(wsk.put("triggers/" + feed["triggers"], {"name": feed["triggers"], "annotations": [
        {"key": "feed", "value": "/_/" + feed["feed"]}]}, overwrite="false"))
    failed = lifecycle(wsk, feed, "CREATE", fail="CREATE")
    assert failed.status == 502 and failed.json["response"]["result"] == {"error": "the feed refused"}
    assert annotations(wsk.ok(wsk.get("triggers/" + feed["triggers"])))["feed"] == "/_/" + feed["feed"]
    assert wsk.ok(lifecycle(wsk, feed, "DELETE"))["response"]["success"] is True
    wsk.ok(wsk.delete("triggers/" + feed["triggers"]))
    assert wsk.get("triggers/" + feed["triggers"]).status == 404


@pytest.mark.parametrize("event", ["READ", "UPDATE", "DELETE"])
def test_trigger_get_update_delete_of_a_feed(wsk, feed, event):
    """An update puts nothing: it only tells the feed."""
    wsk.ok(wsk.put("triggers/" + feed["triggers"], {"name": feed["triggers"], "annotations": [
        {"key": "feed", "value": "/_/" + feed["feed"]}]}, overwrite="false"))
    before = wsk.ok(wsk.get("triggers/" + feed["triggers"]))
    assert wsk.ok(lifecycle(wsk, feed, event))["response"]["result"]["told"]["lifecycleEvent"] == event
    if event == "DELETE":
        assert wsk.ok(wsk.delete("triggers/" + feed["triggers"]))["name"] == feed["triggers"]
    else:
        assert wsk.ok(wsk.get("triggers/" + feed["triggers"])) == before


def test_package_get_tells_feeds_apart(wsk, feed):
    wsk.ok(wsk.create(feed["packages"] + "/hello", HELLO[PY]))
    read = wsk.ok(wsk.get("packages/" + feed["packages"]))
    assert [f["name"] for f in read["feeds"]] == ["feed"] and [a["name"] for a in read["actions"]] == ["hello"]


# ---- activations


def test_activation_list_of_a_name(wsk, things):
    package = things["packages"]
    wsk.ok(wsk.put("packages/" + package, {}, overwrite="false"))
    for name in (things["actions"], package + "/hello"):
        wsk.ok(wsk.create(name, HELLO[PY]))
        ran = wsk.ok(wsk.post("actions/" + name, {}, blocking="true", result="false"))["activationId"]
        last = name.split("/")[-1]
        listed = wsk.ok(wsk.get("activations", limit=30, name=name, skip=0))
        assert [a["activationId"] for a in listed] == [ran] and listed[0]["name"] == last
        kind = annotations(listed[0])
        assert kind["kind"] == PY and "initTime" in kind and listed[0]["statusCode"] == 0 and listed[0]["duration"] >= 0
        full = wsk.ok(wsk.get("activations", docs="true", limit=30, name=name, skip=0))
        assert full[0]["response"]["result"] == {"greeting": "Hello, nobody!"} and "logs" in full[0]
    assert "name=" + urllib.parse.quote(package + "/hello", safe="") in wsk.at("activations", {"name": package + "/hello"})


def test_activation_get_logs_result(platform, wsk, things):
    wsk.ok(wsk.create(things["actions"], HELLO[PY]))
    ran = wsk.ok(wsk.post("actions/" + things["actions"], {}, blocking="true", result="false"))["activationId"]
    platform.record(ran)
    last = wsk.ok(wsk.get("activations", limit=1, skip=0))[0]["activationId"]
    assert wsk.ok(wsk.get("activations/" + last))["activationId"] == last
    within(60, "its logs are there", lambda: wsk.ok(wsk.get(f"activations/{ran}/logs"))["logs"])
    line = wsk.ok(wsk.get(f"activations/{ran}/logs"))["logs"][0]
    assert line[30] == " " and line.endswith("stdout: greeting nobody") and line[:30].rstrip().endswith("Z")
    result = wsk.ok(wsk.get(f"activations/{ran}/result"))
    assert result["success"] is True and result["status"] == "success" and result["result"] == {"greeting": "Hello, nobody!"}


def test_activation_poll(wsk, things):
    wsk.ok(wsk.create(things["actions"], HELLO[PY]))
    wsk.ok(wsk.post("actions/" + things["actions"], {}, blocking="true", result="false"))
    newest = wsk.ok(wsk.get("activations", docs="true", limit=1, skip=0))[0]
    ran = wsk.ok(wsk.post("actions/" + things["actions"], {}, blocking="true", result="false"))["activationId"]
    polled = wsk.ok(wsk.get("activations", docs="true", limit=0, since=newest["start"] + 1, skip=0))
    assert ran in [a["activationId"] for a in polled] and all("logs" in a for a in polled)
    assert newest["activationId"] not in [a["activationId"] for a in polled]


# ---- APIs


def api_query(wsk, **more):
    return {"accesstoken": "DUMMY TOKEN", "spaceguid": wsk.auth.split(":")[0], **more}


def api_body(platform, wsk, base, path, method, action):
    return {"apidoc": {"namespace": "_", "gatewayBasePath": base, "gatewayPath": path, "gatewayMethod": method, "id": "API:_:" + base,
                       "action": {"name": action, "namespace": "_", "backendMethod": method,
                                  "backendUrl": f"{platform.url}/api/v1/web/_/default/{action}.http", "authkey": wsk.auth}}}


def test_api_create_list_delete(platform, wsk, things):
    """`_` stands in the namespace, in the id and in the URL behind; the path is served at once."""
    name, base = things["actions"], "/" + things["actions"]
    wsk.ok(wsk.create(name, "def main(args):\n    return {'body': 'hello ' + args.get('who', '')}\n", annotations={
        "web-export": True, "raw-http": False, "final": True}))
    assert annotations(wsk.ok(wsk.get("actions/" + name, code="false")))["web-export"] is True, "it looks before it creates"
    management = "/api/v1/web/whisk.system/apimgmt/"
    made = wsk.ok(wsk.post(management + "createApi.http", api_body(platform, wsk, base, "/p", "GET", name),
                           **api_query(wsk, responsetype="json")))
    assert made["gwApiUrl"].endswith(base) and made["apidoc"]["basePath"] == base
    operation = made["apidoc"]["paths"]["/p"]["get"]
    assert operation["operationId"] and operation["x-openwhisk"]["action"] == name and operation["x-openwhisk"]["namespace"] == "guest"
    served = Client(platform).say("GET", urllib.parse.urlsplit(made["gwApiUrl"]).path + "/p?who=you", auth=False)
    assert served.status == 200 and served.json == {"body": "hello you"}, "a response type of json shows the whole result"

    listed = wsk.ok(wsk.get(management + "getApi.http", **api_query(wsk, limit=30, skip=0)))["apis"]
    mine = [a["value"] for a in listed if a["value"]["apidoc"]["basePath"] == base]
    assert len(mine) == 1 and mine[0]["gwApiUrl"] == made["gwApiUrl"] and mine[0]["gwApiActivated"] is True
    one = wsk.ok(wsk.get(management + "getApi.http", **api_query(wsk, basepath=base)))["apis"]
    assert len(one) == 1 and "/p" in one[0]["value"]["apidoc"]["paths"]

    wsk.ok(wsk.delete(management + "deleteApi.http", **api_query(wsk, basepath=base, relpath="/p", operation="GET")))
    assert Client(platform).say("GET", urllib.parse.urlsplit(made["gwApiUrl"]).path + "/p", auth=False).status == 404
    wsk.delete(management + "deleteApi.http", **api_query(wsk, basepath=base))


def test_api_by_name(platform, wsk, things):
    """The name of an API is sent where a base path is expected."""
    name, base, called = things["actions"], "/" + things["actions"], "My API " + things["actions"]
    wsk.ok(wsk.create(name, ECHO[PY], annotations={"web-export": True}))
    body = api_body(platform, wsk, base, "/p", "POST", name)
    body["apidoc"]["apiName"] = called
    management = "/api/v1/web/whisk.system/apimgmt/"
    wsk.ok(wsk.post(management + "createApi.http", body, **api_query(wsk, responsetype="json")))
    found = wsk.ok(wsk.get(management + "getApi.http", **api_query(wsk, basepath=called)))["apis"]
    assert [a["value"]["apidoc"]["info"]["title"] for a in found] == [called]
    assert wsk.ok(wsk.delete(management + "deleteApi.http", **api_query(wsk, basepath=called))) == {}
    assert wsk.ok(wsk.get(management + "getApi.http", **api_query(wsk, basepath=called)))["apis"] == []


# ---- the load scripts


def test_wrk_scripts(platform, wsk, things):
    """The scheme in lower case, no body, no type; a request id that comes again is no sign that a request does."""
    name = things["actions"]
    wsk.ok(wsk.create(name, HELLO[PY]))
    replies = [Wrk(platform).invoke(name) for _ in range(3)]
    assert [r.status for r in replies] == [200] * 3
    assert {r.headers["x-request-id"] for r in replies} == {"throughput-" + name}
    assert len({r.json["activationId"] for r in replies}) == 3
    assert Wsk(platform, base64.b64encode(b"a").decode() + ":x").get("actions").status == 401
