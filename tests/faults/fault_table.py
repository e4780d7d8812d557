"""The faults, one small function each: what is done, what the calls that meet it must answer, what must be true at once.

What must be true of every one of them afterwards stands in run_fault(): calls in time, somebody else's warm calls undisturbed, new
functions usable, nothing left over within 30 s.
"""
import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time
from typing import Callable, NamedTuple

from conftest import DOCKER, SLOW, within
from engines import ROOT, image
from proxy import NONSENSE
from fault_world import DEVELOPER, INTERNAL, OK, START_S, TIMEOUT_S, Bystander

FAILED = (DEVELOPER, INTERNAL)


class Fault(NamedTuple):
    name: str
    where: str  # kind of world
    run: Callable
    others: bool = True  # somebody else's warm calls go on undisturbed
    short: bool = True  # also in scripts/test, one round


# ---- the Engine

def engine_stopped(w):
    met = w.busy(w.warm)
    w.engine.stop()
    w.cold().check([INTERNAL])
    met.check([OK])
    w.engine.start()


def engine_killed(w):
    met = w.busy(w.warm)
    w.engine.kill()
    w.cold().check([INTERNAL])
    met.check([OK])
    w.engine.start()


def engine_killed_while_it_starts(w):
    calls = [w.cold() for _ in range(4)]
    time.sleep(random.uniform(0, 0.3))  # anywhere in create and start
    w.engine.kill()
    w.engine.start()
    for call in calls:
        call.check([OK, *FAILED])


def engine_frozen(w):
    met = w.busy(w.warm)
    w.engine.signal(signal.SIGSTOP)
    try:
        cold = w.cold()
        met.check([OK])
        cold.check([INTERNAL])
    finally:
        w.engine.signal(signal.SIGCONT)


def engine_restarted_with_live_restore(w):
    met = w.busy(w.warm)
    w.engine.stop()
    cold = w.cold()
    w.engine.start()
    met.check([OK])
    cold.check([OK, INTERNAL])


def engine_restarted_without_live_restore(w):
    """All containers die with it: calls learn so at once, everything comes back."""
    w.engine.stop()
    w.engine.start(live_restore=False)
    w.call_all()
    met = w.busy(w.warm)
    w.engine.stop()
    met.check(FAILED)
    w.engine.start()
    w.call_all()


def engine_slow(w):
    w.proxy.mode, w.proxy.delay = "slow", 2.0 * SLOW
    met = w.busy(w.warm)
    w.cold().check([OK])
    met.check([OK])
    w.proxy.mode = ""


def engine_silent(w):
    """It takes every request and answers none."""
    met = w.busy(w.warm)
    w.proxy.mode = "silent"
    cold = w.cold()
    met.check([OK])
    cold.check([INTERNAL])
    w.proxy.mode = ""


def nonsense(kind):
    def engine_answers_nonsense(w):
        met = w.busy(w.warm)
        w.proxy.mode = kind
        w.cold().check([INTERNAL])
        met.check([OK])
        w.proxy.mode = ""
    return engine_answers_nonsense


# ---- one container, from outside

def container_killed_while_it_runs(w):
    name = w.function()
    met = w.busy(name)
    w.ask(f"/containers/{w.container_of(name)}/kill", "POST")
    met.check(FAILED)
    w.call(name).check([OK])


def container_killed_while_idle(w):
    name = w.function()
    w.call(name).check([OK])
    w.ask(f"/containers/{w.container_of(name)}/kill", "POST")
    w.call(name).check([OK])


def container_removed_while_it_runs(w):
    name = w.function()
    met = w.busy(name)
    w.ask(f"/containers/{w.container_of(name)}?force=1", "DELETE")
    met.check(FAILED)
    w.call(name).check([OK])


def container_removed_while_idle(w):
    name = w.function()
    w.call(name).check([OK])
    w.ask(f"/containers/{w.container_of(name)}?force=1", "DELETE")
    w.call(name).check([OK])


# ---- what a function does to itself

def memory_of_the_worker(w):
    name = w.function(memory=128)
    w.call(name).check([OK])
    w.call(name, do="memory").check([DEVELOPER])
    w.call(name).check([OK])


def memory_of_the_agent(w):
    """The kernel takes process 1 of the container: it is told to, and what fills the memory belongs to no process."""
    name = w.function(memory=64)
    w.call(name).check([OK])
    agent = w.ask(f"/containers/{w.container_of(name)}/json")["State"]["Pid"]
    pathlib.Path(f"/proc/{agent}/oom_score_adj").write_text("1000")
    filled = w.call(name, do="fill", folder="/tmp", bytes=64 << 20)
    filled.check([DEVELOPER])
    assert "exhausted its memory" in filled.result().json["response"]["result"]["error"], filled.result()
    within(30, "the agent is gone", lambda: not pathlib.Path(f"/proc/{agent}/exe").exists())
    w.call(name).check([OK])


def fork_bomb(w):
    name = w.function()
    call = w.call(name, do="bomb")
    call.check([OK, *FAILED])
    if call.status() == OK:
        assert call.result().json["response"]["result"]["processes"] <= 256
    w.call(name).check([OK, *FAILED])
    w.platform.request("DELETE", f"actions/{name}")


