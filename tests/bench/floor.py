"""What the benchmarks of warm calls share: nginx as the floor, a function with its rounds, allocations of naraed by thread."""
import os
import struct
import subprocess

import bench

BODY = '{"sensor":"t-17","value":21.5,"unit":"C","sequence":123456}'
FIGURES = ("p50_us", "p99_us", "rate")

NGINX = """
daemon off; master_process off; worker_processes 1; error_log {folder}/nginx.log crit;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 3600;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream echo {{ server unix:{folder}/echo; keepalive 128; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://echo; proxy_http_version 1.1; proxy_set_header Connection "";
        }}
    }}
}}
"""


class Floor:
    """nginx and the echo behind it, on the cores of the measured."""

    def __init__(self, folder):
        self.folder, self.port, self.running = folder, 20000 + os.getpid() % 10000, []

    def start(self, *command):
        with open(f"{self.folder}/floor.log", "ab") as log:
            self.running.append(subprocess.Popen(
                [str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=bench.on_cpus(bench.CPUS)))

    def __enter__(self):
        conf = self.folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=self.folder, port=self.port))
        self.start(bench.program("echo_server"), f"unix:{self.folder}/echo")
        self.start("nginx", "-p", self.folder, "-c", conf)
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_):
        for p in self.running:
            p.kill()
            p.wait()


class Case:
    """One function at one number of connections, and its rounds. With `paced` each round ends with an even pace at that share
    of the rate that the round reached."""

    def __init__(self, name, connections, code, action=None, slots=0, paced=0.0, **deployment):
        self.name, self.connections, self.paced, self.rounds = name, connections, paced, []
        self.slots = slots or connections
        self.action = action or f"bench-{name}-{connections}"
        self.code, self.deployment = code, deployment

    def load(self, platform, url, *more, connections=0):
        return bench.load(url, f"{bench.API}/actions/{self.action}?blocking=true&result=true", platform.auth, BODY,
                          connections or self.connections, *more)

    def warm_up(self, platform):
        """All slots have served and every process stands on its core before the first round."""
        platform.put(self.action, self.code, concurrency=self.slots, **self.deployment)
        first = platform.invoke(self.action, {"warm": 1})
        bench.must(first == (200, {"warm": 1}), f"{self.action} does not echo: {first}")
        self.load(platform, platform.url, "--seconds=1", connections=self.slots)
        bench.pin(platform.container_pids(), bench.CPUS)
        self.load(platform, platform.url, "--seconds=1", connections=self.slots)

    def round(self, platform, floor, seconds):
        time = f"--seconds={seconds}"
        nginx = self.load(platform, floor.url, time)
        before = bench.thread_cpu_us(platform.pid)
        narae = self.load(platform, platform.url, time)
        spent = bench.cpu_between(platform.pid, before, bench.thread_cpu_us(platform.pid))
        bench.must(nginx["errors"] == 0, f"nginx: {nginx['error_kinds']}")
        calls = max(1, narae["requests"])
        done = {"nginx": nginx, "narae": narae, "cpu_us": {name: us / calls for name, us in spent.items()}}
        if self.paced:
            for who, url in (("nginx", floor.url), ("narae", platform.url)):
                # the pace is counted once it is even: that all connections are opened at once is no part of it
                done[who + "_paced"] = self.load(platform, url, time, "--warmup-ms=500",
                                                 f"--rate={max(1, int(done[who]['rate'] * self.paced))}")
        self.rounds.append(done)

    def summary(self):
        """Medians over the rounds; a ratio is the median of the ratios."""
        def middle(of):
            return bench.median([of(r) for r in self.rounds])

        names = {name for r in self.rounds for name in r["cpu_us"]}
        told = {"case": self.name, "connections": self.connections,
                "p50_ratio": middle(lambda r: r["narae"]["p50_us"] / r["nginx"]["p50_us"]),
                "rate_ratio": middle(lambda r: r["narae"]["rate"] / r["nginx"]["rate"]),
                "errors": sum(r[who]["errors"] for r in self.rounds for who in r if who.startswith("narae")),
                "cpu_us_per_call": {name: middle(lambda r, n=name: r["cpu_us"].get(n, 0)) for name in names}}
        for who in ("narae", "nginx") + (("narae_paced", "nginx_paced") if self.paced else ()):
            for what in FIGURES:
                told[f"{who}_{what}"] = middle(lambda r, w=who, x=what: r[w][x])
            told[f"{who}_tail"] = middle(lambda r, w=who: r[w]["p99_us"] / max(1, r[w]["p50_us"]))
        return told


def starts(platform):
    """Calls so far that no warm container waited for."""
    text = platform.request("GET", "/metrics")[1]
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith('narae_starts_total{kind="cold"}')
               or line.startswith('narae_starts_total{kind="stem"}'))


def print_cases(report, rows):
    report.table(["function", "conns", "narae p50 us", "p99 us", "calls/s", "nginx p50 us",
                  "p99 us", "calls/s", "p50 ratio", "rate ratio"],
                 [[r["case"], str(r["connections"]), r["narae_p50_us"], r["narae_p99_us"],
                   r["narae_rate"], r["nginx_p50_us"], r["nginx_p99_us"], r["nginx_rate"],
                   r["p50_ratio"], r["rate_ratio"]] for r in rows])
    names = sorted({n for r in rows for n, us in r["cpu_us_per_call"].items() if us >= 0.01})
    report.table(["CPU us per call of naraed", *names, "all"],
                 [[f"{r['case']} {r['connections']}",
                   *[r["cpu_us_per_call"].get(n, 0.0) for n in names],
                   sum(r["cpu_us_per_call"].values())] for r in rows])


class Allocations:
    """Counts of tests/bench/allocations.c, preloaded into the naraed that is started inside `with`."""
    ROW = struct.Struct("<QQQ")
    ROWS = 256

    def __init__(self, folder):
        self.path = folder / "allocations"

    def __enter__(self):
        self.path.write_bytes(bytes(self.ROW.size * self.ROWS))
        os.environ.update(LD_PRELOAD=str(bench.program("liballocations.so")), NARAE_ALLOCATIONS=str(self.path))
        return self

    def __exit__(self, *_):
        for name in ("LD_PRELOAD", "NARAE_ALLOCATIONS"):
            os.environ.pop(name)

    def calls(self):
        """{thread id: allocations so far}."""
        return {tid: calls for tid, calls, _ in self.ROW.iter_unpack(self.path.read_bytes()) if tid}
