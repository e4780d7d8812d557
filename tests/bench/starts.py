"""What the benchmarks of starts share: single calls timed by the C program cold_start, records, containers by state."""
import subprocess
import time

import bench

ALL = set(range(bench.CPUS_HERE))  # a start is the work of several programs: they share what there is

PYTHON_ECHO = "def main(args):\n    return args\n"
NODE_ECHO = "function main(args) { return args }\n"


def native_echo():
    return bench.program("hello-echo").read_bytes()


ECHOES = {"native": native_echo, "python": lambda: PYTHON_ECHO, "nodejs": lambda: NODE_ECHO}
KINDS = {"native": "native", "python": "python:3", "nodejs": "nodejs:18"}


def put_echo(platform, name, runtime, memory=256, **more):
    platform.put(name, ECHOES[runtime](), kind=KINDS[runtime], memory=memory, **more)


def document(runtime, memory=64):
    """Body of a deployment of the echo in this runtime."""
    return bench.document(ECHOES[runtime](), kind=KINDS[runtime], memory=max(memory, 256 if runtime == "nodejs" else 64))


def call_command(platform, name, *more):
    return [str(bench.program("cold_start")), "call",
            f"--url={platform.url}{bench.API}/actions/{name}?blocking=true&result=true",
            f"--auth={platform.auth}", '--body={"first":true}', *more]


def timed_call(platform, name):
    """Milliseconds of one blocking call on a connection that is open already."""
    return bench.run_json(call_command(platform, name), ALL)["us"] / 1000


def last_record(platform, name):
    """(start kind, {annotation: value}) of the function's last activation."""
    records = platform.request("GET", f"activations?name={name}&limit=1&docs=true")[1]
    bench.must(records, f"{name} has no record")
    notes = {a["key"]: a["value"] for a in records[0]["annotations"]}
    return notes.get("narae.start"), notes


def in_state(platform, state):
    """How many containers are in this state."""
    text = platform.request("GET", "/metrics")[1]
    head = f'narae_containers{{state="{state}"}} '
    for line in text.splitlines():
        if line.startswith(head):
            return int(float(line[len(head):]))
    return 0


def shelves(platform):
    """[{"kind", "network", "memory_mb", "ready", "starting", "wanted"}, ...] of the stems."""
    status = platform.request("GET", "/narae/v1/invokers", admin=True)[1]
    return [shelf for invoker in (status if isinstance(status, list) else [status]) for shelf in invoker["stems"]]


def containers_of(platform, names):
    """How many containers some of these functions have."""
    status = platform.request("GET", "/narae/v1/invokers")[1]
    return sum(c["function"].rpartition("/")[2] in names for invoker in (status if isinstance(status, list) else [status])
               for c in invoker["containers"] if c.get("function"))


def delete(platform, name):
    status, answer = platform.request("DELETE", f"actions/{name}")
    bench.must(status == 200, f"{name} could not be deleted: {status} {answer}")


def at_once(commands, in_ms=400):
    """Runs cold_start commands so that all of them begin at one moment; (JSON of each, moment in us of the monotonic clock)."""
    moment = time.monotonic_ns() // 1000 + (in_ms + 10 * len(commands)) * 1000
    started = [subprocess.Popen([*c, f"--start-at-us={moment}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, preexec_fn=bench.on_cpus(ALL)) for c in commands]
    answers = []
    for process in started:
        out, err = process.communicate(timeout=180)
        answers.append(bench.json.loads(out) if process.returncode == 0 else {"error": err.strip()[-300:]})
    return answers
