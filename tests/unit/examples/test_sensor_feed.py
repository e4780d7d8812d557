"""sensor-feed against a scripted peer that runs the real checking function, or misbehaves.

Run by meson with SENSOR_SIM and SENSOR_FEED set to the programs. The real platform is the peer in
tests/integration/test_validate_day.py.
"""
import base64
import http.server
import importlib.util
import json
import os
import pathlib
import subprocess
import threading
import time

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[3] / "examples/validate/validate.py"
spec = importlib.util.spec_from_file_location("validate", SOURCE)
validate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(validate)


class Peer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one write

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.calls.append((self.path, self.headers["Authorization"], json.loads(body)))
        server.peers.add(self.client_address)
        status, answer = server.script(json.loads(body), len(server.calls))
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def check(call, _):
    return 200, validate.main(call)


@pytest.fixture
def peer():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    server.daemon_threads = True
    server.calls, server.peers, server.script = [], set(), check
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sim(*options):
    return subprocess.run([os.environ["SENSOR_SIM"], *options], check=True,
                          capture_output=True).stdout


def feed(folder, url, *options, lines=None, counts=None):
    (folder / "key").write_text("me:secret\n")
    (folder / "lines").write_bytes(sim() if lines is None else lines)
    (folder / "counts").write_bytes(sim("--counts") if counts is None else counts)
    return subprocess.run(
        [os.environ["SENSOR_FEED"], f"--url={url}", f"--auth-file={folder}/key",
         f"--lines={folder}/lines", f"--expect={folder}/counts", *options],
        capture_output=True, text=True, timeout=60)


def test_an_hour_one_by_one(peer, tmp_path):
    fed = feed(tmp_path, peer.url + "/")
    assert (fed.returncode, fed.stderr) == (0, "")
    assert fed.stdout.startswith("1440 readings\n") and "differs" not in fed.stdout
    assert len(peer.calls) == 1449 and len(peer.peers) == 1
    path, key, _ = peer.calls[0]
    assert path == "/api/v1/namespaces/_/actions/validate?blocking=true&result=true"
    assert base64.b64decode(key.removeprefix("Basic ")) == b"me:secret"
    # a call carries the state of its own device only
    for _, _, call in peer.calls[2:]:
        assert list(call["state"]) == [call["readings"][0]["device"]]


BARE = {"PATH": os.environ["PATH"]} | {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}


def fed_by_environment(*options, **variables):
    return subprocess.run([os.environ["SENSOR_FEED"], *options], env=BARE | variables, input=sim("--no-faults"),
                          capture_output=True, timeout=60)


@pytest.mark.parametrize("host, key", [("NARAE_APIHOST", "NARAE_AUTH"), ("WHISK_APIHOST", "WHISK_AUTH"),
                                       ("__OW_API_HOST", "__OW_API_KEY")])
def test_platform_and_key_of_the_environment(peer, host, key):
    fed = fed_by_environment("--batch=500", **{host: peer.url + "/api/v1/", key: "me:secret"})
    assert fed.returncode == 0, fed.stderr
    path, shown, _ = peer.calls[0]
    assert path.startswith("/api/v1/namespaces/") and base64.b64decode(shown.removeprefix("Basic ")) == b"me:secret"


def test_options_are_stronger_than_the_environment(peer, tmp_path):
    (tmp_path / "key").write_text("you:other\n")
    fed = fed_by_environment("--batch=500", f"--url={peer.url}", f"--auth-file={tmp_path}/key",
                             NARAE_APIHOST="http://127.0.0.1:1", NARAE_AUTH="me:secret")
    assert fed.returncode == 0, fed.stderr
    assert base64.b64decode(peer.calls[0][1].removeprefix("Basic ")) == b"you:other"


def test_an_address_without_scheme_is_https(peer):
    fed = fed_by_environment("--batch=500", NARAE_APIHOST=peer.url.removeprefix("http://"), NARAE_AUTH="me:secret")
    assert fed.returncode == 1 and b"https://127.0.0.1" in fed.stderr and not peer.calls


def test_without_a_key_it_says_so(peer):
    fed = fed_by_environment(f"--url={peer.url}")
    assert fed.returncode == 1 and not peer.calls
    assert fed.stderr == b"sensor-feed: no key: give --auth-file=FILE or NARAE_AUTH, see --help\n"


def test_it_paces_itself(peer, tmp_path):
    """Never more than the rate: of n calls the last begins (n-1)/rate after the first, or later."""
    began = []
    peer.script = lambda call, n: (began.append(time.monotonic()), check(call, n))[1]
    fed = feed(tmp_path, peer.url, "--batch=100", "--rate=20")
    assert fed.returncode == 0 and "at most 20 calls a second (--rate)" in fed.stdout
    assert len(began) == 15 and began[-1] - began[0] >= 14 / 20 * 0.8  # the first may be heard late


