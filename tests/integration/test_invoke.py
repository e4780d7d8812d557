"""Invoking: the answers of a call in each form, the record it leaves, and what a function can do wrong."""
import base64
import io
import os
import re
import time
import zipfile

import pytest

from conftest import SLOW, within
from functions import ECHO, HELLO, KINDS, SHOWN_KIND, TROUBLE

RECORD = {"namespace", "name", "version", "subject", "activationId", "start", "end", "duration",
          "response", "logs", "annotations", "publish"}
ACCEPTED = {"activationId"}
ID = re.compile(r"[0-9a-f]{32}")
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z +(stdout|stderr): (.*)")


def by_key(pairs):
    return {p["key"]: p["value"] for p in pairs}


def spoken(logs):
    """(stream, text) of each line, whose form is checked."""
    return [LOG_LINE.fullmatch(line).groups() for line in logs]


# ---- forms of an answer

@pytest.mark.parametrize("kind", KINDS)
def test_blocking(platform, name, kind):
    platform.put(name, HELLO[kind], kind)
    reply = platform.invoke(name, {"name": "Ada"})
    record = reply.json
    assert reply.status == 200
    assert set(record) == RECORD
    assert record["activationId"] == reply.activation and ID.fullmatch(reply.activation)
    assert record["response"] == {"status": "success", "success": True,
                                  "result": {"greeting": "Hello, Ada!"},
                                  "size": record["response"]["size"]}
    assert (record["namespace"], record["subject"], record["name"]) == ("guest", "guest", name)
    assert (record["version"], record["publish"], record["logs"]) == ("0.0.1", False, [])
    assert record["end"] >= record["start"]
    assert 0 <= record["duration"] <= 60000
    notes = by_key(record["annotations"])
    assert notes["path"] == f"guest/{name}"
    assert notes["kind"] == SHOWN_KIND[kind]
    assert notes["limits"] == {"timeout": 60000, "memory": 256, "logs": 10, "concurrency": 1}
    assert notes["timeout"] is False
    assert type(notes["waitTime"]) is int and notes["waitTime"] >= 0
    assert type(notes["initTime"]) is int, "the first call is cold"

    kept = platform.record(reply.activation)
    assert spoken(kept["logs"]) == [("stdout", "greeting Ada")]
    assert {**kept, "logs": []} == record

    warm = by_key(platform.invoke(name).json["annotations"])
    assert "initTime" not in warm, "the second call is warm"


@pytest.mark.parametrize("kind", KINDS)
def test_result_only(platform, name, kind):
    platform.put(name, HELLO[kind], kind)
    reply = platform.invoke(name, {"name": "Ada"}, "blocking=true&result=true")
    assert (reply.status, reply.json) == (200, {"greeting": "Hello, Ada!"})
    assert ID.fullmatch(reply.activation)


@pytest.mark.parametrize("query", ["", "blocking=false", "result=true", "blocking=false&result=false"])
def test_non_blocking(platform, name, query):
    platform.put(name, HELLO["python:3"])
    reply = platform.invoke(name, {"name": "Ada"}, query)
    assert (reply.status, set(reply.json)) == (202, ACCEPTED)
    assert reply.json["activationId"] == reply.activation
    record = platform.record(reply.activation)
    assert record["response"]["result"] == {"greeting": "Hello, Ada!"}
    assert spoken(record["logs"]) == [("stdout", "greeting Ada")]


def test_a_blocking_call_that_waits_long_enough_becomes_202(platform, name):
    platform.put(name, TROUBLE["python:3"])
    platform.invoke(name)
    started = time.monotonic()
    reply = platform.invoke(name, {"do": "sleep", "seconds": 3}, "blocking=true&timeout=200")
    assert time.monotonic() - started < 2.5
    assert (reply.status, reply.json) == (202, {"activationId": reply.activation})
    record = platform.record(reply.activation)
    assert record["response"]["success"] is True
    assert record["duration"] >= 3000
    short = platform.invoke(name, {"do": "sleep", "seconds": 1.5}, "blocking=true&timeout=1")
    assert short.status == 202
    assert platform.record(short.activation)["response"]["success"] is True


