"""APIs: what clients send to createApi, getApi and deleteApi, and what is then served."""
import concurrent.futures
import json
import urllib.parse

import pytest
from conftest import within

MANAGE = "/api/v1/web/whisk.system/apimgmt/"
ECHO = "def main(args):\n    return args\n"
ANSWER = """
def main(args):
    return {"statusCode": 201, "headers": {"X-Seen": args["__ow_method"]},
            "body": {"path": args["__ow_path"], "id": args.get("id"), "q": args.get("q"), "method": args["__ow_method"]}}
"""


@pytest.fixture(scope="module")
def shop(session_platform):
    """A platform with web actions, and nothing of theirs behind it."""
    p = session_platform
    p.put("api-echo", ECHO, annotations=[{"key": "web-export", "value": True}])
    p.put("api-answer", ANSWER, annotations=[{"key": "web-export", "value": True}])
    yield p
    for api in p.request("GET", MANAGE + "getApi").json["apis"]:
        delete(p, basepath=api["value"]["apidoc"]["basePath"])
    for name in ("api-echo", "api-answer"):
        p.request("DELETE", f"actions/{name}")


def query(**parameters):
    return "?" + urllib.parse.urlencode(parameters) if parameters else ""


def cli(p):
    """What the command line adds to every request."""
    return {"accesstoken": "DUMMY TOKEN", "spaceguid": p.auth.split(":")[0]}


def apidoc(base, path, method, action="api-echo", **more):
    doc = {"namespace": "_", "gatewayBasePath": base, "gatewayPath": path, "gatewayMethod": method, "id": f"API:_:{base}",
           "action": {"name": action, "namespace": "_", "backendMethod": method, "authkey": "uuid:key",
                      "backendUrl": f"http://127.0.0.1:1/api/v1/web/_/default/{action}.http"}}
    doc["action"].update(more.pop("action_more", {}))
    doc.update(more)
    return doc


def create(p, doc, expect=200, auth="", **parameters):
    reply = p.request("POST", MANAGE + "createApi.http" + query(**{**cli(p), "responsetype": "json", **parameters}),
                      {"apidoc": doc}, auth=auth)
    assert reply.status == expect, (reply.status, reply.body)
    return reply.json


def get(p, **parameters):
    reply = p.request("GET", MANAGE + "getApi.http" + query(**cli(p), **parameters))
    assert reply.status == 200, reply.body
    return reply.json["apis"]


def delete(p, expect=200, **parameters):
    reply = p.request("DELETE", MANAGE + "deleteApi.http" + query(**cli(p), **parameters))
    assert reply.status == expect, reply.body
    return reply.json


def served(p, path, method="GET", body=None, headers=None):
    return p.request(method, "/apis/guest" + path, body, headers, auth=None)


def test_a_route_is_served_as_soon_as_it_is_created(shop):
    api = create(shop, apidoc("/club", "/books", "GET"))
    assert api["gwApiUrl"] == f"{shop.url}/apis/guest/club" and api["gwApiActivated"] is True
    assert api["namespace"] == "guest" and api["tenantId"]
    doc = api["apidoc"]
    assert doc["swagger"] == "2.0" and doc["basePath"] == "/club" and doc["info"]["title"] == "/club"
    operation = doc["paths"]["/books"]["get"]
    assert operation["operationId"] and operation["responses"]
    assert operation["x-openwhisk"] == {"namespace": "guest", "package": "", "action": "api-echo",
                                        "url": f"{shop.url}/api/v1/web/guest/default/api-echo.json"}
    assert "_" not in json.dumps(doc["x-ibm-configuration"]).replace("http_", "")
    reply = served(shop, "/club/books?name=Ann")
    assert reply.status == 200 and reply.json["name"] == "Ann", reply.body
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["x-openwhisk-activation-id"]
    assert served(shop, "/club/books/").status == 200
    delete(shop, basepath="/club")
    assert served(shop, "/club/books").status == 404


