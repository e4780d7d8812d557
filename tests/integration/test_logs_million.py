"""One million log lines over 1,000 interleaved activations: each line in its own activation, in order; stored and followed.

environment: NARAE_LOG_ACTIVATIONS  how many, of 1,000 lines each (1000)"""
import collections
import os
import queue
import random
import threading
import time

from conftest import SLOW, within
from saying import check, deploy_all
from test_logs import Follower

ACTIVATIONS = int(os.environ.get("NARAE_LOG_ACTIVATIONS", 1000 if SLOW == 1 else 100))
LINES = 1000
CLIENTS = 24


def call_all(platform, calls):
    """Blocking calls of 24 clients at once; token -> (function, activation)."""
    todo, done, wrong = queue.SimpleQueue(), {}, []
    for call in calls:
        todo.put(call)

    def client():
        connection = platform.connect()
        try:
            while True:
                function, token = todo.get_nowait()
                reply = platform.invoke(function, {"token": token, "lines": LINES}, connection=connection)
                assert reply.status == 200, reply
                done[token] = function, reply.activation
        except queue.Empty:
            pass
        except Exception as e:
            wrong.append(e)

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    assert wrong == []
    return done


def test_a_million_lines(start_platform, capsys):
    platform = start_platform()
    platform.request("PUT", "/narae/v1/accounts/guest/limits",
                     {"invocationsPerMinute": 1000000, "concurrentInvocations": 1000},
                     auth=platform.admin_auth)
    functions = deploy_all(platform)
    for function in functions:
        reply = platform.invoke(function, {"token": "first", "lines": 10})
        assert reply.status == 200, (function, reply)
    followers = {f: Follower(platform, f, query="?follow=1&limit=0").start() for f in functions}
    within(10, "all follow", lambda: platform.metric("narae_log_followers") == len(functions))
    calls = [(functions[i % len(functions)], f"token-{i}-{random.getrandbits(64):x}")
             for i in range(ACTIVATIONS)]
    random.shuffle(calls)
    began = time.monotonic()
    done = call_all(platform, calls)
    said_s = time.monotonic() - began
    assert len(done) == ACTIVATIONS

    overlaps, spans, rates = 0, [], collections.defaultdict(list)
    for token, (function, activation) in done.items():
        record = platform.record(activation)
        check(record["logs"], token, LINES)
        spans.append((record["start"], record["end"]))
        rates[function].append(LINES * 1000 / max(record["duration"], 1))
    latest = 0
    for start, end in sorted(spans):
        overlaps += start < latest
        latest = max(latest, end)
    assert overlaps > ACTIVATIONS / 2, "the calls did not interleave"

    for function, follower in followers.items():
        own = {activation: token for token, (f, activation) in done.items() if f == function}
        within(60, f"all of {function} was followed", lambda: len(follower.events) >= len(own))
        assert sorted(e[1] for e in follower.events) == sorted(own), "each activation once, and no other"
        for event in follower.activations():
            check(event["logs"], own[event["activationId"]], LINES)
        follower.close()
    with capsys.disabled():
        print(f"\n{ACTIVATIONS * LINES} lines, {ACTIVATIONS} activations, {overlaps} began while another ran: said in "
              f"{said_s:.1f} s ({ACTIVATIONS * LINES / said_s:.0f} lines/s), all checked after "
              f"{time.monotonic() - began:.1f} s")
        for function, values in sorted(rates.items()):
            print(f"  {function:10} median {sorted(values)[len(values) // 2]:9.0f} lines/s in an activation")
