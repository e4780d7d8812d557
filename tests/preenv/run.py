"""The workloads of examples/preenv-*: what PreEnv's search chooses, against a full sweep by the same criterion.

usage: run.py [--search|--sweep] [--results FOLDER] [--repeats N] WORKLOAD...

A search and a sweep of each workload (all: every one), one after another; the curves are printed and, as JSON, left in FOLDER.
The exit status is 1 when a search is further than one 64 MB step from its sweep, tests more configurations than it may, or does
not find what the workload is made for. NARAE_BUILD and NARAE_DOCKER as in tests/integration/conftest.py.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
import conftest  # noqa: E402

EXAMPLES = ROOT / "examples"
SMALL, LARGE = {"size_mb": 4}, {"size_mb": 120}
BY_WEIGHT = {"payloads": [{"weight": 9, "value": SMALL}, {"weight": 1, "value": LARGE}]}
# name: file, kind, declared MB, body, configurations that a search may test, what it must find (None: what the sweep finds)
WORKLOADS = {
    "fib": ("preenv-fib/fib.py", "python:3", 1024, {}, 6, 64),
    "import": ("preenv-import/heavy_start.py", "python:3", 1024, {}, 6, None),
    "payload": ("preenv-payload/by_input.py", "python:3", 1024, BY_WEIGHT, 6, None),
    "lru": ("preenv-lru/tiles.py", "python:3", 1024, {}, 6, 448),
    "gc": ("preenv-gc/replace.js", "nodejs:18", 1024, {}, 8, None),
    "mnist": ("preenv-mnist/mnist.py", "blackbox", 3072, {}, 6, 1024),
    "leak": ("preenv-leak/leak.py", "python:3", 1024, {}, 1, 0),
}
WIDTH, STEP = 40, 64


def deploy(platform, name):
    file, kind, declared, *_ = WORKLOADS[name]
    body = {"exec": {"kind": kind, "code": (EXAMPLES / file).read_text()},
            "limits": {"memory": declared, "timeout": 300000},
            "annotations": [{"key": "narae.network", "value": "none"}]}
    if kind == "blackbox":
        body["exec"]["image"] = subprocess.run([ROOT / "scripts" / "preenv-mnist-image"], check=True, text=True,
                                               stdout=subprocess.PIPE).stdout.strip()
    reply = platform.request("PUT", f"actions/{name}?overwrite=true", body)
    assert reply.status == 200, reply


def measure(platform, name, more):
    where = f"/narae/v1/functions/{name}/preenv"
    reply = platform.request("POST", where, {**WORKLOADS[name][3], "deadline_s": 3600, **more})
    assert reply.status == 202, reply
    told = 0
    while True:
        run = platform.request("GET", f"{where}/{reply.json['id']}").json
        for event in run["events"][told:]:
            print(f"    {event['station']:11} {event['text']}", flush=True)
        told = len(run["events"])
        if run["state"] != "running":
            return run
        time.sleep(1)


def draw(name, kind, run):
    print(f"{name}, {kind}: {run['state']}: {run['reason']}")
    done = [c for c in run["configurations"] if c["outcome"] == "ok" and c["p50_ms"]]
    most = max((c["p50_ms"] for c in done), default=1)
    for c in sorted(run["configurations"], key=lambda c: c["memory_mb"]):
        bar = "#" * round(WIDTH * c["p50_ms"] / most) if c in done else c["outcome"]
        figures = "" if c not in done else (f" p50 {c['p50_ms']:.1f} p95 {c['p95_ms']:.1f} user {c['user_ms']:.0f}"
                                            f" system {c['system_ms']:.0f} ms, peak {c['peak_mb']:.0f} MB")
        mark = "*" if c["memory_mb"] == run["chosen_mb"] else " "
        print(f"  {mark}{c['memory_mb']:5} MB {bar:{WIDTH}}{figures}{' noisy' if c['noisy'] else ''}")
    for line in run["advice"]:
        print("  -", line)
    sys.stdout.flush()


def judge(name, runs):
    """What is wrong, as sentences."""
    *_, most, wanted = WORKLOADS[name]
    search, sweep = runs.get("search"), runs.get("sweep")
    wrong = [f"{kind}: {run['state']}: {run['reason']}" for kind, run in runs.items() if run["state"] != "done"]
    if search and len(search["configurations"]) > most:
        wrong.append(f"{len(search['configurations'])} configurations were tested, {most} are allowed")
    if search and wanted is not None and abs((search["chosen_mb"] or 0) - wanted) > (0 if name in ("mnist", "leak") else STEP):
        wrong.append(f"{search['chosen_mb']} MB was chosen, {wanted} is right")
    if search and sweep and abs((search["chosen_mb"] or 0) - (sweep["chosen_mb"] or 0)) > STEP:
        wrong.append(f"the search chose {search['chosen_mb']} MB, the sweep {sweep['chosen_mb']}")
    return wrong


def run_workload(platform, name, kinds, options):
    runs = {}
    deploy(platform, name)
    for kind in kinds:
        if kind == "sweep" and name == "leak":
            continue  # no size is right
        more = {"repeats": options.repeats} if options.repeats else {}
        runs[kind] = measure(platform, name, {**more, **({"sizes": "all"} if kind == "sweep" else {})})
        draw(name, kind, runs[kind])
        if options.results:
            folder = pathlib.Path(options.results)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}-{kind}.json").write_text(json.dumps(runs[kind], indent=1))
    wrong = judge(name, runs)
    for sentence in wrong:
        print(f"WRONG {name}: {sentence}")
    return not wrong


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--results")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("workload", nargs="+", choices=[*WORKLOADS, "all"])
    options = parser.parse_args()
    kinds = [k for k in ("search", "sweep") if getattr(options, k)] or ["search", "sweep"]
    platform = conftest.Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"))
    try:
        platform.start()
        names = list(WORKLOADS) if "all" in options.workload else options.workload
        well = [run_workload(platform, name, kinds, options) for name in names]
        platform.stop()
    finally:
        platform.discard()
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