def test_methods_of_a_path(shop):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"):
        create(shop, apidoc("/verbs", "/all", method, "api-answer"), responsetype="http")
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        reply = served(shop, "/verbs/all", method, {} if method in ("POST", "PUT", "PATCH") else None)
        assert reply.status == 201 and reply.json["method"] == method.lower(), (method, reply.body)
    reply = served(shop, "/verbs/all", "HEAD")
    assert reply.status == 201 and reply.body == b"" and reply.headers["x-seen"] == "head"
    create(shop, apidoc("/verbs", "/one", "GET", "api-answer"), responsetype="http")
    reply = served(shop, "/verbs/one", "POST", {})
    assert reply.status == 405 and reply.headers["allow"] == "GET"
    assert served(shop, "/verbs/none").status == 404


def test_options_is_answered_for_browsers(shop):
    create(shop, apidoc("/cors", "/x", "GET"))
    create(shop, apidoc("/cors", "/x", "POST"))
    reply = served(shop, "/cors/x", "OPTIONS", headers={"Origin": "http://a.example", "Access-Control-Request-Headers": "x-mine"})
    assert reply.status == 200 and reply.headers["access-control-allow-origin"] == "*"
    assert set(reply.headers["access-control-allow-methods"].split(", ")) == {"OPTIONS", "GET", "POST"}
    assert reply.headers["access-control-allow-headers"] == "x-mine"
    assert served(shop, "/cors/y", "OPTIONS").status == 404


def test_words_in_braces_are_parameters(shop):
    create(shop, apidoc("/lib", "/club/{id}", "GET", "api-answer",
                        pathParameters=[{"name": "id", "in": "path", "required": True, "type": "string"}]), responsetype="http")
    create(shop, apidoc("/lib", "/club/all", "GET"))
    reply = served(shop, "/lib/club/a%20b?q=1&id=no")
    assert reply.status == 201, reply.body
    assert reply.json == {"path": "/lib/club/a%20b", "id": "a b", "q": "1", "method": "get"}
    assert served(shop, "/lib/club/all?name=x").json["name"] == "x"  # the exact word is first
    assert served(shop, "/lib/club/1/2").status == 404
    error = create(shop, apidoc("/lib", "/page/{n}", "GET"), 400)
    assert error["error"] == ("API creation failure: The action must use a response type of '.http' in order to receive the path "
                              "parameters.")
    error = create(shop, apidoc("/lib/{n}", "/page", "GET"), 400)
    assert "cannot have parameters" in error["error"]
    assert {"/club/{id}", "/club/all"} == set(get(shop, basepath="/lib")[0]["value"]["apidoc"]["paths"])


def test_secret_of_a_protected_action(shop):
    shop.put("api-locked", ECHO, annotations=[{"key": "web-export", "value": True}, {"key": "require-whisk-auth", "value": 987654321}])
    try:
        create(shop, apidoc("/safe", "/open", "GET", "api-locked", action_more={"secureKey": 987654321}))
        create(shop, apidoc("/safe", "/shut", "GET", "api-locked"))
        assert served(shop, "/safe/open?a=1").json["a"] == "1"
        assert served(shop, "/safe/shut").status == 401
        assert served(shop, "/safe/shut", headers={"X-Require-Whisk-Auth": "987654321"}).status == 200
        # what was exported makes the same API again
        exported = get(shop, basepath="/safe")[0]["value"]["apidoc"]
        delete(shop, basepath="/safe")
        assert served(shop, "/safe/open").status == 404
        create(shop, {"namespace": "_", "swagger": json.dumps(exported)})
        assert served(shop, "/safe/open?a=2").json["a"] == "2"
        assert served(shop, "/safe/shut").status == 401
    finally:
        shop.request("DELETE", "actions/api-locked")


SWAGGER = {"swagger": "2.0", "basePath": "/pets", "info": {"title": "Pets", "version": "7", "description": "mine"}, "paths": {
    "/pet/{id}": {"parameters": [{"name": "id", "in": "path", "required": True, "type": "string"}], "get": {
        "summary": "one", "x-openwhisk": {"namespace": "_", "action": "api-answer", "package": "default",
                                          "url": "https://other.example/api/v1/web/_/default/api-answer.http"}}},
    "/pets": {"post": {"operationId": "addPet", "responses": {"200": {"description": "ok"}}, "x-openwhisk": {
        "namespace": "guest", "action": "api-echo", "package": "", "url": "https://x/api/v1/web/guest/default/api-echo.json"}}}}}


