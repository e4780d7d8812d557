#!/usr/bin/env python3
"""Puts faults into real platforms, round after round: `scripts/soak faults` and `scripts/soak churn`.

  run.py faults ROUNDS [NAME...]   each fault of the table (or those named) ROUNDS times; a line for each
  run.py churn N                   N containers are made and removed again, with a figure for each tenth; after the first fifth nothing may
                                   grow
  run.py list                      the names of the faults

environment: NARAE_BUILD, NARAE_DOCKER as the integration tests; status 1 when anything did not hold
"""
import concurrent.futures
import os
import pathlib
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]
from fault_table import FAULTS, clients_go_away, run_fault  # noqa: E402
from fault_world import World, Worlds  # noqa: E402
import leftovers  # noqa: E402

BEGAN = time.monotonic()
CLIENT_ROUNDS = 100
WORKERS = 4
SAMPLES = 10
REMOVALS_S = 300  # removals wait for calls: after a thousand cycles there may be many to come


def say(text):
    print(f"[{time.monotonic() - BEGAN:6.0f}s] {text}", flush=True)


# ---- faults

def named(names):
    unknown = set(names) - {f.name for f in FAULTS}
    if unknown:
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}; run.py list names them")
    return [f for f in FAULTS if not names or f.name in names]


def at_full_length(fault):
    """Clients that go away do so a hundred times; the short form has fewer rounds."""
    if fault.run is clients_go_away:
        return fault._replace(run=lambda w: clients_go_away(w, CLIENT_ROUNDS))
    return fault


def faults(rounds, names):
    missed = {}
    with Worlds() as worlds:
        for fault in map(at_full_length, named(names)):
            held, longest = 0, 0.0
            for n in range(rounds):
                began = time.monotonic()
                try:
                    run_fault(worlds.of(fault.where), fault)
                    held += 1
                except BaseException as e:  # pytest.fail is no Exception
                    if isinstance(e, KeyboardInterrupt):
                        raise
                    traceback.print_exc()
                    missed[fault.name] = f"round {n + 1}: {e}"
                longest = max(longest, time.monotonic() - began)
            say(f"{fault.name}: {held} of {rounds} rounds held, the longest took {longest:.1f} s")
    for name, why in missed.items():
        say(f"missed: {name}: {why}")
    return 1 if missed else 0


# ---- churn

def anonymous_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1])
    raise LookupError("RssAnon")


def threads(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/task").iterdir()))


def sample(w):
    """What may not grow: of naraed itself, of its containers, and of what is on the host for them."""
    p = w.platform
    bridges, ports = leftovers.links(w.tag)
    alive = {c["id"] for c in w.status()["containers"] if c["id"]}
    groups = leftovers.control_groups(w.installation)
    return {"anonymous KiB": anonymous_kib(p.pid), "open files": p.open_files(), "threads": threads(p.pid),
            "containers": len(w.containers()), "sockets": len(list((p.run / "c").iterdir())),
            "control groups": len(groups), "iptables rules": len(leftovers.rules(w.tag)),
            "bridges": len(bridges), "ports": len(ports), "loop devices": len(leftovers.loops(p.folder)),
            "control groups of the dead": sum(not any(i in g.name for i in alive) for g in groups)}


# What may be more at the end than at the first sample: room for caches that fill, and for what comes and goes.
COMING = 2 * WORKERS + 2
MARGIN = {"anonymous KiB": 8192, "open files": 16, "containers": COMING, "sockets": 2 * COMING, "ports": COMING,
          "control groups": 12 * COMING}


def grown(first, last):
    return {what: (first[what], last[what]) for what in last if last[what] > first[what] + MARGIN.get(what, 0)}


def one_cycle(w, worker, n):
    """A change makes the container of the earlier revision go; the call makes the next."""
    p = w.platform
    name = f"churn{worker}"
    p.put(name, f"def main(args):\n    return {{'n': {n}}}\n", limits={"memory": 128})
    reply = p.invoke(name, {}, "blocking=true&result=true")
    assert (reply.status, reply.json) == (200, {"n": n}), reply


def churn(cycles):
    w = World("stock")
    try:
        began, first, last = time.monotonic(), None, sample(w)
        say(f"before: {last}")
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for part in range(SAMPLES):
                numbers = range(part * cycles // SAMPLES, (part + 1) * cycles // SAMPLES)
                lanes = [[n for n in numbers if n % WORKERS == lane] for lane in range(WORKERS)]
                list(pool.map(lambda lane: [one_cycle(w, lane[0], n) for n in lane[1]],
                              enumerate(lanes)))
                w.nothing_left(REMOVALS_S)
                last = sample(w)
                if part == 1:
                    first = last
                done = numbers.stop
                say(f"{done} of {cycles}: {last}, {done / (time.monotonic() - began):.1f}/s")
        w.close()
        for what, (was, now) in grown(first, last).items():
            say(f"missed: {what} grew from {was} to {now}")
        say("no growth" if not grown(first, last) else "growth")
        return 1 if grown(first, last) else 0
    finally:
        w.discard()


def main(words):
    if words[:1] == ["list"]:
        print("\n".join(f"{f.name} ({f.where})" for f in FAULTS))
        return 0
    if words[:1] == ["faults"] and len(words) > 1 and words[1].isdigit():
        return faults(int(words[1]), words[2:])
    if words[:1] == ["churn"] and len(words) == 2 and words[1].isdigit() and int(words[1]) >= SAMPLES:
        return churn(int(words[1]))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