def test_parameters_merge(platform, name):
    platform.put(name, ECHO["python:3"], parameters=[{"key": "a", "value": 1}, {"key": "b", "value": {"c": [2]}}])
    reply = platform.invoke(name, {"a": "won", "d": None}, "blocking=true&result=true")
    assert reply.json == {"a": "won", "b": {"c": [2]}, "d": None}


@pytest.mark.parametrize("kind", KINDS)
def test_values_come_back_as_they_were(platform, name, kind):
    platform.put(name, ECHO[kind], kind)
    sent = {"text": "grüße \u0001 \"\\ \U0001f600", "int": 9007199254740993 if kind != "nodejs:18" else 7,
            "neg": -5, "float": 1.5, "true": True, "null": None, "list": [1, [2, {"three": 3}]], "": {}}
    assert platform.invoke(name, sent, "blocking=true&result=true").json == sent


def test_a_payload_of_almost_a_megabyte(platform, name):
    platform.put(name, "def main(a):\n    return {'n': len(a['x'])}")
    reply = platform.invoke(name, {"x": "y" * 1_000_000}, "blocking=true&result=true")
    assert reply.json == {"n": 1_000_000}


def test_a_result_of_almost_a_megabyte(platform, name):
    platform.put(name, TROUBLE["python:3"])
    reply = platform.invoke(name, {"do": "big", "bytes": 1_000_000}, "blocking=true&result=true")
    assert (reply.status, len(reply.json["big"])) == (200, 1_000_000)


@pytest.mark.parametrize("kind", KINDS)
def test_an_array_is_answered_bare(platform, name, kind):
    platform.put(name, TROUBLE[kind], kind)
    for query in ("blocking=true", "blocking=true&result=true"):
        reply = platform.invoke(name, {"do": "array"}, query)
        assert (reply.status, reply.json) == (200, [1, {"two": 2}])
    assert platform.record(reply.activation)["response"]["result"] == [1, {"two": 2}]


def test_environment(platform, name):
    platform.put(name, "import os\ndef main(a):\n"
                       "    return {k: v for k, v in os.environ.items() if k.startswith('__OW_')}")
    before = time.time() * 1000
    reply = platform.invoke(name, {}, "blocking=true&result=true", headers={"X-Request-ID": "tid-of-mine"})
    env = reply.json
    assert env["__OW_NAMESPACE"] == "guest"
    assert env["__OW_ACTION_NAME"] == f"/guest/{name}"
    assert env["__OW_ACTION_VERSION"] == "0.0.1"
    assert env["__OW_ACTIVATION_ID"] == reply.activation
    assert env["__OW_TRANSACTION_ID"] == "tid-of-mine"
    assert before + 50000 < int(env["__OW_DEADLINE"]) < time.time() * 1000 + 61000
    assert "__OW_API_KEY" not in env


def test_the_key_is_given_when_asked_for(platform, name):
    platform.put(name, "import os\ndef main(a):\n    return {'key': os.environ.get('__OW_API_KEY')}",
                 annotations=[{"key": "provide-api-key", "value": True}])
    assert platform.invoke(name, {}, "blocking=true&result=true").json == {"key": platform.auth}


def test_an_update_takes_effect_at_once(platform, name):
    for n in range(5):
        platform.put(name, f"def main(a):\n    return {{'n': {n}}}")
        assert platform.invoke(name, {}, "blocking=true&result=true").json == {"n": n}


def test_both_streams_are_kept(platform, name):
    platform.put(name, TROUBLE["python:3"])
    record = platform.record(platform.invoke(name, {"do": "both"}).activation)
    assert sorted(spoken(record["logs"])) == [("stderr", "to stderr"), ("stdout", "to stdout")]


def test_no_logs_when_the_limit_is_zero(platform, name):
    platform.put(name, HELLO["python:3"], limits={"logs": 0})
    assert platform.record(platform.invoke(name).activation)["logs"] == []


# ---- archives

