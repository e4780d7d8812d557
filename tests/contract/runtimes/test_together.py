"""Many calls at once in one container: results and logs of none are ever mixed with another's."""
import random
import threading

import host
import pytest

SLOTS, CALLS_PER_SLOT = 64, 8
MEMORY_MB = 1024


def call_all(slot, number, failures, seed):
    """Calls one after the other on a slot; each sleeps for its own time and tags what it says."""
    chance = random.Random(seed)
    for n in range(CALLS_PER_SLOT):
        tag = "%d-%d-%x" % (number, n, chance.getrandbits(64))
        r = slot.run({"do": "sleep", "ms": chance.choice([0, 0, 1, 5, 30]), "tag": tag}, activation_id=tag.rjust(32, "0")[-32:])
        said = [("stdout", "begin " + tag), ("stdout", "end " + tag)]
        if r.answer is None or r.value != {"tag": tag} or r.verdict != host.OK or (slot.logs and r.lines != said):
            failures.append((tag, r.answer, r.verdict, r.lines))


def test_64_slots_never_mix(flavour, start):
    c = start(flavour, memory_mb=MEMORY_MB)
    count = min(SLOTS, flavour.slots_max)
    assert not flavour.init(c, slots=count).failed
    slots = [c.slot] + [c.accept() for _ in range(count - 1)]
    assert sorted(s.hello["slot"] for s in slots) == list(range(count))
    failures = []
    for s in slots:  # a relay's server writes all its logs into one pipe: there only results are told apart
        s.logs = flavour.name != "relay"
    threads = [threading.Thread(target=call_all, args=(s, n, failures, n)) for n, s in enumerate(slots)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, (len(failures), failures[:3])
    for s in slots[1:]:
        s.close()


@pytest.mark.parametrize("ends", ["throw", "exit"])
def test_one_that_ends_spares_the_others(flavour, start, ends):
    """Where each slot has a process of its own the others go on; where all share one they are told that it ended."""
    c = start(flavour, memory_mb=MEMORY_MB)
    assert not flavour.init(c, slots=8).failed
    slots = sorted([c.slot] + [c.accept() for _ in range(7)], key=lambda s: s.hello["slot"])
    for s in slots:
        s.run({"do": "echo"})
    calls = [(s, s.begin_run({"do": "sleep", "ms": 300, "tag": "t%d" % n})) for n, s in enumerate(slots[1:])]
    first = slots[0].run({"do": ends})
    if ends == "throw" and not flavour.thrown_failed:  # an application error ends nothing
        assert first.verdict == host.OK
    else:
        assert first.verdict in (host.TAINTED, host.EXITED)
    shared = not flavour.forks and ends == "exit"
    for n, (s, call) in enumerate(calls):
        try:
            r = s.collect(call)
        except host.Gone:  # a process that all shared has gone before it read this call
            assert shared
            continue
        if shared and not (flavour.in_turn and r.answer):  # in turn: some had theirs before it ended
            assert r.answer is None and r.verdict == host.EXITED
        else:
            assert r.value == {"tag": "t%d" % n} and r.verdict == host.OK
            if flavour.name != "relay":
                assert r.lines == [("stdout", "begin t%d" % n), ("stdout", "end t%d" % n)]
    for s in slots[1:]:
        s.close()
