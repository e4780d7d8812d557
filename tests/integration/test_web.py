"""Web actions as browsers, gateways and load generators call them: input, projections, access, CORS, whose they are."""
import base64
import json
import secrets
import socket

import pytest
from conftest import within

OPEN = [{"key": "web-export", "value": True}]
NO_AUTH = "The resource requires authentication, which was not supplied with the request"
MISSING = "The requested resource does not exist."
PNG = bytes(range(256))

# What it was given; and what it is told to say, as its result or its error. `say` comes as a parameter or, in a query, as text.
MIRROR = """
import json
def main(args):
    say = args.get("say", {"body": args})
    return json.loads(say) if isinstance(say, str) else say
"""


class Web:
    """A platform, seen by somebody without a key."""

    def __init__(self, platform):
        self.platform = platform

    def ask(self, method, path, body=None, headers=None, auth=None):
        return self.platform.request(method, path if path.startswith("/") else f"/api/v1/web/guest/default/{path}",
                                     body, headers, auth=auth)

    def put(self, name, code=MIRROR, annotations=(), kind="python:3", **more):
        return self.platform.put(name, code, kind=kind, annotations=OPEN + list(annotations), **more)

    def say(self, extension, result, name="web-mirror", method="POST"):
        return self.ask(method, name + extension, {"say": result})

    def given(self, method="GET", query="", body=None, headers=None, name="web-mirror", auth=None):
        """What the function got."""
        reply = self.ask(method, name + ".http" + query, body, headers, auth)
        assert reply.status == 200, reply
        return reply.json


def refusal(reply):
    """The text of an error, which is pretty-printed here."""
    body = reply.json
    assert sorted(body) == ["code", "error"] and reply.body.startswith(b"{\n  \""), reply
    assert body["code"] == reply.headers["x-request-id"]
    assert reply.headers["content-type"] == "application/json"
    return reply.status, body["error"]


@pytest.fixture(scope="module")
def web(session_platform):
    w = Web(session_platform)
    w.put("web-mirror")
    w.put("web-raw", annotations=[{"key": "raw-http", "value": True}])
    yield w
    for name in ("web-mirror", "web-raw"):
        session_platform.request("DELETE", f"actions/{name}")


@pytest.fixture(scope="module")
def shop(session_platform):
    """Another account: its key."""
    name = f"web-shop-{secrets.token_hex(4)}"
    reply = session_platform.request("POST", "/narae/v1/accounts", {"name": name, "profile": "local"},
                                     auth=session_platform.admin_auth)
    assert reply.status == 201, reply
    yield name, reply.json["key"]
    session_platform.request("DELETE", f"/narae/v1/accounts/{name}", auth=session_platform.admin_auth)


# ---- input


def test_what_a_function_is_given(web):
    given = web.given("GET", "/some/%70ath?a=1&b=x%20y+z&a=2")
    headers = given.pop("__ow_headers")
    assert given == {"__ow_method": "get", "__ow_path": "/some/%70ath", "a": "2", "b": "x y z"}
    assert headers["host"] and "content-type" not in headers
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        given = web.given(method, "?q=1&n=1", {"n": 2, "list": [None, "é"]}, {"X-Mixed-Case": "Yes"})
        assert (given["n"], given["q"], given["list"]) == (2, "1", [None, "é"])
        assert given["__ow_method"] == method.lower() and given["__ow_path"] == ""
        assert given["__ow_headers"]["x-mixed-case"] == "Yes"
        assert given["__ow_headers"]["content-type"] == "application/json"
        assert "content-length" not in given["__ow_headers"] and "__ow_body" not in given


@pytest.mark.parametrize("media, body, there", [
    ("application/json", b"[1, 2]", {"__ow_body": [1, 2]}),
    ("application/json", b"", {}),
    ("application/x-www-form-urlencoded", b"a=1&b=%C3%A9+%26", {"a": "1", "b": "é &"}),
    ("text/plain", "grüß\n".encode(), {"__ow_body": "grüß\n"}),
    ("image/png", PNG, {"__ow_body": base64.b64encode(PNG).decode()}),
    ("application/octet-stream", b"\0", {"__ow_body": "AA=="}),
])
def test_bodies(web, media, body, there):
    given = web.given("POST", "", body, {"Content-Type": media})
    assert given.pop("__ow_headers")["content-type"] == media
    assert given == {"__ow_method": "post", "__ow_path": "", **there}


