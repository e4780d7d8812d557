"""The host's side of ports/frames.h, for tests: listens for an agent, sends INIT and RUN, reads what comes back."""
import json
import os
import socket
import struct
import time

HELLO, INIT_DONE, ANSWER, LOG, END, INIT, RUN = 1, 2, 3, 4, 5, 16, 17
MORE, FAILED, TRUNCATED = 1, 2, 4
OK, EXITED, OOM, TAINTED = 0, 1, 2, 3
HEAD = struct.Struct("<IBBHQ")


class Gone(Exception):
    """The agent's end of the connection is closed."""


class Reply:
    """All frames of one call."""

    def __init__(self):
        self.answer = None
        self.failed = self.truncated = self.log_truncated = False
        self.true_length = None
        self.init_done = None
        self.log = b""
        self.log_frames = 0
        self.verdict = self.exit_status = None
        self.answer_after = self.end_after = None

    @property
    def value(self):
        return json.loads(self.answer)

    @property
    def lines(self):
        """(stream, text) of every log line, checking the form of each."""
        found = []
        text = self.log.decode("utf-8")
        assert text == "" or text.endswith("\n")
        for line in text.split("\n")[:-1]:
            stamp, rest = line[:30], line[30:]
            time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")
            assert stamp[19] == "." and stamp[20:29].isdigit() and stamp[29] == "Z", line[:60]
            stream, text_ = rest[1:7], rest[7:]
            assert rest[0] == " " and stream in ("stdout", "stderr") and text_[:2] == ": ", line[:60]
            found.append((stream, text_[2:]))
        return found

    def texts(self, stream):
        return [text for s, text in self.lines if s == stream]


class Slot:
    """One connection from the agent."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(60)
        self.calls = 0
        kind, flags, call, payload = self.read_frame()
        assert kind == HELLO and flags == 0 and call == 0
        self.hello = json.loads(payload)

    def read_bytes(self, n):
        parts, left = [], n
        while left:
            try:
                part = self.socket.recv(min(left, 1 << 20))
            except ConnectionError:
                part = b""
            if not part:
                raise Gone()
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def read_frame(self):
        length, kind, flags, value_at, call = HEAD.unpack(self.read_bytes(HEAD.size))
        assert length <= 11 << 20 and value_at == 0
        return kind, flags, call, self.read_bytes(length)

    def send(self, kind, call, payload, value_at=0, fd=None):
        data = HEAD.pack(len(payload), kind, 0, value_at, call) + payload
        sent = 0
        if fd is not None:
            sent = socket.send_fds(self.socket, [data], [fd])
        if sent < len(data):  # even nothing is not sent to who has answered and gone
            self.socket.sendall(data[sent:])

    def collect(self, call):
        """Reads all frames of a call, in the order that the protocol demands."""
        r, began, parts = Reply(), time.monotonic(), []
        while True:
            kind, flags, of, payload = self.read_frame()
            assert of == call, (of, call)
            if kind == INIT_DONE:
                assert r.init_done is None and not r.log_frames
                r.init_done, r.failed = payload, bool(flags & FAILED)
            elif kind == ANSWER:
                assert r.answer is None and not r.log_frames
                parts.append(payload)
                if not flags & MORE:
                    r.answer, r.failed = b"".join(parts), bool(flags & FAILED)
                    r.answer_after = time.monotonic() - began
                    if flags & TRUNCATED:
                        r.truncated = True
                        r.true_length = struct.unpack("<Q", r.answer[:8])[0]
                        r.answer = r.answer[8:]
            elif kind == LOG:
                r.log += payload
                r.log_frames += 1
                r.log_truncated |= bool(flags & TRUNCATED)
            elif kind == END:
                r.verdict, r.exit_status = struct.unpack("<Bxxxi", payload)
                r.end_after = time.monotonic() - began
                return r
            else:
                raise AssertionError("unexpected frame %d" % kind)

    def begin_init(self, file, code, **more):
        value = {"name": "fn", "main": more.pop("main", "main"), "binary": not file.endswith(".py"),
                 "env": dict({"__OW_ACTION_NAME": "/guest/fn"}, **more.pop("env", {}))}
        message = {"value": value, "file": file, "slots": 1, "log_max_bytes": 10 << 20,
                   "result_max_bytes": 1 << 20, "timeout_ms": 60000}
        message.update(more)
        fd = os.memfd_create("code")
        os.write(fd, code)
        os.fchmod(fd, 0o555)
        # as the daemon does: a descriptor that can only be read
        ro = os.open("/proc/self/fd/%d" % fd, os.O_RDONLY)
        self.calls += 1
        self.send(INIT, self.calls, json.dumps(message).encode(), fd=ro)
        os.close(fd)
        os.close(ro)
        return self.calls

    def init(self, file, code, **more):
        return self.collect(self.begin_init(file, code, **more))

    def begin_run(self, value, **meta):
        fields = {"activation_id": "a" * 32, "transaction_id": "t" * 32, "namespace": "guest",
                  "action_name": "/guest/fn", "action_version": "0.0.1",
                  "deadline": str(int(time.time() * 1000) + 60000)}
        fields.update(meta)
        head = json.dumps(fields)[:-1] + ',"value":'
        payload = (head + (
            value if isinstance(value, str)
            else json.dumps(value, separators=(",", ":"), ensure_ascii=False)) + "}").encode()
        self.calls += 1
        self.send(RUN, self.calls, payload, value_at=len(head.encode()))
        return self.calls

    def run(self, value=None, **meta):
        return self.collect(self.begin_run({} if value is None else value, **meta))

    def gone_within(self, seconds):
        """Does the agent close this connection?"""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()


class Listener:
    """The socket that an agent dials."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o755)
        self.path = os.path.join(folder, "s")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.listen(128)

    def accept(self, seconds=30):
        self.socket.settimeout(seconds)
        return Slot(self.socket.accept()[0])

    def close(self):
        self.socket.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
