"""The logs of a function as a stream: what is stored, what comes, how a reader goes on after a break,
and that neither a slow reader nor a foreign one gets what is not his."""
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import BUILD, SLOW, within
from functions import ECHO

EVENTS = {"Accept": "text/event-stream"}
NONE = [{"key": "narae.network", "value": "none"}]

SAY = """
import sys
def main(args):
    for i in range(args.get("lines", 1)):
        print("%s %d %s" % (args["who"], i, "x" * args.get("pad", 0)))
    if args.get("err"):
        print("to stderr", file=sys.stderr)
    if args.get("fail"):
        raise ValueError("as asked")
    return {}
"""


def path(function, query=""):
    return f"/narae/v1/functions/{function}/logs{query}"


class Follower:
    """One connection that reads events; `events` is a list of (event, id, data)."""

    def __init__(self, platform, function, query="?follow=1", auth="", headers=None, window=0):
        self.connection = platform.connect()
        self.socket = self.connection.sock = socket.socket()
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.settimeout(60 * SLOW)
        self.socket.connect(("127.0.0.1", platform.port))
        self.connection.request("GET", path(function, query), headers={
            "Authorization": platform.basic(auth or platform.auth), **EVENTS, **(headers or {})})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.getheader("Content-Type") == "text/event-stream"
        self.events, self.comments, self.ended = [], 0, False
        self.thread = None

    def read_event(self):
        """The next event, or None at the end."""
        fields = {}
        while True:
            line = self.answer.readline()
            if line == b"":
                return None
            line = line.rstrip(b"\n").decode()
            if line == "" and "event" in fields:
                return fields["event"], fields.get("id"), json.loads(fields["data"])
            if line.startswith(":"):
                self.comments += 1
            elif line:
                key, _, value = line.partition(": ")
                fields[key] = value

    def _read_all(self):
        try:
            while (event := self.read_event()) is not None:
                self.events.append(event)
            self.ended = True
        except OSError:
            pass

    def start(self):
        self.thread = threading.Thread(target=self._read_all, daemon=True)
        self.thread.start()
        return self

    def activations(self):
        return [e[2] for e in self.events if e[0] == "activation"]

    def close(self):
        if self.ended is None:
            return
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass # it has ended
        if self.thread:
            self.thread.join()
        self.answer.close()
        self.connection.close()
        self.ended = None


@pytest.fixture
def follow(request):
    """Opens followers that are closed after the test."""
    made = []

    def make(*a, **k):
        made.append(Follower(*a, **k))
        return made[-1]

    yield make
    for f in made:
        f.close()


def text(line):
    """What a log line says behind its time and stream."""
    return line.split(" ", 2)[2]


def test_stored_logs_in_the_order_of_ends(platform, name):
    platform.put(name, SAY, annotations=NONE)
    ids = [platform.invoke(name, {"who": f"w{i}", "lines": 2, "err": i == 3}).activation
           for i in range(5)]
    reply = platform.request("GET", path(name))
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    lines = [line.split(" ", 1) for line in reply.body.decode().splitlines()]
    assert [i for i, _ in lines] == [x for n, i in enumerate(ids) for x in [i] * (3 if n == 3 else 2)]
    assert text(lines[0][1]) == "w0 0 " and " stderr: to stderr" in lines[8][1]
    stored = platform.request("GET", f"activations/{ids[3]}/logs").json["logs"]
    assert [line for i, line in lines if i == ids[3]] == stored
    last = platform.request("GET", path(name, "?limit=1")).body.decode().splitlines()
    assert {line.split(" ")[0] for line in last} == {ids[4]}
    assert platform.request("GET", path(name, "?limit=0")).body == b""
    since = platform.record(ids[2])["end"]
    assert ids[4] in platform.request("GET", path(name, f"?since={since}")).body.decode()
    assert platform.request("GET", path(name, f"?since={since + 3600000}")).body == b""


def test_stored_logs_as_events(platform, name, follow):
    platform.put(name, SAY, annotations=NONE)
    ids = [platform.invoke(name, {"who": "a"}).activation,
           platform.invoke(name, {"who": "b", "fail": True}).activation]
    f = follow(platform, name, query="")
    events = [f.read_event(), f.read_event()]
    assert f.read_event() == ("end", None, {"reason": "complete"}) and f.read_event() is None
    assert [e[1] for e in events] == [e[2]["activationId"] for e in events] == ids
    record = platform.record(ids[0])
    assert events[0][2]["logs"] == record["logs"]
    assert events[0][2]["end"] == record["end"] and events[0][2]["duration"] == record["duration"]
    assert events[0][2]["start"] in ("cold", "stem") and events[1][2]["start"] == "warm"
    assert [e[2]["status"] for e in events] == ["success", platform.record(ids[1])["response"]["status"]]


