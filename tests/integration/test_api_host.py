"""What functions are told about where the API is, and who of them reaches it."""
import os
import pathlib
import socket

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

# Says what it was told, asks the API with it, and tries another port of the same host.
ASK = """
const net = require('net')
function tries(host, port) {
    return new Promise(done => {
        const s = net.connect({host, port, timeout: 20000})
        s.on('connect', () => { s.destroy(); done('connected') })
        s.on('timeout', () => { s.destroy(); done('timeout') })
        s.on('error', e => done(e.code))
    })
}
async function main({port}) {
    const told = process.env.__OW_API_HOST || null
    if (!told) return {told}
    const url = new URL(told)
    const out = {told, api: await tries(url.hostname, url.port), other: await tries(url.hostname, port)}
    if (process.env.__OW_API_KEY)
        out.names = (await require('openwhisk')().actions.list()).map(a => a.name)
    return out
}
"""
TOLD = """
import os
def main(args):
    return {"told": os.environ.get("__OW_API_HOST")}
"""


@pytest.fixture(scope="module")
def open_platform(tmp_path_factory):
    from conftest import Platform
    p = Platform(tmp_path_factory.mktemp("platform"), "--listen=0.0.0.0:0")
    try:
        yield p.start()
        p.stop()
    finally:
        p.discard()


@pytest.fixture
def listener():
    """A port of the host that anybody may call."""
    with socket.create_server(("0.0.0.0", 0)) as s:
        yield s.getsockname()[1]


def ask(platform, name, annotations, listener):
    platform.put(name, ASK, "nodejs:18", annotations=[{"key": k, "value": v} for k, v in annotations.items()])
    answer = platform.invoke(name, {"port": listener}, "blocking=true&result=true")
    assert answer.status == 200, answer
    return answer.json


def test_a_function_with_a_key_reaches_the_api_and_nothing_else(open_platform, listener):
    said = ask(open_platform, "with-key", {"provide-api-key": True}, listener)
    assert said["told"].endswith(f":{open_platform.port}") and said["told"].startswith("http://10."), said
    assert said["api"] == "connected" and "with-key" in said["names"]
    assert said["other"] == "ECONNREFUSED", "another port of the host is closed to it"


def test_a_function_without_a_key_is_told_but_does_not_reach_it(open_platform, listener):
    said = ask(open_platform, "without-key", {"provide-api-key": False}, listener)
    assert said["told"].endswith(f":{open_platform.port}")
    assert (said["api"], said["other"]) == ("ECONNREFUSED", "ECONNREFUSED") and "names" not in said


def test_an_update_takes_the_way_away(open_platform, listener):
    assert ask(open_platform, "both", {"provide-api-key": True}, listener)["api"] == "connected"
    assert ask(open_platform, "both", {"provide-api-key": False}, listener)["api"] == "ECONNREFUSED"


def test_a_function_without_a_network_is_told(open_platform, listener):
    said = ask(open_platform, "no-network", {"provide-api-key": False, "narae.network": "none"}, listener)
    assert said["told"] and said["api"] == "ENETUNREACH"


def test_the_way_out_keeps_its_address(open_platform, listener):
    """The bridge has one address of its own, whatever containers come and go: who knows it is never left sending to nobody."""
    bridge = pathlib.Path("/sys/class/net/nr-" + open_platform.label.split("=")[1][:8])
    before = (bridge / "address").read_text()
    assert (bridge / "addr_assign_type").read_text().strip() == "3", "it was set, not made up by the kernel"
    for name in ("one", "two", "three"):
        ask(open_platform, name, {"provide-api-key": False}, listener)
        assert (bridge / "address").read_text() == before


def test_an_adopted_container_still_reaches_it(new_platform, listener):
    """The platform is killed and comes back at the same address: the container that it finds serves on, and its way is open again."""
    with socket.create_server(("0.0.0.0", 0)) as s:
        port = s.getsockname()[1]
    own = new_platform(f"--listen=0.0.0.0:{port}").start()
    assert ask(own, "stays", {"provide-api-key": True}, listener)["api"] == "connected"
    own.process.kill()
    own.process.wait()
    own.start()
    answer = own.invoke("stays", {"port": listener})
    found = {a["key"]: a["value"] for a in answer.json["annotations"]}
    assert found["narae.start"] == "warm" and "initTime" not in found, "a platform that has just begun has no other container of it"
    said = answer.json["response"]["result"]
    assert (said["api"], said["other"]) == ("connected", "ECONNREFUSED") and "stays" in said["names"]


def test_on_loopback_nothing_is_told_and_the_log_says_so(platform, name):
    platform.put(name, TOLD, "python:3")
    assert platform.invoke(name, query="blocking=true&result=true").json == {"told": None}
    assert "functions are not told where the API is (__OW_API_HOST): containers cannot reach 127.0.0.1:0" in platform.log.read_text()


@pytest.mark.parametrize("option, told", [("http://192.0.2.7:3233", "http://192.0.2.7:3233"), ("none", None)])
def test_what_is_configured_is_told(start_platform, option, told):
    platform = start_platform("--api-host=" + option)
    platform.put("told", TOLD, "python:3")
    assert platform.invoke("told", query="blocking=true&result=true").json == {"told": told}


@pytest.mark.parametrize("option, why", [
    ("192.0.2.7", "it begins with neither http:// nor https://"), ("http://", "it needs the name or IPv4 address of a host"),
    ("http://[::1]:3233", "it needs the name or IPv4 address of a host"), ("http://a@b:1", "it needs the name or IPv4 address of a host"),
    ("http://192.0.2.7:0", "a port is a number from 1 to 65535"), ("http://192.0.2.7:99999", "a port is a number"),
    ("http://192.0.2.7/api/v1", "it has no path"), ("http://..", "the name of its host leads to no IPv4 address"),
    ("http://0.0.0.0:1", "nobody can be called at that address"), ("", "it begins with neither")])
def test_what_makes_no_sense_is_refused_at_start(new_platform, option, why):
    platform = new_platform("--api-host=" + option)
    platform.spawn()
    assert platform.wait() == 1
    assert "--api-host is auto, none or a URL like http://192.0.2.1:3233, not '" + option + "': " + why in platform.said()
    assert "listening on" not in platform.said()
