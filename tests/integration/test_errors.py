"""Every refusal: status, text and form, as OpenWhisk's clients know them."""
import json
import re

import pytest

from functions import ECHO

EXISTS = "refused-existing"
MB = 1 << 20


@pytest.fixture
def existing(platform):
    platform.put(EXISTS, ECHO["python:3"])
    yield EXISTS
    platform.request("DELETE", f"actions/{EXISTS}")


# ---- who asks

def test_no_key(platform):
    reply = platform.request("GET", "actions", auth=None)
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Basic realm="OpenWhisk secure realm"'
    assert reply.error == ("The resource requires authentication, which was not supplied with the "
                           "request")


@pytest.mark.parametrize("header", [
    "Basic bm9ib2R5Om5vdGhpbmc=", "Basic ???", "Basic", "Bearer abc", "Basic bm9jb2xvbg=="])
def test_a_wrong_key(platform, header):
    reply = platform.request("GET", "actions", headers={"Authorization": header})
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Basic realm="OpenWhisk secure realm"'
    assert reply.error == "The supplied authentication is invalid"


def test_a_right_user_with_a_wrong_secret(platform):
    user = platform.auth.split(":")[0]
    reply = platform.request("GET", "actions", auth=f"{user}:{'x' * 64}")
    assert (reply.status, reply.error) == (401, "The supplied authentication is invalid")


def test_the_scheme_is_case_insensitive(platform):
    header = platform.basic(platform.auth).replace("Basic", "basic")
    assert platform.request("GET", "actions", headers={"Authorization": header}).status == 200


