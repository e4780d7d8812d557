"""What a real Prometheus makes of /metrics, and of docs/monitoring: its configuration, its alerts, every query of its dashboard.

prometheus and promtool come from Debian's package: NARAE_PROMETHEUS, else prometheus/usr/bin of the build folder, else the PATH.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from conftest import BUILD, ROOT, SLOW, Platform, within
from ports import free_port

TOOLS = os.environ.get("NARAE_PROMETHEUS", str(BUILD / "prometheus/usr/bin"))
DOCS = ROOT / "docs/monitoring"
TELLS = """
import json
def main(args):
    for line in args.get("lines", []):
        print(line if isinstance(line, str) else json.dumps(line))
    if args.get("fail"):
        raise ValueError("boom")
    return {}
"""
TOP = 3


def tool(name):
    path = shutil.which(name, path=TOOLS + os.pathsep + os.environ["PATH"])
    assert path, f"no {name} in {TOOLS}: it is in Debian's package prometheus, see prometheus_tool in scripts/lib.sh"
    return path


def promtool(*arguments, text=None):
    ran = subprocess.run([tool("promtool"), *map(str, arguments)], input=text, capture_output=True, text=True,
                         timeout=60 * SLOW, cwd=DOCS)
    return ran.returncode, ran.stdout + ran.stderr


def page(platform, auth=None):
    reply = platform.request("GET", "/metrics", auth=auth)
    assert reply.status == 200, reply
    return reply.body.decode()


def samples(text, name):
    """Labels and value of each sample of a metric."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
        if match:
            found.append((dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[1] or "")), float(match[2])))
    return found


def value(text, name, **labels):
    found = [v for have, v in samples(text, name) if have == labels]
    return found[0] if found else None


CALLS = "narae_function_invocations_total"


@pytest.fixture(scope="module")
def monitored():
    """A platform whose functions f0..f5 have been called, the later ones more often, one of them with a label; f0 fails."""
    p = Platform(tempfile.mkdtemp(prefix="nr", dir="/tmp"), f"--metrics-functions=top:{TOP},label:tier=critical")
    try:
        p.start()
        for i in range(6):
            annotations = [{"key": "narae.network", "value": "none"}]
            if i == 1:
                annotations.append({"key": "tier", "value": "critical"})
            p.put(f"f{i}", TELLS, annotations=annotations)
        p.calls = 0
        for i in range(6):
            for _ in range(1 + 4 * i):
                assert p.invoke(f"f{i}", {"fail": i == 0}).status == (502 if i == 0 else 200)
                p.calls += 1
        yield p
        p.stop()
    finally:
        p.discard()


def test_docs_are_good():
    for arguments in (["check", "rules", "alerts.yml"], ["check", "config", "--syntax-only", "prometheus.yml"],
                      ["test", "rules", "rules_test.yml"]):
        status, said = promtool(*arguments)
        assert status == 0, said


def test_pages_are_clean(monitored):
    """promtool finds nothing to say about any page, whoever asks for it."""
    for auth in (None, monitored.auth, monitored.admin_auth):
        status, said = promtool("check", "metrics", text=page(monitored, auth))
        assert (status, said) == (0, "")


def test_who_is_named(monitored):
    """Nobody without a key, his own for an account, everybody for the administrator."""
    key = monitored.request("POST", "/narae/v1/accounts", {"name": "m-other"}, auth=monitored.admin_auth).json["key"]
    within(20, "f5 is told of", lambda: value(page(monitored, monitored.auth), CALLS, account="guest", function="f5"))
    assert "guest" not in page(monitored) and "m-other" not in page(monitored)
    assert "guest" not in page(monitored, key)
    assert 'account="guest"' in page(monitored, monitored.admin_auth)
    for wrong in ("me:you", monitored.auth[:-1] + "x"):
        assert monitored.request("GET", "/metrics", auth=wrong).status == 401
    reply = monitored.request("POST", "/narae/v1/accounts/m-other/keys", {"scopes": ["invoke"]}, auth=monitored.admin_auth)
    refused = monitored.request("GET", "/metrics", auth=reply.json["key"])
    assert refused.status == 403 and "'read'" in refused.error


