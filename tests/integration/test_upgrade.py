"""One naraed takes over from another one: under load nobody is refused and nothing is cut; and whoever of the two dies leaves the other one a way."""
import http.client
import json
import os
import pathlib
import select
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time

import pytest

from conftest import BUILD, SLOW, Platform, engine, within
from link import Invoker

ECHO = "def main(args):\n    return {'n': args.get('n')}\n"
# Says in its container that it has begun, and ends when it is told to there.
LASTS = """
import os
import time
def main(args):
    mark = "/tmp/" + args["mark"]
    open(mark, "w").close()
    until = time.time() + 280
    while not os.path.exists(mark + ".end") and time.time() < until:
        time.sleep(0.05)
    return {"ended": args["mark"]}
"""
RATE = 200  # calls a second
CLIENTS = 10  # with a connection each that stays; as many begin one for each call
SLOWEST_S = 20  # ten times what is aimed at


class Load:
    """Calls at a fixed rate, half of them on connections that stay. What went wrong is kept, and how long the slowest took."""

    def __init__(self, own, name):
        self.own, self.name = own, name
        self.over = threading.Event()
        self.wrong, self.times, self.lock = [], [], threading.Lock()
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(2 * CLIENTS)]

    def say(self, connection, number):
        connection.request("POST", f"/api/v1/namespaces/_/actions/{self.name}?blocking=true&result=true",
                           json.dumps({"n": number}).encode(),
                           {"Authorization": self.own.basic(self.own.auth), "Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200 and json.loads(body) == {"n": number}, (answer.status, body[:300])

    def work(self, i):
        stays = i < CLIENTS
        connection = http.client.HTTPConnection("127.0.0.1", self.own.port, timeout=60 * SLOW)
        due, number = time.monotonic(), i
        while not self.over.is_set():
            begun = time.monotonic()
            try:
                self.say(connection, number)
            except Exception as e:  # every kind of failure is one
                with self.lock:
                    self.wrong.append(repr(e))
                connection.close()
            if not stays:
                connection.close()
            with self.lock:
                self.times.append(time.monotonic() - begun)
            number += 2 * CLIENTS
            due = max(due + 2 * CLIENTS / RATE, time.monotonic() - 1)
            self.over.wait(max(0, due - time.monotonic()))
        connection.close()

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join()

    def more(self, calls):
        """So many more have been answered."""
        until = len(self.times) + calls
        within(60, "calls are answered", lambda: len(self.times) >= until)


def take_over(own, *more):
    """Starts a process that takes over; own.process is that one when it serves. Returns the one that was."""
    before = own.process
    own.spawn(f"--listen=127.0.0.1:{own.port}", "--takeover", *more)
    within(90, "it serves", own.address)
    own.pid = own.process.pid
    return before


def ended(process):
    assert process.wait(timeout=90 * SLOW) == 0


def has_begun(own, mark):
    """The call is under way; returns where it looks for its end."""
    def look():
        return [pid for pid in inside(own) if os.path.exists(f"/proc/{pid}/root/tmp/{mark}")]
    return pathlib.Path(f"/proc/{within(60, 'it has begun', look, every=0.1)[0]}/root/tmp/{mark}.end")


def inside(own):
    """First processes of the containers."""
    found = []
    for c in own.containers() + [c["Id"] for one in getattr(own, "invokers", []) for c in one.containers()]:
        try:
            pid = (engine(f"/containers/{c}/json") or {}).get("State", {}).get("Pid")
        except AssertionError:
            continue
        if pid:
            found.append(pid)
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    own = Platform(tmp_path_factory.mktemp("nr"), "--stems=off")
    try:
        own.start()
        own.put("echo", ECHO, limits={"concurrency": 1})
        own.put("lasts", LASTS, limits={"timeout": 300000, "memory": 384})
        own.put("later", ECHO)
        for name in ("echo", "later"):
            assert own.invoke(name, {"n": 1}).status == 200
        yield own
        own.stop()
    finally:
        own.discard()


def test_two_upgrades_under_load(served):
    own = served
    reply, accepted = [], []
    thread = threading.Thread(target=lambda: reply.append(own.invoke("lasts", {"mark": "blocking"})))
    thread.start()
    end = has_begun(own, "blocking")
    with Load(own, "echo") as load:
        load.more(RATE)
        first = own.process
        for _ in range(2):
            stop = threading.Event()

            def post(stop=stop):
                while not stop.wait(0.05):
                    answer = own.invoke("later", {"n": len(accepted)}, "")
                    assert answer.status == 202, answer
                    accepted.append(answer.activation)

            poster = threading.Thread(target=post)
            poster.start()
            before = take_over(own)
            load.more(RATE)
            stop.set()
            poster.join()
            if before is not first:
                ended(before)
        # the call that was begun before the first of them runs on where it was
        assert first.poll() is None
        load.more(RATE)
        end.touch()
    assert load.wrong == []
    assert max(load.times) < SLOWEST_S * SLOW, f"slowest {max(load.times):.2f} s"
    print(f"{len(load.times)} calls, slowest {max(load.times) * 1000:.0f} ms")
    thread.join()
    assert reply[0].status in (200, 202), reply  # 202 to who had waited for a minute
    ended(first)
    assert own.record(reply[0].activation)["response"]["result"] == {"ended": "blocking"}
    # accepted calls: each once
    assert len(accepted) >= 4
    for activation in accepted:
        assert own.record(activation)["response"]["status"] == "success"
    listed = own.request("GET", "activations?name=later&count=true").json["activations"]
    assert listed == len(accepted) + 1
    within(60, "nothing is undecided", lambda: own.metric("narae_accepted_queued") == 0 and own.metric("narae_accepted_running") == 0)
    assert own.metric("narae_accepted_drift") == 0


def test_warm_containers_serve_on_and_connections_stay(served):
    own = served
    assert own.invoke("echo", {"n": 1}).status == 200
    connection = own.connect()
    assert own.request("POST", "actions/echo?blocking=true", {"n": 2}, connection=connection).status == 200
    port = connection.sock.getsockname()[1]
    within(30, "calls have ended", lambda: own.metric("narae_running_activations") == 0)
    before = set(own.containers())
    ended(take_over(own))
    reply = own.request("POST", "actions/echo?blocking=true", {"n": 3}, connection=connection)
    assert reply.status == 200 and connection.sock.getsockname()[1] == port, "the same connection, another process"
    connection.close()
    record = own.record(reply.activation)
    assert {a["key"]: a["value"] for a in record["annotations"]}["narae.start"] == "warm"
    within(30, "nothing of the old one is left", lambda: set(own.containers()) <= before)


def test_an_accepted_call_that_runs_ends_once(served):
    own = served
    call = own.invoke("lasts", {"mark": "accepted"}, "")
    assert call.status == 202
    end = has_begun(own, "accepted")
    before = take_over(own)
    assert own.request("GET", f"activations/{call.activation}").status == 404, "it has not ended"
    end.touch()
    assert own.record(call.activation)["response"]["result"] == {"ended": "accepted"}
    ended(before)
    within(30, "figures are whole", lambda: own.metric("narae_accepted_drift") == 0)


def test_an_old_one_that_is_killed_with_calls(served):
    """What it ran is recorded as failed as soon as it is gone, and its container goes."""
    own = served
    call = own.invoke("lasts", {"mark": "killed"}, "")
    assert call.status == 202
    has_begun(own, "killed")
    before = take_over(own)
    before.kill()
    before.wait()
    assert own.record(call.activation)["response"]["status"] == "whisk internal error"
    within(30, "figures are whole", lambda: own.metric("narae_accepted_drift") == 0)


@pytest.mark.parametrize("mistake, says", [("--docker=/nonexistent.sock", "nonexistent"), ("--listen=127.0.0.1:1", "not where"),
                                           ("--metrics-functions=most", "metrics-functions"), ("--tls-cert=/nonexistent", "go together")])
def test_a_new_one_that_cannot_leaves_the_old_one_serving(served, mistake, says):
    own, before = served, served.process
    own.spawn(f"--listen=127.0.0.1:{own.port}", "--takeover", mistake)
    assert own.wait() == 1
    assert says in own.said() and "takes over" not in own.said(), "nothing was taken"
    own.process, own.pid = before, before.pid
    assert own.invoke("echo", {"n": 4}).status == 200


def test_what_is_in_the_folder_is_judged_before_anything_is_taken(served):
    own, before = served, served.process
    mark = own.data / "restoring"
    mark.write_text("")
    try:
        own.spawn(f"--listen=127.0.0.1:{own.port}", "--takeover")
        assert own.wait() == 1
    finally:
        mark.unlink()
    assert "a restore into the data folder" in own.said() and "takes over" not in own.said()
    own.process, own.pid = before, before.pid
    assert own.invoke("echo", {"n": 4}).status == 200


def test_a_takeover_is_asked_for_on_the_command_line_only(tmp_path):
    config = tmp_path / "conf"
    config.write_text("takeover = true\n")
    own = Platform(tmp_path, f"--config={config}")
    own.spawn()
    assert own.wait() == 1
    assert "takeover: it is given on the command line only (--takeover): in a file it would make each start a takeover" in own.said()
    own.process = subprocess.Popen([BUILD / "naraed"], env={**os.environ, "NARAE_TAKEOVER": "true"}, stderr=subprocess.PIPE)
    assert b"NARAE_TAKEOVER: it is given on the command line only" in own.process.communicate(timeout=60 * SLOW)[1]
    assert own.process.returncode == 1


class Comer:
    """Who comes and takes over, as far as a test wants it: the protocol's words, and nothing behind them."""

    def __init__(self, own):
        self.own = own
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(90 * SLOW)
        self.socket.connect(str(own.run / "takeover"))

    def hear(self):
        words, fds, _, _ = socket.recv_fds(self.socket, 1000, 200)
        for fd in fds:
            os.close(fd)
        return words.decode()

    def greet(self):
        installation = (self.own.data / "installation").read_text().strip()
        self.socket.send(f"hello 1 1 0.0.0 {installation}".encode())
        return self.hear()

    def take(self):
        """Until it is released."""
        self.socket.send(b"ask")
        while not (words := self.hear()).startswith("released"):
            assert words in ("connections", "untouched")


# Takes over as test_upgrade.Comer does, has the folder's lock, says that it has, closes its socket (then it is ended), and does nothing more.
STRANGER = """
import fcntl, os, signal, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import conftest, test_upgrade
own = conftest.Platform(sys.argv[2])
comer = test_upgrade.Comer(own)
assert comer.greet().startswith("listening")
comer.take()
lock = open(own.data / "lock")
fcntl.flock(lock, fcntl.LOCK_EX)
print("has it", flush=True)
comer.socket.close()
signal.pause()
"""


# Asks to take over, and waits.
ASKER = STRANGER[:STRANGER.index("comer.take()")] + """
comer.socket.send(b"ask")
print("asks", flush=True)
signal.pause()
"""


def started(script, own):
    return subprocess.Popen(["python3", "-c", script, os.path.dirname(os.path.abspath(__file__)), own.folder], stdout=subprocess.PIPE,
                            env={**os.environ, "NARAE_BUILD": str(BUILD)})


def goes_on(own, start):
    """Who was put in the place of one that did not serve is own.process from then on."""
    def look():
        with own.log.open("rb") as log:
            log.seek(start)
            return [line for line in log.read().decode(errors="replace").splitlines() if " of this release goes on" in line]
    pid = int(within(90, "another one goes on", look)[0].split("; process ")[1].split()[0])
    own.process, own.pid = Adopted(pid), pid
    within(90, "it serves", lambda: own.request("GET", "/readyz", auth=None).status == 200)


def test_one_that_took_over_and_does_not_serve_is_ended_first(served):
    """It has the folder: nobody else may get it before its end is certain."""
    own, before = served, served.process
    start = own.log.stat().st_size
    comer = started(STRANGER, own)
    assert comer.stdout.readline() == b"has it\n"
    goes_on(own, start)
    assert comer.wait(timeout=60 * SLOW) == -signal.SIGKILL
    comer.stdout.close()
    ended(before)
    assert own.invoke("echo", {"n": 10}).status == 200


def test_who_says_nothing_does_not_hold_the_door(served):
    own = served
    silent, second = Comer(own), Comer(own)
    assert second.hear() == "no another process is taking over already"
    second.socket.close()
    assert silent.socket.recv(10) == b"", "after a while"
    silent.socket.close()
    third = Comer(own)
    assert third.greet().startswith("listening")
    third.socket.close()
    assert own.invoke("echo", {"n": 11}).status == 200


def test_two_signals_while_it_lets_go_end_it(tmp_path):
    """And who comes is told to stop, too: a signal is meant for the platform."""
    own = Platform(tmp_path, "--stems=off")
    try:
        own.start()
        with socket.create_connection(("127.0.0.1", own.port)) as half:  # has begun: it is waited for
            half.sendall(b"GET /healthz HTTP/1.1\r\n")
            within(30, "it was read", lambda: own.request("GET", "/healthz", auth=None).status == 200)
            comer = started(ASKER, own)
            assert comer.stdout.readline() == b"asks\n"
            within(30, "it lets go", lambda: "takes over" in own.said(), every=0.001)
            own.process.send_signal(signal.SIGTERM)
            within(30, "the first one is heard", lambda: "a second one ends at once" in own.said(), every=0.001)
            own.process.send_signal(signal.SIGTERM)
            assert own.wait() == 1
        assert "stopping now" in own.said()
        assert comer.wait(timeout=60 * SLOW) == -signal.SIGTERM
        comer.stdout.close()
        own.start()
    finally:
        own.discard()


def used_mb(own):
    return own.metric("narae_containers_memory_bytes") / 2**20


def test_what_a_killed_successor_ran_and_what_still_ends(served):
    """Of three processes the first ends a call, the second was killed with one: the third knows which is which, and counts the memory of both as it is."""
    own = served
    kept = own.invoke("lasts", {"mark": "kept"}, "")
    kept_end = has_begun(own, "kept")
    first = take_over(own)
    lost = own.invoke("lasts", {"mark": "lost"}, "")
    within(60, "it has begun", lambda: [pid for pid in inside(own) if os.path.exists(f"/proc/{pid}/root/tmp/lost")], every=0.1)
    own.process.kill()
    own.process.wait()
    (own.run / ".new-ending-1").write_text("{")  # as one leaves that is killed at the wrong moment
    own.spawn(f"--listen=127.0.0.1:{own.port}")
    within(90, "it serves", own.address)
    assert first.poll() is None, "the first one still has its call"
    assert own.record(lost.activation)["response"]["status"] == "whisk internal error"
    assert own.request("GET", f"activations/{kept.activation}").status == 404, "it has not ended"
    assert not (own.run / ".new-ending-1").exists()
    within(60, "of the large ones one is counted", lambda: used_mb(own) % 256 == 128)
    kept_end.touch()
    assert own.record(kept.activation)["response"]["result"] == {"ended": "kept"}
    ended(first)
    within(60, "its memory is given back", lambda: used_mb(own) % 256 == 0)
    within(60, "figures are whole", lambda: own.metric("narae_accepted_drift") == 0)


def test_a_folder_of_sockets_is_of_one_data_folder(served, tmp_path):
    own = Platform(tmp_path, "--stems=off", f"--run={served.run}")
    own.spawn()
    assert own.wait() == 1
    assert "is the one of another data folder" in own.said() and str(served.data) in own.said()
    assert served.invoke("echo", {"n": 12}).status == 200
    # the name that naraed gives it itself: taken by a data folder of another file system
    own.data.mkdir(exist_ok=True)
    st = own.data.stat()
    taken = pathlib.Path(f"/run/narae/{st.st_ino & 0xffffffff:08x}")
    taken.mkdir(parents=True)
    try:
        (taken / "data-folder").write_text(f"{st.st_dev + 1} {st.st_ino} /elsewhere\n")
        longer = pathlib.Path(f"{taken}-{st.st_dev & 0xffffffff:08x}")
        config = tmp_path / "conf"
        config.write_text("stems = off\n")
        with own.log.open("ab") as log:
            own.log_start = log.tell()
            own.process = subprocess.Popen([BUILD / "naraed", "--listen=127.0.0.1:0", f"--data={own.data}", f"--docker={own.docker}", f"--config={config}"],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        own.pid = own.process.pid
        within(60, "it serves", own.address)
        assert (longer / "takeover").exists() and not (taken / "takeover").exists()
        own.label = "narae.installation=" + (own.data / "installation").read_text().strip()
        own.stop()
        assert not longer.exists() and (taken / "data-folder").exists()
    finally:
        (taken / "data-folder").unlink()
        taken.rmdir()
        own.discard()


def test_a_schema_that_is_newer(served):
    """By one it is served, as a downgrade needs it; by two the old one goes on."""
    own, before = served, served.process

    def raise_by(n):
        with sqlite3.connect(own.data / "calls.db", timeout=30) as db:
            known = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute(f"PRAGMA user_version={known + n}")
        db.close()
    raise_by(2)
    own.spawn(f"--listen=127.0.0.1:{own.port}", "--takeover")
    assert own.wait() == 1
    assert "start a newer release" in own.said() and "capability=" not in own.said(), "before anything is tried"
    own.process, own.pid = before, before.pid
    assert own.invoke("echo", {"n": 5}).status == 200
    raise_by(-1)
    ended(take_over(own))
    assert own.invoke("echo", {"n": 6}).status == 200
    raise_by(-1)


def test_another_user_is_turned_away(served):
    own = served
    assert (own.run / "takeover").stat().st_mode & 0o777 == 0o600
    code = ("import os,socket,sys\nos.setuid(65534)\ns=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)\n"
            "try:\n    s.connect(sys.argv[1]); s.send(b'hello 1 1 x'); print(s.recv(100))\nexcept OSError as e:\n    print(e.errno)\n")
    said = subprocess.run(["python3", "-c", code, str(own.run / "takeover")], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "listening" not in said
    assert own.invoke("echo", {"n": 7}).status == 200


def test_a_new_one_that_dies_after_it_was_given_all(served):
    """A process of the release that served goes on, with the sockets that everybody knows."""
    own, before = served, served.process
    with Load(own, "echo") as load:
        load.more(20)
        start = own.log.stat().st_size
        own.spawn(f"--listen=127.0.0.1:{own.port}", "--takeover")

        def said():
            with own.log.open("rb") as log:
                log.seek(start)
                return log.read().decode(errors="replace")
        within(60, "it is given the sockets", lambda: f"process {own.pid} takes over" in said(), every=0.0005)
        own.process.kill()
        own.process.wait()
        goes_on(own, start)
        load.more(50)
    assert [w for w in load.wrong if "refused" in w] == []
    ended(before)
    assert own.invoke("echo", {"n": 8}).status == 200
    ended(take_over(own))


class Adopted:
    """A process that is not a child of ours, as far as a test needs it."""

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        try:
            with open(f"/proc/{self.pid}/stat", encoding="utf-8") as f:
                return 0 if f.read().rsplit(")", 1)[1].split()[0] == "Z" else None
        except FileNotFoundError:
            return 0

    def wait(self, timeout=90):
        within(timeout, f"process {self.pid} ends", lambda: self.poll() is not None)
        return 0

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)


def test_an_old_one_that_is_killed_in_the_middle(served):
    """The sockets are in the new one's hands already: connections wait, none is refused."""
    own, before = served, served.process
    own.spawn(f"--listen=127.0.0.1:{own.port}", "--takeover")
    within(60, "it has the sockets", lambda: "will be asked to hand over" in own.said(), every=0.001)
    before.kill()
    before.wait()
    with socket.create_connection(("127.0.0.1", own.port), timeout=30 * SLOW) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        within(90, "it serves", own.address)
        assert s.recv(12) == b"HTTP/1.1 200"
    assert "as after a crash" in own.said()
    assert own.invoke("echo", {"n": 9}).status == 200


def test_a_signal_upgrades_and_the_supervisor_is_told(tmp_path):
    own = Platform(tmp_path, "--stems=off", "--takeover")
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "notify"))
    heard.settimeout(60 * SLOW)
    os.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    try:
        own.start()
        assert heard.recv(100) == b"READY=1"
        before = own.process
        before.send_signal(signal.SIGUSR2)
        words = []
        while not (words and words[-1].startswith("MAINPID=")):
            words.append(heard.recv(100).decode())
        assert "READY=1" in words and [w for w in words if w.startswith("EXTEND_TIMEOUT_USEC=")], words
        words = words[-1]
        assert before.wait(timeout=90 * SLOW) == 0
        own.process = Adopted(int(words.split("=")[1]))
        assert own.request("GET", "/readyz", auth=None).status == 200
    finally:
        del os.environ["NOTIFY_SOCKET"]
        heard.close()
        own.discard()


def given_socket(own, listener, *more):
    """naraed as a supervisor starts it that listens in its place."""
    with own.log.open("ab") as log:
        own.log_start = log.tell()
        own.process = subprocess.Popen(
            ["sh", "-c", 'exec env LISTEN_PID=$$ LISTEN_FDS=1 "$0" "$@"', BUILD / "naraed", f"--data={own.data}", f"--run={own.run}",
             f"--docker={own.docker}", "--stems=off", *more],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=lambda: os.dup2(listener.fileno(), 3), close_fds=False)
    own.pid = own.process.pid


def test_a_supervisor_listens(tmp_path):
    own = Platform(tmp_path)
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            given_socket(own, listener, "--listen=127.0.0.1:1")
            assert own.wait() == 1
            assert f"which is 127.0.0.1:{port}" in own.said()
            with socket.create_connection(("127.0.0.1", port), timeout=60 * SLOW) as early:
                early.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                given_socket(own, listener)
                assert early.recv(12) == b"HTTP/1.1 200", "who came before it waited"
            assert own.address() == f"http://127.0.0.1:{port}"
        own.process.send_signal(signal.SIGTERM)
        assert own.wait() == 0
    finally:
        own.discard()


def test_a_reload_takes_all_or_nothing(tmp_path):
    config = tmp_path / "conf"
    config.write_text("log-level = info\n")
    own = Platform(tmp_path, f"--config={config}", "--stems=off")
    try:
        own.start()
        config.write_text("log-level = debug\nkeep-alive-s = none\n")
        own.process.send_signal(signal.SIGHUP)
        within(30, "it is refused", lambda: "reload refused, nothing changed" in own.said())
        config.write_text("log-level = debug\n")
        own.process.send_signal(signal.SIGHUP)
        within(30, "it is taken", lambda: "reloaded: log-level=debug" in own.said())
        config.write_text("log-level = error\n")
        own.process.send_signal(signal.SIGHUP)
        own.stop()
        assert "stopped" not in own.said(), "what is below the new level is not written any more"
    finally:
        own.discard()


def test_linked_invokers_come_to_the_new_process(tmp_path):
    """A call that one of two runs ends in the old process; the other one comes at once, that one afterwards."""
    own = Platform(tmp_path, f"--invokers-listen=unix:{tmp_path}/i.sock")
    own.docker_of_naraed, own.invokers = "none", []

    def linked():
        reply = own.request("GET", "/narae/v1/invokers", auth=own.admin_auth)
        return sorted(one["name"] for one in reply.json["invokers"] if one["ready"] and one["name"] in ("one", "two"))

    try:
        own.spawn()
        within(60, "it listens", own.address)
        own.port = int(own.address().rsplit(":", 1)[1])
        own.auth, own.admin_auth = (own.data / "guest.key").read_text().strip(), (own.data / "admin.key").read_text().strip()
        own.label = "narae.installation=" + (own.data / "installation").read_text().strip()
        own.invokers = [Invoker(f"unix:{tmp_path}/i.sock", name) for name in ("one", "two")]
        within(60, "both are linked", lambda: linked() == ["one", "two"])
        own.put("echo", ECHO)
        own.put("lasts", LASTS, limits={"timeout": 300000})
        assert own.invoke("echo", {"n": 1}).status == 200
        call = own.invoke("lasts", {"mark": "far"}, "")
        end = has_begun(own, "far")
        before = take_over(own)
        assert own.invoke("echo", {"n": 2}).status == 200, "it waits for the one that is free"
        assert len(linked()) == 1 and before.poll() is None
        assert own.request("GET", f"activations/{call.activation}").status == 404, "it has not ended"
        end.touch()
        assert own.record(call.activation)["response"]["result"] == {"ended": "far"}
        ended(before)
        within(60, "both are linked", lambda: linked() == ["one", "two"])
        assert own.invoke("echo", {"n": 3}).status == 200
        # only one is left, and runs a call: what comes meanwhile waits for it
        own.invokers.pop().stop()
        call = own.invoke("lasts", {"mark": "alone"}, "")
        end = has_begun(own, "alone")
        before = take_over(own)
        waits = own.invoke("echo", {"n": 4}, "")
        assert waits.status == 202
        end.touch()
        assert own.record(call.activation)["response"]["result"] == {"ended": "alone"}
        assert own.record(waits.activation)["response"]["result"] == {"n": 4}
        ended(before)
        own.invokers[0].stop()
        own.process.send_signal(signal.SIGTERM)
        assert own.wait() == 0
    finally:
        for one in own.invokers:
            print(one.name, one.said()[-2000:])
            one.discard()
        own.discard()


class Patient:
    """A client over TLS: it takes a new connection when the one it has was ended while nothing was asked on it, and for no other reason."""

    def __init__(self, own):
        self.own, self.context = own, ssl.create_default_context(cafile=own.data / "tls.crt")
        self.socket, self.reader, self.opened = None, None, 0

    def open(self):
        self.close()
        raw = socket.create_connection(("127.0.0.1", self.own.port), timeout=60 * SLOW)
        self.socket = self.context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
        self.opened += 1

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def call(self, number):
        if self.socket is None or select.select([self.socket], [], [], 0)[0]:  # its end is there to be read
            self.open()
        body = json.dumps({"n": number}).encode()
        self.socket.sendall(f"POST /api/v1/namespaces/_/actions/echo?blocking=true&result=true HTTP/1.1\r\nHost: localhost\r\n"
                            f"Authorization: {self.own.basic(self.own.auth)}\r\nContent-Type: application/json\r\n"
                            f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = http.client.HTTPResponse(self.socket, method="POST")
        answer.begin()
        got = answer.read()
        assert answer.status == 200 and json.loads(got) == {"n": number}, (answer.status, got[:300])
        if answer.getheader("Connection") == "close":
            self.close()


def test_no_call_over_tls_fails(tmp_path):
    """Fifty calls a second on connections that stay, and new ones: those that stay end after an answer, or while nothing is asked."""
    own = Platform(tmp_path, "--stems=off", "--tls-self-signed")
    own.connect = lambda seconds=120: http.client.HTTPSConnection(
        "localhost", own.port, timeout=seconds * SLOW, context=ssl.create_default_context(cafile=own.data / "tls.crt"))
    over, wrong, count, lock = threading.Event(), [], [0], threading.Lock()

    def work(i):
        client, due = Patient(own), time.monotonic() + i * 0.02
        while not over.wait(max(0, due - time.monotonic())):
            due = max(due + 0.2, time.monotonic() - 1)
            try:
                client.call(i)
                if i % 2:
                    client.close()
            except Exception as e:  # every kind of failure is one
                wrong.append(repr(e))
                client.close()
            with lock:
                count[0] += 1
        client.close()

    def more(calls):
        until = count[0] + calls
        within(60, "calls are answered", lambda: count[0] >= until)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(10)]
    try:
        own.spawn()
        within(60, "it listens", own.address)
        own.port = int(own.address().rsplit(":", 1)[1])
        own.auth = (own.data / "guest.key").read_text().strip()
        own.label = "narae.installation=" + (own.data / "installation").read_text().strip()
        own.put("echo", ECHO, limits={"concurrency": 1})
        idle = Patient(own)
        idle.call(0)
        for t in threads:
            t.start()
        more(30)
        before = take_over(own)
        more(30)
        ended(before)
        assert wrong == []
        idle.socket.settimeout(60 * SLOW)
        assert idle.socket.recv(1) == b"", "it was told: close_notify, and no reset"
        idle.call(1)
        assert idle.opened == 2
    finally:
        over.set()
        for t in threads:
            if t.ident:
                t.join()
        own.discard()
