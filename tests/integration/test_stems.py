"""Stems: first calls that are answered by a container that was there already, seen from outside."""
import json

import pytest

from conftest import within
from functions import HELLO, TROUBLE

KINDS = ["python:3", "nodejs:18", "native"]


def status(own):
    return own.request("GET", "/narae/v1/invokers", auth=own.admin_auth).json


def shelves(own):
    answer = status(own)
    return answer["stems"]


def ready(own, at_least=None):
    """Every shelf is full; or as full as is asked for by kind."""
    def full():
        now = shelves(own)
        return now and all(s["ready"] >= max(s["wanted"], (at_least or {}).get(s["kind"], 0))
                           for s in now)
    within(60, "stems are ready", full)


def started(own, reply):
    """How the container of the call was found: "warm", "frozen", "stem", "cold"."""
    return reply.headers["server-timing"].split('desc="')[1].split('"')[0].split(":")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_call_takes_a_stem_and_the_next_one_is_warm(start_platform, kind):
    own = start_platform()
    ready(own)
    own.put("hello", HELLO[kind], kind=kind)
    before = set(own.containers())
    first = own.invoke("hello", {"name": "stem"})
    assert first.json["response"]["result"] == {"greeting": "Hello, stem!"}
    assert started(own, first) == "stem"
    of_hello = lambda: [c for c in status(own)["containers"] if c["function"].endswith("/hello")]
    within(30, "its call is over for the platform too", lambda: [c["calls"] for c in of_hello()] == [0])
    assert started(own, own.invoke("hello")) == "warm"
    listed = of_hello()
    assert [c["start"] for c in listed] == ["stem"]
    assert any(i.startswith(listed[0]["id"]) for i in before)
    ready(own)


def test_memory_is_what_the_function_has(start_platform):
    code = """
def main(args):
    held = bytearray(args["mb"] << 20)
    return {"held": len(held) >> 20}
"""
    own = start_platform()
    ready(own)
    own.put("large", code, limits={"memory": 256})
    reply = own.invoke("large", {"mb": 180})
    assert started(own, reply) == "stem"
    assert reply.json["response"]["result"] == {"held": 180}
    ready(own)
    own.put("small", code, limits={"memory": 128})
    reply = own.invoke("small", {"mb": 180})
    assert started(own, reply) == "stem"
    assert reply.status == 502


def test_node_takes_a_stem_of_a_smaller_class_and_then_has_its_own(start_platform):
    own = start_platform()
    ready(own)
    own.put("large", HELLO["nodejs:18"], kind="nodejs:18", limits={"memory": 512})
    assert started(own, own.invoke("large")) == "stem"
    within(60, "a shelf of its class is full",
           lambda: any(s["kind"] == "nodejs:18" and s["memory_mb"] == 512 and s["ready"]
                       for s in shelves(own)))
    own.put("small", HELLO["nodejs:18"], kind="nodejs:18", limits={"memory": 128})
    assert started(own, own.invoke("small")) == "cold"  # V8's heap is never made smaller


def test_without_stems_a_first_call_is_cold(start_platform):
    own = start_platform("--stems=off")
    own.put("hello", HELLO["python:3"])
    assert started(own, own.invoke("hello")) == "cold"
    assert shelves(own) == []


def test_a_list_says_how_many(start_platform):
    own = start_platform("--stems=python:3=3")
    within(60, "three stems", lambda: [s for s in shelves(own)
                                       if s["kind"] == "python:3" and s["ready"] == 3])
    own.put("hello", HELLO["native"], kind="native")
    assert started(own, own.invoke("hello")) == "cold"


def test_a_list_that_is_wrong_is_told(new_platform):
    own = new_platform("--stems=cobol=1")
    own.spawn()
    assert own.wait(30) != 0
    assert "there is no runtime 'cobol'" in own.said()
    own.process = None


def test_a_container_is_never_used_by_two_functions(start_platform):
    own = start_platform()
    seen = set()
    for i in range(6):
        ready(own)
        own.put(f"who{i}", TROUBLE["python:3"])
        reply = own.invoke(f"who{i}")
        assert reply.status == 200
        mine = [c["id"] for c in status(own)["containers"] if c["function"].endswith(f"/who{i}")]
        assert len(mine) == 1 and mine[0] not in seen
        seen |= set(mine)


def test_a_tenant_reads_what_this_host_can_and_not_what_others_do(start_platform):
    """Nothing of stems, of the host's use, of others' containers and memory; the administrator reads all of it."""
    own = start_platform()
    ready(own)
    body = {"exec": {"kind": "python:3", "code": TROUBLE["python:3"]}, "limits": {"memory": 128}}
    assert own.request("PUT", "actions/his", body, auth=own.admin_auth).status == 200
    assert own.request("POST", "actions/his?blocking=true", {}, auth=own.admin_auth).status == 200
    own.put("mine", TROUBLE["python:3"], limits={"memory": 192})
    assert own.invoke("mine").status == 200
    within(30, "the host was looked at", lambda: "host" in own.request("GET", "/narae/v1/invokers", auth=own.admin_auth).json)
    guest, admin = (own.request("GET", "/narae/v1/invokers", auth=auth).json for auth in (own.auth, own.admin_auth))
    assert [c["function"] for c in guest["containers"]] == ["guest/mine"], json.dumps(guest["containers"])
    assert guest["memory_used_mb"] == 192 < admin["memory_used_mb"]
    assert sum(guest["containers_by_state"].values()) == 1 < sum(admin["containers_by_state"].values())
    hidden = {"host", "stems", "network", "started", "ended", "gpus"}
    assert not hidden & set(guest) and hidden - {"network", "gpus"} <= set(admin), (sorted(guest), sorted(admin))
    assert guest["capabilities"] == admin["capabilities"] and guest["choices"] == admin["choices"]