def archive(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as z:
        for path, (text, mode) in files.items():
            entry = zipfile.ZipInfo(path.replace("__DOT__", "."))
            entry.external_attr = mode << 16
            z.writestr(entry, text)
    return base64.b64encode(packed.getvalue()).decode()


ARCHIVES = {
    "python:3": archive(**{"__main____DOT__py": ("from helper import answer\n"
                                                 "def main(a):\n    return answer(a)\n", 0o644),
                           "helper__DOT__py": ("def answer(a):\n    return {'n': a['n'] + 1}\n", 0o644)}),
    "nodejs:18": archive(**{"package__DOT__json": ('{"name":"x","main":"start.js"}', 0o644),
                            "start__DOT__js": ("const {answer} = require('./lib/helper.js')\n"
                                               "exports.main = a => answer(a)\n", 0o644),
                            "lib/helper__DOT__js": ("exports.answer = a => ({n: a.n + 1})\n", 0o644)}),
    "native": archive(exec=("#!/bin/sh\n. ./helper\nanswer \"$1\"\n", 0o755),
                      helper=("answer() { n=$(printf %s \"$1\" | tr -dc 0-9); echo \"{\\\"n\\\": $((n + 1))}\"; }\n",
                              0o644)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_archives(platform, name, kind):
    platform.put(name, ARCHIVES[kind], kind)
    reply = platform.invoke(name, {"n": 41}, "blocking=true&result=true")
    assert (reply.status, reply.json) == (200, {"n": 42})


# ---- what a function can do wrong

def fails(platform, name, parameters, status, message, http=502):
    """Calls; checks the answer in both forms and the record; returns the record."""
    reply = platform.invoke(name, parameters)
    assert reply.status == http, reply
    response = reply.json["response"]
    assert response["status"] == status
    assert response["success"] is False
    assert list(response["result"]) == ["error"]
    if isinstance(message, re.Pattern):
        assert message.match(response["result"]["error"])
    else:
        assert response["result"]["error"] == message
    record = platform.record(reply.activation)
    assert record["response"] == response
    return record


def who(platform, name):
    reply = platform.invoke(name, {}, "blocking=true&result=true")
    assert reply.status == 200, reply
    return reply.json["who"]


@pytest.fixture
def trouble(platform, name):
    """Deploys TROUBLE of a kind with a call before; `fresh()` tells whether the container changed since."""
    def deploy(kind, **limits):
        platform.put(name, TROUBLE[kind], kind, limits=limits)
        seen = [who(platform, name)]

        def fresh():
            seen.append(who(platform, name))
            return seen[-1] != seen[-2]
        return fresh
    return deploy


@pytest.mark.parametrize("kind", KINDS)
def test_an_application_error_keeps_the_container(platform, name, trouble, kind):
    fresh = trouble(kind)
    fails(platform, name, {"do": "error"}, "application error", "as asked")
    only = platform.invoke(name, {"do": "error"}, "blocking=true&result=true")
    assert (only.status, only.json) == (502, {"error": "as asked"})
    assert not fresh()


def test_python_that_throws(platform, name, trouble):
    fresh = trouble("python:3")
    record = fails(platform, name, {"do": "throw"}, "application error", "boom")
    assert ("stderr", "ValueError: boom") in spoken(record["logs"])
    assert not fresh()  # as with any other application error


def test_node_that_throws(platform, name, trouble):
    fresh = trouble("nodejs:18")
    fails(platform, name, {"do": "throw"}, "action developer error",
          re.compile(r"An error has occurred: .*boom", re.S))
    assert fresh()


@pytest.mark.parametrize("kind", KINDS)
def test_no_object(platform, name, trouble, kind):
    fresh = trouble(kind)
    fails(platform, name, {"do": "number"}, "action developer error",
          "The action did not return a dictionary or array.")
    assert fresh()


def test_no_result_at_all(platform, name, trouble):
    fresh = trouble("native")
    fails(platform, name, {"do": "nothing"}, "action developer error",
          re.compile("The action did not (return a dictionary or array|produce a valid)"))
    assert fresh()


@pytest.mark.parametrize("kind", ["python:3", "nodejs:18"])
def test_a_function_that_exits(platform, name, trouble, kind):
    fresh = trouble(kind)
    fails(platform, name, {"do": "exit"}, "action developer error",
          "The action did not produce a valid response and exited unexpectedly.")
    assert fresh()


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_that_hangs(platform, name, trouble, kind):
    fresh = trouble(kind, timeout=3000 * SLOW)
    started = time.monotonic()
    record = fails(platform, name, {"do": "sleep", "seconds": 60}, "action developer error",
                   f"The action exceeded its time limits of {3000 * SLOW} milliseconds.")
    assert time.monotonic() - started < 10 * SLOW
    assert by_key(record["annotations"])["timeout"] is True
    assert record["duration"] >= 3000
    assert fresh()


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_that_takes_too_much_memory(platform, name, trouble, kind):
    fresh = trouble(kind, memory=128)
    fails(platform, name, {"do": "memory"}, "action developer error",
          "The action exhausted its memory and was aborted.")
    assert fresh()


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_that_floods_its_log(platform, name, trouble, kind):
    fresh = trouble(kind, logs=1)
    reply = platform.invoke(name, {"do": "log", "lines": 40000})
    assert reply.status == 200
    logs = platform.record(reply.activation)["logs"]
    lines = spoken(logs)
    assert lines[-1] == ("stderr", "Logs were truncated because the total bytes size exceeds the limit of "
                                   "1048576 bytes.")
    assert 0.8 * (1 << 20) < sum(len(line) + 1 for line in logs) < 1.3 * (1 << 20)
    assert lines[0][1].startswith("line ")
    assert fresh()


def test_a_full_log_below_the_limit_is_whole_and_in_order(platform, name, trouble):
    trouble("python:3")
    reply = platform.invoke(name, {"do": "log", "lines": 20000})
    logs = platform.record(reply.activation)["logs"]
    assert [int(text.split()[1]) for _, text in spoken(logs)] == list(range(20000))


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_above_its_limit(platform, name, trouble, kind):
    trouble(kind)
    fails(platform, name, {"do": "big", "bytes": 3 << 20}, "application error", re.compile(
        r"The action produced a response that exceeded the allowed length: \d+ > 1048576 bytes\. "
        r"The truncated response was: "))
    assert who(platform, name)


def test_a_native_answer_of_two_gigabytes(platform, name, trouble):
    trouble("native", memory=128)
    record = fails(platform, name, {"do": "big", "bytes": 2 << 30}, "application error", re.compile(
        r"The action produced a response that exceeded the allowed length: \d+ > 1048576 bytes\."))
    assert len(record["response"]["result"]["error"]) < 3 << 20
    assert who(platform, name)


def test_code_that_does_not_load(platform, name):
    platform.put(name, "def main(a:\n    return a")
    fails(platform, name, {}, "action developer error", re.compile("."))
    platform.put(name, "def other(a):\n    return a")
    fails(platform, name, {}, "action developer error", re.compile("."))


def test_code_that_hangs_while_loading(platform, name):
    platform.put(name, "import time\ntime.sleep(30)\ndef main(a):\n    return a",
                 limits={"timeout": 1000 * SLOW})
    fails(platform, name, {}, "action developer error",
          f"The action exceeded its time limits of {1000 * SLOW} milliseconds during initialization.")


def test_others_are_not_disturbed(platform, name, trouble):
    """While one function is killed for its memory, another answers as always."""
    trouble("python:3", memory=128)
    other = name + "-other"
    platform.put(other, HELLO["python:3"])
    platform.invoke(other)
    waiting = platform.invoke(name, {"do": "memory"}, "")
    for _ in range(20):
        assert platform.invoke(other, {}, "blocking=true&result=true").status == 200
    assert platform.record(waiting.activation)["response"]["status"] == "action developer error"
    platform.request("DELETE", f"actions/{other}")


# ---- network

def test_no_network(platform, name):
    platform.put(name, "import os\ndef main(a):\n    return {'devices': sorted(os.listdir('/sys/class/net'))}",
                 annotations=[{"key": "narae.network", "value": "none"}])
    assert platform.invoke(name, {}, "blocking=true&result=true").json == {"devices": ["lo"]}


# ---- several calls in one container

@pytest.mark.parametrize("kind", ["python:3", "nodejs:18"])
def test_concurrency_in_a_container(platform, name, kind):
    platform.put(name, TROUBLE[kind], kind, limits={"concurrency": 4, "timeout": 20000})
    platform.invoke(name)
    ids = [platform.invoke(name, {"do": "sleep", "seconds": 2}, "").activation for _ in range(4)]
    records = [platform.record(i) for i in ids]
    assert all(r["response"]["success"] for r in records)
    assert max(r["start"] for r in records) < min(r["end"] for r in records), "they ran side by side"
    told = platform.request("GET", "/narae/v1/invokers", auth=platform.admin_auth).json
    mine = [c for c in told["containers"] if c["function"].endswith(f"/{name}")]
    assert len(mine) == 1, "in the one container; stems are nobody's"
