"""Scalers as processes of their own, over a real broker: none, one, two, killed and started again, while calls go on; metrics of a producer that is not
ours, and the lag of somebody's topic."""
import json
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import BUILD, SLOW, Platform, within
from kafka import Broker
from test_scaling import SLEEPS, Hook, ask, decisions, row

PREFIX = "plat"
ROOMS = {"id": "rooms", "when": {"metric": "rooms_wanted", "aggregate": "last", "window": "30s"}, "do": {"action": "track", "target": 1}}
LAG = {"id": "lag", "when": {"metric": "trigger_lag", "labels": {"topic": "plant.raw", "group": "plant"}, "aggregate": "max", "window": "10s",
                             "op": ">", "value": 50}, "do": {"action": "track", "target": 50}}


@pytest.fixture(scope="module")
def broker():
    b = Broker()
    yield b
    b.remove()


@pytest.fixture(scope="module")
def platform_of(broker):
    p = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), f"--kafka={broker.address}", f"--kafka-prefix={PREFIX}", "--scaler=elsewhere",
                 "--stems=off", "--freeze-after-ms=0")
    try:
        yield p.start()
        p.stop()
    finally:
        print(p.said()[-4000:])
        p.discard()


class Scaler:
    """naraed --roles=scaler."""

    def __init__(self, broker):
        self.folder = tempfile.mkdtemp(prefix="nrs", dir="/tmp")
        self.command = [BUILD / "naraed", "--roles=scaler", f"--kafka={broker.address}", f"--kafka-prefix={PREFIX}", f"--data={self.folder}"]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if line == "scaling\n":
                break
        assert lines and lines[-1] == "scaling\n", lines
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(timeout=30 * SLOW) == 0

    def remove(self):
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def scalers(broker):
    made = []

    def make():
        made.append(Scaler(broker))
        return made[-1]
    yield make
    for one in made:
        one.remove()


def want(broker, rooms):
    """What a producer says that knows nothing of us."""
    broker.write(f"{PREFIX}.metrics", [json.dumps({"metric": "rooms_wanted", "value": rooms, "t": int(time.time() * 1000)})])


def are(p, count):
    return lambda: len(p.containers()) == count


def chain(p, name):
    """Each decision begins where the one before ended, whoever took it."""
    told = [d for d in decisions(p, name) if d["kind"] == "decision"]
    for later, earlier in zip(told, told[1:]):
        assert later["from"] == earlier["to"], (later, earlier)
    return told


def test_scalers_come_and_go(broker, platform_of, scalers):
    """One story: nobody decides; one does; two do, and the first is killed; none is left; one is back. Calls go on all the time, and what
    holds is never undone on the way."""
    p = platform_of
    p.put("roomy", SLEEPS)
    ask(p, "PUT", "/policies/roomy", {
        "policy": "roomy", "target": {"account": "guest", "function": "roomy"}, "evaluate_every": "1s", "bounds": {"min": 1, "max": 6},
        "limits": {"up": {"stabilize": "0s"}, "down": {"stabilize": "2s", "max_percent": 100, "per": "1s"}}, "rules": [ROOMS]})
    failed, end = [], threading.Event()

    def calls():
        while not end.wait(0.2):
            reply = p.invoke("roomy")
            if reply.status != 200:
                failed.append(reply)
    caller = threading.Thread(target=calls)
    caller.start()
    try:
        assert decisions(p, "roomy") == [] and ask(p, "GET", "/status")["scaler"] == "elsewhere"
        first = scalers()
        within(60, "it has learned the policy and decides", lambda: decisions(p, "roomy"))
        want(broker, 3)
        within(60, "three are wished for by somebody's metric", are(p, 3))
        one = decisions(p, "roomy")[0]["by"]
        second = scalers()
        first.kill()
        killed_ms = time.time() * 1000
        want(broker, 4)
        within(90, "the other one goes on", are(p, 4))
        told = chain(p, "roomy")
        assert told[0]["by"] != one and min(d["to"] for d in told[:-1]) >= 1
        assert sum(d["to"] == 4 for d in told) == 1, "decided once"
        resumed_s = (told[0]["t"] - killed_ms) / 1000
        print(f"decisions go on {resumed_s:.1f} s after the kill")
        assert resumed_s <= 100 * SLOW  # 10 s
        second.kill()
        for _ in range(10):
            assert p.invoke("roomy").status == 200
        assert len(p.containers()) == 4, "the last wish holds while nobody decides"
        first.start()
        want(broker, 5)
        within(90, "one that was killed is back", are(p, 5))
        chain(p, "roomy")
        assert min(d["to"] for d in decisions(p, "roomy")[:-1]) >= 1, "it did not begin with nothing"
        assert p.metric("narae_containers_started_total") == 5, "nothing was done twice"
        first.stop()
    finally:
        end.set()
        caller.join()
    assert failed == []
    replayed = ask(p, "POST", "/policies/roomy/replay")
    assert not replayed["exact"] and "elsewhere" in replayed["why"]


