"""Checks the readings of temperature and humidity boards.

One call carries one reading or a batch, and the state that the last answer gave back; the answer
sorts every reading into `rows`, `quarantined` or `dropped` and returns the new `state`. Nothing is
remembered between calls, so any container may take any call. README.md shows the JSON.

The way of a reading through check(), in order:
  envelope -> flood -> size -> encoding -> syntax -> time -> duplicate -> clock -> sensor and unit
  -> values (missing, type) -> range -> jump -> order -> row
The first step that objects raises Bad (to quarantine) or Dropped. Nothing that a device sends can
make the call fail; only a caller's mistake (no list, a state that is not ours) answers `error`.
"""
import base64
import binascii
import json
import math
import re
import time

READING_BYTES = 4096        # a longer message is refused unread
READINGS_PER_S = 50         # more from one device are refused, others are unharmed
DUPLICATE_MS = 600_000      # the same (seq, ts) within this time is a duplicate
SEEN_MAX = 600              # remembered per device: one reading a second for those ten minutes
LATE_MS = 60_000
SKEW_MS = 5_000             # a clock that is off by more is corrected
SKEW_READINGS = 20
JUMP_C = 5.0
LEVEL_READINGS = 5
STUCK_READINGS = 360
FIRST_MS = 946_684_800_000  # 2000: no board of ours is older
AHEAD_MS = 86_400_000       # a board's clock may be ahead by a day, not by eighty years
SECONDS_BELOW = 100_000_000_000  # a smaller time stamp counts seconds
NUMBER_MAX = 2 ** 53        # beyond it a JSON number is not exact
NAME_MAX = 128
RAW_SHOWN = 256             # of a message that was refused for its size

# sensor: (temperature in C, humidity in %) that it can measure
SENSORS = {
    "DHT11": ((0.0, 50.0), (20.0, 90.0)),
    "DHT22": ((-40.0, 80.0), (0.0, 100.0)),
}

TEXT = re.compile(r"\s*([+-]?[0-9]+(?:\.[0-9]+)?)\s*(?:\u00b0?\s*([CF]))?\s*,"
                  r"\s*([+-]?[0-9]+(?:\.[0-9]+)?)\s*%?\s*")
COMMA_TEXT = re.compile(r"\s*[+-]?[0-9]+,[0-9]+\s*[,; ]\s*[+-]?[0-9]+,[0-9]+\s*")
COMMA_JSON = re.compile(r'"(temp|humidity)"\s*:\s*[+-]?[0-9]+,[0-9]')


class CallError(Exception):
    """The caller's mistake: the whole call answers `error`."""


class Bad(Exception):
    """The reading has to be quarantined."""

    def __init__(self, reason, field, value=None, hint=None):
        super().__init__(reason)
        self.reason, self.field, self.value, self.hint = reason, field, value, hint


class Dropped(Exception):
    """The reading has been stored before."""


class Board:
    """What has to be known of a device's past. Lives in the call's state, nowhere else."""

    def __init__(self, state=None):
        state = state or {}
        self.sensor = state.get("sensor")      # last declared type
        self.epoch = int(state.get("epoch", 0))    # counts restarts of the device
        self.epoch_ts = int(state.get("epoch_ts", 0))
        self.seq = int(state.get("seq", -1))   # newest reading of the epoch
        self.ts = int(state.get("ts", -1))
        self.level = [float(x) for x in state.get("level", [])][-LEVEL_READINGS:]
        self.jumps = [float(x) for x in state.get("jumps", [])][-LEVEL_READINGS:]
        self.offsets = [int(x) for x in state.get("offsets", [])][-SKEW_READINGS:]
        self.skew = int(state.get("skew", 0))  # already announced
        temp, humidity, times = state.get("same", [None, None, 0])
        self.same = [temp, humidity, int(times)]
        second, number = state.get("rate", [0, 0])
        self.rate = [int(second), int(number)]
        # (seq, ts) -> when it was received, oldest first; written as [seq, ts, delay]
        self.seen = {(int(seq), int(ts)): int(ts) + int(delay)
                     for seq, ts, delay in state.get("seen", [])}
        if self.sensor is not None and self.sensor not in SENSORS:
            raise ValueError("unknown sensor")

    def state(self):
        fields = dict(vars(self))
        fields["seen"] = [[seq, ts, received - ts] for (seq, ts), received in self.seen.items()]
        return fields


