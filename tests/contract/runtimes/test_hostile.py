"""Replies of an image's own server that no client should trust: each ends its call with the right class of error, at the latest
one second after the host's deadline, and never harms another call."""
import socket
import time

import host
import pytest
from flavours import Flavour

HOSTILE = Flavour("hostile", "python", "code.py", lambda: b"good", None, command=["python3", "-u", "/server.py"], server="hostile")
DEADLINE_S = 0.7
LIMIT_BYTES = 1 << 20

# What becomes of a call. ENDS: no answer, the container goes by itself. CUT: nothing until the host's deadline. else: the answer.
ENDS, CUT = "ends", "cut"
TABLE = {
    "half a header": ENDS,
    "half a header, then nothing": CUT,
    "length too long": ENDS,
    "length too short": b'{"',
    "length negative": ENDS,
    "length beyond 64 bits": ENDS,
    "two lengths": ENDS,
    "length no number": ENDS,
    "endless body": CUT,
    "endless chunks": CUT,
    "endless trailer": ENDS,
    "early close": ENDS,
    "reset": ENDS,
    "huge header": ENDS,
    "many headers": ENDS,
    "garbage": b"\xff\x00{]garbage",
    "chunk size no number": ENDS,
    "chunk size negative": ENDS,
    "chunk without its end": ENDS,
    "flood of 1xx": ENDS,
    "a few 1xx": b'{"good":1}',
    "two replies": b'{"good":1}',
    "status 0": ENDS,
    "status 999": ENDS,
    "no HTTP": ENDS,
    "header without a colon": ENDS,
    "slow drip": CUT,
    "close after headers": b"",
    "never": CUT,
}


INIT_TABLE = {name: TABLE[name] for name in (
    "half a header", "half a header, then nothing", "length too long", "length negative", "endless body", "early close", "reset",
    "huge header", "flood of 1xx", "no HTTP", "slow drip", "never")}


@pytest.fixture
def hostile(start):
    c = start(HOSTILE)
    assert not HOSTILE.init(c, result_max_bytes=LIMIT_BYTES).failed
    return c


def good(container):
    r = container.slot.run({"do": "good"})
    return r.value == {"good": 1} and r.verdict == host.OK


def cut(container, call):
    """As the invoker at the deadline. True: the call ended without an answer, and the container with it."""
    container.slot.socket.shutdown(socket.SHUT_WR)
    began = time.monotonic()
    r = container.slot.collect(call)
    return r.answer is None and r.verdict == host.EXITED and time.monotonic() - began < 1 and container.exit_status(5) == 137


@pytest.mark.parametrize("behaviour", INIT_TABLE)
def test_reply_to_init(start, behaviour):
    c = start(HOSTILE)
    call = c.slot.begin_init("code.py", behaviour.encode())
    if INIT_TABLE[behaviour] is CUT:
        assert not c.slot.gone_within(DEADLINE_S)
        c.slot.socket.settimeout(60)
        assert cut(c, call)
        return
    r = c.slot.collect(call)
    assert r.init_done is None and r.verdict == host.EXITED
    assert c.slot.gone_within(2) and c.exit_status(5) is not None


def test_error_status_of_init(start):
    r = start(HOSTILE).slot.init("code.py", b"status 500")
    assert r.failed and r.init_done == b'{"error":"mine"}' and r.verdict == host.TAINTED


@pytest.mark.parametrize("behaviour", TABLE)
def test_reply(hostile, behaviour):
    expected = TABLE[behaviour]
    call = hostile.slot.begin_run({"do": behaviour})
    if expected is CUT:
        assert not hostile.slot.gone_within(DEADLINE_S)  # and not a byte
        hostile.slot.socket.settimeout(60)
        assert cut(hostile, call)
        return
    r = hostile.slot.collect(call)
    if expected is ENDS:
        assert r.answer is None and r.verdict == host.EXITED
        assert hostile.slot.gone_within(2) and hostile.exit_status(5) is not None
    else:
        assert r.answer == expected and not r.failed and r.verdict == host.OK
        assert good(hostile)


def test_error_status(hostile):
    r = hostile.slot.run({"do": "status 500"})
    assert r.failed and r.value == {"error": "mine"} and r.verdict == host.TAINTED


def test_body_beyond_the_limit(hostile):
    r = hostile.slot.run({"do": "body beyond the limit"})
    assert r.truncated and len(r.answer) == LIMIT_BYTES and r.true_length == (4 << 20) + 3 and r.verdict == host.OK
    assert good(hostile)


def test_answer_before_the_request_is_read(hostile):
    """A megabyte that nobody reads: its sender gets the answer, or at least no wrong one."""
    assert hostile.slot.run({"do": "be blind"}).value == {}
    r = hostile.slot.run({"x": "a" * (1 << 20)})
    assert r.value == {"good": 1} if r.answer is not None else r.verdict == host.EXITED


def test_server_that_stops_listening(hostile):
    hostile_call = hostile.slot.begin_run({"do": "stops listening"})
    assert not hostile.slot.gone_within(DEADLINE_S)
    hostile.slot.socket.settimeout(60)
    assert cut(hostile, hostile_call)


def test_one_hostile_reply_spares_the_calls_beside_it(start):
    c = start(HOSTILE)
    assert not HOSTILE.init(c, slots=2).failed
    slots = sorted([c.slot, c.accept()], key=lambda s: s.hello["slot"])
    r = slots[1].run({"do": "half a header"})
    assert r.answer is None and r.verdict == host.EXITED and slots[1].gone_within(2)
    for _ in range(5):
        assert slots[0].run({"do": "good"}).value == {"good": 1}
    slots[1].close()