def test_raw(web):
    def given(query, body, media):
        g = web.given("POST", query, body, {"Content-Type": media}, name="web-raw")
        return g["__ow_query"], g["__ow_body"], sorted(g)

    names = ["__ow_body", "__ow_headers", "__ow_method", "__ow_path", "__ow_query"]
    assert given("?a=%20b&__ow_x=1", b"a=1", "application/x-www-form-urlencoded") == ("a=%20b&__ow_x=1", "a=1", names)
    assert given("", b'{"a":', "application/json") == ("", base64.b64encode(b'{"a":').decode(), names)
    assert given("", b'{"a":1}', "application/x+json") == ("", '{"a":1}', names)
    assert given("", PNG, "image/png") == ("", base64.b64encode(PNG).decode(), names)
    assert web.given("GET", name="web-raw")["__ow_body"] == ""


def test_input_that_may_not_be(web, name):
    defines = (400, "Request defines parameters that are not allowed (e.g., reserved properties).")
    web.put(name, annotations=[{"key": "final", "value": True}], parameters=[{"key": "fixed", "value": 1}])
    assert refusal(web.ask("GET", "web-mirror?__ow_user=root")) == defines
    assert refusal(web.ask("POST", "web-mirror", {"__ow_headers": {}})) == defines
    assert refusal(web.ask("GET", f"{name}?fixed=2")) == defines
    assert refusal(web.ask("POST", name, {"fixed": 2})) == defines
    assert web.given(name=name)["fixed"] == 1
    status, text = refusal(web.ask("POST", "web-mirror", b'{"a":', {"Content-Type": "application/json"}))
    assert status == 400 and text.startswith("The request content was malformed:\n")
    assert refusal(web.ask("POST", "web-mirror", b"x", {"Content-Type": "nonsense"})) == \
        (400, "Content type is not supported.")
    assert refusal(web.ask("GET", "web-mirror?a=%zz"))[0] == 400
    too_large = b" " * ((1 << 20) + 1)
    assert refusal(web.ask("POST", "web-mirror", too_large, {"Content-Type": "text/plain"})) == \
        (413, "Request larger than allowed: 1048577 > 1048576 bytes.")


def nested(depth):
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_input_at_its_limits(web):
    """Deep, doubled, long, many, chunked, where none is expected: an answer of ours, and the next request is served."""
    json_ = {"Content-Type": "application/json"}
    assert web.given("POST", "", nested(63), json_)["a"] != []  # the mirror puts it one deeper
    status, text = refusal(web.ask("POST", "web-mirror", nested(65), json_))
    assert status == 400 and text.startswith("The request content was malformed:\nnested deeper than 64")
    assert web.given("POST", "?a=0", b'{"a":1,"a":2}', json_)["a"] == 2
    assert web.given("GET", "", b'{"a":1}', json_)["a"] == 1
    with socket.create_connection(("127.0.0.1", web.platform.port)) as s:
        s.sendall(b"POST /api/v1/web/guest/default/web-mirror.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                  b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n")
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"a":1,' in answer and b"transfer-encoding" not in answer
    assert web.given("GET", "?" + "&".join(f"k{i}=" for i in range(1000)))["k999"] == ""
    assert web.given("GET", "/" + "x/" * 500)["__ow_path"] == "/" + "x/" * 500
    assert web.ask("GET", "web-mirror?" + "x" * 9000).status == 414
    assert web.ask("GET", "web-mirror", headers={f"x-{i}": "y" for i in range(120)}).status == 431
    status, text = refusal(web.ask("GET", "x" * 257))
    assert (status, text) == (400, "Name segement longer than allowed: 257 > 256.")
    status, text = refusal(web.ask("POST", "web-mirror", b"&" * 10001, {"Content-Type": "application/x-www-form-urlencoded"}))
    assert (status, text) == (400, "The request has too many parameters: 10002, at most 10000.")
    assert web.given("GET", headers={"X-Latin": "gr\xfc\xdf"})["__ow_headers"]["x-latin"] == "gr\ufffd\ufffd"
    assert web.given("GET", "?%C3%A9=%E2%82%AC&%22=%5C")["é"] == "€"


def test_a_megabyte_both_ways(web, name):
    body = secrets.token_bytes(1 << 20)
    code = "import base64\ndef main(args):\n    b = base64.b64decode(args['__ow_body'])\n" \
           "    return {'headers': {'content-type': 'image/png'}, 'body': base64.b64encode(b[::-1][:600000]).decode()}\n"
    web.put(name, code)
    reply = web.ask("POST", name, body, {"Content-Type": "image/png"})
    assert reply.status == 200 and reply.body == body[::-1][:600000]
    assert reply.headers["content-length"] == "600000"


