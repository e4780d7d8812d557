"""Eight clients call a function while somebody updates, publishes, blocks and unblocks it and moves its aliases at random.

No call may be lost, none may run other code than that of the version it resolved to, none may resolve to a version that was
not there at the time, and every refusal is a documented status with a reason at that time.

NARAE_STORM_SECONDS: how long (default: 8; `scripts/soak lifecycle` 60). NARAE_STORM_SEED: the same moves again.
"""
import collections
import http.client
import json
import os
import random
import threading
import time

from conftest import API, SLOW, within

SECONDS = float(os.environ.get("NARAE_STORM_SECONDS", "8"))
SEED = int(os.environ.get("NARAE_STORM_SEED", str(time.time_ns() % 1000000)))
CLIENTS = 8
N = "/narae/v1/functions/storm"
ALIASES = ("prod", "beta")


def by_key(pairs):
    return {p["key"]: p["value"] for p in pairs}


class Span:
    """What was so from some moment on, at the earliest when it was asked for and at the latest when it was answered."""

    def __init__(self):
        self.said = []  # (sent, replied, what)

    def may_be(self, since, until):
        """All that it can have been for somebody who looked once between the two moments."""
        found = set()
        for i, (sent, _, what) in enumerate(self.said):
            over = self.said[i + 1][1] if i + 1 < len(self.said) else float("inf")
            if sent <= until and since <= over:
                found.add(what)
        return found