def test_in_a_package(platform, name, follow):
    """The route knows package functions; the function manager says whether there is such a one."""
    reply = platform.request("GET", path("nopackage/" + name))
    assert reply.status == 404


def test_two_followers_see_the_same_in_the_same_order(platform, name, follow):
    platform.put(name, SAY, annotations=NONE)
    first = platform.invoke(name, {"who": "before"}).activation
    one = follow(platform, name).start()
    two = follow(platform, name, query="?follow=1&limit=0").start()
    within(10, "both follow", lambda: platform.metric("narae_log_followers") >= 2)
    ids = [platform.invoke(name, {"who": f"w{i}", "lines": 3}).activation for i in range(30)]
    within(20, "all came", lambda: len(one.events) == 31 and len(two.events) == 30)
    assert [e[1] for e in one.events] == [first] + ids
    assert [e[1] for e in two.events] == ids
    for i, event in enumerate(two.activations()):
        assert [text(x) for x in event["logs"]] == [f"w{i} {n} " for n in range(3)]
    assert one.activations()[1:] == two.activations()
    one.close()
    two.close()
    within(10, "nobody follows", lambda: platform.metric("narae_log_followers") == 0)


def test_async_and_concurrent_calls_come_once(platform, name, follow):
    platform.put(name, SAY, annotations=NONE)
    f = follow(platform, name, query="?follow=true&limit=0").start()
    ids = {platform.invoke(name, {"who": f"w{i}"}, query="").json["activationId"] for i in range(25)}
    within(60, "all came", lambda: len(f.events) >= 25)
    assert sorted(e[1] for e in f.events) == sorted(ids)


def test_a_large_log_is_followed(platform, name, follow):
    """Larger than what goes out directly, and than what one read of the store brings."""
    platform.put(name, SAY, annotations=NONE)
    f = follow(platform, name).start()
    ids = []
    for i in range(3):  # each has its end, which comes behind its answer and its log, before the next begins
        ids.append(platform.invoke(name, {"who": f"w{i}", "lines": 5000, "pad": 200}).activation)
        platform.record(ids[-1])
    ids.append(platform.invoke(name, {"who": "small"}).activation)
    within(60, "all came", lambda: len(f.events) == 4)
    assert [e[1] for e in f.events] == ids
    for i, event in enumerate(f.activations()[:3]):
        assert [text(x) for x in event["logs"]] == [f"w{i} {n} " + "x" * 200 for n in range(5000)]


def test_logs_of_none(platform, name, follow):
    platform.put(name, SAY, annotations=NONE, limits={"logs": 0})
    f = follow(platform, name).start()
    done = platform.invoke(name, {"who": "w", "lines": 10}).activation
    within(10, "it came", lambda: f.events)
    assert f.events[0][1] == done and f.events[0][2]["logs"] == []
    assert platform.request("GET", path(name)).body == b""


def test_a_slow_follower_loses_what_it_is_told(start_platform, follow):
    """It reads nothing while more ends than it may be behind by; the other one, and the callers, see nothing of it."""
    platform = start_platform()
    platform.request("PUT", "/narae/v1/accounts/guest/limits",
                     {"invocationsPerMinute": 1000000, "concurrentInvocations": 1000},
                     auth=platform.admin_auth)
    platform.put("f", SAY, annotations=NONE)
    platform.record(platform.invoke("f", {"who": "first"}).activation)  # it has ended, with its log
    slow = follow(platform, "f", query="?follow=1&limit=0", window=4096)
    quick = follow(platform, "f", query="?follow=1&limit=0").start()
    within(10, "both follow", lambda: platform.metric("narae_log_followers") == 2)
    total, ids = 1800, []
    connection = platform.connect()
    for i in range(total):
        ids.append(platform.invoke("f", {"who": f"w{i}", "lines": 40, "pad": 200},
                                   connection=connection).activation)
    within(60, "the quick one has all", lambda: len(quick.events) == total)
    assert [e[1] for e in quick.events] == ids
    got, dropped = [], 0
    while len(got) + dropped < total:
        kind, _, data = slow.read_event()
        if kind == "dropped":
            assert got == ids[:len(got)], "the gap is told where it is"
            dropped += data["activations"]
        else:
            got.append(data["activationId"])
            assert len(data["logs"]) == 40
    assert dropped > 0 and got == [i for i in ids if i in set(got)] and len(set(got)) == len(got)
    assert platform.metric("narae_logs_dropped_activations_total") == dropped
    more = platform.invoke("f", {"who": "after"}).activation
    assert slow.read_event()[1] == more