def test_functions_under_a_bound(monitored):
    """The busiest and the one with the label have series, the others are a sum; the account's own page has every call."""
    def whole():
        own = page(monitored, monitored.auth)
        return own if sum(v for _, v in samples(own, CALLS)) == monitored.calls else None

    own = within(20, "every call is counted", whole)
    text = page(monitored, monitored.admin_auth)
    assert sum(v for _, v in samples(text, CALLS)) <= monitored.calls, "none is counted twice"
    named = {labels["function"] for labels, _ in samples(text, CALLS) if "account" in labels}
    assert len(named) <= TOP + 1
    within(20, "the one with the label is told of", lambda: any(
        labels.get("function") == "f1" for labels, _ in samples(page(monitored, monitored.admin_auth), CALLS)))
    assert value(text, "narae_functions_known") == 6
    assert value(own, CALLS, account="guest", function="f0") == 1
    assert value(own, "narae_function_errors_total", account="guest", function="f0") == 1
    assert value(own, CALLS, account="guest", function="f5") == 21
    assert value(own, "narae_function_duration_seconds_count", account="guest", function="f5") == 21
    assert value(own, CALLS, function="other") is None


def test_custom_metrics(monitored):
    """A line of a log becomes a metric with the account's label; mistakes are counted and change nothing."""
    good = [{"metric": "room_temp_celsius", "value": 21.5, "labels": {"room": "a"}},
            {"metric": "rows_total", "value": 2}, {"metric": "rows_total", "value": 3}]
    bad = {"form": {"metric": "room_temp_celsius", "value": "warm"},
           "name": {"metric": "narae_gateway_ready", "value": 0},
           "label": {"metric": "m", "value": 1, "labels": {"account": "whisk.system"}},
           "value": {"metric": "rows_total", "value": -1}}
    before = page(monitored)
    reply = monitored.invoke("f5", {"lines": good + list(bad.values()) + ["plain", '{"metric"', "{'metric': 'x'}"]})
    assert reply.status == 200
    monitored.calls += 1
    text = within(20, "the value is told", lambda: (t := page(monitored, monitored.auth)) and
                  "room_temp_celsius" in t and t)
    assert value(text, "room_temp_celsius", account="guest", function="f5", room="a") == 21.5
    assert value(text, "rows_total", account="guest", function="f5") == 5
    assert "# TYPE rows_total counter" in text and "# TYPE room_temp_celsius gauge" in text
    assert value(text, "narae_gateway_ready") == 1
    for result, more in {"taken": 3, **{reason: 1 for reason in bad}}.items():
        name = "narae_custom_values_total"
        assert value(text, name, result=result) - value(before, name, result=result) == more, result
    assert "room_temp_celsius" not in page(monitored)
    assert len(monitored.record(reply.activation)["logs"]) == len(good) + len(bad) + 3, "the lines are logs all the same"
    assert promtool("check", "metrics", text=text) == (0, "")


def test_custom_metrics_are_on_the_bus(monitored):
    """Whoever reads the topic of samples hears the value, with the labels that only the platform gives."""
    stream = monitored.connect()
    stream.request("GET", "/narae/v1/events?topic=metrics", headers={"Authorization": monitored.basic(monitored.admin_auth)})
    answer = stream.getresponse()
    assert answer.status == 200

    def line():
        text = answer.readline()
        assert text, "the stream goes on"
        return json.loads(text[6:]) if text.startswith(b"data: {") else {}

    monitored.calls += monitored.invoke("f5", {"lines": [{"metric": "queue_cows", "value": 7, "labels": {"barn": "2"}}]}).status == 200
    heard = within(30, "the value is on the bus", lambda: (m := line()).get("metric") == "queue_cows" and m, every=0)
    stream.close()
    assert heard["value"] == 7
    assert heard["labels"] == {"barn": "2", "account": "guest", "function": "f5"}


