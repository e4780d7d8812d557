"""Execution settings: what is accepted, what is refused and how, and that the container has exactly what was asked for."""
import json

import pytest
from conftest import engine

LOOK = """
import os
def read(*paths):
    for path in paths:
        try:
            with open(path) as f:
                return f.read().split()
        except OSError:
            pass
def main(args):
    return {
        "memory": read("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        "quota": read("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        "weight": read("/sys/fs/cgroup/cpu.weight", "/sys/fs/cgroup/cpu/cpu.shares"),
        "environment": dict(os.environ)}
"""


def put(platform, name, annotations=None, limits=None, code=LOOK):
    body = {"exec": {"kind": "python:3", "code": code},
            "annotations": [{"key": k, "value": v} for k, v in (annotations or {}).items()]}
    if limits:
        body["limits"] = limits
    return platform.request("PUT", f"actions/{name}?overwrite=true", body)


def limits_of(platform, name):
    """What the Engine says of the function's containers."""
    status = platform.request("GET", "/narae/v1/invokers").json
    mine = [c for c in status["containers"] if c["function"].endswith("/" + name)]
    return [engine(f"/containers/{c['id']}/json")["HostConfig"] for c in mine if c["id"]]


def invoke(platform, name):
    reply = platform.invoke(name, {}, "blocking=true&result=true")
    assert reply.status == 200, reply
    return reply.json


@pytest.mark.parametrize("asked,given", [(64, 64), (65, 128), (96, 128), (100, 128), (128, 128), (256, 256)])
def test_memory_is_rounded_up_to_the_step_and_is_the_limit(platform, name, asked, given):
    reply = put(platform, name, limits={"memory": asked})
    assert reply.status == 200 and reply.json["limits"]["memory"] == asked
    assert invoke(platform, name)["memory"] == [str(given << 20)]


def test_memory_ends_at_the_node(platform, name):
    most = platform.request("GET", "limits").json["maxActionMemory"]
    assert put(platform, name, limits={"memory": most}).status == 200
    for value, text in ((most + 1, f"{most + 1} MB exceeds allowed threshold of {most} MB"),
                        (most + 64, "exceeds"), (63, "63 MB below allowed threshold of 64 MB"), (0, "below"), (-1, "below")):
        reply = put(platform, name, limits={"memory": value})
        assert reply.status == 400 and text in reply.error, reply


@pytest.mark.parametrize("limits,text", [
    ({"timeout": 99}, "duration 99 milliseconds below allowed threshold of 100 milliseconds"),
    ({"timeout": 600001}, "exceeds allowed threshold of 600000 milliseconds"),
    ({"logs": 11}, "log size 11 MB exceeds allowed threshold of 10 MB"), ({"logs": -1}, "below"),
    ({"concurrency": 0}, "concurrency 0 below allowed threshold of 1"), ({"concurrency": 65}, "exceeds allowed threshold of 64"),
    ({"memory": "256"}, "'memory' must be an integer"), ({"memory": 256.5}, "'memory' must be an integer")])
def test_limits_tell_their_range(platform, name, limits, text):
    reply = put(platform, name, limits=limits)
    assert reply.status == 400 and text in reply.error, reply


def test_a_cap_and_a_weight_are_the_containers(platform, name):
    """Whatever it is made from, a stem or the Engine's create."""
    assert put(platform, name, {"narae.cpus": 0.5, "narae.cpu_share": 2048}).status == 200
    seen = invoke(platform, name)
    assert [(h["NanoCpus"], h["CpuShares"]) for h in limits_of(platform, name)] == [(500000000, 2048)]
    assert seen["quota"][0] == "50000", seen
    assert int(seen["weight"][0]) in (2048, 79), seen  # v1; v2 has weights of its own


def test_memory_alone_is_a_weight_and_no_cap(platform, name):
    """On an idle host memory changes no speed."""
    for memory in (128, 512):
        assert put(platform, name, limits={"memory": memory}).status == 200
        seen = invoke(platform, name)
        assert all(h["NanoCpus"] == 0 and h["CpuQuota"] == 0 for h in limits_of(platform, name))
        assert seen["quota"][0] in ("-1", "max"), seen
        assert int(seen["weight"][0]) in (4 * memory, (1 + (4 * memory - 2) * 9999 // 262142)), seen


@pytest.mark.parametrize("annotations,text", [
    ({"narae.cpus": 0.04}, "from 0.05"), ({"narae.cpus": "1"}, "must be a number"),
    ({"narae.cpus": 100000}, "exceeds the cores of this node"),
    ({"narae.cpu_share": 1}, "from 2 to 262144"), ({"narae.cpu_share": 262145}, "from 2 to 262144"),
    ({"narae.gpu": {"count": 1}}, "exceeds the GPUs of this node: 0 available"),
    ({"narae.gpu": {"count": -1}}, "below allowed threshold of 0"),
    ({"narae.gpu": {"memory_mb": 300}}, "the nearest are 256 and 512"),
    ({"narae.gpu": {"percentage": 101}}, "exceeds allowed threshold of 100"),
    ({"narae.gpu": {"gpus": 1}}, "knows count, memory_mb and percentage"),
    ({"narae.network": "some"}, "'egress' or 'none'")])
def test_settings_are_judged_at_deploy(platform, name, annotations, text):
    assert put(platform, name, code="def main(args):\n    return {'kept': 1}\n").status == 200
    reply = put(platform, name, annotations)
    assert reply.status == 400 and text in reply.error, reply
    assert invoke(platform, name) == {"kept": 1}


def test_nothing_of_a_gpu_is_accepted_everywhere(platform, name):
    assert put(platform, name, {"narae.gpu": {"count": 0}}).status == 200
    assert invoke(platform, name)["memory"]


def test_an_update_keeps_settings_and_deletes_them_by_name(platform, name):
    assert put(platform, name, {"narae.cpus": 1}).status == 200
    reply = platform.request("PUT", f"actions/{name}?overwrite=true", {"limits": {"memory": 128}})
    assert {"key": "narae.cpus", "value": 1} in reply.json["annotations"]
    reply = platform.request("PUT", f"actions/{name}?overwrite=true", {"delAnnotations": ["narae.cpus"]})
    assert reply.status == 200 and "narae.cpus" not in json.dumps(reply.json["annotations"])
    invoke(platform, name)
    assert [h["NanoCpus"] for h in limits_of(platform, name)] == [0]


@pytest.mark.parametrize("memory,text", [(96, "the nearest are 64 and 128"), (1000, "the nearest are 960 and 1024"), (63, "below"),
                                         (128, None)])
def test_an_update_of_ours_takes_steps_only(platform, name, memory, text):
    """/narae/v1 knows no other memory than a container can have."""
    assert put(platform, name).status == 200
    path = f"/narae/v1/functions/{name}/update"
    assert platform.request("POST", path, {}).status == 200
    reply = platform.request("POST", path + "/commit", {"limits": {"memory": memory}})
    assert reply.status == (400 if text else 200) and (text is None or text in reply.error), reply
    if text:
        assert platform.request("POST", path + "/abort").status == 200
    assert platform.request("GET", f"actions/{name}").json["limits"]["memory"] == (256 if text else memory)
