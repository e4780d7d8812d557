"""How a call started, why it was not warm, and where its time went: in its record, in its reply's headers, in the metrics."""
import os
import re
import time

import pytest

from conftest import SLOW, within
from functions import HELLO, TROUBLE
from registry import docker, make_image

STAGES = ["queue", "network", "create", "start", "handover", "thaw", "init"]
METRIC = re.compile(r'([a-z]+)(?:;dur=(\d+\.\d{3}))?(?:;desc="([^"]*)")?')


def timing(reply):
    """Server-Timing as {name: (milliseconds, description)}; its grammar is checked."""
    parts = reply.headers["server-timing"].split(", ")
    if parts[-1].count('"') == 1:  # a comma in the description
        parts[-2:] = [", ".join(parts[-2:])]
    found = {}
    for part in parts:
        name, dur, desc = METRIC.fullmatch(part).groups()
        assert name not in found
        found[name] = (float(dur), desc)
    names = list(found)
    assert names[-1] == "total" and [n for n in STAGES if n in names] == [n for n in names if n in STAGES]
    return found


def put(platform, name, code):
    """Without a network: a start is then nothing but the container's."""
    platform.put(name, code, annotations=[{"key": "narae.network", "value": "none"}])


def notes(record):
    return {a["key"]: a["value"] for a in record["annotations"]}


def counted(platform, line):
    """The metrics once they have this line; calls are counted after their answer."""
    text = platform.request("GET", "/metrics", auth=None).body.decode()
    return text if line in text else None


def told(platform, name, parameters=None, kind=None, cold=None):
    """Calls; checks that header, record and clock agree, and returns the notes and the timing."""
    began = time.monotonic()
    reply = platform.invoke(name, parameters or {})
    took_ms = 1000 * (time.monotonic() - began)
    assert reply.status == 200, reply
    note, header = notes(reply.json), timing(reply)
    stages = note.get("narae.stages", {})
    assert all(us > 0 for us in stages.values())
    assert {k[:-3]: us / 1000 for k, us in stages.items()} == \
        {k: header[k][0] for k in header if k in STAGES}
    parts = sum(header[k][0] for k in header if k != "total")
    assert parts <= header["total"][0] + 0.01, "stages overlap or were not this call's"
    assert header["total"][0] <= took_ms
    assert header["total"][1].split(":")[0] == note["narae.start"]
    assert ("initTime" in note) == ("init" in header)
    if kind is not None:
        assert note["narae.start"] == kind, (note, header)
    if note["narae.start"] in ("stem", "cold"):
        assert note["narae.cold"] in header["total"][1]
        assert parts >= min(0.5 * header["total"][0], header["total"][0] - 5), "most of a start is told, but for some milliseconds"
    else:
        assert "narae.cold" not in note and "narae.stem_empty" not in note
    if cold is not None:
        assert note["narae.cold"] == cold
    return note, header


@pytest.fixture
def plain(start_platform):
    """A platform without stem cells that never freezes: what is not warm is cold."""
    return lambda *more: start_platform("--stems=off", "--freezer=off", *more)


def test_cold_then_warm(plain):
    own = plain()
    put(own, "f", HELLO["python:3"])
    _, header = told(own, "f", kind="cold", cold="first call")
    assert {"create", "start", "init", "run"} <= set(header)
    note, header = told(own, "f", kind="warm")
    assert set(header) - {"queue"} == {"run", "total"}, "it may have waited for the end of the call before"
    assert ("narae.stages" in note) == ("queue" in header)
    text = within(5, "both are counted", lambda: counted(own, 'narae_starts_total{kind="warm"} 1\n'))
    assert 'narae_starts_total{kind="cold"} 1\n' in text
    assert 'narae_cold_starts_total{cause="first call"} 1\n' in text
    for stage in ("create", "start", "init"):
        assert f'narae_start_stage_seconds_count{{stage="{stage}",cause="first call"}} 1\n' in text
    assert 'stage="thaw"' not in text


def test_an_update_is_told(plain):
    own = plain()
    put(own, "f", HELLO["python:3"])
    told(own, "f", kind="cold", cold="first call")
    put(own, "f", HELLO["python:3"] + "\n# changed\n")
    told(own, "f", kind="cold", cold="updated")


def test_a_new_version_was_not_updated(plain):
    own = plain()
    for code in ("1", "2"):
        put(own, "f", HELLO["python:3"] + f"\n# {code}\n")
        reply = own.request("POST", "/narae/v1/functions/f/versions")
        assert reply.status in (200, 201), reply
    for version in ("2", "1"):
        called = own.invoke("f", {}, f"blocking=true&version={version}")
        assert called.status == 200 and notes(called.json)["narae.cold"] == "first call"
    told(own, "f", kind="cold", cold="updated")  # LATEST, which is no version