def test_custom_metrics_scale(monitored):
    """A rule waits for a value of one account's function, or of its own account: another that tells the same name moves nothing."""
    admin = monitored.admin_auth
    key = monitored.request("POST", "/narae/v1/accounts", {"name": "m-intruder"}, auth=admin).json["key"]
    body = {"exec": {"kind": "python:3", "code": TELLS}}
    assert monitored.request("PUT", "actions/f5", body, auth=key).status == 200
    monitored.put("herd", TELLS, annotations=[{"key": "narae.network", "value": "none"}])
    rule = {"id": "cows", "do": {"action": "set", "count": 2},
            "when": {"metric": "cows_waiting", "labels": {"account": "guest", "function": "f5"}, "aggregate": "max",
                     "window": "1m", "op": ">", "value": 5}}
    own = {**rule, "id": "own", "when": {name: value for name, value in rule["when"].items() if name != "labels"}}
    policy = {"policy": "herd", "target": {"account": "guest", "function": "herd"}, "evaluate_every": "1s",
              "bounds": {"min": 0, "max": 3, "on_demand": False}, "rules": [rule, own], "missing_metrics": {"do": "hold"},
              "limits": {"up": {"stabilize": "0s"}}}
    reply = monitored.request("PUT", "/narae/v1/scaling/policies/herd", policy, auth=admin)
    assert reply.status in (200, 201), reply

    def herd():
        containers = monitored.request("GET", "/narae/v1/invokers", auth=admin).json["containers"]
        return len([c for c in containers if c["function"] == "guest/herd"])

    def tell(count, auth):
        line = {"metric": "cows_waiting", "value": count}
        assert monitored.invoke("f5", {"lines": [line]}, auth=auth).status == 200

    tell(99, key)
    tell(4, monitored.auth)
    within(20, "both are told", lambda: len(samples(page(monitored, admin), "cows_waiting")) == 2)
    assert herd() == 0
    tell(7, monitored.auth)
    monitored.calls += 2
    within(30, "seven cows wait: there are two containers", lambda: herd() == 2)
    told = monitored.request("GET", "/narae/v1/scaling/policies/herd/explain?limit=100", auth=admin).json["decisions"]
    assert [one["value"] for one in told[-1]["inputs"]] == [7, 7] and told[-1]["to"] == 2, told
    assert monitored.request("DELETE", "/narae/v1/scaling/policies/herd", auth=admin).status in (200, 204)
    assert monitored.request("DELETE", "actions/herd").status == 200
    within(30, "they are gone", lambda: herd() == 0)


# ---- a real Prometheus


def with_key(config):
    """The marks before the lines of the key taken away, by the command of README.md."""
    script = re.search(r'sed -i "(s/\^ .*?/);', (DOCS / "README.md").read_text())[1]
    return subprocess.run(["sed", script], input=config, capture_output=True, text=True, check=True).stdout


class Prometheus:
    """Scrapes a platform every second, with the files of docs/monitoring."""

    def __init__(self, platform):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nrprom", dir="/tmp"))
        self.port = free_port()
        user, password = platform.admin_auth.split(":", 1)
        (self.folder / "narae.key").write_text(password)
        config = with_key((DOCS / "prometheus.yml").read_text())
        for old, new in (("narae-user\n", user + "\n"), ("/etc/prometheus/narae.key\n", f"{self.folder}/narae.key\n"),
                         ("127.0.0.1:3233", f"127.0.0.1:{platform.port}"), ("_interval: 5s", "_interval: 1s")):
            assert old in config
            config = config.replace(old, new)
        (self.folder / "prometheus.yml").write_text(config)
        shutil.copy(DOCS / "alerts.yml", self.folder)
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(
            [tool("prometheus"), f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def ask(self, path, **parameters):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        url = f"http://127.0.0.1:{self.port}/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10 * SLOW) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as e:
            if e.code == 503:
                return None  # it is starting
            pytest.fail(f"{parameters}: {e.read().decode()}")
        except OSError:
            return None

    def query(self, text):
        data = self.ask("api/v1/query", query=text)
        return data and data["result"]

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=60 * SLOW)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def prometheus(monitored):
    p = Prometheus(monitored)
    try:
        within(60, "Prometheus has scraped", lambda: p.query('up{job="narae"} == 1'))
        yield p
    finally:
        p.close()


def queries():
    """Every query of the dashboard with its panel's title, its variables filled in as Grafana would."""
    board = json.loads((DOCS / "dashboard.json").read_text())
    names = {v["name"] for v in board["templating"]["list"]}
    found = []
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "1m").replace("$co2_lb_per_kwh", "2.23")
            assert set(re.findall(r"\$(\w+)", text)) <= names, text
            found.append((panel["title"], re.sub(r"\$(instance|account)", ".*", text)))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) and len(found) > 40
    return found