def fills(folder, most_bytes):
    def disk_full(w):
        name = w.function(memory=256)
        call = w.call(name, do="fill", folder=folder, bytes=4 << 30)
        call.check([OK, DEVELOPER])  # the folder was full first, or the memory
        result = call.result().json["response"]["result"]
        assert "error" in result or result["errno"] == 28 and result["bytes"] <= most_bytes, result
        w.call(name).check([OK, *FAILED])
    return disk_full


def inodes_used_up(w):
    name = w.function(memory=256)
    call = w.call(name, do="inodes", folder="/tmp")
    call.check([OK])
    result = call.result().json["response"]["result"]
    assert result["errno"] == 28 and result["files"] <= 16384, result
    w.call(name).check([OK])


def log_flood(w):
    name = w.function(logs=1)
    call = w.call(name, do="log", lines=40000)
    call.check([OK, *FAILED])
    record = w.platform.record(call.result().json["activationId"])
    assert sum(len(line) for line in record["logs"]) <= 2 << 20
    w.call(name).check([OK])


def deaf_to_signals(w):
    name = w.function()
    call = w.call(name, do="deaf")
    call.check([DEVELOPER])
    assert "exceeded its time limits" in call.result().json["response"]["result"]["error"]
    w.call(name).check([OK])


# ---- an own image whose server answers wrongly

HOSTILE_TIMEOUT_S, HOSTILE_AT_ONCE = 2, 4
# The server's behaviours by name (tests/contract/runtimes has more of them, each against the agent alone), and what its caller is told.
HOSTILE = {
    "half a header": DEVELOPER,
    "half a header, then nothing": DEVELOPER,
    "length too long": DEVELOPER,
    "length too short": DEVELOPER,
    "length negative": DEVELOPER,
    "length beyond 64 bits": DEVELOPER,
    "two lengths": DEVELOPER,
    "endless body": DEVELOPER,
    "endless chunks": DEVELOPER,
    "early close": DEVELOPER,
    "reset": DEVELOPER,
    "huge header": DEVELOPER,
    "garbage": DEVELOPER,
    "two replies": OK,
    "no HTTP": DEVELOPER,
    "never": DEVELOPER,
}


def hostile_image():
    server = ROOT / "tests/contract/runtimes/functions/hostile.py"
    text = f"FROM {image('python')}\nRUN rm -r /narae\nCOPY hostile.py /server.py\n" \
           'ENTRYPOINT []\nCMD ["python3", "-u", "/server.py"]\n'
    name = "narae/fault-hostile:1"
    subprocess.run(["docker", "-H", f"unix://{DOCKER}", "build", "-q", "-t", name, "-f", "-",
                    server.parent], input=text, text=True, check=True, stdout=subprocess.DEVNULL)
    return name


def hostile_replies(w):
    name, p = "hostile", w.platform
    body = {"exec": {"kind": "blackbox", "image": hostile_image(), "code": "good"},
            "limits": {"timeout": HOSTILE_TIMEOUT_S * 1000, "memory": 128}}
    reply = p.request("PUT", f"actions/{name}?overwrite=true", body)
    assert reply.status == 200, reply
    todo = list(HOSTILE)
    while todo:
        calls = {do: w.call(name, START_S, do=do) for do in todo[:HOSTILE_AT_ONCE]}
        todo = todo[HOSTILE_AT_ONCE:]
        for do, call in calls.items():
            call.check([HOSTILE[do]])
            record = p.record(call.result().json["activationId"])
            ran = record["duration"] - {a["key"]: a["value"]
                                        for a in record["annotations"]}.get("initTime", 0)
            assert ran <= (HOSTILE_TIMEOUT_S + 1) * 1000 * SLOW, f"{do}: {ran} ms"
    w.call(name, START_S, do="good").check([OK])


# ---- clients

CLIENTS, GO_AWAY_ROUNDS = 64, 3