def test_a_swagger_file_is_an_api(shop):
    create(shop, apidoc("/pets", "/old", "GET"))
    api = create(shop, {"namespace": "_", "swagger": json.dumps(SWAGGER)})
    assert api["gwApiUrl"].endswith("/apis/guest/pets") and api["apidoc"]["info"] == SWAGGER["info"]
    assert api["apidoc"]["paths"]["/pet/{id}"]["get"]["summary"] == "one"
    assert api["apidoc"]["paths"]["/pets"]["post"]["operationId"] == "addPet"
    assert api["apidoc"]["paths"]["/pet/{id}"]["get"]["operationId"]
    assert served(shop, "/pets/pet/7").json["id"] == "7"
    assert served(shop, "/pets/pets", "POST", {"name": "Rex"}).json["name"] == "Rex"
    assert served(shop, "/pets/old").status == 404  # the document is the whole API
    assert [a["value"]["apidoc"]["basePath"] for a in get(shop, basepath="Pets")] == ["/pets"]
    create(shop, {"namespace": "_", "swagger": SWAGGER})  # as an object, again


@pytest.mark.parametrize("change, text", [
    ({"basePath": None}, "swagger is missing the basePath field."),
    ({"basePath": "pets"}, "must begin with a '/'"),
    ({"paths": None}, "swagger is missing the paths field."),
    ({"info": None}, "swagger is missing the info field."),
    ({"paths": {}}, "has no operation"),
    ({"paths": {"/a": 1}}, "'/a' of the swagger file must be an object"),
    ({"paths": {"a": {}}}, "must begin with a '/'"),
    ({"paths": {"/a/../b": {"get": {}}}}, "'..' can be no part of it"),
    ({"paths": {"/a": {"get": {}}}}, "GET /a: it needs an object 'x-openwhisk'"),
    ({"paths": {"/a": {"get": {"x-openwhisk": {"namespace": "_"}}}}}, "GET /a: x-openwhisk needs"),
    ({"paths": {"/a": {"get": {"x-openwhisk": {"namespace": "_", "action": "a b/c/d"}}}}}, "GET /a"),
    ({"paths": {"/a/{id}": {"get": {"x-openwhisk": {"namespace": "_", "action": "x", "url": "h/x.http"}}}}},
     "The parameter 'id' defined in path '/a/{id}' does not match any"),
])
def test_swagger_files_that_are_wrong(shop, change, text):
    swagger = {k: v for k, v in {**SWAGGER, "basePath": "/wrong", **change}.items() if v is not None}
    error = create(shop, {"namespace": "_", "swagger": json.dumps(swagger)}, 400)
    assert text in error["error"] and error["code"], error
    assert get(shop, basepath="/wrong") == []


@pytest.mark.parametrize("body, text", [
    ({}, "apidoc is required."),
    ({"apidoc": 7}, "apidoc field should be a JSON object or a JSON string."),
    ({"apidoc": "{"}, "apidoc field cannot be parsed. Ensure it is valid JSON."),
    ({"apidoc": {"namespace": "_"}}, "apidoc is missing the gatewayBasePath field."),
    ({"apidoc": {"gatewayBasePath": "/b"}}, "apidoc is missing the gatewayPath field."),
    ({"apidoc": {"gatewayBasePath": "/b", "gatewayPath": "/p"}}, "apidoc is missing the gatewayMethod field."),
    ({"apidoc": {"gatewayBasePath": "/b", "gatewayPath": "/p", "gatewayMethod": "GET"}}, "apidoc is missing the action field."),
    ({"apidoc": {"gatewayBasePath": "/b", "gatewayPath": "/p", "gatewayMethod": "TRACE", "action": {}}}, "'TRACE'"),
    ({"apidoc": {"gatewayBasePath": "/b", "gatewayPath": "/p", "gatewayMethod": "GET", "action": {"namespace": "_"}}},
     "action is missing the name field."),
    ({"apidoc": {"gatewayBasePath": "/b", "gatewayPath": "/p", "gatewayMethod": "GET", "action": {"name": "x"}}},
     "action is missing the namespace field."),
    ({"apidoc": {"gatewayBasePath": 7}}, "'gatewayBasePath' must be a string"),
    ({"apidoc": {"gatewayBasePath": "/b", "swagger": "{}"}}, "mutually exclusive"),
    ({"apidoc": {"swagger": "[]"}}, "swagger field should be"),
    ({"apidoc": {"gatewayBasePath": "/" + "b" * 1024, "gatewayPath": "/p", "gatewayMethod": "GET"}}, "1025 bytes; at most 1024"),
])
def test_requests_that_are_wrong(shop, body, text):
    reply = shop.request("POST", MANAGE + "createApi.http?responsetype=json", body)
    assert reply.status == 400 and text in reply.json["error"] and reply.json["code"], reply.body


