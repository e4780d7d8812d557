"""GPUs on a declared inventory: who gets which, who waits, what a kill leaves, and what an Engine without a driver says."""
import json
import os
import signal
import stat
import threading

import pytest
from conftest import engine, within

SLEEP = """
import os, time
def main(args):
    time.sleep(args.get("seconds", 0))
    return {"environment": {k: v for k, v in os.environ.items() if k.startswith("CUDA")}}
"""
COUNTED = "--gpus=a0:4096:none,a1:8192:none"


def put(platform, name, gpu, **more):
    body = {"exec": {"kind": "python:3", "code": SLEEP}, "annotations": [{"key": "narae.gpu", "value": gpu}], **more}
    reply = platform.request("PUT", f"actions/{name}?overwrite=true", body)
    assert reply.status == 200, reply


def status(platform):
    told = platform.request("GET", "/narae/v1/invokers", auth=platform.admin_auth).json
    return told


def held(platform):
    return {g["name"]: (g["whole"], g["memory_used_mb"], g["percentage_used"], g["holders"]) for g in status(platform)["gpus"]}


NOTHING = (False, 0, 0, 0)


def labels(platform):
    return sorted(engine(f"/containers/{c}/json")["Config"]["Labels"].get("narae.gpu", "") for c in platform.containers())


class Call(threading.Thread):
    """A blocking call on its way; `reply` once it is over."""

    def __init__(self, platform, name, seconds):
        super().__init__()
        self.reply = None
        self.ask = lambda: platform.invoke(name, {"seconds": seconds}, "blocking=true&result=true")
        self.start()

    def run(self):
        self.reply = self.ask()


def test_a_third_call_waits_for_one_of_two(start_platform):
    own = start_platform(COUNTED, "--stems=off")
    assert status(own)["gpu_share"] == "advisory"
    put(own, "one", {"count": 1})
    calls = [Call(own, "one", 3) for _ in range(2)]
    within(30, "both GPUs are held", lambda: all(g[0] for g in held(own).values()))
    third = Call(own, "one", 0)
    within(30, "the third call waits", lambda: status(own)["waiting"] == 1 or third.reply)
    assert len(own.containers()) == 2 and labels(own) == ["a0;0;0", "a1;0;0"]
    for call in [*calls, third]:
        call.join()
        assert call.reply.status == 200, call.reply
    assert len(own.containers()) == 2
    # another function needs both: idle holders go
    put(own, "both", {"count": 2})
    reply = own.invoke("both", {}, "blocking=true&result=true")
    assert reply.status == 200, reply
    assert labels(own) == ["a0,a1;0;0"]
    own.request("DELETE", "actions/both")
    within(30, "nothing is held", lambda: set(held(own).values()) == {NOTHING})


def test_shares_pack_one_device_and_one_more_waits(start_platform):
    own = start_platform("--gpus=a0:4096:none", "--stems=off", "--freeze-after-ms=1")
    for name, gpu in (("sixty", {"percentage": 60, "memory_mb": 1024}), ("forty", {"percentage": 40}),
                      ("one", {"percentage": 1}), ("large", {"memory_mb": 3072}), ("larger", {"memory_mb": 3328})):
        put(own, name, gpu)
    calls = [Call(own, "sixty", 3), Call(own, "forty", 3)]
    within(30, "the device is full", lambda: held(own)["a0"] == (False, 1024, 100, 2))
    waits = Call(own, "one", 0)
    within(30, "the call with one more waits", lambda: status(own)["waiting"] == 1 or waits.reply)
    assert held(own)["a0"][2] == 100
    for call in [*calls, waits]:
        call.join()
        assert call.reply.status == 200, call.reply
    assert calls[0].reply.json["environment"] == {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "60",
                                                  "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=1024M"}
    assert not any(c["frozen"] for c in status(own)["containers"])
    # memory alone: what fits beside 1024 MB leaves its holder alone, what does not makes it go
    calls = [Call(own, "sixty", 2)]
    within(30, "it is held again", lambda: held(own)["a0"][1] >= 1024)
    assert own.invoke("large", {}, "blocking=true&result=true").status == 200
    calls[0].join()
    assert held(own)["a0"][1] == 4096
    assert own.invoke("larger", {}, "blocking=true&result=true").status == 200
    assert held(own)["a0"][1] <= 4096