class Envelope:
    """One entry of the call: who sent it, when it was received, and the message."""

    def __init__(self, entry, now, alone):
        self.entry = entry
        self.device = None
        self.received = now
        self.rated = alone or isinstance(entry, dict) and "received" in entry
        self.message = None    # an object, a text or bytes, as the entry has it
        self.raw = ""          # the message as text that can be shown
        self.bytes = 0         # its length
        self.text_form = False

    def open(self):
        if not isinstance(self.entry, dict):
            self.raw = shown(self.entry)
            raise Bad("type", "readings", self.entry)
        self.take_message()
        self.device = device_of(self.entry)
        if "received" in self.entry:
            received = self.entry["received"]
            if not is_number(received):
                raise Bad("type", "received", received)
            if not FIRST_MS <= received < NUMBER_MAX:
                raise Bad("time", "received", received)
            self.received = int(received)

    def take_message(self):
        field = next((f for f in ("raw", "raw_b64", "reading") if f in self.entry), None)
        if field is None:
            raise Bad("missing", "reading")
        self.message = self.entry[field]
        if field == "reading":
            self.raw = shown(self.message, None)
        elif not isinstance(self.message, str):
            raise Bad("type", field, self.message)
        elif field == "raw":
            self.raw = clean(self.message)
        else:
            self.raw = clean(self.message)
            self.message = decoded(self.message)
            self.raw = clean(self.message.decode("utf-8", "replace"))
        self.bytes = len(self.message if field == "raw_b64" else self.raw.encode())


def main(args):
    now = int(time.time() * 1000)
    answer = {"rows": [], "quarantined": [], "dropped": [], "events": []}
    try:
        entries, alone = entries_of(args)
        boards = boards_of(args.get("state", {}))
        sensors = sensors_of(args.get("sensors", {}))
    except CallError as error:
        return {"error": str(error)}
    for entry in entries:
        sort_in(entry, boards, sensors, now, alone, answer)
    answer["state"] = {device: board.state() for device, board in boards.items()}
    return answer


def entries_of(args):
    """Returns (list of entries, whether the call is a single reading)."""
    if "readings" in args:
        if not isinstance(args["readings"], list):
            raise CallError("readings: expected a list")
        return args["readings"], False
    if any(key in args for key in ("reading", "raw", "raw_b64")):
        return [args], True
    raise CallError("expected readings (a list), or one reading, raw or raw_b64")


def boards_of(state):
    if state is None:
        return {}
    if not isinstance(state, dict):
        raise CallError("state: expected the object of the last answer")
    boards = {}
    for device, fields in state.items():
        try:
            boards[device] = Board(fields)
        except (TypeError, ValueError, AttributeError, OverflowError):
            raise CallError(f"state: {shown(device)} is not what an answer gave back") from None
    return boards


def sensors_of(sensors):
    if not isinstance(sensors, dict) or not all(is_sensor(s) for s in sensors.values()):
        raise CallError("sensors: expected an object of device: " + " or ".join(SENSORS))
    return sensors


def sort_in(entry, boards, sensors, now, alone, answer):
    """Puts one entry where it belongs in the answer; never raises."""
    envelope = Envelope(entry, now, alone)
    seq = ts = None
    try:
        envelope.open()
        board = boards.get(envelope.device)
        if board is None:
            board = boards[envelope.device] = Board()
        check_flood(board, envelope)
        reading = read_message(envelope)
        seq, ts, flags = check_time(envelope, reading)
        check_duplicate(board, envelope, seq, ts)
        answer["rows"].append(
            check(board, envelope, reading, sensors, seq, ts, flags, answer["events"]))
    except Dropped as dropped:
        answer["dropped"].append({"reason": str(dropped), "source": source(envelope),
                                  "seq": seq, "ts": ts})
    except Bad as bad:
        answer["quarantined"].append(quarantine(bad, envelope, ts))