def test_lag_of_a_topic(broker, platform_of, scalers):
    p = platform_of
    broker.write("plant.raw", [f"reading {i}" for i in range(310)])
    broker.kcat("-G", "plant", "-c", "10", "-X", "auto.offset.reset=earliest", "-q", "plant.raw")
    p.put("lagging", SLEEPS)
    ask(p, "PUT", "/policies/lagging", {
        "policy": "lagging", "target": {"account": "guest", "function": "lagging"}, "evaluate_every": "1s", "bounds": {"min": 1, "max": 8},
        "rules": [LAG]})
    scaler = scalers()
    within(60, "300 behind, 50 for each", lambda: row(p, "lagging").get("desired") == 6)
    newest = decisions(p, "lagging")[0]
    assert newest["inputs"][0]["metric"] == "trigger_lag" and newest["inputs"][0]["value"] == 300
    scaler.stop()
    ask(p, "DELETE", "/policies/lagging")
    assert p.request("DELETE", "actions/lagging").status == 200
    within(60, "only the other one's are left", are(p, 5))


def test_the_platform_is_killed(broker, platform_of, scalers):
    """It comes back to what its scalers have decided meanwhile."""
    p = platform_of
    scaler = scalers()
    p.process.kill()
    p.wait()
    want(broker, 6)
    p.start()
    within(90, "what holds now is known", lambda: row(p, "roomy").get("desired") == 6)
    within(90, "and obeyed without a call", are(p, 6))
    scaler.stop()


def test_alerts_reach_the_channels_once(broker, platform_of, scalers):
    """Two scalers decide, the platform has the channels; it is stopped and hears the last hour again."""
    p, hook = platform_of, Hook()
    both = [scalers(), scalers()]
    alert = {"id": "crowded", "when": {**ROOMS["when"], "op": ">", "value": 50}, "do": {"action": "alert"}, "notify": ["ops"]}
    try:
        ask(p, "PUT", "/channels/ops", {"url": hook.url})
        ask(p, "PUT", "/policies/alarmed", {"policy": "alarmed", "target": {"account": "guest", "function": "alarmed"}, "evaluate_every": "1s",
                                            "bounds": {"min": 0, "max": 1}, "rules": [alert]})
        within(60, "a scaler decides", lambda: decisions(p, "alarmed"))
        assert hook.told == []
        want(broker, 60)
        told = within(60, "the channel is told", lambda: hook.told)[0]
        assert told["kind"] == "alert" and told["rule"] == "crowded" and told["decision"]["by"] == decisions(p, "alarmed")[0]["by"]
        assert "state" not in told["decision"]
        assert ask(p, "GET", "/status")["heard_ms"] > 0 and p.metric("narae_scaler_heard_seconds") < 100 * SLOW
        p.stop()
        p.start()
        now_ms = int(time.time() * 1000)
        broker.write(f"{PREFIX}.decisions", [json.dumps({"v": 1, "kind": "alive", "by": "the last of all", "t": now_ms})])
        within(60, "all that was said before is heard", lambda: ask(p, "GET", "/status").get("heard_ms", 0) >= now_ms - 5)
        assert ask(p, "GET", "/channels")["channels"][0]["told"] == 0
    finally:
        for scaler in both:
            scaler.stop()
        ask(p, "DELETE", "/policies/alarmed", status=None)
        ask(p, "DELETE", "/channels/ops", status=None)
        hook.close()
    assert len([t for t in hook.told if t["kind"] == "alert"]) == 1
