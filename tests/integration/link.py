"""A controller that does what a test says, and `naraed --roles=invoker` as a process: the wire of ports/wire.h from the other side."""
import hashlib
import json
import os
import queue
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import urllib.parse

from conftest import BUILD, DOCKER, SLOW, engine, within
import world

HEAD = struct.Struct("<IIQBB6x")
TYPES = {"PING": 1, "PONG": 2, "HELLO": 16, "WANT_CODE": 17, "CLAIM": 18, "ANSWER": 19, "LOGS": 20, "END": 21, "BOUNCE": 22, "REPORT": 23,
         "EVENT": 24, "FORGOTTEN": 25, "WANT_AUTH": 26, "LEAVING": 27, "WELCOME": 64, "REFUSED": 65, "FUNCTION": 66, "RUN": 67,
         "CLAIMED": 68, "CUT": 69, "DONE": 70, "CODE": 71, "FORGET": 72, "FORGET_ACCOUNT": 74, "CORDON": 78, "DRAIN": 79}
NAMES = {number: name for name, number in TYPES.items()}
MORE, ON = 2, 8
PART = 256 << 10
BOUND = b'{"greeting":"moin"}'


class Frame:
    def __init__(self, head, payload):
        _, meta, self.call, kind, self.flags = HEAD.unpack(head)
        self.name = NAMES.get(kind, str(kind))
        self.meta = json.loads(payload[:meta] or b"{}")
        self.raw = payload[meta:]


class Link:
    """One connection of an invoker."""

    def __init__(self, sock):
        self.sock = sock
        self.frames = queue.Queue()
        self.reports = []
        self.naming, self.named = [], None
        self.lock = threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()

    def all_of(self, count):
        parts = b""
        while len(parts) < count:
            part = self.sock.recv(count - len(parts))
            if not part:
                raise OSError("the link has ended")
            parts += part
        return parts

    def read(self):
        try:
            while True:
                head = self.all_of(HEAD.size)
                frame = Frame(head, self.all_of(HEAD.unpack(head)[0]))
                if frame.name == "PING":
                    self.send("PONG", frame.call)
                elif frame.name == "REPORT":
                    self.take_report(frame)
                elif frame.name not in ("PONG", "EVENT"):
                    self.frames.put(frame)
        except (OSError, ValueError):
            self.frames.put(None)

    def take_report(self, frame):
        """The calls that wait there are named in all frames of one."""
        self.naming += [n for n, in struct.iter_unpack("<Q", frame.raw)]
        if not frame.flags & MORE:
            if frame.flags & ON:
                self.named = self.naming
            self.naming = []
        self.reports.append(frame.meta)

    def send(self, name, call=0, meta=None, raw=b"", flags=0):
        text = json.dumps(meta).encode() if meta is not None else b""
        with self.lock:
            self.sock.sendall(HEAD.pack(len(text) + len(raw), len(text), call, TYPES[name], flags) + text + raw)

    def next(self, name):
        """The next frame but reports, events and pings."""
        frame = self.frames.get(timeout=60 * SLOW)
        assert frame is not None and frame.name == name, frame and (frame.name, frame.meta, frame.call)
        return frame

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    # ---- what a controller says

    def welcome(self, controller="one", wanted=()):
        hello = self.next("HELLO").meta
        self.send("WELCOME", meta={"protocol": 1, "epoch": 1, "controller": controller}, raw=b"".join(struct.pack("<Q", n) for n in wanted))
        return hello

    def function(self, revision, code, image, **more):
        """Returns its code, for give_code()."""
        code = code.encode()
        self.send("FUNCTION", revision, {
            "revision": revision, "stored": revision, "account": "guest", "package": "", "name": f"far{revision}",
            "path": f"guest/far{revision}", "version": "0.0.1", "published": 0, "kind": "python:3", "image": image, "relay": False, "exec": "",
            "main": "", "binary": False, "file": "code.py", "code_bytes": len(code), "timeout_ms": 30000, "memory_mb": 128,
            "log_max_bytes": 1 << 20, "concurrency": 1, "instances": 0, "cpus_milli": 0, "cpu_share": 0, "gpu_count": 0, "gpu_memory_mb": 0,
            "gpu_percentage": 0, "network": 1, "provide_api_key": False, "trial": False, "sha256": hashlib.sha256(code).hexdigest(),
            "final_names": [], "bound_names": ["greeting"], "parameters_bytes": len(BOUND), **more}, raw=BOUND + b"{}")
        return code

    def give_code(self, code):
        """Answers questions for it until a part is the last."""
        end = 0
        while end < len(code):
            want = self.next("WANT_CODE").meta
            assert want["sha256"] == hashlib.sha256(code).hexdigest()
            end = min(len(code), want["at"] + want["bytes"])
            for at in range(want["at"], end, PART):
                self.send("CODE", meta={"sha256": want["sha256"], "at": at, "bytes": len(code)}, raw=code[at:min(end, at + PART)])

    def run(self, call, revision, **parameters):
        self.send("RUN", call, {"activation": f"{call:032x}", "account": "guest", "transaction": "t", "revision": revision},
                  json.dumps(parameters).encode())

    def grant(self, call):
        assert self.next("CLAIM").call == call
        self.send("CLAIMED", call)

    def outcome(self, call):
        """Its result, ANSWER's other members, its logs; the invoker forgets it."""
        answer, logs = self.next("ANSWER"), b""
        assert answer.call == call
        while True:
            frame = self.frames.get(timeout=60 * SLOW)
            assert frame and frame.call == call and frame.name in ("LOGS", "END"), frame and frame.name
            if frame.name == "END":
                self.send("DONE", call)
                return json.loads(answer.raw or b"null"), answer.meta, logs.decode()
            logs += frame.raw


