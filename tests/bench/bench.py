"""What the benchmarks share: a naraed of their own, who runs on which core, CPU time by thread, tables.

Nothing here stands in a measured path: calls are timed by the C programs load and cold_start.

environment: NARAE_BUILD           build folder (default: build/ of the tree); a release build
             NARAE_DOCKER          socket of the Engine (default: /var/run/docker.sock)
             NARAE_BENCH_LOAD_CPU  the core of the load (default: the last one)
             NARAE_BENCH_CPUS      the cores of all that is measured (default: the others)
             NARAE_BENCH_REALTIME  1: load and measured run before all else on this machine, for one that others use too
"""
import argparse
import base64
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("NARAE_BUILD", ROOT / "build"))
DOCKER = os.environ.get("NARAE_DOCKER", "/var/run/docker.sock")
API = "/api/v1/namespaces/_"
CPUS_HERE = os.cpu_count() or 1


def cpu_list(text):
    """{0, 2, 3} of "0,2-3"."""
    cpus = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return cpus


LOAD_CPUS = cpu_list(os.environ.get("NARAE_BENCH_LOAD_CPU", str(CPUS_HERE - 1)))
CPUS = cpu_list(os.environ.get("NARAE_BENCH_CPUS", f"0-{max(0, CPUS_HERE - 2)}"))


REALTIME = os.environ.get("NARAE_BENCH_REALTIME") == "1"
CPU_ROOT = pathlib.Path("/sys/fs/cgroup/cpu/tasks")


class Missed(Exception):
    """What was to be shown did not hold."""


def must(holds, text):
    if not holds:
        raise Missed(text)