# ---- output


def test_http(web):
    reply = web.say(".http", {"statusCode": 201, "body": "<b>é</b>", "headers": {
        "Set-Cookie": ["a=1; Path=/", "b=2"], "X-Number": 5, "X-Bool": True, "Cache-Control": "no-store"}})
    assert (reply.status, reply.body, reply.headers["content-type"]) == \
        (201, "<b>é</b>".encode(), "text/html; charset=UTF-8")
    assert [value for key, value in reply.all if key == "Set-Cookie"] == ["a=1; Path=/", "b=2"]
    assert (reply.headers["x-number"], reply.headers["x-bool"], reply.headers["cache-control"]) == ("5", "true", "no-store")
    reply = web.say(".http", {"statusCode": "302", "headers": {"location": "https://a.example/"}})
    assert (reply.status, reply.body, reply.headers["location"]) == (302, b"", "https://a.example/")
    reply = web.say(".http", {"body": base64.b64encode(PNG).decode(), "headers": {"Content-Type": "image/png"}})
    assert (reply.body, reply.headers["content-type"]) == (PNG, "image/png")
    reply = web.say("", {"greeting": "nobody hears it"})
    assert (reply.status, reply.body) == (204, b"")
    reply = web.say(".http", {"body": {"a": [1, 2.5]}})
    assert (reply.body, reply.headers["content-type"]) == (b'{"a":[1,2.5]}', "application/json")


@pytest.mark.parametrize("extension, result, status, type_, body", [
    (".json", {"statusCode": 500, "a": 1}, 200, "application/json", b'{"statusCode":500,"a":1}'),
    (".json", [1, {"a": 2}], 200, "application/json", b'[1,{"a":2}]'),
    (".html", {"html": "<p>"}, 200, "text/html; charset=UTF-8", b"<p>"),
    (".svg", {"body": "<svg/>"}, 200, "image/svg+xml", b"<svg/>"),
    (".text", {"text": {"a": 1}}, 200, "text/plain; charset=UTF-8", b'{\n  "a": 1\n}'),
    (".text", {"error": "of the function"}, 200, "text/plain; charset=UTF-8", b"of the function"),
    (".http", {"error": {"statusCode": 404, "body": "none"}}, 404, "text/html; charset=UTF-8", b"none"),
])
def test_projections(web, extension, result, status, type_, body):
    reply = web.say(extension, result)
    assert (reply.status, reply.headers["content-type"], reply.body) == (status, type_, body)
    assert len(reply.activation) == 32


@pytest.mark.parametrize("extension, result, status, text", [
    (".http", [1], 400, "Response is not valid 'message/http'."),
    (".http", {"statusCode": 99}, 400, "Response is not valid 'message/http'."),
    (".http", {"headers": {"x": "a\r\nSet-Cookie: stolen=1"}}, 400, "Response is not valid 'message/http'."),
    (".http", {"error": "text"}, 400, "Response is not valid 'message/http'."),
    (".json", {"error": "text"}, 400, "Response is not valid 'application/json'."),
    (".html", {}, 400, "Response is not valid 'text/html'."),
    (".svg", {"svg": 5}, 400, "Response is not valid 'image/svg+xml'."),
    (".text", {}, 404, "Response does not include requested property."),
    (".http", {"headers": {"content-type": "xyz"}, "body": "a"}, 400, "Response did not specify a known content-type."),
    (".http", {"headers": {"content-type": "image/png"}, "body": "?"}, 400,
     "Response type in header did not match generated content type."),
])
def test_results_that_cannot_be_shown(web, extension, result, status, text):
    reply = web.say(extension, result)
    assert refusal(reply) == (status, text)
    assert len(reply.activation) == 32 and "set-cookie" not in reply.headers


def test_a_function_that_fails(web, name):
    """It threw: an error of its own. It died: that is said, and no more."""
    web.put(name, "def main(args):\n    raise ValueError('boom')\n")
    assert refusal(web.ask("GET", name)) == (400, "Response is not valid 'message/http'.")
    assert web.ask("GET", name + ".text").body == b"boom"
    web.put(name, "import os\ndef main(args):\n    os._exit(3)\n")
    for extension in (".http", ".json", ".text"):
        reply = web.ask("GET", name + extension)
        assert refusal(reply) == (400, "There was an error processing your request.")
        assert len(reply.activation) == 32


