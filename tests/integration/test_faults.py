"""Faults: stops, lost clients, bad starts, limits of an account."""
import concurrent.futures
import json
import os
import re
import signal
import socket
import time

import pytest

from conftest import SLOW, within
from functions import HELLO, TROUBLE


def running(own, n):
    """n calls are inside (the question is one itself)."""
    within(30, f"{n} calls run", lambda: own.metric("narae_gateway_requests_running") >= n + 1)


# ---- stopping

def test_a_stop_lets_running_calls_finish(start_platform):
    own = start_platform()
    own.put("slow", TROUBLE["python:3"])
    own.invoke("slow")
    assert own.containers() != []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        calls = [pool.submit(own.invoke, "slow", {"do": "sleep", "seconds": 2}) for _ in range(2)]
        running(own, 2)
        own.process.send_signal(signal.SIGTERM)
        replies = [c.result() for c in calls]
    assert [r.status for r in replies] == [200, 200]
    assert all(r.json["response"]["success"] for r in replies)
    assert own.wait() == 0
    assert own.containers() == []
    own.process = None


def test_a_stopping_platform_takes_no_calls(start_platform):
    own = start_platform()
    own.put("slow", TROUBLE["python:3"])
    own.invoke("slow")
    held = own.connect()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        call = pool.submit(own.invoke, "slow", {"do": "sleep", "seconds": 2})
        running(own, 1)
        own.process.send_signal(signal.SIGTERM)
        within(10, "no connection is taken", lambda: refused(own))
        assert call.result().status == 200
    held.close()
    assert own.wait() == 0
    own.process = None


def refused(own):
    try:
        own.request("GET", "/healthz", auth=None)
        return False
    except OSError:
        return True


def test_what_was_accepted_survives_a_stop(start_platform):
    own = start_platform()
    own.put("f", HELLO["python:3"])
    ids = [own.invoke("f", {"name": str(n)}, "").activation for n in range(30)]
    own.stop()
    own.start()
    for n, activation in enumerate(ids):
        record = own.record(activation)
        assert record["response"]["result"] == {"greeting": f"Hello, {n}!"}


# ---- clients