def within(seconds, what, question, every=0.02):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        must(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(every)


# ---- the Engine -----------------------------------------------------------------------------------

class EngineConnection(http.client.HTTPConnection):
    def __init__(self, path=DOCKER):
        super().__init__("engine", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def engine(path, method="GET", body=None, docker=DOCKER):
    connection = EngineConnection(docker)
    connection.request(method, path, None if body is None else json.dumps(body),
                       {} if body is None else {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    must(answer.status < 300, f"Engine: {method} {path}: {answer.status} {text[:300]!r}")
    return json.loads(text) if text else None


def images(docker=DOCKER):
    """Every name of an image that this Engine has."""
    return [t for i in engine("/images/json", docker=docker) for t in i.get("RepoTags") or []]


@contextlib.contextmanager
def engines(**which):
    """{"private": socket, "stock": socket} of two Engines of our own with our images: a tuned one, and one as Docker comes."""
    which = which or {"private": ["--name=bench"], "stock": ["--stock", "--name=stockb"]}
    sockets = {}
    try:
        for name, words in which.items():
            # on all cores, and with it the containers that it makes: the cores of this process are those of the measured naraed
            up = subprocess.run([ROOT / "scripts/engine", "up", *words], stdout=subprocess.PIPE, text=True, check=False,
                                preexec_fn=lambda: os.sched_setaffinity(0, range(CPUS_HERE)))
            must(up.returncode == 0, f"scripts/engine up {' '.join(words)} failed")
            sockets[name] = up.stdout.strip()
            made = subprocess.run([ROOT / "scripts/images", f"--from={DOCKER}"], stdout=sys.stderr, check=False,
                                  env={**os.environ, "NARAE_DOCKER": sockets[name]})
            must(made.returncode == 0, f"the {name} Engine could not be given our images")
        yield sockets
    finally:
        for name in sockets:
            subprocess.run([ROOT / "scripts/engine", "down", *[w for w in which[name] if w != "--stock"]],
                           stdout=sys.stderr, check=False)


# ---- cores and CPU time -----------------------------------------------------------------------------

def place(tid, cpus):
    """One thread. Real time is per control group in some kernels, and then only the root has some."""
    os.sched_setaffinity(tid, cpus)
    if REALTIME:
        if CPU_ROOT.exists():
            CPU_ROOT.write_text(str(tid))
        os.sched_setscheduler(tid, os.SCHED_RR, os.sched_param(1))


@contextlib.contextmanager
def kernel_in_time():
    """With REALTIME: the kernel's own work for packets and disks, on which the measured wait, has their rank meanwhile. Without
    this a packet that the kernel hands to its thread waits until every measured process sleeps: tens of milliseconds."""
    changed = []
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm") if REALTIME else ():
        with contextlib.suppress(OSError):
            pid, name = int(comm.parent.name), comm.read_text().strip()
            if (name.startswith("ksoftirqd/") or (name.startswith("kworker/") and "H" in name)) and \
                    os.sched_getscheduler(pid) == os.SCHED_OTHER:
                os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
                changed.append(pid)
    try:
        yield
    finally:
        for pid in changed:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


def on_cpus(cpus):
    """For Popen: the new process runs there and nowhere else."""
    return lambda: place(os.getpid(), cpus)


def pin(pids, cpus):
    """Every thread of these processes."""
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for tid in os.listdir(f"/proc/{pid}/task"):
                place(int(tid), cpus)


def descendants(pid):
    """A process with all that came from it, by the kernel's list of children."""
    found, todo = [], [pid]
    while todo:
        at = todo.pop()
        found.append(at)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for tid in os.listdir(f"/proc/{at}/task"):
                text = pathlib.Path(f"/proc/{at}/task/{tid}/children").read_text()
                todo += [int(child) for child in text.split()]
    return found


def thread_cpu_us(pid):
    """{(tid, name): microseconds on a CPU} of a process's threads."""
    used = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            task = pathlib.Path(f"/proc/{pid}/task/{tid}")
            name = (task / "comm").read_text().strip()
            used[int(tid), name] = int((task / "schedstat").read_text().split()[0]) / 1000
    return used


def cpu_between(pid, before, after):
    """{name: microseconds}: the main thread is the loop; the others of one name together."""
    spent = {}
    for (tid, comm), us in sorted(after.items()):
        name = "loop" if tid == pid else comm
        spent[name] = spent.get(name, 0) + us - before.get((tid, comm), 0)
    return spent


def document(code, kind="native", network="none", concurrency=1, memory=256, **annotations):
    """Body of a deployment; code is text, or bytes of an executable or an archive."""
    notes = {"narae.network": network, **{k.replace("_", "."): v for k, v in annotations.items()}}
    text = code if isinstance(code, str) else base64.b64encode(code).decode()
    action = {"kind": kind, "code": text}
    if kind == "native":
        action = {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": text}
    return {"exec": action, "limits": {"concurrency": concurrency, "memory": memory},
            "annotations": [{"key": k, "value": v} for k, v in notes.items()]}


# ---- a platform -------------------------------------------------------------------------------------

class Platform:
    """One naraed with folders of its own, on the cores of the measured."""

    def __init__(self, *options, cpus=CPUS, docker=DOCKER):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nb", dir="/tmp"))
        self.data, self.run = self.folder / "data", self.folder / "run"
        self.options, self.cpus, self.docker = options, cpus, docker
        self.process, self.label = None, None

    def __enter__(self):
        try:
            return self.start()
        except BaseException as failed:
            self.__exit__(type(failed), failed, None)
            raise

    def __exit__(self, kind, value, trace):
        try:
            if self.process and self.process.poll() is None:
                if kind:
                    self.process.kill()
                    self.process.wait()
                else:
                    self.stop()
        finally:
            if kind:
                sys.stderr.write(self.said()[-3000:])
            for c in self.containers() if self.label else []:
                with contextlib.suppress(Missed):  # it may be going already
                    engine(f"/containers/{c}?force=true", "DELETE", docker=self.docker)
            shutil.rmtree(self.folder, ignore_errors=True)

    def said(self):
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def address(self):
        must(self.process.poll() is None, "naraed ended at its start")
        lines = [x for x in self.said()[self.skip:].splitlines() if x.startswith("listening on ")]
        return lines[-1].split()[-1] if lines else None

    def start(self):
        self.skip = len(self.said())
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program("naraed"), "--listen=127.0.0.1:0", f"--data={self.data}",
                 f"--run={self.run}", f"--docker={self.docker}", "--log-level=warn",
                 *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=on_cpus(self.cpus))
        self.pid = self.process.pid
        self.url = within(60, "naraed says where it listens", self.address)
        self.host = urllib.parse.urlsplit(self.url).netloc
        within(60, "/readyz is 200", lambda: self.request("GET", "/readyz")[0] == 200)
        self.auth = (self.data / "guest.key").read_text().strip()
        self.label = "narae.installation=" + (self.data / "installation").read_text().strip()
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=90)
        must(status == 0, f"naraed ended with status {status}")
        left = self.containers()
        must(not left, f"{len(left)} containers were left behind")

    def containers(self):
        filters = urllib.parse.quote(json.dumps({"label": [self.label]}))
        return [c["Id"] for c in engine(f"/containers/json?all=1&filters={filters}", docker=self.docker)]

    def container_pids(self):
        """Every process in every container of this platform."""
        found = []
        for c in self.containers():
            found += descendants(engine(f"/containers/{c}/json", docker=self.docker)["State"]["Pid"])
        return found

    def connect(self):
        return http.client.HTTPConnection(self.host, timeout=120)

    def request(self, method, path, body=None, connection=None, admin=False):
        """(status, JSON or text); paths without a leading slash are below the own namespace. admin: by the administrator's key."""
        headers = {"Content-Type": "application/json"}
        auth = (self.data / "admin.key").read_text().strip() if admin else getattr(self, "auth", None)
        if auth:
            headers["Authorization"] = "Basic " + base64.b64encode(auth.encode()).decode()
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        own = connection or self.connect()
        own.request(method, path if path.startswith("/") else f"{API}/{path}", body, headers)
        answer = own.getresponse()
        text = answer.read()
        if connection is None:
            own.close()
        return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode()

    def put(self, name, code, **settings):
        """Deploys what document() makes."""
        status, answer = self.request("PUT", f"actions/{name}?overwrite=true", document(code, **settings))
        must(status == 200, f"the deployment of {name} was refused: {status} {answer}")

    def invoke(self, name, parameters=None, query="blocking=true&result=true"):
        return self.request("POST", f"actions/{name}?{query}", parameters or {})

    def metric(self, name):
        """Sum of the samples of a metric."""
        text = self.request("GET", "/metrics")[1]
        samples = [line for line in text.splitlines()
                   if line.startswith(name + " ") or line.startswith(name + "{")]
        must(samples, f"no metric {name}")
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples)

    def memory(self):
        """{"anonymous_kib", "resident_kib"} as the kernel has it."""
        lines = dict(line.split(":", 1) for line in
                     pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return {"anonymous_kib": int(lines["RssAnon"].split()[0]),
                "resident_kib": int(lines["VmRSS"].split()[0])}

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


# ---- programs, figures, the report --------------------------------------------------------------------

def program(name):
    for folder in ("tests/bench", "examples", "."):
        if (BUILD / folder / name).is_file():
            return BUILD / folder / name
    raise Missed(f"{BUILD} has no {name}")


def run_json(arguments, cpus=LOAD_CPUS, statuses=(0,)):
    """Runs one of our C programs; its JSON."""
    done = subprocess.run([str(a) for a in arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False,
                          preexec_fn=on_cpus(cpus))
    must(done.returncode in statuses, f"{arguments[0]} ended with {done.returncode}: "
         f"{done.stderr.strip()[-500:]} {done.stdout.strip()[-300:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def load_command(url, target, auth, body, connections, *more):
    return [str(program("load")), f"--url={url}", f"--target={target}", f"--auth={auth}",
            f"--body={body}", f"--connections={connections}", "--warmup-ms=0", "--expect-status=200",
            "--json", *more]


def load_figures(figures):
    """What the load program printed, with the number of errors beside their kinds."""
    return {**figures, "errors": sum(figures["errors"].values()), "error_kinds": figures["errors"]}


def load(*words):
    """Runs the load program (load_command has the words) on its core; 1 is its status with errors."""
    return load_figures(run_json(load_command(*words), statuses=(0, 1)))


def median(values):
    return statistics.median(values)


def percentile(values, p):
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * p // 100) - 1))]


def print_table(head, rows):
    cells = [head] + [[x if isinstance(x, str) else f"{x:,.2f}" if abs(x) < 10 else f"{x:,.0f}"
                       for x in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        print("  ".join(x.ljust(w) if i == 0 else x.rjust(w)
                        for i, (x, w) in enumerate(zip(row, widths))).rstrip())


def arguments(description, **numbers):
    """-j and --NAME=N for each of numbers."""
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-j", "--json", action="store_true", help="one JSON object and no table")
    for name, preset in numbers.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(preset), default=preset,
                            help=f"default {preset}")
    return parser.parse_args()


class Report:
    """Figures with their marks. The status of the process says whether each was met."""

    def __init__(self, args):
        self.quiet, self.figures, self.marks = args.json, {}, []

    def table(self, head, rows):
        if not self.quiet:
            print_table(head, rows)
            print()

    def mark(self, what, value, limit, at_most=True):
        good = value <= limit if at_most else value >= limit
        self.marks.append({"what": what, "value": round(value, 3), "limit": limit, "met": good})
        if not self.quiet:
            print(f"{'met   ' if good else 'MISSED'}  {what}: {value:,.3f} "
                  f"(at {'most' if at_most else 'least'} {limit:g})")

    def end(self):
        if self.quiet:
            print(json.dumps({"figures": self.figures, "marks": self.marks}))
        return 0 if all(m["met"] for m in self.marks) else 1


def main(run):
    """run() -> status; what was missed is one line."""
    if os.geteuid() != 0:
        sys.exit("root rights are needed: scripts/bench asks for them")
    try:
        with kernel_in_time():
            sys.exit(run())
    except Missed as missed:
        sys.exit(f"error: {missed}")