def end(platform):
    """A stop that leaves containers behind."""
    platform.process.send_signal(signal.SIGTERM)
    assert platform.wait() == 0


def test_a_kill_leaves_nothing_held_for_ever(start_platform):
    own = start_platform(COUNTED, "--stems=off", "--keep-containers")
    put(own, "idle", {"count": 1})
    put(own, "busy", {"memory_mb": 2048})
    assert own.invoke("idle").status == 200
    call = threading.Thread(target=lambda: pytest.raises(OSError, own.invoke, "busy", {"seconds": 60}))
    call.start()
    within(30, "both hold", lambda: sum(g[3] for g in held(own).values()) == 2)
    before = held(own)
    own.process.send_signal(signal.SIGKILL)
    own.process.wait()
    call.join()
    own.start()
    # what is adopted holds on, what was busy is removed and gives back; nobody is given more than there is meanwhile
    within(60, "the idle one is adopted and the busy one gone", lambda: len(own.containers()) == 1)
    within(30, "its share is back", lambda: sorted(held(own).values()) == sorted([NOTHING, (True, *before["a0"][1:])]))
    assert own.invoke("idle").status == 200
    end(own)
    own.start("--gpus=b0:4096:none")
    assert held(own) == {"b0": NOTHING}
    reply = own.request("PUT", "actions/two?overwrite=true", {"exec": {"kind": "python:3", "code": SLEEP},
                        "annotations": [{"key": "narae.gpu", "value": {"count": 2}}]})
    assert reply.status == 400 and "1 available" in reply.error, reply
    assert own.invoke("idle").status == 200 and held(own)["b0"][0]
    end(own)
    own.start("--gpus=none")
    reply = own.invoke("idle")
    assert reply.status in (500, 502, 503) and b"does not have them any more" in reply.body, reply
    end(own)


def test_an_engine_without_a_driver_is_a_clear_answer(start_platform):
    """The Engine makes the container and cannot start it; the container goes."""
    own = start_platform("--gpus=GPU-0:4096", "--stems=off")
    put(own, "f", {"count": 1, "percentage": 50})
    reply = own.invoke("f")
    assert reply.status >= 500 and b"no driver that gives one to a container" in reply.body, reply
    within(30, "its container is removed and nothing held", lambda: own.containers() == [] and held(own) == {"GPU-0": NOTHING})
    assert own.request("DELETE", "actions/f").status == 200


def test_the_driver_is_asked_where_there_is_one(new_platform, tmp_path, monkeypatch):
    """A tool with the driver's name that answers as the driver's does."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\n[ "$*" = "--query-gpu=uuid,memory.total --format=csv,noheader,nounits" ] || exit 9\n'
                    'printf "GPU-aa, 40960\\nGPU-bb, 81920\\n"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    own = new_platform("--stems=off").start()
    assert {g["name"]: (g["memory_mb"], g["driver"]) for g in status(own)["gpus"]} == {
        "GPU-aa": (40960, "nvidia"), "GPU-bb": (81920, "nvidia")}


@pytest.mark.parametrize("text", ["a0", "a0:x", "a0:1,a0:2", "a0:1:rocm"])
def test_a_wrong_inventory_ends_the_start_with_a_sentence(new_platform, text):
    own = new_platform()
    own.spawn("--gpus=" + text)
    assert own.wait(30) == 1
    assert "--gpus" in own.said() and json.dumps(text.split(",")[-1])[1:-1].split(":")[0] in own.said()
