"""The cases that every way to run a function has to pass, each in real containers."""
import json
import socket
import time

import host
from flavours import NOT_COMPOSITE

UNICODE = {"do": "echo", "x": "h\u00e9llo \u4e16\u754c \U0001f600 \"quoted\" \\ back", "n": [1, 2.5, None, True]}


def test_hello_and_init(flavour, start):
    c = start(flavour)
    assert c.slot.hello["protocol"] == 1 and c.slot.hello["id"] == "0123abcd"
    assert c.slot.hello["slot"] == 0 and c.slot.hello["ready"] is False
    r = flavour.init(c)
    assert r.init_done == b"" and not r.failed and r.verdict == host.OK
    if flavour.logs_init:
        assert ("stdout", "loaded") in r.lines


def test_echo(fn):
    r = fn.slot.run(UNICODE)
    assert r.value == UNICODE and not r.failed and r.verdict == host.OK and r.lines == []
    assert fn.slot.run([1, "two"]).value == [1, "two"]


def test_big_argument_and_result(fn):
    value = {"do": "echo", "x": "b" * 900_000}
    r = fn.slot.run(value)
    assert r.value == value and r.verdict == host.OK and not r.truncated
    assert fn.slot.run({"do": "echo"}).value == {"do": "echo"}


def test_logs_of_both_streams_in_order(fn):
    r = fn.slot.run({"do": "log", "lines": 100, "tag": "a"})
    assert r.verdict == host.OK and r.value == {"tag": "a"}
    assert r.texts("stdout") == ["out a %d" % n for n in range(100)]
    assert r.texts("stderr") == ["err a %d" % n for n in range(100)]
    assert fn.slot.run({"do": "echo"}).lines == []


def test_every_line_belongs_to_its_call(fn):
    """A call that logs and one that does not take different ways to their END; neither may lose or move a line."""
    for n in range(400):
        lines = n % 3
        r = fn.slot.run({"do": "log", "lines": lines, "tag": "t%d" % n})
        assert r.texts("stdout") == ["out t%d %d" % (n, i) for i in range(lines)], n
        assert r.texts("stderr") == ["err t%d %d" % (n, i) for i in range(lines)], n
        assert r.verdict == host.OK


def test_error_object(fn):
    r = fn.slot.run({"do": "error"})
    assert r.value == {"error": "bad luck", "more": 1} and not r.failed and r.verdict == host.OK


def test_result_that_is_no_object(fn):
    r = fn.slot.run({"do": "scalar"})
    assert r.failed and r.value == {"error": NOT_COMPOSITE} and r.verdict == host.TAINTED


def test_throw(flavour, fn):
    r = fn.slot.run({"do": "throw"})
    if flavour.thrown is None:
        assert r.answer is None and r.verdict == host.EXITED and r.exit_status == 3 << 8
    else:
        assert r.failed == flavour.thrown_failed
        assert r.verdict == (host.TAINTED if flavour.thrown_failed else host.OK)  # an application error costs no container
        assert r.value["error"].startswith(flavour.thrown)


def test_exit(flavour, fn):
    r = fn.slot.run({"do": "exit"})
    assert r.answer is None and r.verdict == host.EXITED
    assert fn.slot.gone_within(5)
    assert fn.exit_status() is not None


def test_init_failure(flavour, start):
    file, code, env, error = flavour.bad
    c = start(flavour)
    r = flavour.init(c, file=file, code=code, env=env)
    if error is None:
        assert r.init_done is None and r.verdict == host.EXITED and r.exit_status == 9 << 8
    else:
        assert r.failed and json.loads(r.init_done)["error"].startswith(error)
        assert r.verdict == host.TAINTED


def test_second_init(flavour, fn):
    r = flavour.init(fn)
    assert r.failed and json.loads(r.init_done) == {"error": "Cannot initialize the action more than once."}
    assert r.verdict == host.OK
    assert fn.slot.run(UNICODE).value == UNICODE


def test_env_and_deadline(flavour, start):
    c = start(flavour)
    assert not flavour.init(c, env={"PARAM": "p\u00e4r"}).failed
    names = ["__OW_ACTION_NAME", "PARAM", "__OW_ACTIVATION_ID", "__OW_DEADLINE"]
    for call in ("1", "2"):
        r = c.slot.run({"do": "env", "names": names}, activation_id=call * 32, deadline="170000000000" + call)
        assert r.value == {"__OW_ACTION_NAME": "/guest/fn", "PARAM": "p\u00e4r",
                           "__OW_ACTIVATION_ID": call * 32, "__OW_DEADLINE": "170000000000" + call}


def test_log_truncation(flavour, start):
    c = start(flavour)
    assert not flavour.init(c, log_max_bytes=10_000).failed
    r = c.slot.run({"do": "flood", "lines": 20_000})
    assert r.value == {"done": True} and r.verdict == host.TAINTED and r.log_truncated
    stream, text = r.lines[-1]
    assert stream == "stderr"
    assert text == "Logs were truncated because the total bytes size exceeds the limit of 10000 bytes."
    body = r.log[:r.log.rindex(b"\n", 0, -1) + 1]
    assert 9_000 < len(body) <= 10_000
    assert r.end_after - r.answer_after < 1


