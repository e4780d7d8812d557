"""The checking function in place: every error a device makes, then a whole day of two boards.

Run by meson with SENSOR_SIM set to the generator; by hand: SENSOR_SIM=build/examples/sensor-sim.
"""
import base64
import collections
import importlib.util
import json
import os
import pathlib
import random
import subprocess
import time

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[3] / "examples/validate/validate.py"
spec = importlib.util.spec_from_file_location("validate", SOURCE)
validate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(validate)

T0 = 1767603600000  # 2026-01-05T09:00:00Z


def call(entries, state=None, **more):
    """One call, through JSON on both sides as the platform does it."""
    args = json.dumps({"readings": entries, "state": state or {}, **more})
    answer = validate.main(json.loads(args))
    # what strict readers of JSON refuse must not be in an answer
    answer = json.loads(json.dumps(answer, allow_nan=False))
    check_strict(answer)
    return answer


def check_strict(value):
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for part in value:
            check_strict(part)
    elif isinstance(value, str):
        assert "\0" not in value
        value.encode()  # no lone surrogates
    elif isinstance(value, int):
        assert abs(value) <= 2 ** 53


def reading(n, temp=24.8, humidity=60.6, **more):
    ts = T0 + 5000 * n
    return {"temp": temp, "humidity": humidity, "seq": n, "ts": ts, **more}


def entry(n, *args, delay=40, device="orangepi0", envelope=None, **more):
    return {"device": device, "received": T0 + 5000 * n + delay,
            "reading": reading(n, *args, **more), **(envelope or {})}


def raw(text, n=10, **more):
    return {"device": "orangepi0", "received": T0 + 5000 * n + 40, "raw": text, **more}


def raw_bytes(data, n=10):
    text = base64.b64encode(data).decode()
    return {"device": "orangepi0", "received": T0 + 5000 * n + 40, "raw_b64": text}


def history(count=10, device="orangepi0", **more):
    """The state after `count` good readings."""
    return call([entry(n, device=device, **more) for n in range(count)])["state"]


def without(n, field):
    fields = reading(n)
    del fields[field]
    return fields


AT10 = f'"seq":10,"ts":{T0 + 50000}'

