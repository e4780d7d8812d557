"""The metrics bus over a real Kafka broker: the contract, a client that is not ours, and a broker that stands still, is killed, is
not there. The faults that only librdkafka's own brokers can have on demand are in tests/unit/common/bus."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from conftest import BUILD, SLOW, within
from functions import ECHO
from kafka import Broker, unused_address

CONTRACT = BUILD / "tests/unit/common/bus/test_bus_kafka"
PARTS = ("published", "delivered", "dropped")


@pytest.fixture(scope="module")
def broker():
    b = Broker()
    yield b
    b.remove()


def contract(broker, **more):
    return subprocess.run([CONTRACT], env={**os.environ, "NARAE_KAFKA": broker.address, **more}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=240 * SLOW, check=False)


def settings_of(broker, topic):
    """What the broker says of a topic, by its own tool."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "narae")
    jars = os.environ.get("NARAE_KAFKA_JARS") or next(cache.glob("kafka-?.?.?"))
    return subprocess.run(["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", "kafka.admin.ConfigCommand",
                           "--bootstrap-server", broker.address, "--describe", "--entity-type", "topics", "--entity-name", topic],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=120 * SLOW).stdout


def counts(platform):
    return {p: platform.metric(f"narae_bus_{p}_total") for p in PARTS}


def settled(platform):
    """All that was published has its end, and nothing is missing; the counts."""
    if platform.metric("narae_bus_unconfirmed_messages") != 0:
        return None
    c = counts(platform)
    return c if c["published"] == c["delivered"] + c["dropped"] else None


def waiting(platform, before):
    """Messages that were published after `before` have no end."""
    return counts(platform)["published"] > before["published"] and platform.metric("narae_bus_unconfirmed_messages") > 0


def calls(platform, name, count):
    for i in range(count):
        reply = platform.invoke(name, {"i": i}, "blocking=true&result=true")
        assert reply.status == 200 and reply.json == {"i": i}, reply


def test_contract_over_a_real_broker(broker):
    done = contract(broker)
    assert done.returncode == 0, done.stdout[-3000:]
    ran = int(re.search(r"Running (\d+) test", done.stdout)[1])
    assert ran >= 13 and f"[  PASSED  ] {ran} test(s)." in done.stdout, done.stdout[-3000:]


def test_lag_of_a_group(broker):
    """What another's consumer group has not confirmed, also where it has confirmed nothing of a partition yet."""
    broker.write("plant.raw", [f"k{i}|reading {i}" for i in range(30)], "|")
    read = broker.kcat("-G", "plant", "-c", "10", "-X", "auto.offset.reset=earliest", "-q", "plant.raw")
    assert len(read.splitlines()) == 10
    for topic, group, lag in (("plant.raw", "plant", 20), ("plant.raw", "nobody", -1), ("no.such.topic", "plant", -1)):
        done = contract(broker, NARAE_TEST_FILTER="test_lag_is", NARAE_LAG=f"{topic} {group} {lag}")
        assert done.returncode == 0 and "[       OK ] test_lag_is" in done.stdout, (topic, group, done.stdout[-2000:])


@pytest.fixture(scope="module")
def served(broker):
    """A platform on the broker, with a function that is warm."""
    import conftest
    import tempfile
    p = conftest.Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), f"--kafka={broker.address}", "--kafka-prefix=plat",
                          "--stems=off")
    try:
        p.start()
        p.put("echo", ECHO["python:3"])
        calls(p, "echo", 1)
        yield p
        p.stop()
    finally:
        p.discard()


def test_samples_for_a_reader_that_is_not_ours(broker, served):
    calls(served, "echo", 5)
    within(60, "the function's samples are in the topic",
           lambda: any("echo" in key for key in broker.read("plat.metrics", "%k\n")))
    for line in broker.read("plat.metrics"):
        sample = json.loads(line)
        assert sample["v"] == 1, line  # the schema's version
    assert served.metric("narae_bus_connected") == 1
    assert "cleanup.policy=compact" in settings_of(broker, "plat.policies")
    assert "cleanup.policy=compact" not in settings_of(broker, "plat.metrics")


def test_standing_still_and_killed(broker, served):
    """Calls do not notice; afterwards every message is delivered, once: what the broker has is what was delivered."""
    within(60, "connected", lambda: served.metric("narae_bus_connected") == 1)
    broker.signal(signal.SIGSTOP)
    try:
        before = counts(served)
        calls(served, "echo", 20)
        within(60, "messages wait", lambda: waiting(served, before))
        calls(served, "echo", 20)
    finally:
        broker.signal(signal.SIGCONT)
    after = within(120, "all is delivered after the stand-still", lambda: settled(served))
    assert after["published"] > before["published"] and after["dropped"] == before["dropped"]
    broker.kill()
    calls(served, "echo", 20)
    within(60, "the broker is away", lambda: served.metric("narae_bus_connected") == 0)
    within(60, "messages wait", lambda: waiting(served, after))
    assert broker.start() == broker.address
    after = within(120, "all is delivered after the restart", lambda: settled(served))
    assert after["dropped"] == before["dropped"]

    delivered = within(60, "settled", lambda: settled(served))["delivered"] - policies(served)
    lines = [line for topic in ("metrics", "events", "decisions") for line in broker.read(f"plat.{topic}")]
    assert delivered <= len(lines) <= counts(served)["published"]
    assert len(set(lines)) == len(lines)  # a sample says when: nothing came twice


def policies(platform):
    """Delivered policies: their topic is compacted, so its messages are fewer."""
    text = platform.request("GET", "/metrics", auth=None).body.decode()
    return next(float(line.split()[-1]) for line in text.splitlines()
                if line.startswith('narae_bus_delivered_total{topic="policies"}'))


def test_a_broker_that_is_not_there(start_platform):
    """Start, calls and stop are as ever; the stop waits for no broker."""
    p = start_platform(f"--kafka={unused_address()}", "--stems=off")
    p.put("echo", ECHO["python:3"])
    calls(p, "echo", 3)
    assert p.metric("narae_bus_connected") == 0
    within(60, "samples wait", lambda: p.metric("narae_bus_unconfirmed_messages") > 0)
    began = time.monotonic()
    p.stop()
    assert time.monotonic() - began < 30 * SLOW  # 3 s, and the container


@pytest.mark.parametrize("option, says", [
    ("--kafka=localhost:99999", '--kafka: "localhost:99999" is not HOST:PORT'),
    ("--kafka=", '--kafka: "" is not HOST:PORT'),
    ("--kafka=127.0.0.1:9092 --kafka-prefix=a/b", '--kafka-prefix: "a/b"'),
    ("--kafka=127.0.0.1:9092 --kafka-settings=/no/such", "--kafka-settings: "),
])
def test_mistakes(tmp_path, option, says):
    done = subprocess.run([BUILD / "naraed", "--listen=127.0.0.1:0", f"--data={tmp_path}", *option.split()],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * SLOW, check=False)
    assert done.returncode == 1 and says in done.stdout, done.stdout
    assert len(done.stdout.splitlines()) == 1, done.stdout