def test_bodies_and_types_that_are_wrong(shop):
    path = MANAGE + "createApi.http"
    assert shop.request("POST", path, b"{").status == 400
    assert shop.request("POST", path, b"[]").status == 400
    assert shop.request("POST", path, b"x=1", {"Content-Type": "text/plain"}).status == 415
    assert shop.request("POST", path, b"{\"a\":\"" + b"x" * (1 << 20) + b"\"}").status == 413
    deep = json.dumps(apidoc("/b", "/p", "GET")).replace('"uuid:key"', "[" * 200 + "]" * 200)
    assert shop.request("POST", path, f'{{"apidoc":{deep}}}'.encode()).status == 400
    error = create(shop, apidoc("/b", "/p", "GET"), 400, responsetype="exe")
    assert "'exe'" in error["error"]
    assert shop.request("GET", MANAGE + "getApi.http?limit=-1").status == 400
    assert get(shop, basepath="/b") == []


def test_key_is_needed(shop):
    for method, name in (("POST", "createApi"), ("GET", "getApi"), ("DELETE", "deleteApi")):
        assert shop.request(method, MANAGE + name, {} if method == "POST" else None, auth=None).status == 401
        assert shop.request(method, MANAGE + name + ".http", {} if method == "POST" else None,
                            auth="00000000-0000-0000-0000-000000000000:" + "x" * 64).status == 401


def test_list_by_page_name_and_operation(shop):
    create(shop, apidoc("/list-a", "/x", "GET", apiName="Book Club"))
    create(shop, apidoc("/list-a", "/x", "POST", apiName="ignored from now on"))
    create(shop, apidoc("/list-b", "/y", "GET"))
    bases = [a["value"]["apidoc"]["basePath"] for a in get(shop, limit=200, skip=0)]
    assert "/list-a" in bases and "/list-b" in bases and bases == sorted(bases)
    assert len(get(shop, limit=1, skip=1)) == 1
    (club,) = get(shop, basepath="Book Club")
    assert club["id"] == "API:guest:/list-a" and club["key"] and club["value"]["apidoc"]["info"]["title"] == "Book Club"
    assert set(club["value"]["apidoc"]["paths"]["/x"]) == {"get", "post"}
    (one,) = get(shop, basepath="/list-a", relpath="/x", operation="POST")
    assert set(one["value"]["apidoc"]["paths"]["/x"]) == {"post"}
    assert get(shop, basepath="/list-a", relpath="/none") == []
    assert get(shop, basepath="/nothing") == []


def test_delete_of_parts(shop):
    for path, method in (("/x", "GET"), ("/x", "POST"), ("/y", "GET")):
        create(shop, apidoc("/parts", path, method, apiName="Parts"))
    assert "is required" in delete(shop, 400)["error"]
    assert "path is required" in delete(shop, 400, basepath="/parts", operation="GET")["error"]
    assert delete(shop, 404, basepath="/gone")["error"] == "API deletion failure: API '/gone' does not exist."
    assert "path '/z' does not exist" in delete(shop, 404, basepath="/parts", relpath="/z")["error"]
    assert "operation" in delete(shop, 404, basepath="/parts", relpath="/x", operation="PUT")["error"]
    assert delete(shop, basepath="Parts", relpath="/x", operation="POST") == {}
    assert served(shop, "/parts/x", "POST", {}).status == 405 and served(shop, "/parts/x").status == 200
    assert delete(shop, basepath="/parts", relpath="/x") == {}
    assert served(shop, "/parts/x").status == 404 and served(shop, "/parts/y").status == 200
    assert delete(shop, basepath="/parts", relpath="/y", operation="GET") == {}
    assert get(shop, basepath="/parts") == []
    assert delete(shop, 404, basepath="/parts")["code"]