def check(board, envelope, reading, sensors, seq, ts, flags, events):
    """The steps from the clock to the row, for a reading with a place in time."""
    ts_sent = ts
    if seq is not None:
        ts += check_clock(board, envelope, ts, flags, events)
    late = envelope.received - ts > LATE_MS
    sensor = sensor_of(board, envelope, reading, sensors)
    temp, humidity = check_values(reading, flags)
    check_range(sensor, reading, temp, humidity)
    check_jump(board, reading, temp, humidity, late, flags)
    epoch = board.epoch
    if seq is not None:
        epoch = check_order(board, envelope, seq, ts_sent, late, flags, events)
    if late:
        flags.append("late")
    check_stuck(board, envelope, temp, humidity, events)
    return {"device": envelope.device, "ts": ts, "seq": seq, "epoch": epoch, "temp": temp,
            "humidity": humidity, "flags": flags}


# the message -------------------------------------------------------------------------------------

def device_of(entry):
    device = entry.get("device")
    if device is None:
        raise Bad("missing", "device")
    if not isinstance(device, str) or not device:
        raise Bad("type", "device", device)
    if len(device) > NAME_MAX:
        raise Bad("size", "device", len(device))
    if clean(device) != device:
        raise Bad("encoding", "device", device)
    return device


def decoded(text):
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Bad("encoding", "raw_b64") from None


def check_flood(board, envelope):
    second = envelope.received // 1000
    if not envelope.rated:
        return
    if board.rate[0] != second:
        board.rate = [second, 0]
    board.rate[1] += 1
    if board.rate[1] > READINGS_PER_S:
        raise Bad("size", "rate", board.rate[1])


def read_message(envelope):
    """The message as an object: JSON, or the text form `24.8,60.6`."""
    if envelope.bytes > READING_BYTES:
        raise Bad("size", "raw", envelope.bytes)
    message = envelope.message
    if isinstance(message, dict):
        return message
    if isinstance(message, bytes):
        try:
            message = message.decode("utf-8")
        except UnicodeDecodeError:
            raise Bad("encoding", "raw") from None
    if not isinstance(message, str):
        raise Bad("type", "reading", message)
    # a replacement character is what somebody before us made of bytes that were no UTF-8
    if message.startswith("\ufeff") or "\ufffd" in message or clean(message) != message:
        raise Bad("encoding", "raw")
    return read_text(message, envelope)


def read_text(text, envelope):
    plain = TEXT.fullmatch(text)
    if plain:
        return read_pair(plain, envelope)
    if COMMA_TEXT.fullmatch(text):
        raise Bad("type", "temp", text, "decimal comma")
    try:
        reading = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        comma = COMMA_JSON.search(text)
        if comma:
            raise Bad("type", comma.group(1), text, "decimal comma") from None
        raise Bad("syntax", "raw") from None
    if not isinstance(reading, dict):
        raise Bad("syntax", "raw")
    return reading


def read_pair(plain, envelope):
    """`24.8,60.6`: no number and no time of its own; it is placed at the time of receipt."""
    temp, unit, humidity = plain.groups()
    sensor = envelope.entry.get("sensor")
    if sensor != "DHT11" and "." not in temp and "." not in humidity:
        # a DHT22 tells tenths: two whole numbers are one number with a decimal comma
        raise Bad("type", "temp", plain.group(0), "decimal comma")
    envelope.text_form = True
    return {"temp": float(temp), "humidity": float(humidity), "unit": unit or "C"}


def refuse_constant(name):
    raise ValueError(name)  # NaN and Infinity are not JSON


# its place in time -------------------------------------------------------------------------------