def test_going_on_after_a_restart(start_platform, follow):
    platform = start_platform()
    platform.put("f", SAY, annotations=NONE)
    f = follow(platform, "f").start()
    ids = [platform.invoke("f", {"who": f"w{i}"}).activation for i in range(3)]
    within(10, "all came", lambda: len(f.events) == 3)
    platform.stop()
    within(10, "the stream ended", lambda: f.ended)
    assert f.events[-1] == ("end", None, {"reason": "stopping"})
    platform.start()
    ids += [platform.invoke("f", {"who": f"w{i}"}).activation for i in range(3, 6)]
    again = follow(platform, "f", headers={"Last-Event-ID": ids[2]}).start()
    within(10, "what was missed came", lambda: [e[1] for e in again.events][-3:] == ids[3:])
    # what ended shortly before the last one may come again, the last one itself does not
    assert ids[2] not in [e[1] for e in again.events]
    ids.append(platform.invoke("f", {"who": "w6"}).activation)
    within(10, "and what comes", lambda: again.events[-1][1] == ids[6])
    unknown = follow(platform, "f", headers={"Last-Event-ID": "0" * 32})
    assert unknown.read_event()[1] == ids[0]


def test_drain_while_a_follower_reads_nothing(start_platform, follow):
    platform = start_platform()
    platform.put("f", SAY, annotations=NONE)
    follow(platform, "f", window=4096)
    for i in range(3):
        platform.invoke("f", {"who": "w", "lines": 4000, "pad": 500})
    follow(platform, "f", query="?follow=1&limit=0")
    started = time.monotonic()
    platform.process.terminate()
    assert platform.wait(80) == 0
    assert time.monotonic() - started < 75 * SLOW


def test_accounts_see_their_own(start_platform, follow):
    """Two accounts, functions of the same name."""
    platform = start_platform()
    platform.put("f", SAY, annotations=NONE)
    mine = follow(platform, "f").start()
    admin = platform.request("PUT", "actions/f?overwrite=true",
                             {"exec": {"kind": "python:3", "code": SAY}, "annotations": NONE}, auth=platform.admin_auth)
    assert admin.status == 200, admin
    theirs = follow(platform, "f", auth=platform.admin_auth).start()
    a = platform.invoke("f", {"who": "guest-canary"}).activation
    b = platform.request("POST", "actions/f?blocking=true", {"who": "admin-canary"},
                         auth=platform.admin_auth).activation
    within(20, "both came", lambda: mine.events and theirs.events)
    assert [e[1] for e in mine.events] == [a] and [e[1] for e in theirs.events] == [b]
    foreign = follow(platform, "f", headers={"Last-Event-ID": b})
    assert foreign.read_event()[1] == a
    assert b"admin-canary" not in platform.request("GET", path("f")).body


def key_of(platform, account):
    made = platform.request("POST", "/narae/v1/accounts", {"name": account, "profile": "local"}, auth=platform.admin_auth)
    assert made.status == 201, made
    return made.json["key"]


def say(platform, key, who):
    body = {"exec": {"kind": "python:3", "code": SAY}, "annotations": NONE}
    assert platform.request("PUT", "actions/f?overwrite=true", body, auth=key).status == 200
    assert platform.request("POST", "actions/f?blocking=true", {"who": who}, auth=key).status == 200


def account_goes(platform, account, key):
    asked = platform.request("DELETE", f"/narae/v1/accounts/{account}", auth=platform.admin_auth)
    assert asked.status == 202, asked
    within(60, "it is gone", lambda: platform.request("GET", f"/narae/v1/accounts/{account}", auth=platform.admin_auth).status == 404)
    say(platform, key_of(platform, account), "canary of the next")