def test_too_many_failed_logins(start_platform):
    own = start_platform("--failed-logins=3")
    statuses = [own.request("GET", "actions", auth="a:b").status for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    blocked = own.request("GET", "actions", auth="a:b")
    assert "3 a minute" in blocked.error
    assert 1 <= int(blocked.headers["retry-after"]) <= 60
    assert own.request("GET", "actions").status == 200, "a good key works from a bad address"


# ---- what they may

@pytest.mark.parametrize("method, path, named", [
    ("GET", "actions/refused-existing", "somebody/refused-existing"),
    ("GET", "actions/not-there", "somebody/not-there"),
    ("PUT", "actions/not-there", "somebody/not-there"),
    ("DELETE", "actions/not-there", "somebody/not-there"),
    ("POST", "actions/not-there", "somebody/not-there"),
    ("GET", "actions/pkg/not-there", "somebody/pkg/not-there"),
    ("GET", "actions", "somebody"),
    ("GET", "activations", "somebody"),
    ("GET", "limits", "somebody"),
])
def test_a_foreign_namespace(platform, existing, method, path, named):
    reply = platform.request(method, f"/api/v1/namespaces/somebody/{path}")
    assert reply.status == 403
    assert reply.error == f"The supplied authentication is not authorized to access '{named}'."


def test_the_own_namespace_by_name(platform, existing):
    assert platform.request("GET", f"/api/v1/namespaces/guest/actions/{existing}").status == 200


def test_administration_needs_the_administrators_key(platform):
    reply = platform.request("GET", "/narae/v1/accounts/guest/limits")
    assert reply.status == 403
    assert reply.error == ("The supplied authentication is not authorized to access this resource: "
                           "its key lacks the scope 'admin'.")


# ---- what is not there

@pytest.mark.parametrize("method, path", [
    ("GET", "actions/unknown"), ("DELETE", "actions/unknown"), ("POST", "actions/unknown"),
    ("POST", "actions/unknown?blocking=true"), ("GET", "actions/nopkg/unknown"),
    ("GET", "activations/" + "0" * 32), ("GET", "activations/" + "0" * 32 + "/logs"),
    ("GET", "activations/" + "0" * 32 + "/result"), ("GET", "nothing"),
    ("GET", "/api/v1/namespaces/_"), ("GET", "/api/v1/namespaces/_/actions/a/b/c"),
    ("GET", "/nothing/here"), ("GET", "/api/v1/api-docs/more"),
])
def test_unknown(platform, method, path):
    reply = platform.request(method, path)
    assert (reply.status, reply.error) == (404, "The requested resource does not exist.")


def test_a_path_that_does_not_exist_is_not_told_without_a_key(platform):
    assert platform.request("GET", "nothing", auth=None).status == 401


@pytest.mark.parametrize("method, path, supported", [
    ("PATCH", "actions/refused-existing", "GET, PUT, DELETE, POST"),
    ("HEAD", "actions/refused-existing", "GET, PUT, DELETE, POST"),
    ("POST", "actions", "GET"),
    ("DELETE", "activations/" + "0" * 32, "GET"),
    ("PUT", "activations/" + "0" * 32, "GET"),
    ("POST", "/api/v1/namespaces", "GET"),
    ("DELETE", "/narae/v1/accounts/guest/limits", "GET, PUT"),
])
def test_wrong_method(platform, method, path, supported):
    reply = platform.request(method, path)
    assert reply.status == 405
    assert reply.headers["allow"] == supported
    if method != "HEAD":
        assert reply.error == f"HTTP method not allowed, supported methods: {supported}"


def test_existing_without_overwrite(platform, existing):
    for query in ("", "?overwrite=false"):
        reply = platform.request("PUT", f"actions/{existing}{query}",
                                 {"exec": {"kind": "python:3", "code": "x = 1"}})
        assert (reply.status, reply.error) == (409, "resource already exists")


# ---- names and ids

@pytest.mark.parametrize("bad", ["%20a", "a%20", "a%2Fb", "%2E%2E", ".", "a!b", "-a", "a%00b",
                                 "%C3%A9", "a*"])
def test_bad_name(platform, bad):
    reply = platform.request("PUT", f"actions/{bad}", {"exec": {"kind": "python:3", "code": ""}})
    assert reply.status == 400
    if bad != "a%00b":
        assert reply.error == "The name of the entity contains illegal characters."


def test_too_long_a_name(platform):
    reply = platform.request("GET", "actions/" + "n" * 257)
    assert (reply.status, reply.error) == (400, "Name segement longer than allowed: 257 > 256.")
    assert platform.request("GET", "actions/" + "n" * 256).status == 404


def test_bad_namespace(platform):
    reply = platform.request("GET", "/api/v1/namespaces/a!b/actions")
    assert (reply.status, reply.error) == (400, "The namespace contains illegal characters.")


def test_bad_activation_id(platform):
    reply = platform.request("GET", "activations/abc")
    assert (reply.status, reply.error) == (400, "Activation id length is 3 but must be 32.")
    reply = platform.request("GET", "activations/" + "g" * 32)
    assert (reply.status, reply.error) == (400, "The activation id is not valid.")


# ---- bodies

@pytest.mark.parametrize("body", [b"{", b"[1,2", b'{"a":1,}', b"nonsense", b'{"a":1} x', b"\xff",
                                  b'{"a":"\xff"}'])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_malformed_json(platform, existing, method, body):
    reply = platform.request(method, f"actions/{existing}?overwrite=true", body)
    assert reply.status == 400
    assert reply.error.startswith("The request content was malformed:\n")


@pytest.mark.parametrize("body", [b"[1,2]", b"5", b'"text"', b"null", b"true"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_json_that_is_no_object(platform, existing, method, body):
    reply = platform.request(method, f"actions/{existing}?overwrite=true", body)
    assert reply.status == 400
    assert reply.error.startswith("The request content was malformed:\n")


def test_a_large_malformed_payload(platform, existing):
    reply = platform.request("POST", f"actions/{existing}", b'{"a":"' + b"x" * 900000 + b'"')
    assert reply.status == 400
    assert reply.error.startswith("The request content was malformed:\n")


@pytest.mark.parametrize("field, value", [
    ("parameters", 5), ("parameters", [{"no": "key"}]), ("parameters", "text"),
    ("annotations", {"a": 1}), ("limits", 7), ("exec", "code"), ("limits", {"memory": "much"}),
])
def test_fields_of_the_wrong_type(platform, field, value):
    body = {"exec": {"kind": "python:3", "code": ECHO["python:3"]}}
    body[field] = value
    reply = platform.request("PUT", "actions/refused-type", body)
    assert reply.status == 400
    assert reply.error.startswith("The request content was malformed:\n")


def test_no_exec(platform):
    reply = platform.request("PUT", "actions/refused-new", {})
    assert (reply.status, reply.error) == (400, "exec undefined")


def test_bad_kind(platform):
    reply = platform.request("PUT", "actions/refused-new", {"exec": {"kind": "cobol:1", "code": "x"}})
    assert reply.status == 400
    assert re.fullmatch(r"The specified runtime 'cobol:1' is not supported by this platform\. "
                        r"Valid values are: ('[\w:.]+', )*'[\w:.]+'\.", reply.error)


@pytest.mark.parametrize("limits, text", [
    ({"memory": 32}, "memory size 32 MB below allowed threshold of 64 MB"),
    ({"timeout": 99}, "duration 99 milliseconds below allowed threshold of 100 milliseconds"),
    ({"timeout": 600001},
     "duration 600001 milliseconds exceeds allowed threshold of 600000 milliseconds"),
    ({"logs": 11}, "log size 11 MB exceeds allowed threshold of 10 MB"),
    ({"logs": -1}, "log size -1 MB below allowed threshold of 0 MB"),
    ({"concurrency": 0}, "concurrency 0 below allowed threshold of 1"),
    ({"concurrency": 65}, "concurrency 65 exceeds allowed threshold of 64"),
])
def test_bad_limits(platform, limits, text):
    reply = platform.request("PUT", "actions/refused-new",
                             {"exec": {"kind": "python:3", "code": "x"}, "limits": limits})
    assert reply.status == 400
    assert text in reply.error


def test_more_memory_than_the_node_has(platform):
    reply = platform.request("PUT", "actions/refused-new", {
        "exec": {"kind": "python:3", "code": "x"}, "limits": {"memory": 1 << 30}})
    assert reply.status == 400
    assert re.search(r"memory size 1073741824 MB exceeds allowed threshold of \d+ MB", reply.error)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/octet-stream"])
def test_content_type(platform, existing, content_type):
    for method in ("PUT", "POST"):
        reply = platform.request(method, f"actions/{existing}?overwrite=true", b"{}",
                                 {"Content-Type": content_type})
        assert reply.status == 415
        assert reply.error.startswith("The request's Content-Type is not supported.")


# ---- sizes

def test_payload_at_its_ceiling_and_above(platform, existing):
    def payload(n):
        return b'{"a":"' + b"x" * (n - 8) + b'"}'
    assert platform.request("POST", f"actions/{existing}?blocking=true", payload(MB)).status != 413
    reply = platform.request("POST", f"actions/{existing}", payload(MB + 1))
    assert (reply.status, reply.error) == (413, f"Request larger than allowed: {MB + 1} > {MB} bytes.")


def test_a_chunked_payload_is_counted(platform, existing):
    connection = platform.connect()
    connection.request("POST", f"/api/v1/namespaces/_/actions/{existing}",
                       iter([b'{"a":"', b"x" * MB, b'"}']),
                       {"Authorization": platform.basic(platform.auth),
                        "Content-Type": "application/json", "Transfer-Encoding": "chunked"},
                       encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"] == f"Request larger than allowed: {MB + 8} > {MB} bytes."
    connection.close()


def test_code_at_its_ceiling_and_above(platform):
    def put(n):
        return platform.request("PUT", "actions/refused-large?overwrite=true",
                                {"exec": {"kind": "python:3", "code": "#" * n}})
    reply = put(48 * MB + 1)
    assert (reply.status, reply.error) == (
        413, f"exec larger than allowed: {48 * MB + 1} > {48 * MB} bytes.")
    assert put(48 * MB).status == 200
    assert platform.request("DELETE", "actions/refused-large").status == 200


def test_a_body_beyond_every_ceiling_is_not_read(platform):
    connection = platform.connect()
    connection.putrequest("PUT", "/api/v1/namespaces/_/actions/refused-large")
    connection.putheader("Authorization", platform.basic(platform.auth))
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(51 * MB))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"] == (
        f"exec larger than allowed: {51 * MB} > {48 * MB} bytes.")
    connection.close()


@pytest.mark.parametrize("field", ["parameters", "annotations"])
def test_large_settings(platform, field):
    reply = platform.request("PUT", "actions/refused-new", {
        "exec": {"kind": "python:3", "code": "x"},
        field: [{"key": "k", "value": "v" * (MB + 1)}]})
    assert reply.status == 413
    assert re.fullmatch(field + r" larger than allowed: \d+ > 1048576 bytes\.", reply.error)


# ---- query parameters

@pytest.mark.parametrize("path, parameter, detail", [
    ("actions?limit=201", "limit", "The value '201' is not in the range of 0 to 200 for actions."),
    ("actions?limit=-1", "limit", "The value '-1' is not in the range of 0 to 200 for actions."),
    ("actions?limit=ten", "limit", "The value 'ten' is not an integer for actions."),
    ("actions?skip=-1", "skip", "The value '-1' is not greater than or equal to 0 for actions."),
    ("actions?skip=x", "skip", "The value 'x' is not an integer for actions."),
    ("actions?count=maybe", "count", "'maybe' is not a valid Boolean value"),
    ("activations?limit=201", "limit",
     "The value '201' is not in the range of 0 to 200 for activations."),
    ("activations?since=now", "since", "Parameter is not a valid value for epoch seconds: now"),
    ("activations?upto=-5", "upto", "Parameter is not a valid value for epoch seconds: -5"),
    ("activations?name=a/b/c", "name",
     "Parameter may be a 'simple' name or 'package-name/simple' name: a/b/c"),
    ("actions/refused-existing?code=perhaps", "code", "'perhaps' is not a valid Boolean value"),
])
def test_query(platform, existing, path, parameter, detail):
    reply = platform.request("GET", path)
    assert reply.status == 400
    assert reply.error == f"The query parameter '{parameter}' was malformed:\n{detail}"


def test_docs_with_count(platform):
    reply = platform.request("GET", "activations?docs=true&count=true")
    assert (reply.status, reply.error) == (
        400, "The parameter 'docs' is not permitted with 'count'.")


@pytest.mark.parametrize("timeout", ["0", "60001", "-1", "soon", ""])
def test_timeout(platform, existing, timeout):
    reply = platform.invoke(existing, query=f"blocking=true&timeout={timeout}")
    assert reply.status == 400
    assert reply.error == ("The query parameter 'timeout' was malformed:\n"
                           "Timeout must be number of milliseconds up to 60000.")


@pytest.mark.parametrize("method, query", [("PUT", "overwrite"), ("POST", "blocking"),
                                           ("POST", "result")])
def test_booleans(platform, existing, method, query):
    body = {"exec": {"kind": "python:3", "code": "x"}} if method == "PUT" else {}
    reply = platform.request(method, f"actions/{existing}?{query}=2", body)
    assert reply.status == 400
    assert reply.error == (f"The query parameter '{query}' was malformed:\n"
                           "'2' is not a valid Boolean value")