def check_time(envelope, reading):
    """Returns (seq, ts in ms as the device's clock tells it, flags)."""
    if envelope.text_form:
        return None, envelope.received, ["receive_time"]
    for field in ("seq", "ts"):
        if field not in reading:
            raise Bad("missing", field)
        if not is_number(reading[field]) or reading[field] != reading[field]:
            raise Bad("type", field, reading[field])
    seq, ts, flags = reading["seq"], reading["ts"], []
    if not 0 <= seq < NUMBER_MAX:
        raise Bad("range", "seq", seq)
    if seq != int(seq):
        raise Bad("type", "seq", seq)
    if 0 < ts < SECONDS_BELOW:
        ts *= 1000
        flags.append("seconds")
    if not FIRST_MS <= ts <= envelope.received + AHEAD_MS:
        raise Bad("time", "ts", reading["ts"])
    return int(seq), int(ts), flags


def check_duplicate(board, envelope, seq, ts):
    if envelope.entry.get("retain") is True and envelope.received - ts > LATE_MS:
        raise Dropped("retained")
    if seq is None:
        return
    seen, received = board.seen, envelope.received
    first = seen.get((seq, ts))
    if first is not None and received - first <= DUPLICATE_MS:
        raise Dropped("duplicate")
    seen.pop((seq, ts), None)
    seen[(seq, ts)] = received
    while len(seen) > SEEN_MAX or received - seen[next(iter(seen))] > DUPLICATE_MS:
        del seen[next(iter(seen))]