def account_is_suspended(platform, account, key):
    asked = platform.request("POST", f"/narae/v1/accounts/{account}/suspend", {"reason": "x"}, auth=platform.admin_auth)
    assert asked.status == 200, asked


def key_is_revoked(platform, account, key):
    second = platform.request("POST", f"/narae/v1/accounts/{account}/keys", {"note": "2"}, auth=platform.admin_auth)
    assert second.status == 201, second
    uuid = key.split(":")[0]
    gone = platform.request("DELETE", f"/narae/v1/accounts/{account}/keys/{uuid}", auth=platform.admin_auth)
    assert gone.status in (200, 204), gone
    say(platform, second.json["key"], "canary of another key")


def key_is_rotated(platform, account, key):
    uuid = key.split(":")[0]
    new = platform.request("POST", f"/narae/v1/accounts/{account}/keys/{uuid}/rotate", auth=platform.admin_auth)
    assert new.status == 200, new
    say(platform, new.json["key"], "canary of the new secret")


@pytest.mark.parametrize("change", [account_goes, account_is_suspended, key_is_revoked, key_is_rotated])
def test_a_stream_ends_with_its_key(platform, follow, change):
    account = "l-" + change.__name__.replace("_", "-")
    key = key_of(platform, account)
    say(platform, key, "before")
    follower = follow(platform, "f", "?follow=1&limit=0", auth=key).start()
    say(platform, key, "seen")
    within(20, "it follows", lambda: "seen" in str(follower.events))
    change(platform, account, key)
    within(30, "it has ended", lambda: follower.ended)
    assert "canary" not in str(follower.events)
    assert follower.events[-1][0] == "end" and "key" in follower.events[-1][2]["reason"]
    if change is not account_goes:
        platform.request("DELETE", f"/narae/v1/accounts/{account}", auth=platform.admin_auth)


@pytest.mark.parametrize("query, words", [
    ("?limit=201", "not in the range of 0 to 200"), ("?limit=x", "is not an integer"),
    ("?since=soon", "epoch"), ("?follow=maybe", "not a valid Boolean"),
])
def test_refused(platform, name, query, words):
    platform.put(name, ECHO["python:3"])
    reply = platform.request("GET", path(name, query))
    assert reply.status == 400 and words in reply.error


def test_who_may_not(platform, name):
    assert platform.request("GET", path(name), auth=None).status == 401
    assert platform.request("GET", path(name), auth="x:y").status == 401
    assert platform.request("GET", path(name)).status == 404
    assert platform.request("POST", path(name)).status == 405


def test_so_many_followers(platform, name, follow):
    platform.put(name, ECHO["python:3"])
    made = [follow(platform, name) for _ in range(16)]
    reply = platform.request("GET", path(name, "?follow=1"))
    assert reply.status == 429 and "allowed: 16" in reply.error and "retry-after" in reply.headers
    assert platform.request("GET", path(name)).status == 200, "without follow nothing is held"
    made[0].close()
    within(10, "there is room again", lambda: platform.metric("narae_log_followers") == 15)
    follow(platform, name)


def test_heartbeat_and_no_stall(start_platform, follow):
    """An idle stream outlives the write timeout (30 s) by its heartbeats."""
    platform = start_platform()
    platform.put("f", SAY, annotations=NONE)
    f = follow(platform, "f").start()
    within(40, "two heartbeats", lambda: f.comments >= 2)
    done = platform.invoke("f", {"who": "late"}).activation
    within(10, "it came", lambda: f.events and f.events[0][1] == done)


# ---- narae logs

class Command:
    """A narae that goes on until it is told to end; `lines` is what it has printed."""

    def __init__(self, platform, *words, **options):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("NARAE_A", "WHISK_", "__OW_"))}
        env.update(NARAE_APIHOST=platform.url, NARAE_AUTH=platform.auth, HOME="/nonexistent")
        self.process = subprocess.Popen([BUILD / "narae", "logs", *words], env=env, text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, **options)
        self.lines, self.said = [], []
        for stream, lines in (self.process.stdout, self.lines), (self.process.stderr, self.said):
            threading.Thread(target=self._read, args=(stream, lines), daemon=True).start()

    def _read(self, stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=10)


@pytest.fixture
def narae_logs():
    made = []

    def make(*a):
        made.append(Command(*a))
        return made[-1]

    yield make
    for c in made:
        if c.process.poll() is None:
            c.process.kill()
        c.process.wait()