class Storm:
    def __init__(self, own):
        self.own, self.chance = own, random.Random(SEED)
        self.end = threading.Event()
        self.marker = 0
        self.code = {}  # 0.0.n -> marker
        self.numbers = {}  # published number -> 0.0.n
        self.latest = Span()  # 0.0.n
        self.states = collections.defaultdict(Span)  # number -> "runs" or "blocked"
        self.points = {alias: Span() for alias in ALIASES}  # frozenset of numbers
        self.history = {alias: [] for alias in ALIASES}
        self.moves = collections.Counter()
        self.calls = []  # (began, ended, asked, status, answer)

    # ---- the one who changes

    def ask(self, method, path, body, *statuses):
        sent = time.monotonic()
        reply = self.own.request(method, path, body)
        assert reply.status in statuses, (method, path, body, reply)
        return sent, time.monotonic(), reply

    def body(self):
        self.marker += 1
        return {"exec": {"kind": "python:3", "code": f"def main(args):\n    return {{'code': {self.marker}}}\n"},
                "limits": {"memory": 128, "concurrency": CLIENTS},  # one container serves all
                "annotations": [{"key": "narae.network", "value": "none"}]}

    def is_blocked(self, number):
        return bool(self.states[number].said) and self.states[number].said[-1][2] == "blocked"

    def stored(self, sent, replied, reply):
        version = reply.json["version"]
        self.code[version] = self.marker
        self.latest.said.append((sent, replied, version))

    def update(self):
        self.stored(*self.ask("PUT", f"{API}/actions/storm?overwrite=true", self.body(), 200))

    def window(self):
        if self.is_blocked(0):
            self.ask("POST", f"{N}/update", {}, 409)
            return
        self.ask("POST", f"{N}/update", self.chance.choice([{"hold_s": 30}, {"while_updating": "old"}]), 200)
        self.ask("POST", f"{N}/update", {}, 409)
        self.ask("POST", f"{N}/block", {}, 409)
        time.sleep(self.chance.uniform(0, 0.3))
        if self.chance.random() < 0.3:
            self.ask("POST", f"{N}/update/abort", None, 200)
            return
        body = self.body()
        sent, replied, _ = self.ask("POST", f"{N}/update/commit", body, 200)
        _, _, document = self.ask("GET", f"{API}/actions/storm", None, 200)
        self.stored(sent, replied, document)

    def publish(self):
        if self.is_blocked(0):
            self.ask("POST", f"{N}/versions", {}, 409)
            return
        _, _, reply = self.ask("POST", f"{N}/versions", {}, 201)
        number = reply.json["version"]
        assert number == len(self.numbers) + 1
        self.numbers[number] = self.latest.said[-1][2]

    def block(self):
        number = self.chance.choice([0, *self.numbers])
        path = f"{N}/versions/{number}" if number else f"{N}/versions/latest"
        if self.is_blocked(number):
            move, to = "unblock", "runs"
        else:
            move, to = "block", "blocked"
        sent, replied, _ = self.ask("POST", f"{path}/{move}", {"reason": "weather"} if move == "block" else None, 200)
        self.states[number].said.append((sent, replied, to))

    def alias(self):
        alias = self.chance.choice(ALIASES)
        chosen = self.chance.sample(sorted(self.numbers), min(len(self.numbers), self.chance.choice([1, 1, 2])))
        share = self.chance.randint(1, 99)
        body = {"version": chosen[0]} if len(chosen) == 1 else \
            {"weights": {str(chosen[0]): share, str(chosen[1]): 100 - share}}
        sent, replied, _ = self.ask("PUT", f"{N}/aliases/{alias}", body, 200, 201)
        self.points[alias].said.append((sent, replied, frozenset(chosen)))

    def change(self):
        for step in (self.update, self.publish, self.alias, self.alias):
            step()
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            step = self.chance.choices([self.update, self.window, self.publish, self.block, self.alias],
                                       [3, 3, 2, 3, 4])[0]
            step()
            self.moves[step.__name__] += 1
            time.sleep(self.chance.uniform(0, 0.2))
        for number in [0, *self.numbers]:
            if self.is_blocked(number):
                self.ask("POST", f"{N}/versions/{number or 'latest'}/unblock", None, 200)

    # ---- those who call

    def client(self, seed):
        chance = random.Random(seed)
        connection = self.own.connect(300)
        headers = {"Authorization": self.own.basic(self.own.auth), "Content-Type": "application/json"}
        while not self.end.is_set():
            asked = chance.choice([("latest", 0), ("latest", 0), ("version", chance.choice(list(self.numbers) or [1])),
                                   ("alias", chance.choice(ALIASES))])
            query = "blocking=true" if chance.random() < 0.8 else "blocking=false"
            query += f"&{asked[0]}={asked[1]}" if asked[0] != "latest" else ""
            began = time.monotonic()
            try:
                connection.request("POST", f"{API}/actions/storm?{query}", "{}", headers)
                answer = connection.getresponse()
                told = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError) as lost:
                self.calls.append((began, time.monotonic(), asked, 0, repr(lost)))
                break
            self.calls.append((began, time.monotonic(), asked, answer.status, told))
            if answer.status == 423:
                time.sleep(0.01)
        connection.close()

    def run(self):
        self.update()
        self.publish()
        for alias in ALIASES:
            sent, replied, _ = self.ask("PUT", f"{N}/aliases/{alias}", {"version": 1}, 201)
            self.points[alias].said.append((sent, replied, frozenset([1])))
        clients = [threading.Thread(target=self.client, args=(SEED + i,)) for i in range(CLIENTS)]
        for c in clients:
            c.start()
        try:
            self.change()
        finally:
            self.end.set()
            for c in clients:
                c.join()

    # ---- was it right

    def candidates(self, asked, began, ended):
        """Numbers that a call may have resolved to."""
        kind, which = asked
        if kind == "alias":
            return set().union(*self.points[which].may_be(began, ended))
        return {which}

    def judge(self, began, ended, asked, record):
        assert record["response"]["status"] == "success", (asked, record)
        notes = by_key(record["annotations"])
        number, version = notes.get("narae.version", 0), record["version"]
        assert record["response"]["result"] == {"code": self.code[version]}, ("other code ran", asked, record)
        assert number in self.candidates(asked, began, ended), ("another version", asked, record)
        assert notes.get("narae.alias") == (asked[1] if asked[0] == "alias" else None), record
        if number:
            assert self.numbers[number] == version, ("other code than was published", asked, record)
        else:
            assert version in self.latest.may_be(began, ended), ("not the code of that time", asked, record)

    def refused_rightly(self, began, ended, asked, told):
        assert told["error"] == "The function is blocked: weather", told
        return any("blocked" in self.states[n].may_be(began, ended) for n in self.candidates(asked, began, ended))


def test_a_storm_of_moves(start_platform):
    own = start_platform("--stems=python:3=2")
    storm = Storm(own)
    storm.run()
    statuses = collections.Counter(status for _, _, _, status, _ in storm.calls)
    print(f"storm: seed {SEED}, {SECONDS:g} s, {len(storm.calls)} calls {dict(statuses)}, moves {dict(storm.moves)}")
    assert set(statuses) <= {200, 202, 423}, [c for c in storm.calls if c[3] not in (200, 202, 423)][:3]
    assert statuses[200] > 0 and statuses[202] > 0
    for began, ended, asked, status, told in storm.calls:
        if status == 200:
            storm.judge(began, ended, asked, told)
        elif status == 423:
            assert storm.refused_rightly(began, ended, asked, told), (asked, told)
    accepted = [c for c in storm.calls if c[3] == 202]
    for began, ended, asked, _, told in accepted:
        storm.judge(began, ended, asked, own.record(told["activationId"], 120))
    assert within(60 * SLOW, "all rows are there", lambda: own.metric("narae_accepted_drift") == 0)
    assert own.metric("narae_held_activations") == 0
    for number, version in storm.numbers.items():
        reply = own.request("POST", f"{API}/actions/storm?blocking=true&result=true&version={number}", {})
        assert (reply.status, reply.json) == (200, {"code": storm.code[version]})
    own.stop()