def test_batches(peer, tmp_path):
    fed = feed(tmp_path, peer.url, "--batch=500", "--action=pack age/valid&ate", "--progress")
    assert fed.returncode == 0, fed.stdout + fed.stderr
    assert [len(call["readings"]) for _, _, call in peer.calls] == [500, 500, 449]
    assert peer.calls[0][0].startswith("/api/v1/namespaces/_/actions/pack%20age/valid%26ate?")


def test_counts_that_differ_end_with_1(peer, tmp_path):
    counts = json.loads(sim("--counts"))
    counts["quarantined"]["type"] += 1
    fed = feed(tmp_path, peer.url, "--batch=500", counts=json.dumps(counts).encode())
    assert fed.returncode == 1 and fed.stdout.count("differs") == 1


def test_a_forgotten_outcome_differs(peer, tmp_path):
    counts = json.loads(sim("--counts"))
    del counts["quarantined"]["type"]
    fed = feed(tmp_path, peer.url, "--batch=500", counts=json.dumps(counts).encode())
    assert fed.returncode == 1 and fed.stdout.count("differs") == 1


def test_a_lost_state_is_noticed(peer, tmp_path):
    peer.script = lambda call, _: (200, {**validate.main(call), "state": {}})
    fed = feed(tmp_path, peer.url)
    assert fed.returncode == 1 and "dropped duplicates             0          9  differs" in fed.stdout


FAILURES = {
    "application error": (502, {"error": "boom"}, "status 502"),
    "accepted only": (202, {"activationId": "0" * 32}, "no answer in time"),
    "no JSON": (200, b"<html>", "not an answer"),
    "empty": (200, b"", "not an answer"),
    "another function's": (200, {"rows": 1}, "not an answer"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failed_calls_end_with_1(peer, tmp_path, name):
    status, answer, told = FAILURES[name]
    peer.script = lambda call, _: (status, answer)
    fed = feed(tmp_path, peer.url)
    assert fed.returncode == 1 and told in fed.stderr
    assert len(peer.calls) == 5 and "5 failed" in fed.stdout


def test_one_failed_call_ends_with_1_though_the_counts_agree(peer, tmp_path):
    lines = sim("--no-faults", "--device=orangepi0")
    counts = json.loads(sim("--no-faults", "--device=orangepi0", "--counts"))
    counts["rows"] = counts["readings"] = 719
    peer.script = lambda call, n: (500, {}) if n == 720 else check(call, n)
    fed = feed(tmp_path, peer.url, lines=lines, counts=json.dumps(counts).encode())
    assert fed.returncode == 1 and "differs" not in fed.stdout and "1 failed" in fed.stdout


def test_nobody_listens(tmp_path):
    fed = feed(tmp_path, "http://127.0.0.1:1")
    assert fed.returncode == 1 and "onnect" in fed.stderr


@pytest.mark.parametrize("lines", [b"hello\n", b"[]\n", b'{"device":7}\n'])
def test_lines_that_are_no_messages(peer, tmp_path, lines):
    fed = feed(tmp_path, peer.url, lines=lines)
    assert fed.returncode == 1 and "not a message" in fed.stderr and not peer.calls


@pytest.mark.parametrize("options", [["--batch=0"], ["--batch=x"], ["--rate=0"], ["--rate=fast"], ["--nonsense"], ["extra"],
                                     ["--auth-file=/nonexistent"], ["--lines=/nonexistent"],
                                     ["--expect=/nonexistent"]])
def test_wrong_options_are_one_line(peer, tmp_path, options):
    fed = feed(tmp_path, peer.url, *options)
    assert fed.returncode == 1 and len(fed.stderr.splitlines()) == 1 and not peer.calls


@pytest.mark.parametrize("counts", [b"[]", b"{}", b'{"readings":1,"rows":1}', b"x"])
def test_expectations_that_are_none(peer, tmp_path, counts):
    fed = feed(tmp_path, peer.url, counts=counts)
    assert fed.returncode == 1 and len(fed.stderr.splitlines()) == 1 and not peer.calls


@pytest.mark.parametrize("option", ["--hours=0", "--hours=1.5", "--start=now", "--device=x",
                                    "--start=2026-01-05T00:00:01Z", "--batch=-1", "--format=x"])
def test_wrong_options_of_the_generator_are_one_line(option):
    ran = subprocess.run([os.environ["SENSOR_SIM"], option], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "") and len(ran.stderr.splitlines()) == 1


def test_batches_of_the_generator_are_call_bodies():
    bodies = [json.loads(line) for line in sim("--format=batches", "--batch=500").splitlines()]
    lines = [json.loads(line) for line in sim().splitlines()]
    assert [len(body["readings"]) for body in bodies] == [500, 500, 449]
    assert [one for body in bodies for one in body["readings"]] == lines
