"""Logs of functions that write what they should not, as fast as they can, or when nobody called them: in every mode each line
stays with its own activation."""
import threading
import time

import pytest

from conftest import SLOW
from saying import SENTINEL, check, deploy_all

FUNCTIONS = ["python", "python-4", "nodejs", "nodejs-4", "direct", "direct-4", "loop", "loop-4", "once", "once-4",
             "relay"]
NONE = [{"key": "narae.network", "value": "none"}]


@pytest.fixture(scope="module")
def said(session_platform):
    """The functions of all modes."""
    platform = session_platform
    before = platform.request("GET", "/narae/v1/accounts/guest/limits", auth=platform.admin_auth).json
    limits = {"invocationsPerMinute": 100000, "concurrentInvocations": 100}
    assert platform.request("PUT", "/narae/v1/accounts/guest/limits", limits,
                            auth=platform.admin_auth).status == 200
    assert sorted(deploy_all(platform)) == sorted(FUNCTIONS)
    yield platform
    for name in FUNCTIONS:
        platform.request("DELETE", f"actions/{name}")
    platform.request("PUT", "/narae/v1/accounts/guest/limits",
                     {k: before[k] for k in limits if k in before}, auth=platform.admin_auth)


def call(platform, function, token, lines=20, **more):
    reply = platform.invoke(function, {"token": token, "lines": lines, **more})
    assert reply.status == 200, reply
    return platform.record(reply.activation)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_forged_ends(said, function):
    """They end nothing: what stands behind them is there, and the next call has its own lines and no other."""
    logs = call(said, function, "forger", 5000, forge=1)["logs"]
    check([line for line in logs if not line.endswith(": " + SENTINEL)], "forger", 5000)
    check(call(said, function, "next")["logs"], "next", 20)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("length", [65535, 65536, 65537, 300000])
def test_long_lines(said, function, length):
    """A line beyond 64 KB is split, and not a byte of it is lost."""
    logs = call(said, function, "tall", long=length)["logs"]
    parts = [line.split(" ", 2)[2] for line in logs if line.split(" ", 2)[2].startswith("L")]
    assert max(map(len, parts)) <= 65536 and "".join(parts) == "L" * length
    check([line for line in logs if not line.split(" ", 2)[2].startswith("L")], "tall", 20)
    check(call(said, function, "next")["logs"], "next", 20)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_ten_thousand_lines_a_second(said, function):
    """Four calls at once, each as fast as it can."""
    lines, records, threads = 20000, {}, []

    def one(token):
        records[token] = call(said, function, token, lines)

    one("first")
    for i in range(4):
        threads.append(threading.Thread(target=one, args=(f"t{i}",)))
        threads[-1].start()
    for t in threads:
        t.join()
    assert len(records) == 5
    for token, record in records.items():
        check(record["logs"], token, lines)
    own = [r for t, r in records.items() if t != "first"]
    took_s = (max(r["end"] for r in own) - min(r["start"] for r in own)) / 1000
    print(f"{function}: {4 * lines / took_s:.0f} lines/s")
    assert 4 * lines / took_s > 10000 / SLOW


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_log_limit_in_the_middle_of_a_flood(said, function):
    """10 MB, a marker line, and the next call starts anew."""
    logs = call(said, function, "flood", 30000, pad=1000)["logs"]
    assert "Logs were truncated because the total bytes size exceeds the limit of 10485760 bytes." in logs[-1]
    assert 9_000_000 < sum(map(len, logs)) < 10_600_000
    assert all(line.split(" ", 2)[2].startswith("flood ") for line in logs[:-1])
    check(call(said, function, "next")["logs"], "next", 20)


GHOSTS = {
    "python:3": """
import threading, time
state = {"over": 1}
def ghost():
    time.sleep(0.05)
    for i in range(200):
        print("ghost", i, flush=True)
    state["over"] = 1
def main(args):
    over = state["over"]
    print("call", args["token"], flush=True)
    if args.get("ghost"):
        state["over"] = 0
        threading.Thread(target=ghost).start()
    return {"over": over}
""",
    "nodejs:18": """
let over = 1
function main(args) {
    const was = over
    console.log('call', args.token)
    if (args.ghost) {
        over = 0
        setTimeout(() => {
            for (let i = 0; i < 200; i++)
                console.log('ghost', i)
            over = 1
        }, 50)
    }
    return {over: was}
}
""",
}


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("kind", GHOSTS)
def test_output_after_the_reply_belongs_to_no_call(platform, name, kind, concurrency):
    platform.put(name, GHOSTS[kind], kind=kind, annotations=NONE,
                 limits={"memory": 128, "concurrency": concurrency})
    seen = 0
    for i in range(8):
        first = platform.invoke(name, {"token": f"a{i}", "ghost": 1})
        assert first.status == 200, first
        # the ghosts come while no call runs; a call that finds them still about proves nothing
        time.sleep(0.25 * SLOW)
        second = platform.invoke(name, {"token": f"b{i}"})
        own = [line.split(" ", 2)[2] for line in platform.record(first.activation)["logs"]]
        assert own == [f"call a{i}"]
        if platform.record(second.activation)["response"]["result"]["over"]:
            seen += 1
            assert [line.split(" ", 2)[2] for line in platform.record(second.activation)["logs"]] == \
                [f"call b{i}"]
    assert seen > 0


def test_a_late_timer_of_one_call_is_not_log_of_another_that_runs(platform, name):
    """Node with several calls in one process: output belongs to the call whose code wrote it, and to none after its reply."""
    platform.put(name, """
async function main(args) {
    if (args.ghost) {
        const timer = setInterval(() => console.log('ghost'), 5)
        setTimeout(() => clearInterval(timer), 500)
        return {}
    }
    for (let i = 0; i < 40; i++) {
        console.log('own', i)
        await new Promise(r => setTimeout(r, 5))
    }
    return {}
}
""", kind="nodejs:18", annotations=NONE, limits={"memory": 128, "concurrency": 4})
    platform.invoke(name, {})
    platform.invoke(name, {"ghost": 1})
    record = platform.record(platform.invoke(name, {}).activation)
    assert [line.split(" ", 2)[2] for line in record["logs"]] == [f"own {i}" for i in range(40)]