def test_head(web):
    """No body, the length that it would have, and the connection goes on."""
    connection = web.platform.connect()
    for _ in range(2):
        reply = web.platform.request("HEAD", "/api/v1/web/guest/default/web-mirror.json?a=b", auth=None, connection=connection)
        assert (reply.status, reply.body) == (200, b"") and int(reply.headers["content-length"]) > 20
    reply = web.platform.request("GET", "/api/v1/web/guest/default/web-mirror.json?a=b", auth=None, connection=connection)
    assert reply.json["body"]["__ow_method"] == "get"
    connection.close()


def test_framing_is_the_servers(web):
    """A function that says how long its body is, or that the connection ends, confuses nobody."""
    connection = web.platform.connect()
    for _ in range(2):
        reply = web.platform.request("POST", "/api/v1/web/guest/default/web-mirror", {"say": {"body": "abc", "headers": {
            "content-length": "99", "connection": "close", "date": "never", "transfer-encoding": "chunked"}}},
            auth=None, connection=connection)
        assert reply.body == b"abc" and reply.headers["content-length"] == "3"
        assert [name.lower() for name, _ in reply.all].count("content-length") == 1
        assert "transfer-encoding" not in reply.headers and reply.headers.get("date") != "never"
    connection.close()


# ---- who may


def test_only_what_is_exported(web, name):
    """One 404 for what is not there, and for what is not for the world."""
    web.platform.put(name, MIRROR)
    for path in (name, name + ".json", "/api/v1/web/guest/default/no-such", "/api/v1/web/no-such/default/x",
                 f"/api/v1/web/_/default/{name}", f"/api/v1/web/guest/no-such/{name}", f"/api/v1/web/guest/{name}"):
        for auth in (None, web.platform.auth):
            reply = web.ask("GET", path, auth=auth)
            assert (reply.status, reply.json["error"]) == (404, MISSING), path
    for value, status in ((True, 204), (False, 404), ("yes", 404), (True, 204)):
        web.platform.put(name, MIRROR.replace('{"body": args}', "{}"), annotations=[{"key": "web-export", "value": value}])
        assert web.ask("GET", name).status == status  # at once
    web.platform.request("DELETE", f"actions/{name}")
    assert web.ask("GET", name).status == 404


def test_methods_that_are_none(web):
    reply = web.ask("TRACE", "web-mirror")
    assert reply.status == 405 and reply.headers["allow"] == "GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS"


def test_a_key_is_wanted(web, name, shop):
    web.put(name, annotations=[{"key": "require-whisk-auth", "value": True}])
    assert refusal(web.ask("GET", name)) == (401, NO_AUTH)
    assert refusal(web.ask("GET", name, auth="no:key")) == (401, NO_AUTH)
    assert refusal(web.ask("GET", name, headers={"X-Require-Whisk-Auth": "true"})) == (401, NO_AUTH)
    assert web.given(name=name, auth=web.platform.auth)["__ow_user"] == "guest"
    assert web.given(name=name, auth=shop[1])["__ow_user"] == shop[0]
    assert web.ask("OPTIONS", name).status == 200


@pytest.mark.parametrize("secret", [8675309, "a word, as it is"])
def test_a_secret_is_wanted(web, name, secret):
    web.put(name, annotations=[{"key": "require-whisk-auth", "value": secret}])
    shown = {"X-Require-Whisk-Auth": str(secret)}
    assert web.given(name=name, headers=shown)["__ow_method"] == "get"
    for headers, auth in (({}, None), ({}, web.platform.auth), ({"X-Require-Whisk-Auth": str(secret)[:-1]}, None)):
        assert refusal(web.ask("GET", name, headers=headers, auth=auth)) == (401, NO_AUTH)
    web.put(name, annotations=[{"key": "require-whisk-auth", "value": False}])
    assert web.given(name=name)["__ow_method"] == "get"


def test_callers_keys_are_not_shown(web, shop):
    """Whose key is good is told by name; a header that is no key of ours is the function's business."""
    given = web.given(auth=shop[1])
    assert given["__ow_user"] == shop[0] and "authorization" not in given["__ow_headers"]
    assert shop[1].split(":")[1] not in json.dumps(given)
    given = web.given(headers={"Authorization": "Bearer my.own.token"})
    assert given["__ow_headers"]["authorization"] == "Bearer my.own.token" and "__ow_user" not in given
    assert "__ow_user" not in web.given(auth="no:key")