def test_every_panel_has_data(monitored, prometheus):
    """Each query of the dashboard gives at least one series with a number while functions are called and containers started."""
    left = dict.fromkeys(queries())

    def look():
        monitored.put("f2", TELLS, annotations=[{"key": "narae.network", "value": "none"}])  # its container goes
        monitored.calls += monitored.invoke("f2").status == 200
        monitored.calls += monitored.invoke("f5", {"lines": [{"metric": "room_temp_celsius", "value": 20}]}).status == 200
        for one in list(left):
            result = prometheus.query(one[1])
            if result and any(r["value"][1] != "NaN" for r in result):
                del left[one]
        return not left

    try:
        within(60, "every panel has data", look, every=0.5)
    except pytest.fail.Exception:
        pytest.fail("panels without data:\n" + "\n".join(f"{title}: {text}" for title, text in left))
    assert prometheus.query('room_temp_celsius{account="guest"}')[0]["value"][1] == "20"
    assert float(prometheus.query('scrape_duration_seconds{job="narae"}')[0]["value"][1]) < 0.5 * SLOW


def test_alerts_are_evaluated(monitored, prometheus):
    """Prometheus has no trouble with any alert, and every metric that one asks for is on the page."""
    def evaluated():
        groups = (prometheus.ask("api/v1/rules") or {"groups": []})["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if rules and all(rule["health"] != "unknown" for rule in rules) else None

    rules = within(60, "all rules were evaluated", evaluated)
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule["state"] == "firing" and rule["labels"]["severity"] == "critical"] == []
    text = page(monitored, monitored.admin_auth)
    for rule in rules:
        for metric in re.findall(r"\b((?:narae|process)_\w+)", rule["query"]):
            assert re.search(rf"^{metric}[ {{]", text, re.M), f"{rule['name']} asks for {metric}"
        for annotation in ("summary", "description"):
            assert rule["annotations"][annotation]


def test_a_thousand_functions(monitored):
    """They cost the page no more lines, and no more time."""
    few = page(monitored, monitored.admin_auth)

    def one(i):
        body = {"exec": {"kind": "sequence", "components": ["/_/f5"]}}
        connection = one.connections.setdefault(i % 4, monitored.connect())
        assert monitored.request("PUT", f"actions/s{i}", body, connection=connection).status == 200
        assert monitored.request("POST", f"actions/s{i}?blocking=true", {}, connection=connection).status == 200

    one.connections = {}

    def some(part):
        for i in range(part, 1000, 4):
            one(i)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(some, range(4)))
    monitored.calls += 2000
    within(20, "all of them are known", lambda: value(page(monitored), "narae_functions_known") >= 1000)
    began = time.monotonic()
    many = page(monitored, monitored.admin_auth)
    assert time.monotonic() - began < 0.5 * SLOW
    assert len(many.splitlines()) < len(few.splitlines()) + 300
    assert 900 < value(many, CALLS, function="other") <= monitored.calls
    assert promtool("check", "metrics", text=many) == (0, "")