def test_narae_follows_over_a_restart(start_platform, narae_logs):
    platform = start_platform()
    platform.put("f", SAY, annotations=NONE)
    ids = [platform.invoke("f", {"who": f"w{i}"}).activation for i in range(3)]
    command = narae_logs(platform, "-f", "f")
    within(10, "what was there came", lambda: len(command.lines) == 3)
    ids.append(platform.invoke("f", {"who": "w3", "err": True}).activation)
    within(10, "what comes came", lambda: len(command.lines) == 5)
    platform.stop()
    within(10, "it says that it waits", lambda: command.said)
    platform.start(f"--listen=127.0.0.1:{platform.port}")
    ids.append(platform.invoke("f", {"who": "w4"}).activation)
    within(20, "and goes on", lambda: len(command.lines) == 6)
    assert [line.split(" ")[0] for line in command.lines] == ids[:4] + [ids[3], ids[4]]
    assert [line.split(" ", 3)[3].strip() for line in command.lines] == \
        ["w0 0", "w1 0", "w2 0", "w3 0", "to stderr", "w4 0"]
    assert "\033" not in "".join(command.lines), "no colour into a pipe"
    assert len(command.said) == 1 and "going on when the platform is back" in command.said[0]
    assert command.interrupt() in (0, 130, -signal.SIGINT)


def test_narae_follows_from_before_the_first_call(start_platform, narae_logs):
    """The connection breaks before anything was printed."""
    platform = start_platform()
    platform.put("f", SAY, annotations=NONE)
    command = narae_logs(platform, "-f", "-n", "0", "f", "-o", "json")
    within(10, "it follows", lambda: platform.metric("narae_log_followers") == 1)
    platform.process.kill()
    platform.process.wait()
    within(10, "it says that it waits", lambda: command.said)
    platform.start(f"--listen=127.0.0.1:{platform.port}")
    done = platform.invoke("f", {"who": "w"}).activation
    within(20, "it came", lambda: command.lines)
    event = json.loads(command.lines[0])
    assert event["activationId"] == done and text(event["logs"][0]) == "w 0 "


@pytest.mark.parametrize("words, status, said", [
    (["-f"], 1, "narae functions"),
    (["-f", "nobody-deployed-this"], 1, "(HTTP 404)"),
    (["--since", "yesterday", "f"], 1, "give 90s, 10m"),
    (["-n", "many", "f"], 1, "a whole number"),
    (["-n", "201", "f"], 1, "not in the range of 0 to 200"),
])
def test_narae_says_why_not(platform, name, words, status, said, narae_logs):
    platform.put(name, SAY, annotations=NONE)
    command = narae_logs(platform, *[name if w == "f" else w for w in words])
    assert command.process.wait(timeout=20) == status
    within(5, said, lambda: said in "\n".join(command.said))


def test_narae_logs_of_the_last(platform, name, narae_logs):
    platform.put(name, SAY, annotations=NONE)
    ids = [platform.invoke(name, {"who": f"w{i}"}).activation for i in range(4)]
    for words, expected in (["-n", "2"], ids[2:]), (["--since", "10m"], ids), (["--since", "0s"], []), \
            (["--since", "2026-01-31T12:00:00Z", "-n", "1"], ids[3:]):
        command = narae_logs(platform, *words, name)
        assert command.process.wait(timeout=20) == 0
        within(5, str(words), lambda: [line.split(" ")[0] for line in command.lines] == expected)


def test_what_polls_as_wsk_does_misses_none(platform, name):
    """`wsk activation poll` asks for whole records since the newest start that it knows, which is inclusive, and leaves
    out the ids it has printed."""
    platform.put(name, SAY, annotations=NONE)
    since, reported, over = int(time.time() * 1000) - 1000, {}, threading.Event()

    def poll():
        nonlocal since
        last = False
        while not last:
            last = over.is_set()
            for record in platform.request("GET", f"activations?docs=true&limit=0&skip=0&since={since}").json:
                if record["name"] == name:
                    reported.setdefault(record["activationId"], record["logs"])
                since = max(since, record["start"])

    poller = threading.Thread(target=poll)
    poller.start()
    ids = [platform.invoke(name, {"who": f"w{i}"}).activation for i in range(40)]
    over.set()
    poller.join()
    assert list(reported) and set(reported) == set(ids)
    assert [text(reported[i][0]) for i in ids] == [f"w{i} 0 " for i in range(40)]