# name: (entry, reason, field, part of the hint), each after ten good readings of 24.8/60.6
BAD = {
    "NaN": (raw('{"temp":NaN,"humidity":60.6,%s}' % AT10), "syntax", "raw", None),
    "Infinity": (raw('{"temp":-Infinity,"humidity":60.6,%s}' % AT10), "syntax", "raw", None),
    "truncated": (raw('{"temp":24.8,"humi'), "syntax", "raw", None),
    "truncated text form": (raw("24.8,"), "syntax", "raw", None),
    "NaN in the text form": (raw("NaN,60.6"), "syntax", "raw", None),
    "empty": (raw(""), "syntax", "raw", None),
    "not an object": (raw("[24.8,60.6]"), "syntax", "raw", None),
    "two objects": (raw('{"temp":24.8}{"temp":24.8}'), "syntax", "raw", None),
    "deep": (raw("[" * 4000), "syntax", "raw", None),
    "byte order mark": (raw('\ufeff{"temp":24.8,"humidity":60.6,%s}' % AT10), "encoding", "raw",
                        None),
    "byte order mark as bytes": (raw_bytes(b'\xef\xbb\xbf{"temp":24.8}'), "encoding", "raw", None),
    "Latin-1 degree": (raw_bytes(b"24.8\xb0C,60.6"), "encoding", "raw", None),
    "replaced by somebody": (raw("24.8\ufffdC,60.6"), "encoding", "raw", None),
    "lone surrogate": (raw("24.8\ud800,60.6"), "encoding", "raw", None),
    "NUL": (raw("24.8,60.6\0"), "encoding", "raw", None),
    "no base64": ({**raw_bytes(b""), "raw_b64": "*"}, "encoding", "raw_b64", None),
    "null": (entry(10, None), "type", "temp", None),
    "text for a number": (entry(10, "24.8"), "type", "temp", None),
    "truth for a number": (entry(10, 24.8, True), "type", "humidity", None),
    "decimal comma, quoted": (entry(10, "24,8"), "type", "temp", None),
    "decimal comma in JSON": (raw('{"temp":24,8,"humidity":60.6,%s}' % AT10), "type", "temp",
                              "decimal comma"),
    "decimal comma alone": (raw("24,8"), "type", "temp", "decimal comma"),
    "decimal commas in text": (raw("24,8;60,6"), "type", "temp", "decimal comma"),
    "seq as text": (entry(10, seq="10"), "type", "seq", None),
    "seq as fraction": (entry(10, seq=1.5), "type", "seq", None),
    "unknown unit": (entry(10, 298.0, unit="K"), "type", "unit", None),
    "unit no text": (entry(10, unit=["C"]), "type", "unit", None),
    "unknown sensor": (entry(10, sensor="DHT33"), "type", "sensor", None),
    "reading no object": ({**raw(""), "raw": 7}, "type", "raw", None),
    "no temp": ({**entry(10), "reading": without(10, "temp")}, "missing", "temp", None),
    "no humidity": ({**entry(10), "reading": without(10, "humidity")}, "missing", "humidity", None),
    "no seq": ({**entry(10), "reading": without(10, "seq")}, "missing", "seq", None),
    "no ts": ({**entry(10), "reading": without(10, "ts")}, "missing", "ts", None),
    "no message": ({"device": "orangepi0"}, "missing", "reading", None),
    "no device": ({"reading": reading(10)}, "missing", "device", None),
    "device no text": ({"device": 7, "reading": reading(10)}, "type", "device", None),
    "device too long": ({"device": "x" * 129, "reading": reading(10)}, "size", "device", None),
    "no entry": (17, "type", "readings", None),
    "3302": (entry(10, 3302.0), "range", "temp", None),
    "150 %": (entry(10, 24.8, 150), "range", "humidity", None),
    "1e999": (raw('{"temp":1e999,"humidity":60.6,%s}' % AT10), "range", "temp", None),
    "huge whole number": (raw('{"temp":1%s,"humidity":60.6,%s}' % ("0" * 3000, AT10)), "range",
                          "temp", None),
    "negative seq": (entry(10, seq=-1), "range", "seq", None),
    "DHT11 below its range": (entry(10, 24.8, 19, sensor="DHT11"), "range", "humidity", None),
    "jump": (entry(10, 29.9), "jump", "temp", None),
    "jump down": (entry(10, 19.7), "jump", "temp", None),
    "Fahrenheit, not declared": (entry(10, 76.6), "jump", "temp", "Fahrenheit"),
    "ts 0": (entry(10, ts=0), "time", "ts", None),
    "ts negative": (entry(10, ts=-5), "time", "ts", None),
    "ts in 2106, seconds": (entry(10, ts=4294967295), "time", "ts", None),
    "ts in 2106": (entry(10, ts=4294967295000), "time", "ts", None),
    "ts more than a day ahead": (entry(10, ts=T0 + 50040 + 86_400_001), "time", "ts", None),
    "ts before 2000": (entry(10, ts=946_684_799_999), "time", "ts", None),
    "received in 1970": (entry(10, envelope={"received": 40}), "time", "received", None),
    "received as text": (entry(10, envelope={"received": "now"}), "type", "received", None),
    "ts as text": (entry(10, ts="2026-01-05"), "type", "ts", None),
    "wrong sensor, DHT22 by configuration": (entry(10, 1, 2), "jump", "temp",
                                             "DHT22 read as DHT11?"),
    "wrong sensor, DHT11": (entry(10, 1, 2, sensor="DHT11"), "range", "humidity",
                            "DHT22 read as DHT11?"),
    "wrong sensor, the other way": (entry(10, 614.4, 1689.6), "range", "temp",
                                    "DHT11 read as DHT22?"),
    "wrong sensor, the other way, tenths": (entry(10, 615.3, 1690.5), "range", "temp",
                                            "DHT11 read as DHT22?"),
    "over 4 KiB": (raw('{"temp":24.8,"humidity":60.6,%s,"x":"%s"}' % (AT10, "x" * 4096)), "size",
                   "raw", None),
    "object over 4 KiB": (entry(10, note="x" * 4096), "size", "raw", None),
    "bytes over 4 KiB": (raw_bytes(b"x" * 4097), "size", "raw", None),
}


@pytest.mark.parametrize("name", BAD)
def test_bad(name):
    sent, reason, field, hint = BAD[name]
    state = history()
    answer = call([sent, entry(11)], state)
    [record] = answer["quarantined"]
    assert (record["reason"], record["field"]) == (reason, field)
    assert (hint or "") in record.get("hint", "")
    assert not answer["dropped"]
    # the next good reading is not harmed
    assert [row["seq"] for row in answer["rows"]] == [11]
    assert len(record["raw"]) <= 4096