class Controller:
    """Listens; with `tls` (a context) over TCP."""

    def __init__(self, tls=None):
        self.folder = tempfile.mkdtemp(prefix="nrc", dir="/tmp")
        self.tls, self.links = tls, []
        if tls:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.url = "tls://127.0.0.1:%d" % self.listener.getsockname()[1]
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(f"{self.folder}/s")
            self.listener.listen()
            self.url = f"unix:{self.folder}/s"
        self.listener.settimeout(60 * SLOW)

    def accept(self):
        """The next link. A TLS dial that is broken off is told as None."""
        sock, _ = self.listener.accept()
        sock.settimeout(None)
        if self.tls:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                sock.close()
                return None
        self.links.append(Link(sock))
        return self.links[-1]

    def close(self):
        for link in self.links:
            link.close()
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Invoker:
    """naraed --roles=invoker. `place` (words) starts it in a place of its own, such as a network namespace."""

    def __init__(self, url, name, *options, place=(), docker=DOCKER):
        self.folder = tempfile.mkdtemp(prefix="nri", dir="/tmp")
        self.name, self.log, self.docker = name, f"{self.folder}/log", docker
        self.command = [*place, BUILD / "naraed", "--roles=invoker", f"--controller={url}", f"--invoker-name={name}", f"--data={self.folder}/data",
                        f"--run={self.folder}/run", f"--docker={docker}", "--stems=off", "--network=none", *options]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def says(self, text, seconds=60):
        within(seconds, f"{self.name} says {text}", lambda: text in self.said() or (self.process.poll() is not None and 1 / 0))

    @property
    def installation(self):
        with open(f"{self.folder}/data/installation", encoding="ascii") as file:
            return file.read().strip()

    def containers(self):
        label = json.dumps({"label": [f"narae.installation={self.installation}"]})
        return engine(f"/containers/json?all=1&filters={urllib.parse.quote(label)}", docker=self.docker)

    def stop(self):
        """SIGTERM; exit status 0, and nothing is left."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=90 * SLOW) == 0, self.said()[-4000:]
        assert self.containers() == []

    def discard(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if os.path.exists(f"{self.folder}/data/installation"):
            for container in self.containers():
                engine(f"/containers/{container['Id']}?force=1", "DELETE", self.docker)
            world.forget_network(self.installation[:8])
        shutil.rmtree(self.folder, ignore_errors=True)
