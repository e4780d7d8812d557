"""A relay between naraed and its Engine that can be slow, answer nonsense, or hold its tongue.

The request always reaches the Engine and its answer is read: what was asked for happens, only naraed learns nothing of it, or late.
That is the hard case, for a container may be there that nobody knows of.
"""
import socket
import threading
import time

HEAD_MAX = 1 << 20

NONSENSE = {
    "not http": b"\x00\xff" * 300,
    "half a status line": b"HTTP/1.",
    "no body": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "not json": b"HTTP/1.1 201 Created\r\nContent-Length: 11\r\n\r\n<html>oops\n",
    "another json": b"HTTP/1.1 201 Created\r\nContent-Length: 14\r\n\r\n[{\"Id\": null}]",
    "a wild id": b"HTTP/1.1 201 Created\r\nContent-Length: 28\r\n\r\n{\"Id\": \"../../images/all\"}\r\n",
    "too short": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"Id\":",
    "wrong length": b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n{}",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"x" * HEAD_MAX + b"\r\n\r\n",
    "server error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nnever\n",
}


class Proxy:
    """Listens at `path` until close(). mode: "" passes on, or "slow", "silent", or a key of NONSENSE."""

    def __init__(self, path, to):
        self.path, self.to, self.mode, self.delay = path, to, "", 0.0
        self.asked = []  # methods and paths of requests that a fault touched
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        engine = socket.socket(socket.AF_UNIX)
        with client, engine:
            try:
                engine.connect(self.to)
                while self.exchange(client, engine):
                    pass
            except OSError:
                pass

    def exchange(self, client, engine):
        """One request and its answer. False: the connection is over."""
        head = self.message(client, engine)
        if head is None:
            return False
        mode = self.mode
        if mode == "":
            return self.message(engine, client) is not None
        self.asked.append(head.split(b"\r\n", 1)[0].decode())
        answer = bytearray()
        whole = self.message(engine, answer)
        if mode == "slow":
            time.sleep(self.delay)
            client.sendall(answer)
            return whole is not None
        if mode == "silent":
            client.settimeout(120)
            client.recv(1)  # until the other side gives up
            return False
        client.sendall(NONSENSE[mode])
        return False

    @staticmethod
    def message(source, sink):
        """Passes one HTTP message on and returns its head; None at the end of the stream."""
        put = sink.extend if isinstance(sink, bytearray) else sink.sendall
        data = b""
        while b"\r\n\r\n" not in data:
            more = source.recv(65536)
            if not more:
                return None
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        put(data)
        fields = {k.strip().lower(): v.strip() for k, _, v in
                  (line.partition(b":") for line in head.split(b"\r\n")[1:])}
        if fields.get(b"transfer-encoding") == b"chunked":
            while not rest.endswith(b"0\r\n\r\n"):
                more = source.recv(65536)
                if not more:
                    return None
                put(more)
                rest = (rest + more)[-16:]
            return head
        left = int(fields.get(b"content-length", b"0")) - len(rest)
        while left > 0:
            more = source.recv(65536)
            if not more:
                return None
            put(more)
            left -= len(more)
        return head

    def close(self):
        self.listener.close()