# name: (entry, fields of the row, flags), each after ten good readings
GOOD = {
    "plain": (entry(10), {"temp": 24.8, "humidity": 60.6, "seq": 10, "ts": T0 + 50000,
                          "device": "orangepi0", "epoch": 0}, []),
    "raw": (raw('{"temp":24.8,"humidity":60.6,%s}' % AT10), {"temp": 24.8, "seq": 10}, []),
    "bytes": (raw_bytes(('{"temp":24.8,"humidity":60.6,%s}' % AT10).encode()), {"seq": 10}, []),
    "Fahrenheit": (entry(10, 76.6, unit="F"), {"temp": 24.8}, ["fahrenheit"]),
    "Celsius": (entry(10, 24.8, unit="C"), {"temp": 24.8}, []),
    "whole numbers": (entry(10, 25, 61), {"temp": 25.0, "humidity": 61.0}, []),
    "text form": (raw("24.8,60.6"), {"temp": 24.8, "humidity": 60.6, "seq": None,
                                     "ts": T0 + 50040}, ["receive_time"]),
    "text form with units": (raw("76.6F,60.6%"), {"temp": 24.8, "humidity": 60.6},
                             ["receive_time", "fahrenheit"]),
    "text form with degrees": (raw(" 24.8\u00b0C , 60.6 %\n"), {"temp": 24.8}, ["receive_time"]),
    "whole text of a DHT11": (raw("24,66", sensor="DHT11"), {"temp": 24.0, "humidity": 66.0},
                              ["receive_time"]),
    "late": (entry(10, delay=60001), {"ts": T0 + 50000}, ["late"]),
    "not yet late": (entry(10, delay=60000), {"ts": T0 + 50000}, []),
    "ts in seconds": (entry(10, ts=T0 // 1000 + 50), {"ts": T0 + 50000}, ["seconds"]),
    "5 degrees are no jump": (entry(10, 29.8), {"temp": 29.8}, []),
    "a day ahead": (entry(10, ts=T0 + 50040 + 86_400_000), {"ts": T0 + 50040 + 86_400_000}, []),
    "in 2000": (entry(10, ts=946_684_800_000), {"ts": 946_684_800_000}, ["late"]),
    "exactly 4 KiB": (raw(('{"temp":24.8,"humidity":60.6,%s}' % AT10).ljust(4096)), {"seq": 10},
                      []),
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name):
    sent, fields, flags = GOOD[name]
    answer = call([sent], history())
    assert not answer["quarantined"] and not answer["dropped"] and not answer["events"]
    [row] = answer["rows"]
    assert {key: row[key] for key in fields} == fields
    assert row["flags"] == flags


def test_one_reading_without_a_list():
    answer = validate.main({"device": "orangepi0", "reading": reading(0), "received": T0})
    assert [row["seq"] for row in answer["rows"]] == [0]
    again = validate.main({"device": "orangepi0", "reading": reading(0), "received": T0 + 1,
                           "state": answer["state"]})
    assert [d["reason"] for d in again["dropped"]] == ["duplicate"]


def test_received_is_now_when_nobody_says():
    now = int(time.time() * 1000)
    [row] = validate.main({"device": "orangepi0", "raw": "24.8,60.6"})["rows"]
    assert now <= row["ts"] <= now + 10000


@pytest.mark.parametrize("delay, reason", [(200, "duplicate"), (600_040, "duplicate"),
                                           (600_041, None)])
def test_duplicate_within_ten_minutes(delay, reason):
    answer = call([entry(9, delay=delay)], history())
    assert [d["reason"] for d in answer["dropped"]] == ([reason] if reason else [])
    assert [row["flags"] for row in answer["rows"]] == ([] if reason else [["late"]])


def test_duplicate_of_a_quarantined_reading_is_dropped():
    answer = call([entry(10, 3302.0), entry(10, 3302.0, delay=90)], history())
    assert len(answer["quarantined"]) == 1 and len(answer["dropped"]) == 1


def test_another_board_is_no_duplicate():
    answer = call([entry(9, device="raspberrypi4")], history())
    assert len(answer["rows"]) == 1


@pytest.mark.parametrize("delay, dropped", [(60_001, 1), (60_000, 0)])
def test_retained_replay(delay, dropped):
    answer = call([entry(10, delay=delay, envelope={"retain": True})], history())
    assert len(answer["dropped"]) == dropped and len(answer["rows"]) == 1 - dropped


def test_out_of_order():
    state = history(7)
    answer = call([entry(8), entry(7, delay=6000), entry(9)], state)
    assert [(row["seq"], row["flags"], row["epoch"]) for row in answer["rows"]] == [
        (8, [], 0), (7, ["out_of_order"], 0), (9, [], 0)]


def test_five_jumps_that_agree_are_the_new_level():
    temps = [35.0, 35.4, 36.0, 35.2, 35.1]
    answer = call([entry(10 + i, t) for i, t in enumerate(temps)] + [entry(15, 35.3)], history())
    assert [q["value"] for q in answer["quarantined"]] == temps[:4]
    assert [(row["temp"], row["flags"]) for row in answer["rows"]] == [
        (35.1, ["new_level"]), (35.3, [])]


@pytest.mark.parametrize("temps", [[35, 35, 35, 35, 24.8, 35],      # not in a row
                                   [35, 35, 15, 35, 35, 35, 35]])   # do not agree
def test_other_jumps_are_not(temps):
    answer = call([entry(10 + i, t) for i, t in enumerate(temps)], history())
    assert len(answer["quarantined"]) == sum(t != 24.8 for t in temps)


def test_a_late_value_does_not_move_the_level():
    late = [entry(10 + i, 28.0, delay=90_000) for i in range(5)]
    state = call(late, history())["state"]
    assert state["orangepi0"]["level"] == [24.8] * 5


@pytest.mark.parametrize("skew", [420_000, -420_000])
def test_clock_skew_is_corrected_and_told_once(skew):
    answer = call([entry(n, delay=skew + (n % 3) * 100) for n in range(60)])
    assert [e["event"] for e in answer["events"]] == ["clock"]
    assert abs(answer["events"][0]["offset_ms"] - skew) <= 200
    for n, row in enumerate(answer["rows"]):
        if n < 19:
            assert row["ts"] == T0 + 5000 * n and "clock" not in row["flags"]
        else:
            assert row["flags"] == ["clock"] and abs(row["ts"] - T0 - 5000 * n - skew) <= 200


def test_five_seconds_are_no_skew():
    answer = call([entry(n, delay=5000) for n in range(40)])
    assert not answer["events"] and not any(row["flags"] for row in answer["rows"])


def test_a_backlog_is_late_and_its_clock_is_right():
    sent = [entry(n) for n in range(100)]
    for n, one in enumerate(sent):
        one["received"] = T0 + 500_000 + 100 * n
    answer = call(sent)
    assert not answer["events"]
    assert [row["ts"] for row in answer["rows"]] == [T0 + 5000 * n for n in range(100)]
    assert sum("late" in row["flags"] for row in answer["rows"]) == 90


def test_restart_is_a_new_epoch_and_no_duplicate():
    sent = [entry(10 + n, seq=n) for n in range(10)] + [entry(10, delay=55_000)]
    answer = call(sent, history())
    assert [(row["seq"], row["epoch"]) for row in answer["rows"][:10]] == [
        (n, 1) for n in range(10)]
    assert [e["event"] for e in answer["events"]] == ["restart"]
    # taken before the restart, received after it
    late = call([entry(9.5, seq=10, ts=T0 + 47_500, delay=10_000)],
                call([entry(10, seq=0)], history())["state"])
    assert [(row["epoch"], row["flags"]) for row in late["rows"]] == [(0, ["out_of_order"])]


def test_stuck_is_warned_of_once():
    answer = call([entry(n) for n in range(800)])
    assert [(e["event"], e["at"]) for e in answer["events"]] == [("stuck", T0 + 359 * 5000 + 40)]
    assert len(answer["rows"]) == 800
    again = call([entry(800, 24.9)] + [entry(801 + n) for n in range(360)], answer["state"])
    assert [e["event"] for e in again["events"]] == ["stuck"]


def test_a_flood_is_limited_and_others_are_unharmed():
    flood = [{"device": "mad", "received": T0 + 500, "raw": "24.8,60.6"} for _ in range(80)]
    answer = call(flood + [entry(0)] + [dict(flood[0], received=T0 + 1000)])
    assert {(q["reason"], q["field"]) for q in answer["quarantined"]} == {("size", "rate")}
    assert collections.Counter(row["device"] for row in answer["rows"]) == {
        "mad": 51, "orangepi0": 1}


def test_the_configured_sensor_wins_and_a_declared_one_is_remembered():
    wet = [entry(0, 24.8, 95.0, device="a"), entry(0, 24.8, 95.0, sensor="DHT22", device="b")]
    answer = call(wet, sensors={"a": "DHT11", "b": "DHT11"})
    assert [q["field"] for q in answer["quarantined"]] == ["humidity"] * 2
    state = call([entry(0, sensor="DHT11")])["state"]
    assert call([entry(1, 24.8, 95.0)], state)["quarantined"][0]["reason"] == "range"


CALL_ERRORS = {
    "nothing": {},
    "readings no list": {"readings": {}},
    "state no object": {"readings": [], "state": [1]},
    "state not ours": {"readings": [], "state": {"orangepi0": {"seen": [1]}}},
    "state with text": {"readings": [], "state": {"orangepi0": {"epoch": "x"}}},
    "state with sensor": {"readings": [], "state": {"orangepi0": {"sensor": []}}},
    "unknown sensor": {"readings": [], "sensors": {"orangepi0": "DHT33"}},
}


@pytest.mark.parametrize("name", CALL_ERRORS)
def test_the_callers_mistakes_answer_error(name):
    answer = validate.main(CALL_ERRORS[name])
    assert list(answer) == ["error"] and answer["error"]


def test_nothing_a_device_sends_makes_the_call_fail():
    rng = random.Random(20171130)
    good = '{"temp":24.8,"humidity":60.6,"seq":7,"ts":%d,"unit":"C","sensor":"DHT22"}' % T0
    values = [None, True, -1, 0, 1.5, 1e308, 2**70, "", "F", "\ud800", "\0", [], {}, [[1]], T0]
    state = {}
    for _ in range(3000):
        text = list(good)
        for _ in range(rng.randrange(1, 6)):
            text[rng.randrange(len(text))] = rng.choice('0123456789{}[]",:.eE-+\\u\0NI\ufeff')
        fields = reading(7)
        fields[rng.choice(["temp", "humidity", "seq", "ts", "unit", "sensor"])] = rng.choice(values)
        sent = [raw("".join(text)), {**raw(""), "raw": rng.choice(values)},
                {"device": "orangepi0", "received": T0 + 40, "reading": fields},
                {**entry(3), rng.choice(["device", "received", "reading", "retain", "sensor"]):
                 rng.choice(values)}]
        answer = call(sent, state)
        sorted_in = len(answer["rows"]) + len(answer["quarantined"]) + len(answer["dropped"])
        assert sorted_in == len(sent)
        state = {"orangepi0": answer["state"]["orangepi0"]} if "orangepi0" in answer["state"] else {}


def sensor_sim(*options):
    program = os.environ["SENSOR_SIM"]
    return subprocess.run([program, *options], check=True, capture_output=True, text=True).stdout


def count(answer, counts, reasons):
    counts["rows"] += len(answer["rows"])
    counts["late"] += sum("late" in row["flags"] for row in answer["rows"])
    counts["dropped"] += len(answer["dropped"])
    reasons.update(q["reason"] for q in answer["quarantined"])


def test_the_whole_day():
    lines = [json.loads(line) for line in sensor_sim("--hours=24").splitlines()]
    known = json.loads(sensor_sim("--hours=24", "--counts"))
    counts, reasons, state = collections.Counter(), collections.Counter(), {}
    for first in range(0, len(lines), 1000):
        answer = call(lines[first:first + 1000], state)
        state = answer["state"]
        assert not answer["events"]
        assert len(json.dumps(state)) < 65536
        count(answer, counts, reasons)
    assert counts == {"rows": 34189, "late": 293, "dropped": 184}
    assert reasons.total() == 371
    assert reasons == known["quarantined"]
    assert {key: known[key] for key in counts} == counts
    assert known["readings"] == counts["rows"] + reasons.total() == 34560


def test_one_by_one_and_in_batches_agree():
    lines = [json.loads(line) for line in sensor_sim("--hours=2").splitlines()]
    whole = call(lines)
    rows, states = [], {}
    for line in lines:
        device = line["device"]
        answer = call([line], {device: states[device]} if device in states else {})
        rows += answer["rows"]
        states.update(answer["state"])
    assert rows == whole["rows"] and states == whole["state"]


def test_the_state_stays_small_and_a_call_fast():
    """Two devices at one reading a second and more: the worst that is remembered."""
    devices = ["orangepi0", "raspberrypi4"]
    state = {}
    for n in range(0, 3000, 500):
        state = call([{"device": d, "received": T0 + 200 * i + 40, "reading":
                       {"temp": 24.8, "humidity": 60.6, "seq": i, "ts": T0 + 200 * i}}
                      for i in range(n, n + 500) for d in devices], state)["state"]
    assert len(json.dumps(state, separators=(",", ":"))) < 65536
    one = {"device": "orangepi0", "received": T0 + 700_000, "state": {"orangepi0":
           state["orangepi0"]}}
    spent = []
    for i in range(200):
        args = {**one, "reading": {"temp": 24.8, "humidity": 60.6, "seq": 3001 + i,
                                   "ts": T0 + 650_000 + i}}
        began = time.process_time()
        validate.main(args)
        spent.append(time.process_time() - began)
    assert sorted(spent)[100] < 0.001