def test_a_crash_is_told(plain):
    own = plain()
    put(own, "f", TROUBLE["python:3"])
    told(own, "f", kind="cold", cold="first call")
    crashed = own.invoke("f", {"do": "exit"})
    assert crashed.status == 502
    told(own, "f", kind="cold", cold="crashed")


def test_an_eviction_is_told(plain):
    own = plain("--memory-mb=300")
    for name in ("a", "b"):
        put(own, name, HELLO["python:3"])
    told(own, "a", kind="cold", cold="first call")
    told(own, "b", kind="cold", cold="first call")  # there is room for one
    note, _ = told(own, "a", kind="cold", cold="evicted")
    assert note["narae.stages"]["queue_us"] > 0, "it waited for the room"


def test_scale_out_is_told(plain):
    own = plain()
    put(own, "f", TROUBLE["python:3"])
    told(own, "f", kind="cold", cold="first call")
    slow = own.invoke("f", {"do": "sleep", "seconds": 8 * SLOW}, "blocking=false")
    within(10, "it runs", lambda: own.metric("narae_running_activations") == 1)
    told(own, "f", kind="cold", cold="scale-out")
    assert notes(own.record(slow.activation))["narae.start"] == "warm"


def test_a_wait_for_a_warm_container_is_told(plain):
    own = plain("--memory-mb=300")
    put(own, "f", TROUBLE["python:3"])
    told(own, "f", kind="cold")
    own.invoke("f", {"do": "sleep", "seconds": 1}, "blocking=false")
    within(10, "it runs", lambda: own.metric("narae_running_activations") == 1)
    note, header = told(own, "f", kind="warm")  # there is room for one
    assert note["waitTime"] >= 500 and header["queue"][0] >= 500


def test_accepted_is_told(plain):
    own = plain()
    put(own, "f", HELLO["python:3"])
    reply = own.invoke("f", {}, "blocking=false")
    assert reply.status == 202
    assert set(timing(reply)) == {"total"} and timing(reply)["total"][1] is None
    assert notes(own.record(reply.activation))["narae.start"] == "cold"
    put(own, "s", TROUBLE["python:3"])
    own.invoke("s")
    reply = own.invoke("s", {"do": "sleep", "seconds": 1}, "blocking=true&timeout=200")
    assert reply.status == 202
    assert set(timing(reply)) == {"total"}
    assert timing(reply)["total"][0] >= 200 and timing(reply)["total"][1] == "warm"


def test_a_call_that_was_given_no_container(plain):
    """Its container never came up: its start is `none`, not `warm`."""
    own = plain()
    image = make_image(f"narae-test/told-{os.getpid()}:1", "told")
    reply = own.request("PUT", "actions/f?overwrite=true", {"exec": {"kind": "blackbox", "image": image}})
    docker("image", "rm", "-f", image)
    assert reply.status == 200, reply
    reply = own.invoke("f")
    assert reply.status >= 500, reply
    note = notes(own.record(reply.activation))
    assert note["narae.start"] == "none" and "narae.cold" not in note and "initTime" not in note
    assert set(timing(reply)) == {"total"}


def test_refusals_tell_no_timing(platform):
    reply = platform.invoke("there-is-no-such-function")
    assert reply.status == 404 and "server-timing" not in reply.headers


def test_stem(start_platform):
    own = start_platform("--stems=python:3=1", "--freezer=off")
    put(own, "f", HELLO["python:3"])
    own.invoke("f")  # from now on there are stems without a network
    ready = lambda: [s["ready"] for s in own.request("GET", "/narae/v1/invokers", auth=own.admin_auth).json["stems"]
                     if (s["kind"], s["network"]) == ("python:3", "none")]
    within(60, "the stem is ready", lambda: ready() == [1])
    put(own, "g", HELLO["python:3"])
    note, header = told(own, "g", kind="stem", cold="first call")
    assert {"handover", "init"} <= set(header) and "create" not in header and "start" not in header
    assert note["narae.stages"]["handover_us"] > 0
    told(own, "g", kind="warm")


def test_stem_empty(start_platform):
    """More first calls at once than there are stems: the others say that none was ready."""
    own = start_platform("--stems=python:3=1", "--freezer=off")
    names = [f"f{i}" for i in range(3)]
    for name in names:
        put(own, name, HELLO["python:3"])
    calls = [own.invoke(name, {}, "blocking=false").activation for name in names]
    found = [notes(own.record(call)) for call in calls]
    assert any(n["narae.start"] == "cold" and n.get("narae.stem_empty") is True for n in found), found


def test_frozen(start_platform):
    own = start_platform("--stems=off", "--freeze-after-ms=100")
    put(own, "f", HELLO["python:3"])
    told(own, "f", kind="cold")
    within(20, "it is frozen",
           lambda: counted(own, 'narae_containers{state="frozen"} 1\n'))
    note, header = told(own, "f", kind="frozen")
    assert set(header) <= {"thaw", "run", "total"}, header
    within(5, "it is counted", lambda: counted(own, 'narae_starts_total{kind="frozen"} 1\n'))