def test_it_runs_as_its_owner(web, shop):
    """Record, limits and state of the owner; nothing of it is seen by who called."""
    owner, key = shop
    p = web.platform
    code = {"exec": {"kind": "python:3", "code": MIRROR}, "annotations": OPEN}
    assert p.request("PUT", "actions/of-the-shop?overwrite=true", code, auth=key).status == 200
    path = f"/api/v1/web/{owner}/default/of-the-shop.json"
    reply = web.ask("GET", path, auth=p.auth)
    assert reply.json["body"]["__ow_user"] == "guest"
    record = within(60, "the owner has the record",
                    lambda: (r := p.request("GET", f"activations/{reply.activation}", auth=key)).status == 200 and r.json)
    assert (record["namespace"], record["name"]) == (owner, "of-the-shop")
    assert isinstance(record["duration"], int)
    annotations = {a["key"]: a["value"] for a in record["annotations"]}
    assert isinstance(annotations["waitTime"], int) and annotations["path"] == f"{owner}/of-the-shop"
    assert p.request("GET", f"activations/{reply.activation}").status == 404
    limits = f"/narae/v1/accounts/{owner}/limits"
    try:
        assert p.request("PUT", limits, {"invocationsPerMinute": 0}, auth=p.admin_auth).status == 200
        status, text = refusal(web.ask("GET", path))
        assert status == 429 and text.startswith("Too many requests in the last minute (count: ")
    finally:
        assert p.request("PUT", limits, {"invocationsPerMinute": -1}, auth=p.admin_auth).status == 200
    assert p.request("POST", f"/narae/v1/accounts/{owner}/suspend", {"reason": "not paid"}, auth=p.admin_auth).status == 200
    reply = web.ask("GET", path)
    assert refusal(reply) == (404, MISSING) and b"paid" not in reply.body
    assert p.request("POST", f"/narae/v1/accounts/{owner}/resume", {}, auth=p.admin_auth).status == 200
    assert web.ask("GET", path).status == 200


def test_states_are_told_without_reasons(web, name):
    web.put(name)
    move = f"/narae/v1/functions/{name}/"
    assert web.platform.request("POST", move + "block", {"reason": "between us"}).status == 200
    reply = web.ask("GET", name)
    assert refusal(reply) == (423, "The function is blocked.") and b"between us" not in reply.body
    assert web.platform.request("POST", move + "unblock", {}).status == 200
    assert web.ask("GET", name).status == 200


# ---- CORS


def test_cors(web, name):
    reply = web.ask("OPTIONS", "web-mirror", headers={"Access-Control-Request-Headers": "x-one, x-two"})
    assert (reply.status, reply.body) == (200, b"") and "x-openwhisk-activation-id" not in reply.headers
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-headers"] == "x-one, x-two"
    assert reply.headers["access-control-allow-methods"] == "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH"
    reply = web.ask("GET", "web-mirror")
    assert reply.headers["access-control-allow-headers"] == \
        "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"
    reply = web.say(".http", {"headers": {"Access-Control-Allow-Origin": "https://a.example"}})
    assert [v for k, v in reply.all if k.lower() == "access-control-allow-origin"] == ["https://a.example"]
    code = "def main(args):\n    return {'headers': {'Access-Control-Allow-Methods': 'OPTIONS, GET'}, 'body': args['__ow_method']}\n"
    web.put(name, code, annotations=[{"key": "web-custom-options", "value": True}, {"key": "require-whisk-auth", "value": True}])
    reply = web.ask("OPTIONS", name)
    assert (reply.status, reply.body) == (200, b"options")
    assert reply.headers["access-control-allow-methods"] == "OPTIONS, GET"
    assert "access-control-allow-origin" not in reply.headers
    assert web.ask("GET", name).status == 401
    assert web.ask("OPTIONS", "no-such").status == 404


# ---- packages


def test_packages_and_bindings(web, shop):
    owner, key = shop
    p = web.platform

    def put(path, body):
        reply = p.request("PUT", f"{path}?overwrite=true", body, auth=key)
        assert reply.status == 200, reply

    put("packages/private", {"parameters": [{"key": "from", "value": "package"}]})
    put("actions/private/a%20b", {"exec": {"kind": "python:3", "code": MIRROR}, "annotations": OPEN})
    put("packages/bound", {"binding": {"namespace": "_", "name": "private"},
                           "parameters": [{"key": "from", "value": "binding"}]})
    for package, told in (("private", "package"), ("bound", "binding")):
        reply = web.ask("GET", f"/api/v1/web/{owner}/{package}/a%20b.json/more?x=1")
        assert reply.status == 200, reply
        given = reply.json["body"]
        assert (given["from"], given["x"], given["__ow_path"]) == (told, "1", "/more")