def check_clock(board, envelope, ts, flags, events):
    """Returns what to add to `ts`: the steady difference of the device's clock, or 0."""
    board.offsets = (board.offsets + [envelope.received - ts])[-SKEW_READINGS:]
    if len(board.offsets) < SKEW_READINGS:
        return 0
    ranked = sorted(board.offsets)
    skew = round(median(ranked))
    # the middle half must agree: a backlog that is sent at last is late, its clock is right
    steady = ranked[-SKEW_READINGS // 4 - 1] - ranked[SKEW_READINGS // 4] <= SKEW_MS
    if abs(skew) <= SKEW_MS or not steady:
        board.skew = 0
        return 0
    if abs(skew - board.skew) > SKEW_MS:
        events.append({"event": "clock", "device": envelope.device, "offset_ms": skew,
                       "at": envelope.received})
        board.skew = skew
    flags.append("clock")
    return skew


def check_order(board, envelope, seq, ts, late, flags, events):
    """Returns the epoch of the reading: a device that restarts counts from 0 again."""
    if board.seq < 0:
        board.seq, board.ts, board.epoch_ts = seq, ts, ts
    elif ts > board.ts and seq <= board.seq:
        board.epoch += 1
        board.seq, board.ts, board.epoch_ts = seq, ts, ts
        events.append({"event": "restart", "device": envelope.device, "epoch": board.epoch,
                       "at": envelope.received})
    elif ts < board.epoch_ts and seq > board.seq and board.epoch > 0:
        if not late:  # taken before the restart, received after it
            flags.append("out_of_order")
        return board.epoch - 1
    else:
        if seq < board.seq and not late:
            flags.append("out_of_order")
        board.seq, board.ts = max(board.seq, seq), max(board.ts, ts)
    return board.epoch


# its values --------------------------------------------------------------------------------------

def sensor_of(board, envelope, reading, sensors):
    """The configuration knows best, then the device, then what it said before."""
    configured = envelope.entry.get("sensor", sensors.get(envelope.device))
    declared = reading.get("sensor")
    for sensor in (configured, declared):
        if sensor is not None and not is_sensor(sensor):
            raise Bad("type", "sensor", sensor)
    board.sensor = configured or declared or board.sensor
    return board.sensor or "DHT22"


def check_values(reading, flags):
    """Returns (temperature in C, humidity in %), tenths."""
    unit = reading.get("unit", "C")
    if unit not in ("C", "F"):
        raise Bad("type", "unit", unit)
    for field in ("temp", "humidity"):
        if field not in reading:
            raise Bad("missing", field)
        value = reading[field]
        if not is_number(value):
            raise Bad("type", field, value)
        if value != value:
            raise Bad("syntax", field, value)
        if abs(value) > NUMBER_MAX:
            raise Bad("range", field, value)
    temp = reading["temp"]
    if unit == "F":
        temp = (temp - 32) / 1.8
        flags.append("fahrenheit")
    return tenths(temp), tenths(reading["humidity"])


def check_range(sensor, reading, temp, humidity):
    temp_range, humidity_range = SENSORS[sensor]
    if not temp_range[0] <= temp <= temp_range[1]:
        raise Bad("range", "temp", reading["temp"], wrong_sensor(temp, humidity))
    if not humidity_range[0] <= humidity <= humidity_range[1]:
        raise Bad("range", "humidity", reading["humidity"], wrong_sensor(temp, humidity))


def check_jump(board, reading, temp, humidity, late, flags):
    """Compares with the median of the last five; five jumps that agree are the new level."""
    if not board.level or not is_jump(temp, board.level):
        board.jumps = []
        if not late:  # an old value says nothing about the level of now
            board.level = (board.level + [temp])[-LEVEL_READINGS:]
        return
    board.jumps = (board.jumps + [temp])[-LEVEL_READINGS:]
    if len(board.jumps) < LEVEL_READINGS or any(is_jump(t, board.jumps) for t in board.jumps):
        hint = wrong_sensor(temp, humidity)
        if not hint and not is_jump((temp - 32) / 1.8, board.level):
            hint = "Fahrenheit, not declared?"
        raise Bad("jump", "temp", reading["temp"], hint)
    board.level, board.jumps = board.jumps, []
    flags.append("new_level")


def is_jump(temp, level):
    return round(abs(temp - median(sorted(level))), 3) > JUMP_C


def wrong_sensor(temp, humidity):
    """The two types send the same 40 bits and mean different numbers by them."""
    if is_high_byte(temp) and is_high_byte(humidity):
        return "DHT22 read as DHT11?"
    if is_two_bytes(temp, SENSORS["DHT11"][0]) and is_two_bytes(humidity, SENSORS["DHT11"][1]):
        return "DHT11 read as DHT22?"
    return None


def is_high_byte(value):
    return value in (0, 1, 2, 3)  # of a number of tenths up to 1000


def is_two_bytes(value, allowed):
    whole, tenth = divmod(round(value * 10), 256)
    return allowed[0] <= whole <= allowed[1] and tenth <= 9


def check_stuck(board, envelope, temp, humidity, events):
    if board.same[:2] != [temp, humidity]:
        board.same = [temp, humidity, 0]
    board.same[2] += 1
    if board.same[2] == STUCK_READINGS:
        events.append({"event": "stuck", "device": envelope.device, "readings": STUCK_READINGS,
                       "at": envelope.received})


# the answer --------------------------------------------------------------------------------------

def quarantine(bad, envelope, ts):
    raw = envelope.raw if bad.reason != "size" else envelope.raw[:RAW_SHOWN]
    record = {"reason": bad.reason, "field": bad.field, "value": safe(bad.value), "raw": raw,
              "source": source(envelope), "ts": ts if ts is not None else envelope.received}
    if bad.hint:
        record["hint"] = bad.hint
    return record


def source(envelope):
    return "/data/" + envelope.device if envelope.device else None


def safe(value):
    """The value as every JSON reader takes it; what does not fit becomes text."""
    if value is None or isinstance(value, bool):
        return value
    if is_number(value) and value == value and abs(value) <= NUMBER_MAX:
        return value
    return shown(value)


def shown(value, most=RAW_SHOWN):
    try:
        text = value if isinstance(value, str) else json.dumps(
            value, separators=(",", ":"), ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        text = type(value).__name__  # too deep or too long a number to be written
    return clean(text[:most])


def clean(text):
    """Without what valid JSON text cannot carry safely: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_sensor(value):
    return isinstance(value, str) and value in SENSORS


def tenths(value):
    return math.floor(value * 10 + 0.5) / 10


def median(ranked):
    """Of a list in order."""
    half = len(ranked) // 2
    return ranked[half] if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2