def test_a_client_that_goes_away_costs_no_container(platform, name):
    platform.put(name, TROUBLE["python:3"])
    first = platform.invoke(name, {}, "blocking=true&result=true").json["who"]
    body = json.dumps({"do": "sleep", "seconds": 1}).encode()
    with socket.create_connection(("127.0.0.1", platform.port)) as s:
        s.sendall(f"POST /api/v1/namespaces/_/actions/{name}?blocking=true HTTP/1.1\r\nHost: a\r\n"
                  f"Authorization: {platform.basic(platform.auth)}\r\n"
                  f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        running(platform, 1)

    def record():
        items = platform.request("GET", f"activations?name={name}&docs=true&limit=1").json
        return items[0] if items and items[0]["duration"] >= 1000 else None
    assert within(30, "its record is there", record)["response"]["success"] is True
    assert platform.invoke(name, {}, "blocking=true&result=true").json["who"] == first


def test_a_client_that_stops_in_the_middle_of_its_body(platform, name):
    before = platform.metric("narae_gateway_requests_running")
    with socket.create_connection(("127.0.0.1", platform.port)) as s:
        s.sendall(f"POST /api/v1/namespaces/_/actions/{name} HTTP/1.1\r\nHost: a\r\n"
                  f"Authorization: {platform.basic(platform.auth)}\r\n"
                  "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"a\":".encode())
        within(10, "it has begun", lambda: platform.metric("narae_gateway_requests_running") > before)
    within(10, "it is over", lambda: platform.metric("narae_gateway_requests_running") <= before)


# ---- starts that fail: one clear line, exit status 1

def fails_to_start(own, *options, naming):
    own.spawn(*options)
    assert own.wait(60) == 1
    lines = [line for line in own.said().splitlines() if line.startswith("naraed: ")]
    assert len(lines) == 1, own.said()
    for text in naming:
        assert text in lines[0]
    own.process = None


def test_a_port_in_use(new_platform):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        fails_to_start(new_platform(), f"--listen=127.0.0.1:{port}",
                       naming=[f"127.0.0.1:{port}", "in use"])


def test_a_data_folder_that_cannot_be_written(new_platform):
    own = new_platform()
    own.data = "/proc/narae"
    fails_to_start(own, naming=["/proc/narae"])
    own = new_platform()
    own.data.write_text("a file")
    fails_to_start(own, naming=[str(own.data)])


@pytest.mark.parametrize("database", ["meta.db", "calls.db"])
def test_a_corrupt_database(new_platform, database):
    own = new_platform().start()
    own.stop()
    for path in own.data.glob(database + "-*"):
        path.unlink()
    (own.data / database).write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    fails_to_start(own, naming=[database])


def test_a_data_folder_in_use(new_platform, platform):
    own = new_platform()
    own.data = platform.data
    fails_to_start(own, naming=[str(platform.data), "in use"])


@pytest.mark.parametrize("option, naming", [
    ("--lisen=127.0.0.1:0", ["lisen", "listen"]),
    ("--drain-s=many", ["drain-s", "many"]),
    ("--drain-s=-1", ["drain-s"]),
    ("--guest-profile=huge", ["guest-profile", "huge", "local"]),
    ("--listen=nowhere", ["nowhere"]),
    ("--docker=/nowhere/docker.sock", ["/nowhere/docker.sock"]),
])
def test_a_wrong_option(new_platform, option, naming):
    fails_to_start(new_platform(), option, naming=naming)


def test_help(new_platform):
    own = new_platform()
    own.spawn("--help")
    assert own.wait(30) == 0
    for option in ("--listen", "--data", "--run", "--docker", "--config", "--guest-profile",
                   "--log-level", "--help"):
        assert option in own.said()
    own.process = None


def test_keys_are_private(platform):
    for key in ("guest.key", "admin.key"):
        path = platform.data / key
        assert path.stat().st_mode & 0o777 == 0o600
        assert re.fullmatch(r"[^:\s]+:[\w-]{64}\n?", path.read_text())


# ---- limits of an account

def limit(own, **limits):
    reply = own.request("PUT", "/narae/v1/accounts/guest/limits", limits, auth=own.admin_auth)
    assert reply.status == 200, reply
    shown = own.request("GET", "/narae/v1/accounts/guest/limits", auth=own.admin_auth)
    assert limits.items() <= shown.json.items()
    assert limits.items() <= own.request("GET", "limits").json.items()


def test_calls_per_minute_are_exact(start_platform):
    own = start_platform()
    own.put("f", HELLO["python:3"])
    own.invoke("f")
    limit(own, invocationsPerMinute=5)
    # The window is a minute of the monotonic clock; counting starts anew when one ends in between.
    for _ in range(3):
        minute = time.monotonic() // 60
        replies = [own.invoke("f") for _ in range(8)]
        if time.monotonic() // 60 == minute:
            break
    statuses = [r.status for r in replies]
    answered = statuses.count(200)
    assert answered <= 5 and statuses == [200] * answered + [429] * (8 - answered)
    first = replies[answered]
    assert first.error == "Too many requests in the last minute (count: 6, allowed: 5)."
    assert 1 <= int(first.headers["retry-after"]) <= 60
    assert "x-openwhisk-activation-id" not in first.headers
    limit(own, invocationsPerMinute=0)
    assert own.invoke("f").status == 429
    limit(own, invocationsPerMinute=-1)
    assert own.invoke("f").status == 200


def test_calls_at_the_same_time_are_exact(start_platform):
    own = start_platform()
    own.put("f", TROUBLE["python:3"])
    own.invoke("f")
    limit(own, concurrentInvocations=2)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        calls = [pool.submit(own.invoke, "f", {"do": "sleep", "seconds": 2}) for _ in range(2)]
        running(own, 2)
        over = own.invoke("f")
        assert over.status == 429
        assert over.error == "Too many concurrent requests in flight (count: 3, allowed: 2)."
        assert int(over.headers["retry-after"]) >= 1
        assert [c.result().status for c in calls] == [200, 200]
    assert own.invoke("f").status == 200, "an answer makes room"


def test_the_profile_default(start_platform):
    own = start_platform("--guest-profile=default")
    shown = own.request("GET", "limits").json
    assert (shown["invocationsPerMinute"], shown["concurrentInvocations"],
            shown["firesPerMinute"]) == (60, 30, 60)
    for _ in range(3):
        minute = time.monotonic() // 60
        statuses = [own.invoke("unknown", query="").status for _ in range(3)]
        if time.monotonic() // 60 == minute:
            break
    assert set(statuses) == {404}


@pytest.mark.parametrize("body", [{"invocationsPerMinute": "many"}, {"unheardOf": 1}, [], {
    "concurrentInvocations": -5}])
def test_bad_limits_of_an_account(platform, body):
    reply = platform.request("PUT", "/narae/v1/accounts/guest/limits", body, auth=platform.admin_auth)
    assert reply.status == 400
    assert reply.error
    unknown = platform.request("GET", "/narae/v1/accounts/nobody/limits", auth=platform.admin_auth)
    assert unknown.status == 404
