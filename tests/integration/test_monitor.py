"""What containers and the host use, as the monitoring agent tells it: figures of a function whose use is known."""
import time

from conftest import SLOW, within
from functions import HELLO, TROUBLE

MB = 1 << 20
BUSY = """
import time
held = []
def main(args):
    held.append(bytearray(b"x") * (args.get("mb", 0) << 20))
    if args.get("write_mb"):
        with open("/tmp/file", "wb") as f:
            f.write(b"y" * (args["write_mb"] << 20))
    end = time.process_time() + args.get("cpu", 0)
    while time.process_time() < end:
        pass
    return {}
"""


def put(platform, name, code, **fields):
    platform.put(name, code, annotations=[{"key": "narae.network", "value": "none"}], **fields)


def status(platform, auth=""):
    reply = platform.request("GET", "/narae/v1/invokers", auth=auth)
    assert reply.status == 200
    return reply.json


def of(platform, what, name):
    """The entry of this function among the containers or the functions, if there is one."""
    found = [one for one in status(platform)[what] if one["function"] == f"guest/{name}"]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_function_whose_use_is_known(start_platform):
    own = start_platform()
    put(own, "busy", BUSY)
    assert own.invoke("busy", {"cpu": 0.3, "mb": 40, "write_mb": 5}).status == 200
    one = within(10, "it was looked at after the call",
                 lambda: (c := of(own, "containers", "busy")) and c.get("cpu_us", 0) >= 300000 and c)
    assert one["cpu_us"] < 5_000_000 * SLOW
    assert one["cpu_user_us"] > 0 and one["cpu_system_us"] >= 0
    assert 45 * MB <= one["memory_bytes"] <= one["memory_peak_bytes"] < 150 * MB, "held, and in its /tmp"
    assert one["memory_peak_bytes"] <= one["memory_high_water_bytes"] + 4 * MB
    assert one["memory_limit_bytes"] == one["memory_mb"] * MB == 256 * MB
    assert one["pids"] >= 2, "the agent and its worker"
    assert one["oom_kills"] == 0 and one["throttled_us"] >= 0
    assert one["cause"] == "first call" and one["age_ms"] > 0 and one["calls"] == 0
    function = of(own, "functions", "busy")
    assert function["cpu_us"] == one["cpu_us"]
    assert function["memory_peak_bytes"] == one["memory_peak_bytes"]


def test_cpu_while_it_runs(start_platform):
    """One core is in use for four seconds."""
    own = start_platform()
    put(own, "busy", BUSY)
    own.invoke("busy")
    call = own.invoke("busy", {"cpu": 4}, "blocking=false")
    seen = within(20, "it is seen to run",
                  lambda: (c := of(own, "containers", "busy")) and c.get("cpu_cores", 0) > 0.2 and c)
    assert seen["cpu_cores"] <= 1.2 and seen["calls"] == 1
    own.record(call.activation)


def test_sums_survive_the_container(start_platform):
    own = start_platform()
    put(own, "busy", BUSY)
    own.invoke("busy", {"cpu": 0.3})
    own.request("DELETE", "actions/busy")
    within(30, "the container is gone", lambda: of(own, "containers", "busy") is None)
    gone = within(10, "its last figures are in", lambda: of(own, "functions", "busy"))
    assert 300000 <= gone["cpu_us"] < 5_000_000 * SLOW
    put(own, "busy", BUSY)
    own.invoke("busy", {"cpu": 0.3})
    within(10, "the next container's use is added",
           lambda: of(own, "functions", "busy")["cpu_us"] >= gone["cpu_us"] + 300000)


def test_an_out_of_memory_kill_is_counted(start_platform):
    own = start_platform()
    put(own, "hog", TROUBLE["python:3"], limits={"memory": 128})
    assert own.invoke("hog", {"do": "memory"}).status == 502
    within(15, "the kill is told", lambda: (f := of(own, "functions", "hog")) and f["oom_kills"] >= 1)
    within(5, "and counted", lambda: own.metric("narae_container_oom_kills_total") >= 1)


def test_tenants_see_their_own(start_platform):
    """The administrator sees all; his own account has no functions."""
    own = start_platform()
    put(own, "busy", BUSY)
    own.invoke("busy", {"cpu": 0.1})
    within(10, "it is known", lambda: of(own, "functions", "busy"))
    body = {"exec": {"kind": "python:3", "code": BUSY},
            "annotations": [{"key": "narae.network", "value": "none"}]}
    assert own.request("PUT", "actions/his", body, auth=own.admin_auth).status == 200
    assert own.request("POST", "actions/his?blocking=true", {}, auth=own.admin_auth).status == 200
    names = lambda seen, what: sorted(one["function"] for one in seen[what] if one["function"])
    both = ["admin/his", "guest/busy"]
    within(10, "the administrator sees both",
           lambda: names(status(own, own.admin_auth), "functions") == both)
    assert names(status(own, own.admin_auth), "containers") == both
    guest = status(own)
    assert names(guest, "functions") == names(guest, "containers") == ["guest/busy"]
    assert "admin" not in str(guest)
    assert "host" not in guest and status(own, own.admin_auth)["host"]["memory_total_bytes"] > 0


def test_the_host_and_the_sums_in_the_metrics(start_platform):
    own = start_platform()
    put(own, "busy", BUSY)
    own.invoke("busy", {"cpu": 0.3})
    within(10, "its use is summed", lambda: 'narae_container_cpu_seconds_total{kind="python:3"}' in
           own.request("GET", "/metrics", auth=None).body.decode())
    within(10, "all of it", lambda: own.metric("narae_container_cpu_seconds_total") >= 0.3)
    assert own.metric("narae_container_memory_used_bytes") > 5 * MB
    assert own.metric("narae_container_processes") >= 2
    assert own.metric("narae_host_cpu_seconds_total") > 0
    assert own.metric('narae_host_memory_bytes') > 64 * MB
    text = own.request("GET", "/metrics", auth=None).body.decode()
    assert "guest" not in text, "the page needs no key: it names nobody"


def test_what_does_nothing_is_looked_at_rarely(start_platform):
    own = start_platform()
    put(own, "f", HELLO["python:3"])
    own.invoke("f")
    ago = lambda: of(own, "containers", "f").get("sampled_ms_ago", 0)
    within(60, "seven seconds pass between two looks", lambda: ago() > 7000)
    own.invoke("f")
    within(5, "it is looked at after the call", lambda: ago() < 1500)
    per_pass = own.metric("narae_monitor_seconds_sum") / own.metric("narae_monitor_seconds_count")
    assert per_pass < 0.02 * SLOW, "CPU seconds of a pass over a few containers and the host"
    assert own.metric("narae_monitor_failed_looks_total") == 0
