"""Starts real platforms: naraed of the build folder, real containers, private folders, a free port.

environment: NARAE_BUILD   folder of naraed and narae (default: build/ of the tree)
             NARAE_DOCKER  socket of the Engine (default: /var/run/docker.sock)
             NARAE_SLOW    1: an instrumented build; every bound on time is four times as long

`platform` is one for the whole run (with `-n`, for a worker's part of it: see lanes.py); a test that stops, breaks or limits
its own takes `start_platform`. Both are stopped with SIGTERM and must then exit with 0 and leave no container.
"""
import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

import pytest
import world
from lanes import pytest_collection_modifyitems, pytest_configure, pytest_xdist_make_scheduler  # noqa: F401 (pytest's hooks)

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("NARAE_BUILD", ROOT / "build"))
DOCKER = os.environ.get("NARAE_DOCKER", "/var/run/docker.sock")
SLOW = 4 if os.environ.get("NARAE_SLOW") == "1" else 1
API = "/api/v1/namespaces/_"


def within(seconds, what, question, every=0.02):
    """Asks until the answer is true, and returns it; fails when it has not become so in time."""
    end = time.monotonic() + seconds * SLOW
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds * SLOW} s: {what}")
        time.sleep(every)


class EngineConnection(http.client.HTTPConnection):
    """HTTP over the Engine's unix socket."""

    def __init__(self, docker=DOCKER):
        super().__init__("engine", timeout=60 * SLOW)
        self.docker = docker

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.docker)


def engine(path, method="GET", docker=DOCKER):
    connection = EngineConnection(docker)
    connection.request(method, path)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status in (200, 204, 404, 409), text
    return json.loads(text or "null")


