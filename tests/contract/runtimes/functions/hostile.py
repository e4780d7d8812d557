"""An image's own server on port 8080 that answers in every wrong way that its caller asks for: /run with {"do": ...}, /init with
the name as its code."""
import json
import socket
import struct
import threading
import time

OK = b"HTTP/1.1 200 OK\r\n"


def sized(body, head=OK):
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def forever(first, again, pause=0.0):
    def behave(s):
        s.sendall(first)
        while True:
            s.sendall(again)
            time.sleep(pause)
    return behave


def reset(s):
    s.sendall(OK)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def deaf(_):
    threading.Event().wait()


def stop_listening(_):
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    deaf(_)


# bytes are sent and the connection closed; a function gets the socket
BEHAVIOURS = {
    "good": sized(b'{"good":1}'),
    "be blind": sized(b"{}"),
    "half a header": OK + b"Content-Le",
    "half a header, then nothing": lambda s: (s.sendall(OK + b"Content-Le"), deaf(s)),
    "length too long": OK + b'Content-Length: 100\r\n\r\n{"a":1}',
    "length too short": OK + b'Content-Length: 2\r\n\r\n{"a":1}',
    "length negative": OK + b"Content-Length: -1\r\n\r\n{}",
    "length beyond 64 bits": OK + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "length no number": OK + b"Content-Length: two\r\n\r\n{}",
    "endless body": forever(OK + b"\r\n{", b"x" * 65536),
    "endless chunks": forever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
    "endless trailer": forever(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"A: b\r\n" * 1000),
    "early close": b"",
    "reset": reset,
    "huge header": forever(OK, b"x" * 65536),
    "many headers": forever(OK, b"A: b\r\n" * 1000),
    "garbage": sized(b"\xff\x00{]garbage"),
    "chunk size no number": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunk size negative": OK + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "chunk without its end": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}}}}\r\n0\r\n\r\n",
    "flood of 1xx": forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "a few 1xx": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" * 9 + sized(b'{"good":1}'),
    "two replies": sized(b'{"good":1}') + sized(b'{"bad":2}'),
    "status 0": sized(b"{}", b"HTTP/1.1 0 Zero\r\n"),
    "status 999": sized(b"{}", b"HTTP/1.1 999 Nines\r\n"),
    "status 500": sized(b'{"error":"mine"}', b"HTTP/1.1 500 Oops\r\n"),
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "header without a colon": OK + b"nothing\r\n\r\n{}",
    "slow drip": forever(OK + b"Content-Length: 1000\r\n\r\n", b"x", 0.05),
    "close after headers": OK + b"\r\n",
    "body beyond the limit": sized(b"[" + b"1," * (2 << 20) + b"1]"),
    "never": deaf,
    "stops listening": stop_listening,
}


def read_request(s):
    data = b""
    while b"\r\n\r\n" not in data:
        data += s.recv(65536)
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length"))
    while len(body) < length:
        body += s.recv(65536)
    return head.split(b" ")[1], json.loads(body)


def serve(s):
    if blind.is_set():  # answers without reading
        s.sendall(sized(b'{"good":1}'))
        s.close()
        return
    path, body = read_request(s)
    name = body["value"]["code"] if path == b"/init" else body["value"]["do"]
    if name == "be blind":
        blind.set()
    behaviour = BEHAVIOURS[name]
    try:
        s.sendall(behaviour) if isinstance(behaviour, bytes) else behaviour(s)
    except OSError:
        pass
    s.close()


blind = threading.Event()
listener = socket.create_server(("0.0.0.0", 8080))
while True:
    try:
        connection = listener.accept()[0]
    except OSError:
        threading.Event().wait()
    threading.Thread(target=serve, args=(connection,)).start()