def go_away(w, name, body):
    """A client that sends its call and hangs up."""
    p = w.platform
    with socket.create_connection(("127.0.0.1", p.port), timeout=30 * SLOW) as s:
        s.sendall(f"POST /api/v1/namespaces/_/actions/{name}?blocking=true HTTP/1.1\r\nHost: a\r\n"
                  f"Authorization: {p.basic(p.auth)}\r\nContent-Type: application/json\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(random.uniform(0, 0.05))  # anywhere in the call


def admitted(w):
    return w.platform.metric("narae_running_activations")


def clients_go_away(w, rounds=GO_AWAY_ROUNDS):
    """Nothing that a call held is lost with its client: containers, slots, places in the account's concurrency."""
    name = w.function(memory=128, concurrency=16)
    for call in [w.call(name, 30, do="sleep", seconds=0.2) for _ in range(CLIENTS)]:
        call.check([OK])
    # a stem that is being made has no id yet
    containers = sorted(c["id"] for c in w.status()["containers"] if c["id"])
    body = b'{"do": "sleep", "seconds": 0.05}'
    for _ in range(rounds):
        clients = [threading.Thread(target=go_away, args=(w, name, body)) for _ in range(CLIENTS)]
        for c in clients:
            c.start()
        for c in clients:
            c.join()
    within(30, "no call is held any more", lambda: admitted(w) == 0)
    assert w.platform.metric("narae_calls_waiting") == 0
    within(30, "no container is busy", lambda: w.calls_of(name) == 0)
    still = {c["id"] for c in w.status()["containers"]}
    assert set(containers) <= still, f"lost: {set(containers) - still}"
    limits = {"concurrentInvocations": CLIENTS}
    p = w.platform
    before = p.request("GET", "/narae/v1/accounts/guest/limits", auth=p.admin_auth).json
    try:
        assert p.request("PUT", "/narae/v1/accounts/guest/limits", limits,
                         auth=p.admin_auth).status == 200
        # Every place that the account has is there: as many calls at once as it may have, less the bystander's.
        for call in [w.call(name, 30, do="sleep", seconds=0.2) for _ in range(CLIENTS - 1)]:
            call.check([OK])
    finally:
        p.request("PUT", "/narae/v1/accounts/guest/limits",
                  {"concurrentInvocations": before["concurrentInvocations"]}, auth=p.admin_auth)


# ---- naraed itself

def naraed_killed(w):
    """Under load. What was accepted comes to one end, idle containers serve on, the others go."""
    names = [w.warm, *(w.function() for _ in range(2))]
    for name in names:
        w.call(name).check([OK])
    p = w.platform
    accepted = [p.invoke(name, {"do": "sleep", "seconds": 0.02}, "").activation
                for _ in range(20) for name in names]
    w.kill_naraed()
    p.start()
    for activation in accepted:
        assert p.record(activation)["response"]["status"] in (OK, INTERNAL)
    assert p.metric("narae_accepted_drift") == 0
    within(30, "all are adopted or gone", lambda: "were adopted" in p.said())


def naraed_killed_while_it_starts_containers(w):
    p = w.platform
    names = [w.function() for _ in range(4)]
    accepted = [p.invoke(name, {}, "").activation for name in names]
    time.sleep(random.uniform(0, 0.3))  # anywhere in create and start
    w.kill_naraed()
    p.start()
    for activation in accepted:
        assert p.record(activation)["response"]["status"] in (OK, INTERNAL)


FAULTS = [
    Fault("engine-stopped", "private", engine_stopped),
    Fault("engine-killed", "private", engine_killed),
    Fault("engine-killed-while-it-starts", "private", engine_killed_while_it_starts),
    Fault("engine-frozen", "private", engine_frozen),
    Fault("engine-restarted", "private", engine_restarted_with_live_restore),
    Fault("engine-restarted-without-live-restore", "private",
          engine_restarted_without_live_restore, others=False),
    Fault("engine-slow", "proxy", engine_slow),
    Fault("engine-silent", "proxy", engine_silent, short=False),
    *(Fault("engine-says-" + kind.replace(" ", "-"), "proxy", nonsense(kind),
            short=kind in ("not json", "a wild id", "too short")) for kind in NONSENSE),
    Fault("container-killed-busy", "stock", container_killed_while_it_runs),
    Fault("container-killed-idle", "stock", container_killed_while_idle),
    Fault("container-removed-busy", "stock", container_removed_while_it_runs),
    Fault("container-removed-idle", "stock", container_removed_while_idle),
    Fault("oom-worker", "stock", memory_of_the_worker),
    Fault("oom-agent", "stock", memory_of_the_agent),
    Fault("fork-bomb", "stock", fork_bomb),
    Fault("disk-full", "stock", fills("/tmp", 64 << 20)),
    Fault("code-folder-full", "stock", fills("/action", 256 << 20)),
    Fault("shm-full", "stock", fills("/dev/shm", 8 << 20)),
    Fault("inodes-used-up", "stock", inodes_used_up),
    Fault("log-flood", "stock", log_flood),
    Fault("deaf", "stock", deaf_to_signals),
    Fault("hostile-replies", "stock", hostile_replies),
    Fault("clients-go-away", "stock", clients_go_away),
    Fault("naraed-killed", "stock", naraed_killed, others=False),
    Fault("naraed-killed-while-it-starts", "stock", naraed_killed_while_it_starts_containers,
          others=False),
]


def run_fault(w, fault):
    """One round. Everything that the fault's own function does not say."""
    try:
        one_round(w, fault)
    except BaseException:
        w.spoilt = True
        told = [line for line in w.platform.said().splitlines() if "function=guest/bystander" not in line]
        print("\n".join(told)[-6000:])
        raise


def one_round(w, fault):
    w.gone()
    with contextlib.ExitStack() as stack:
        others = stack.enter_context(Bystander(w, w.bystander_name)) if fault.others else None
        fault.run(w)
    if others:
        assert others.wrong == [], others.wrong[:3]
        assert others.count >= 1  # a fault may be over within one call
    w.usable()
    w.call_all()
    w.forget_functions()
    w.nothing_left()
    w.settle()
    within(30, "no call is held any more", lambda: admitted(w) == 0)
