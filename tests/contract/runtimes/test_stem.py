"""Containers that wait without code, and what they learn only at hand-over."""
import os
import time

import host
import pytest
from containers import engine
from flavours import flavours

BY_NAME = {f.name: f for f in flavours()}
FLOOR_MB = {"python": 64, "nodejs": 256, "direct": 64, "turns": 64, "loop": 64, "once": 64, "wasm": 64}
WATCHED_S = 1.0
IDLE_MAX_NS = 2_000_000  # 2 ms in a second


@pytest.fixture(params=FLOOR_MB)
def stem(request, start):
    """(flavour, container) that has said hello and waits."""
    flavour = BY_NAME[request.param]
    return flavour, start(flavour, memory_mb=FLOOR_MB[flavour.name])


def cpu_ns(container):
    """CPU time of all threads of the container so far."""
    pids = engine("GET", "/containers/%s/top?ps_args=-eo%%20pid" % container.id)["Processes"]
    total = 0
    for (pid,) in pids:
        for thread in os.listdir("/proc/%s/task" % pid):
            with open("/proc/%s/task/%s/schedstat" % (pid, thread), encoding="ascii") as f:
                total += int(f.read().split()[0])
    return total


def settled(container):
    """Waits until what boots has booted: two looks find the same CPU time."""
    before, now = -1, cpu_ns(container)
    while before != now:
        time.sleep(0.3)
        before, now = now, cpu_ns(container)
    return now


def test_a_stem_waits_without_work(stem):
    flavour, container = stem
    before = settled(container)
    time.sleep(WATCHED_S)
    assert cpu_ns(container) - before < IDLE_MAX_NS
    assert not flavour.init(container, log_max_bytes=10_000, result_max_bytes=1000,
                            memory_mb=FLOOR_MB[flavour.name]).failed
    r = container.slot.run({"do": "flood", "lines": 1000})
    assert r.log_truncated and len(r.log) < 10_500  # the limits are those of INIT
    if flavour.name != "once":
        assert container.slot.run({"do": "big", "bytes": 5000}).truncated


def test_a_stem_takes_four_slots(stem):
    flavour, container = stem
    assert not flavour.init(container, slots=4).failed
    slots = [container.slot] + [container.accept() for _ in range(3)]
    assert sorted(s.hello["slot"] for s in slots) == [0, 1, 2, 3]
    for s in slots:
        assert s.run({"do": "echo", "x": 1}).value == {"do": "echo", "x": 1}
    for s in slots[1:]:
        s.close()


HEAP = b"""
let kept = [];
function main(a) {
  kept = [];
  for (let i = 0; i < a.mb; i++) kept.push(new Array(131072).fill(i));
  return { mb: process.memoryUsage().heapUsed >> 20 };
}
"""


def raised(start, from_mb, to_mb):
    """A nodejs container that was started with less memory than its function has."""
    container = start(BY_NAME["nodejs"], memory_mb=from_mb)
    settled(container)
    if from_mb != to_mb:
        engine("POST", "/containers/%s/update" % container.id, {"Memory": to_mb << 20, "MemorySwap": to_mb << 20})
    assert not container.slot.init("code.js", HEAP, memory_mb=to_mb).failed
    return container


def test_node_heap_grows_to_the_size_learnt_at_hand_over(start):
    container = raised(start, 256, 512)
    for mb in (50, 350, 350):
        r = container.slot.run({"mb": mb})
        assert r.verdict == host.OK and r.value["mb"] >= mb
    r = container.slot.run({"mb": 450})  # more than three quarters of 512
    assert r.answer is None and r.verdict == host.OOM


def test_node_heap_that_was_not_raised_is_full_sooner(start):
    container = raised(start, 256, 256)
    assert container.slot.run({"mb": 100}).verdict == host.OK
    r = container.slot.run({"mb": 350})
    assert r.answer is None and r.verdict == host.OOM


def test_node_is_the_same_in_a_raised_container(start):
    """What a function can see is what it sees in a container that was started for it."""
    code = (b"process.chdir('/tmp'); let n = 0;\n"
            b"function main(a) { console.log('line', ++n); if (a.exit) process.exit(5); if (a.late) { setTimeout(() => { throw new Error('late'); }, 5);"
            b" return new Promise(() => {}); } return { cwd: process.cwd(), main: require('worker_threads').isMainThread, own: process.env.OWN }; }")
    for more, verdict, status in (({}, host.OK, 0), ({"exit": 1}, host.EXITED, 5 << 8), ({"late": 1}, host.EXITED, 1 << 8)):
        container = start(BY_NAME["nodejs"], memory_mb=256)
        engine("POST", "/containers/%s/update" % container.id, {"Memory": 512 << 20, "MemorySwap": 512 << 20})
        assert not container.slot.init("code.js", code, memory_mb=512, env={"OWN": "v"}).failed
        r = container.slot.run(more)
        assert (r.verdict, r.exit_status) == (verdict, status) and ("stdout", "line 1") in r.lines
        if verdict == host.OK:
            assert r.value == {"cwd": "/tmp", "main": True, "own": "v"}


LOOKS = {
    "python": b"""
import os, subprocess
def main(a):
    found = []
    for pid in os.listdir("/proc"):
        try:
            named = pid.isdigit() and open("/proc/%s/comm" % pid).read().startswith("agent")
        except OSError:
            continue  # it ended since the folder was listed
        if named:
            for name in ("mem", "environ", "fd/0"):
                try:
                    os.close(os.open("/proc/%s/%s" % (pid, name), os.O_RDONLY)); found.append(name)
                except OSError:
                    pass
    child = os.popen("ls -l /proc/self/fd").read()
    return {"agent": found, "child": [l.split()[-3:] for l in child.splitlines() if " -> " in l]}
""",
    "nodejs": b"""
const fs = require('fs');
function main() {
  const agent = [];
  for (const pid of fs.readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(pid)) continue;
    let name = '';
    try { name = fs.readFileSync(`/proc/${pid}/comm`, 'utf8'); } catch { /* it ended since the folder was listed */ }
    if (!name.startsWith('agent')) continue;
    for (const name of ['mem', 'environ', 'fd/0']) {
      try { fs.closeSync(fs.openSync(`/proc/${pid}/${name}`, 'r')); agent.push(name); } catch { /* as it must be */ }
    }
  }
  const said = require('child_process').execSync('ls -l /proc/self/fd').toString();
  return { agent, child: said.split('\\n').filter((l) => l.includes(' -> ')).map((l) => l.split(/\\s+/).slice(-3)) };
}
""",
}


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("slots", [1, 2])
def test_nothing_of_ours_reaches_the_function_s_children(start, name, slots):
    """The agent cannot be looked into, and a child of the function has no connection, channel or page of ours."""
    container = start(BY_NAME[name])
    file = BY_NAME[name].file
    assert not container.slot.init(file, LOOKS[name], slots=slots).failed
    r = container.slot.run({})
    assert not r.failed, r.value
    assert r.value["agent"] == []
    # beside its own standard streams there is only the folder that `ls` itself looks at
    assert [target for fd, _, target in r.value["child"] if int(fd) > 2 and not target.startswith("/proc/")] == []
    assert len(r.value["child"]) == 4, r.value
