"""Stock clients as the server sees them: what each puts into a request besides what it wants, byte by byte.

A client is made for a platform; `say` sends one request and returns its reply. Nothing is escaped or added on the way.
"""
import http.client
import json
import urllib.parse

from conftest import SLOW, Reply


class Client:
    """Headers in their order; a body is the JSON of a value, and what the client writes behind it."""

    headers = {}
    end = ""
    body_headers = {"Content-Type": "application/json"}

    def __init__(self, platform, auth=""):
        self.platform = platform
        self.auth = auth or platform.auth

    def say(self, method, target, body=None, headers=None, auth=True):
        sent = {**({"Authorization": self.platform.basic(self.auth)} if auth else {}), **self.headers, **(headers or {})}
        data = None
        if body is not None:
            data = (json.dumps(body, separators=(",", ":")) + self.end).encode()
            sent = {**sent, **self.body_headers, "Content-Length": str(len(data))}
        connection = http.client.HTTPConnection("127.0.0.1", self.platform.port, timeout=120 * SLOW)
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(data)
        reply = Reply(connection.getresponse())
        connection.close()
        return reply


def go_path(name):
    """As Go's net/url leaves a name in a path: only the space is escaped."""
    return name.replace(" ", "%20")


class Wsk(Client):
    """The `wsk` program: always in `_`, every query parameter spelled out in alphabetic order."""

    headers = {"User-Agent": "OpenWhisk-CLI/1.0 (2024-09-01T00:00:00.000+0000) linux amd64", "Accept-Encoding": "gzip"}
    end = "\n"
    base = "/api/v1/namespaces/_/"

    def get(self, path, **query):
        return self.say("GET", self.at(path, query))

    def put(self, path, body, **query):
        return self.say("PUT", self.at(path, query), body)

    def post(self, path, body=None, **query):
        return self.say("POST", self.at(path, query), body)

    def delete(self, path, **query):
        return self.say("DELETE", self.at(path, query))

    def at(self, path, query):
        text = urllib.parse.urlencode(sorted(query.items()))
        return (path if path.startswith("/") else self.base + go_path(path)) + ("?" + text if text else "")

    def ok(self, reply, status=200):
        assert reply.status == status, reply
        return reply.json if reply.body else None

    def create(self, name, code, kind="python:default", annotations=None, **fields):
        """`wsk action create`."""
        body = {"namespace": "_", "name": name, "exec": {"kind": kind, "code": code}, **fields}
        if annotations:
            body["annotations"] = [{"key": k, "value": v} for k, v in annotations.items()]
        return self.put("actions/" + name, body, overwrite="false")


class Wskdeploy(Wsk):
    headers = {"User-Agent": "OpenWhisk-Go-Client linux amd64", "Accept-Encoding": "gzip"}


class Wrk(Client):
    """The load scripts: the scheme in lower case, one request id for all, neither a body nor a type."""

    def invoke(self, name):
        return self.say("POST", f"/api/v1/namespaces/_/actions/{name}?blocking=true", auth=False,
                        headers={"Authorization": self.platform.basic(self.auth).replace("Basic", "basic"),
                                 "X-Request-ID": "throughput-" + name})