def test_as_other_clients_send_it(shop):
    # wskdeploy: an address with two schemes, an id of the path
    doc = apidoc("/deploy", "/p", "get", id="API:_:/p", action_more={"backendUrl": f"https://{shop.url}/api/v1/web/_/default/api-echo.http"})
    create(shop, doc, responsetype="http")
    assert "/p" in get(shop, basepath="/deploy")[0]["value"]["apidoc"]["paths"]
    # the npm client: no extension in the path, no response type, the account's real name
    body = {"apidoc": {**apidoc("/npm", "/p", "GET"), "namespace": "_", "pathParameters": []}}
    body["apidoc"]["action"]["namespace"] = "guest"
    reply = shop.request("POST", MANAGE + "createApi", body, {"Accept": "application/json"})
    assert reply.status == 200 and reply.json["gwApiUrl"], reply.body
    assert served(shop, "/npm/p?a=b").json["a"] == "b"
    reply = shop.request("DELETE", MANAGE + "deleteApi" + query(basepath="/npm", force="true"))
    assert reply.status == 200 and reply.json == {}


def test_many_create_at_once_and_none_is_lost(shop):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(create, shop, apidoc("/crowd", f"/p{i}", "GET")) for i in range(16)]:
            done.result()
    (api,) = get(shop, basepath="/crowd")
    assert set(api["value"]["apidoc"]["paths"]) == {f"/p{i}" for i in range(16)}
    delete(shop, basepath="/crowd")


def tenant(p, name):
    """The key of a new account."""
    made = p.request("POST", "/narae/v1/accounts", {"name": name}, auth=p.admin_auth)
    assert made.status == 201, made.body
    key = made.json["key"]
    return key if isinstance(key, str) else f"{key['uuid']}:{key['secret']}"


def document(base, operations):
    target = {"x-openwhisk": {"namespace": "_", "action": "a"}}
    return {"namespace": "_", "swagger": {"basePath": base, "info": {"title": "many"},
                                          "paths": {f"/p{i}": {"get": target} for i in range(operations)}}}


def test_limits_of_an_account(shop):
    auth = tenant(shop, "api-many")
    error = create(shop, document("/more", 2001), 400, auth)["error"]
    assert "more than 2000 operations" in error
    create(shop, document("/big", 1900), auth=auth)
    error = create(shop, document("/bigger", 200), 403, auth)["error"]
    assert error == "The account would have 2100 operations in its APIs; at most 2000 are allowed."
    create(shop, document("/big", 1), auth=auth)
    for i in range(199):
        create(shop, document(f"/b{i}", 1), auth=auth)
    assert create(shop, document("/b199", 1), 403, auth)["error"] == "The account would have 201 APIs; at most 200 are allowed."
    create(shop, document("/b198", 2), auth=auth)  # one that is there may change
    error = shop.request("DELETE", MANAGE + "deleteApi?basepath=many", auth=auth)
    assert error.status == 400 and "Several APIs have the name 'many'" in error.json["error"]
    assert len(shop.request("GET", MANAGE + "getApi?limit=200", auth=auth).json["apis"]) == 200
    assert shop.request("GET", "/apis/api-many/b198/p1", auth=None).status == 404  # there is no function behind it
    assert shop.request("POST", "/apis/api-many/b198/p1", {}, auth=None).status == 405
    assert shop.request("DELETE", "/narae/v1/accounts/api-many", auth=shop.admin_auth).status in (200, 202)


def test_a_crash_takes_nothing(start_platform):
    p = start_platform("--no-catalog")
    create(p, apidoc("/kept", "/x", "GET"))
    delete_me = create(p, apidoc("/gone", "/x", "GET"))
    assert delete_me["gwApiUrl"] and delete(p, basepath="/gone") == {}
    p.process.kill()
    p.process.wait()
    p.start()
    assert [a["value"]["apidoc"]["basePath"] for a in get(p)] == ["/kept"]
    assert served(p, "/kept/x", "PUT").status == 405 and served(p, "/gone/x").status == 404
    p.stop()


