"""The door itself: what needs no key, the headers of every reply, health and figures."""
import http.client
import re
import socket

import pytest

from conftest import Reply
from functions import ECHO, HELLO

ALLOWED_HEADERS = "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"


def test_root(platform):
    reply = platform.request("GET", "/", auth=None)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    document = reply.json
    assert document["description"] == "OpenWhisk"
    assert document["api_paths"] == ["/api/v1"]
    limits = document["limits"]
    assert (limits["actions_per_minute"], limits["triggers_per_minute"],
            limits["concurrent_actions"], limits["sequence_length"]) == (60, 60, 30, 50)
    assert (limits["min_action_duration"], limits["max_action_duration"]) == (100, 600000)
    assert limits["min_action_memory"] == 64 << 20
    assert limits["max_action_memory"] >= 256 << 20
    assert (limits["min_action_logs"], limits["max_action_logs"]) == (0, 10 << 20)
    assert all(type(value) is int for value in limits.values())
    for of in ("duration", "memory", "logs"):
        assert limits[f"default_min_action_{of}"] == limits[f"min_action_{of}"]
        assert limits[f"default_max_action_{of}"] == limits[f"max_action_{of}"]


def test_runtimes(platform):
    runtimes = platform.request("GET", "/", auth=None).json["runtimes"]
    kinds = {entry["kind"]: entry for family in runtimes.values() for entry in family}
    assert {"python:3", "nodejs:18", "wasm:1"} <= set(kinds)
    for family in ("python", "nodejs"):
        assert [e["kind"] for e in runtimes[family] if e["default"]] in (["python:3"], ["nodejs:18"])
    assert all(not e["deprecated"] for e in kinds.values())


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/"])
def test_api(platform, path):
    reply = platform.request("GET", path, auth=None)
    assert reply.status == 200
    document = reply.json
    assert document["description"] == "OpenWhisk API"
    assert (document["api_version"], document["api_version_path"]) == ("1.0.0", "v1")
    assert isinstance(document["build"], str) and isinstance(document["buildno"], str)
    assert document["swagger_paths"] == {"ui": "/docs", "api-docs": "/api-docs"}


@pytest.mark.parametrize("path", ["/api/v1/namespaces", "/api/v1/namespaces/",
                                  "/api/v1/namespaces?limit=0&skip=0"])
def test_namespaces(platform, path):
    reply = platform.request("GET", path)
    assert (reply.status, reply.json) == (200, ["guest"])


def test_limits_of_the_namespace(platform):
    limits = platform.request("GET", "limits").json
    assert limits["maxParameterSize"] == "1048576 B"
    assert (limits["minActionTimeout"], limits["maxActionTimeout"]) == (100, 600000)
    assert (limits["minActionConcurrency"], limits["maxActionConcurrency"]) == (1, 64)
    assert (limits["minActionLogs"], limits["maxActionLogs"]) == (0, 10)
    assert limits["minActionMemory"] == 64
    assert limits["concurrentInvocations"] == limits["maxActionInstances"] == 1000
    assert {"invocationsPerMinute", "firesPerMinute"} <= set(limits)


# ---- headers

def test_request_id(platform):
    made = platform.request("GET", "actions").headers["x-request-id"]
    other = platform.request("GET", "actions").headers["x-request-id"]
    assert re.fullmatch(r"[0-9A-Za-z]{32}", made) and made != other


@pytest.mark.parametrize("given, kept", [
    ("my-own.id/1", True), ("x" * 128, True), ("x" * 129, False), ("sid_abc", False), ("a b", False)])
def test_given_request_id(platform, given, kept):
    reply = platform.request("GET", "actions/unknown", headers={"X-Request-ID": given})
    assert (reply.headers["x-request-id"] == given) is kept
    assert reply.error == "The requested resource does not exist."


@pytest.mark.parametrize("method, path, auth", [
    ("GET", "/", None), ("GET", "/api/v1", None), ("GET", "actions", ""), ("GET", "actions", None),
    ("GET", "actions/unknown", ""), ("PATCH", "actions/unknown", "")])
