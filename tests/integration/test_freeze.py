"""Freezing: idle containers stand still and answer all the same."""
import pathlib
import time

import pytest

from conftest import SLOW, engine, within
from functions import ECHO, TROUBLE
from test_stems import started, status

FAST = "--freeze-after-ms=200"


def of(own, name):
    return [c for c in status(own)["containers"] if c["function"].endswith("/" + name)]


def await_frozen(own, *names):
    within(30, f"{names} are frozen",
           lambda: all(c["state"] == "frozen" for name in names for c in of(own, name)))


@pytest.mark.parametrize("kind", ["python:3", "nodejs:18", "native"])
@pytest.mark.parametrize("freezer", ["cgroup", "engine"])
def test_frozen_containers_answer(start_platform, kind, freezer):
    own = start_platform(FAST, f"--freezer={freezer}")
    own.put("echo", ECHO[kind], kind=kind)
    own.invoke("echo")
    for i in range(5):
        await_frozen(own, "echo")
        reply = own.invoke("echo", {"i": i})
        assert reply.json["response"]["result"] == {"i": i}
        assert started(own, reply) == "frozen"
        assert "thaw;dur=" in reply.headers["server-timing"]
    assert len(of(own, "echo")) == 1


def test_the_kernel_says_that_it_is_frozen(start_platform):
    own = start_platform(FAST, "--freezer=cgroup", "--stems=off")
    own.put("echo", ECHO["python:3"])
    own.invoke("echo")
    await_frozen(own, "echo")
    short = of(own, "echo")[0]["id"]
    listed = engine(f"/containers/{short}/json")
    of_pid = pathlib.Path(f"/proc/{listed['State']['Pid']}/cgroup").read_text()
    folders = {line.rsplit(":", 1)[1] for line in of_pid.splitlines() if short in line}
    folders = [root / f.lstrip("/") for f in folders for root in
               (pathlib.Path("/sys/fs/cgroup/freezer"), pathlib.Path("/sys/fs/cgroup"))]
    states = [p.read_text().strip() for f in folders for p in f.glob("freezer.state")]
    states += [p.read_text().strip() for f in folders for p in f.glob("cgroup.freeze")]
    assert states and set(states) <= {"FROZEN", "1"}
    parents = [p.read_text().strip() for f in folders for p in f.parent.glob("freezer.state")]
    assert "FROZEN" not in parents


def test_never_frozen_where_it_is_off(start_platform):
    own = start_platform(FAST, "--freezer=off")
    own.put("echo", ECHO["python:3"])
    own.invoke("echo")
    within(30, "its grace time is long over", lambda: of(own, "echo")[0]["idle_ms"] > 1000)
    assert of(own, "echo")[0]["state"] == "idle"


def test_a_stop_with_frozen_containers_is_quick_and_whole(start_platform):
    own = start_platform(FAST)
    for i in range(4):
        own.put(f"echo{i}", ECHO["python:3"])
        own.invoke(f"echo{i}")
    await_frozen(own, *(f"echo{i}" for i in range(4)))
    begun = time.monotonic()
    own.stop()  # asserts that nothing is left
    assert time.monotonic() - begun < 20 * SLOW


def test_an_update_ends_a_frozen_container(start_platform):
    own = start_platform(FAST)
    own.put("who", TROUBLE["python:3"])
    first = own.invoke("who").json["response"]["result"]["who"]
    await_frozen(own, "who")
    own.put("who", TROUBLE["python:3"])
    within(30, "the old one is gone", lambda: not any(c["state"] == "frozen" for c in of(own, "who")))
    assert own.invoke("who").json["response"]["result"]["who"] != first