def warned(p, doc):
    """What an API that was made is warned of."""
    reply = p.request("POST", MANAGE + "createApi.http" + query(**cli(p), responsetype="json"), {"apidoc": doc})
    assert reply.status == 200, reply
    return reply.headers.get("x-narae-warning")


def why_refused(p, path):
    """What the log says of a 404."""
    reply = served(p, path)
    assert reply.status == 404 and reply.json["error"] == "The requested resource does not exist."
    transaction = reply.headers["x-request-id"]
    return within(10, "the log has it", lambda: next(
        (line for line in p.log.read_text().splitlines() if transaction in line and "refused" in line), None))


def test_action_that_is_not_there_or_not_for_the_world(shop):
    doc = apidoc("/later", "/p", "GET", "api-later")
    assert warned(shop, doc) == "The action '/guest/api-later' is not there, or is no web action of its owner: " \
        "requests for it are answered by 404 until it is."
    assert "the function is not there" in why_refused(shop, "/later/p")
    assert "no API of the account has such a path" in why_refused(shop, "/later/q")
    shop.put("api-later", ECHO)
    try:
        assert "is no web action (web-export: true)" in warned(shop, doc)
        assert "the function is no web action (annotation web-export)" in why_refused(shop, "/later/p")
        assert warned(shop, apidoc("/later", "/e", "GET", "api-echo")) is None
        shop.put("api-later", ECHO, annotations=[{"key": "web-export", "value": True}])
        assert served(shop, "/later/p?x=1").json["x"] == "1"
    finally:
        shop.request("DELETE", "actions/api-later")
    assert served(shop, "/later/p").status == 404


def test_version_behind_a_route(shop):
    code = "def main(args):\n    return {'is': %d}\n"
    web = [{"key": "web-export", "value": True}]
    shop.put("api-versions", code % 1, annotations=web)
    try:
        assert shop.request("POST", "/narae/v1/functions/api-versions/versions", {}).status == 201
        shop.put("api-versions", code % 2, annotations=web)
        create(shop, apidoc("/v", "/one", "GET", "api-versions?version=1"))
        create(shop, apidoc("/v", "/latest", "GET", "api-versions"))
        assert served(shop, "/v/one").json == {"is": 1} and served(shop, "/v/latest").json == {"is": 2}
        exported = get(shop, basepath="/v")[0]["value"]["apidoc"]
        create(shop, {"namespace": "_", "swagger": json.dumps(exported)})
        assert served(shop, "/v/one").json == {"is": 1}
    finally:
        shop.request("DELETE", "actions/api-versions")


def test_apis_of_another_account(shop):
    other = tenant(shop, "api-other")
    create(shop, apidoc("/mine", "/p", "GET"))
    assert shop.request("GET", MANAGE + "getApi", auth=other).json == {"apis": []}
    assert shop.request("DELETE", MANAGE + "deleteApi?basepath=/mine", auth=other).status == 404
    reply = shop.request("POST", MANAGE + "createApi", {"apidoc": {**apidoc("/mine", "/q", "GET"), "namespace": "guest"}}, auth=other)
    assert reply.status == 200 and reply.json["namespace"] == "api-other"
    assert served(shop, "/mine/q").status == 404 and served(shop, "/mine/p").status == 200
    # to somebody else's web action, as everybody may call it
    doc = apidoc("/mine", "/theirs", "GET", action_more={"namespace": "guest"})
    assert shop.request("POST", MANAGE + "createApi", {"apidoc": doc}, auth=other).status == 200
    assert shop.request("GET", "/apis/api-other/mine/theirs?a=1", auth=None).json["a"] == "1"
    assert shop.request("DELETE", "/narae/v1/accounts/api-other", auth=shop.admin_auth).status in (200, 202)
    assert shop.request("GET", "/apis/api-other/mine/theirs", auth=None).status == 404
    assert shop.request("GET", "/apis/nobody/mine", auth=None).status == 404
    assert shop.request("GET", "/apis/", auth=None).status == 404
    assert shop.request("GET", "/apis", auth=None).status == 404