def test_cors(platform, method, path, auth):
    headers = platform.request(method, path, auth=auth).headers
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-allow-headers"] == ALLOWED_HEADERS
    assert headers["access-control-allow-methods"] == "GET, DELETE, POST, PUT, HEAD"


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/namespaces/_/actions/any", "/api/v1/x/y"])
def test_options(platform, path):
    reply = platform.request("OPTIONS", path, auth=None)
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("sent, status", [
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 101 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417),
])
def test_what_cannot_be_read_has_an_error_body_too(platform, sent, status):
    with socket.create_connection(("127.0.0.1", platform.port), timeout=30) as s:
        s.sendall(sent)
        answer = http.client.HTTPResponse(s)
        answer.begin()
        reply = Reply(answer)
    assert reply.status == status
    assert reply.error
    assert reply.headers["access-control-allow-origin"] == "*"


# ---- what stock clients really send

def test_a_bare_question_mark(platform, name):
    assert platform.request("PUT", f"actions/{name}?",
                            {"exec": {"kind": "python:3", "code": ECHO["python:3"]}}).status == 200
    assert platform.request("GET", f"actions/{name}?").status == 200
    assert platform.request("GET", "actions?").status == 200


def test_a_post_with_neither_body_nor_content_type(platform, name):
    platform.put(name, HELLO["python:3"])
    reply = platform.request("POST", f"actions/{name}?blocking=true",
                             headers={"X-Request-ID": "throughput-" + name})
    again = platform.request("POST", f"actions/{name}?blocking=true",
                             headers={"X-Request-ID": "throughput-" + name})
    assert reply.json["response"]["result"] == {"greeting": "Hello, nobody!"}
    assert reply.activation != again.activation, "a repeated request id starts a call of its own"


def test_a_body_with_a_newline_and_a_charset(platform, name):
    platform.put(name, ECHO["python:3"])
    reply = platform.request("POST", f"actions/{name}?blocking=true&result=true", b'{"a":1}\n',
                             {"Content-Type": "application/json; charset=utf-8"})
    assert (reply.status, reply.json) == (200, {"a": 1})


def test_names_with_escapes_and_without(platform):
    for sent in ("esc%20aped%40name", "a@b&c.d-e"):
        assert platform.request("PUT", f"actions/{sent}",
                                {"exec": {"kind": "python:3", "code": "x"}}).status == 200
        assert platform.request("DELETE", f"actions/{sent}").status == 200


def test_keep_alive(platform):
    connection = platform.connect()
    for path in ("actions", "actions/unknown", "activations", "/healthz"):
        platform.request("GET", path, connection=connection)
        assert connection.sock is not None, "the connection goes on, also after a refusal"
    connection.close()


def test_pipelined_requests_are_answered_in_order(platform):
    with socket.create_connection(("127.0.0.1", platform.port), timeout=30) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n"
                  b"Connection: close\r\n\r\n")
        text = b""
        while piece := s.recv(65536):
            text += piece
    assert re.findall(rb"HTTP/1.1 (\d+)", text) == [b"200", b"404"]


# ---- health and figures

def test_health(platform):
    for path, body in (("/healthz", b"ok\n"), ("/readyz", b"ready\n"), ("/ping", b"pong")):
        reply = platform.request("GET", path, auth=None)
        assert (reply.status, reply.body) == (200, body)


def test_metrics(platform):
    reply = platform.request("GET", "/metrics", auth=None)
    assert reply.headers["content-type"].startswith("text/plain")
    lines = reply.body.decode().splitlines()
    sample = re.compile(r'[a-z0-9_]+(\{([a-z_]+="[^"]*",?)+\})? \S+')
    assert [line for line in lines if not line.startswith("#") and not sample.fullmatch(line)] == []
    assert all(line.split()[2].startswith(("narae_", "process_", "kepler_")) for line in lines if line.startswith("#"))
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(typed) == len(set(typed)), "each metric has one head"
    for named in ("narae_gateway_requests_total", "process_resident_memory_bytes",
                  "process_open_fds", "narae_loop_slow_callbacks_total"):
        assert platform.metric(named) >= 0
    assert "guest" not in reply.body.decode(), "no account is named without a key"


def test_invokers(platform):
    reply = platform.request("GET", "/narae/v1/invokers")
    assert reply.status == 200
    assert reply.json
    assert platform.request("GET", "/narae/v1/invokers", auth=None).status == 401