def test_log_limit_zero(flavour, start):
    c = start(flavour)
    assert not flavour.init(c, log_max_bytes=0).failed
    r = c.slot.run({"do": "log", "lines": 10, "tag": "a"})
    assert r.lines == [] and r.verdict == host.OK and r.value == {"tag": "a"}


def test_log_of_any_bytes(fn):
    r = fn.slot.run({"do": "bytes"})
    texts = r.texts("stdout")
    assert texts[0] == "a\ufffdb\ufffd\ufffdc"
    assert "".join(t for t in texts if t.startswith("y")) == "y" * 200_000
    assert all(len(t.encode()) <= 64 << 10 for t in texts)
    assert "".join(texts[1:]).endswith("z\u00e9" * 100) and "".join(texts[1:]).count("\u00e9") == 40_000


def test_result_truncation(flavour, start):
    c = start(flavour)
    assert not flavour.init(c, result_max_bytes=1000).failed
    r = c.slot.run({"do": "big", "bytes": 5000})
    assert r.truncated and len(r.answer) == 1000 and r.verdict == host.OK
    assert r.true_length in (5008, 5009)  # {"x":"aaa"} with or without a space
    assert c.slot.run({"do": "big", "bytes": 900}).value == {"x": "a" * 900}


def test_out_of_memory(flavour, start):
    c = start(flavour, memory_mb=96)
    assert not flavour.init(c).failed
    r = c.slot.run({"do": "memory"})
    assert r.answer is None and r.verdict == host.OOM


def test_state_between_calls(flavour, fn):
    first, second = (fn.slot.run({"do": "count"}).value for _ in range(2))
    if flavour.keeps_state:
        assert (first["count"], second["count"]) == (1, 2) and first["pid"] == second["pid"]
    else:
        assert (first["count"], second["count"]) == (1, 1) and first["pid"] != second["pid"]


def test_cut_call_ends_the_container(fn):
    fn.slot.begin_run({"do": "sleep", "ms": 60_000, "tag": "long"})
    time.sleep(0.1)  # the function is in its sleep by now; earlier is right as well
    began = time.monotonic()
    fn.slot.close()
    assert fn.exit_status() == 137
    assert time.monotonic() - began < 5


def test_cut_call_has_last_words(flavour, start):
    """A host that closes its sending side only still gets the log of the call it cut."""
    for patience in (0.3, 1, 5):  # however soon the cut comes, nothing but the line can be there; late enough, it is
        c = start(flavour)
        assert not flavour.init(c).failed
        call = c.slot.begin_run({"do": "sleep", "ms": 60_000, "tag": "long"})
        time.sleep(patience)
        c.slot.socket.shutdown(socket.SHUT_WR)
        try:
            r = c.slot.collect(call)
        except host.Gone:  # cut before it began
            continue
        assert r.answer is None and r.verdict == host.EXITED
        assert c.exit_status() == 137
        if r.lines:
            break
    assert r.lines == [("stdout", "begin long")]


def test_redial_between_calls(flavour, fn):
    """However soon the host hangs up after END: nothing was cut."""
    for n in range(1, 31):
        r = fn.slot.run({"do": "count"})
        fn.slot.close()
        assert r.verdict == host.OK and r.value["count"] == (n if flavour.keeps_state else 1)
        fn.slot = fn.accept(5)
        assert fn.slot.hello["ready"] is True and fn.slot.hello["slot"] == 0


def open_slots(container, n):
    """The other slots dial after INIT, in any order."""
    slots = [container.slot] + [container.accept() for _ in range(n - 1)]
    assert sorted(s.hello["slot"] for s in slots) == list(range(n))
    return sorted(slots, key=lambda s: s.hello["slot"])


def test_four_calls_at_once(flavour, start):
    c = start(flavour)
    assert not flavour.init(c, slots=4).failed
    slots = open_slots(c, 4)
    if flavour.name == "relay":  # its server takes one call at a time: it only has to answer all
        calls = [(s, s.begin_run({"do": "echo", "tag": "s%d" % n})) for n, s in enumerate(slots)]
        assert [s.collect(call).value["tag"] for s, call in calls] == ["s0", "s1", "s2", "s3"]
        return
    for s in slots:
        s.run({"do": "echo"})  # every worker is up
    for turn in range(3):
        began = time.monotonic()
        calls = [(s, s.begin_run({"do": "sleep", "ms": 400, "tag": "s%d-%d" % (n, turn)}))
                 for n, s in enumerate(slots)]
        replies = [s.collect(call) for s, call in calls]
        assert flavour.in_turn or time.monotonic() - began < 1.2
        for n, r in enumerate(replies):
            tag = "s%d-%d" % (n, turn)
            assert r.value == {"tag": tag} and r.verdict == host.OK
            assert r.lines == [("stdout", "begin " + tag), ("stdout", "end " + tag)]
    for s in slots[1:]:
        s.close()


def test_cut_slot_spares_the_others(flavour, start):
    c = start(flavour)
    assert not flavour.init(c, slots=2).failed
    slots = open_slots(c, 2)
    if flavour.name != "relay":
        slots[1].begin_run({"do": "sleep", "ms": 60_000, "tag": "cut"})
        time.sleep(0.1)
        slots[1].close()
    if flavour.in_turn:  # one process runs the calls of both: it is ended, and with it the container
        assert c.exit_status() == 137
        return
    for _ in range(20):
        assert slots[0].run(UNICODE).value == UNICODE
    slots[1].close()