def test_sequences_and_compositions(web, name):
    """They are web actions like others: the first step is given the request, the last one's result is shown, errors cut it short."""
    step = "def main(args):\n    n = args.get('n', 0)\n    if n == '13':\n        return {'error': {'statusCode': 418, 'body': 'unlucky'}}\n" \
           "    return {'n': int(n) + 1, 'body': f\"{int(n) + 1} {args.get('__ow_method')}\"}\n"
    web.platform.put(name + "-step", step)
    put = {"exec": {"kind": "sequence", "components": [f"/_/{name}-step", f"/_/{name}-step"]}, "annotations": OPEN}
    assert web.platform.request("PUT", f"actions/{name}?overwrite=true", put).status == 200
    try:
        reply = web.ask("GET", f"{name}?n=5")
        assert (reply.status, reply.body) == (200, b"7 None")
        assert len(web.platform.record(reply.activation)["logs"]) == 2
        reply = web.ask("GET", f"{name}?n=13")
        assert (reply.status, reply.body) == (418, b"unlucky")
        code = f"def main(args):\n    if 'state' in args:\n        return {{'params': {{'html': f\"<b>{{args['n']}}</b>\"}}}}\n" \
               f"    return {{'action': '/_/{name}-step', 'params': {{'n': args['n']}}, 'state': {{'state': 1}}}}\n"
        web.put(name, code, annotations=[{"key": "conductor", "value": True}])
        reply = web.ask("GET", f"{name}.html?n=5")
        assert (reply.status, reply.body) == (200, b"<b>6</b>"), reply
        assert len(web.platform.record(reply.activation)["logs"]) == 3
    finally:
        web.platform.request("DELETE", f"actions/{name}-step")


# ---- those who call


def test_befaas(web, name):
    """Its adapter puts an HTTP stack of its own inside: base64 with a JSON type, and headers of that stack."""
    code = """
        function main(args) {
            const body = Buffer.from(JSON.stringify({got: args.n, path: args.__ow_path, method: args.__ow_method}))
            return {statusCode: 200, body: body.toString('base64'), headers: {
                'content-type': 'application/json', 'content-length': String(body.length), connection: 'close',
                date: new Date().toUTCString()}}
        }"""
    web.put(name, code, kind="nodejs:18")
    reply = web.ask("POST", f"{name}/call", b'{ "n" : 5 }', {"Content-Type": "application/json"})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == {"got": 5, "path": "/call", "method": "post"}
    assert reply.headers["content-length"] == str(len(reply.body))


def test_invitro(web, name):
    """GET with a JSON type and no body; the body comes as it is, base64 or not; then the record by the header's id."""
    web.put(name, "def main(args):\n    return {'body': 'eyJhIjoxfQ==', 'statusCode': 200}\n")
    reply = web.ask("GET", f"{name}?cpu=100", headers={"Content-Type": "application/json"})
    assert (reply.status, reply.body) == (200, b"eyJhIjoxfQ==")
    record = web.platform.record(reply.headers["x-openwhisk-activation-id"])
    annotations = {a["key"]: a["value"] for a in record["annotations"]}
    assert isinstance(record["duration"], int) and isinstance(annotations["waitTime"], int)
    assert isinstance(annotations["initTime"], int)


def test_native(web, name):
    web.put(name, '#!/bin/sh\nread -r args\nprintf \'{"text": "%d bytes"}\' "${#args}"\n', kind="native")
    reply = web.ask("GET", name + ".text")
    assert reply.status == 200 and reply.body.endswith(b" bytes")


def test_a_client_that_leaves(web, name):
    """In the middle of its body, or before the answer: nobody else notices, and the call that began is recorded."""
    web.put(name, "import time\ndef main(args):\n    time.sleep(0.5)\n    return {'body': 'late'}\n")
    address = ("127.0.0.1", web.platform.port)
    path = f"/api/v1/web/guest/default/{name}"
    with socket.create_connection(address) as s:
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{".encode())
    with socket.create_connection(address) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    listed = within(60, "the call is recorded", lambda: [
        a for a in web.platform.request("GET", f"activations?name={name}&docs=true").json])
    assert len(listed) == 1 and listed[0]["response"]["success"]
    assert web.ask("GET", name).body == b"late"