class Reply:
    """A whole answer. Headers by lower-case name; `all` has them as they came."""

    def __init__(self, answer):
        self.status = answer.status
        self.all = answer.getheaders()
        self.headers = {name.lower(): value for name, value in self.all}
        self.body = answer.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The sentence of an error body, whose form is checked on the way."""
        body = self.json
        assert sorted(body) == ["code", "error"], body
        assert self.headers["content-type"] == "application/json"
        assert body["code"] == self.headers["x-request-id"]
        return body["error"]

    @property
    def activation(self):
        return self.headers["x-openwhisk-activation-id"]

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


class Platform:
    """One naraed process and its folders."""

    docker = DOCKER  # the Engine that the test asks
    docker_of_naraed = None  # another way to it, for naraed alone

    def __init__(self, folder, *options):
        self.folder = pathlib.Path(folder)
        self.data, self.run = self.folder / "data", self.folder / "run"
        self.options = options
        self.log = self.folder / "log"
        self.process = self.label = None

    # ---- life

    def spawn(self, *more):
        """Starts the process; returns at once."""
        with self.log.open("ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                [BUILD / "naraed", "--listen=127.0.0.1:0", f"--data={self.data}",
                 f"--run={self.run}", f"--docker={self.docker_of_naraed or self.docker}", "--registries=any",
                 *self.options, *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid

    def said(self):
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    def address(self):
        for line in self.said().splitlines():
            if line.startswith("listening on http"):
                return line.split()[-1]
        assert self.process.poll() is None, "naraed ended:\n" + self.said()
        return None

    def start(self, *more):
        self.spawn(*more)
        self.url = within(60, "naraed says where it listens", self.address)
        self.port = urllib.parse.urlsplit(self.url).port
        within(60, "/readyz is 200", lambda: self.request("GET", "/readyz", auth=None).status == 200)
        self.auth_file = self.data / "guest.key"
        self.auth = self.auth_file.read_text().strip()
        self.admin_auth = (self.data / "admin.key").read_text().strip()
        self.label = "narae.installation=" + (self.data / "installation").read_text().strip()
        return self

    def wait(self, seconds=90):
        """Exit status of a process that ends by itself or was told to."""
        return self.process.wait(timeout=seconds * SLOW)

    def stop(self):
        """SIGTERM: the running calls are answered, the containers removed, the exit status is 0."""
        self.process.send_signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, f"exit status {status}\n" + self.said()[-4000:]
        assert self.containers() == []
        self.process = None

    def discard(self):
        """The end of a test, whatever it did: nothing of it stays behind."""
        try:
            if self.process and self.process.poll() is None:
                self.stop()
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for container in self.containers() if self.label else []:
                engine(f"/containers/{container}?force=1", "DELETE", self.docker)
            if self.label and self.process and os.geteuid() == 0:  # else it was stopped and has done so itself
                world.forget_network(self.label.split("=")[1][:8])
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- what is there

    def containers(self):
        """Ids of the containers of this installation, in whatever state."""
        filters = urllib.parse.quote(json.dumps({"label": [self.label]}))
        return [c["Id"] for c in engine(f"/containers/json?all=1&filters={filters}", docker=self.docker)]

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def metric(self, name):
        """Sum of the samples of a metric."""
        text = self.request("GET", "/metrics", auth=None).body.decode()
        samples = [line for line in text.splitlines()
                   if line.startswith(name + " ") or line.startswith(name + "{")]
        assert samples, f"no metric {name}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples)

    # ---- calls

    def basic(self, auth):
        return "Basic " + base64.b64encode(auth.encode()).decode()

    def connect(self, seconds=120):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds * SLOW)

    def request(self, method, path, body=None, headers=None, auth="", connection=None):
        """One request. auth: "" is the guest's key, None is none. A body that is not bytes goes as
        JSON; paths without a leading slash are below the own namespace."""
        sent = {}
        if auth is not None:
            sent["Authorization"] = self.basic(auth or self.auth)
        if body is not None:
            sent["Content-Type"] = "application/json"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent.update(headers or {})
        own = connection is None
        connection = connection or self.connect()
        connection.request(method, path if path.startswith("/") else f"{API}/{path}", body,
                           {k: v for k, v in sent.items() if v is not None})
        reply = Reply(connection.getresponse())
        if own:
            connection.close()
        return reply

    def begin(self, method, path, body, auth=""):
        """A request of which the platform has taken the headers; the function returned sends the body and returns the reply."""
        body = json.dumps(body).encode()
        connection = self.connect()
        connection.putrequest(method, path if path.startswith("/") else f"{API}/{path}")
        for name, value in (("Authorization", self.basic(auth or self.auth)), ("Content-Type", "application/json"),
                            ("Content-Length", str(len(body))), ("Expect", "100-continue")):
            connection.putheader(name, value)
        connection.endheaders()
        go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.sock.recv(len(go_on), socket.MSG_WAITALL) == go_on

        def finish():
            connection.send(body)
            reply = Reply(connection.getresponse())
            connection.close()
            return reply
        return finish

    def put(self, name, code, kind="python:3", overwrite=True, **fields):
        """Creates or updates a function; returns its document."""
        body = {"exec": {"kind": kind, "code": code}, **fields}
        if kind == "native":
            body["exec"].update(kind="blackbox", image="openwhisk/dockerskeleton")
        reply = self.request("PUT", f"actions/{name}?overwrite={str(overwrite).lower()}", body)
        assert reply.status == 200, reply
        return reply.json

    def invoke(self, name, parameters=None, query="blocking=true", **more):
        return self.request("POST", f"actions/{name}?{query}", parameters or {}, **more)

    def record(self, activation, seconds=60):
        """The record of an activation once it is there."""
        def look():
            reply = self.request("GET", f"activations/{activation}")
            assert reply.status in (200, 404), reply
            return reply.json if reply.status == 200 else None
        return within(seconds, f"activation {activation} has a record", look)


@pytest.fixture(scope="session")
def session_platform():
    p = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"))
    try:
        p.start()
        yield p
        p.stop()
    finally:
        p.discard()


@pytest.fixture
def platform(session_platform, request):
    """The platform that the whole run shares."""
    assert session_platform.process.poll() is None, session_platform.said()[-4000:]
    before = session_platform.log.stat().st_size
    yield session_platform
    with session_platform.log.open("rb") as log:
        log.seek(before)
        print(log.read().decode(errors="replace")[-4000:])


@pytest.fixture
def new_platform():
    """Makes platforms of a test's own that are not started; they are discarded after it."""
    made = []

    def make(*options):
        made.append(Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), *options))
        return made[-1]

    yield make
    for p in made:
        if p.process:
            print(p.said()[-4000:])
        p.discard()


@pytest.fixture
def start_platform(new_platform):
    """Starts platforms of a test's own."""
    return lambda *options: new_platform(*options).start()


@pytest.fixture
def name(request):
    """A name for a function that no other test uses; the function is removed after the test."""
    text = "".join(c if c.isalnum() else "-" for c in request.node.name).strip("-")[:80]
    yield text
    if "platform" in request.fixturenames:
        request.getfixturevalue("platform").request("DELETE", f"actions/{text}")
