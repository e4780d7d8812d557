"""How a platform stops: its containers go at once, whatever they were doing."""
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import BUILD, DOCKER, Platform, SLOW, within

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
from proxy import Proxy  # noqa: E402

ECHO = "def main(args):\n    return args\n"


def state(own, name):
    answer = own.request("GET", "/narae/v1/invokers", auth=own.admin_auth).json
    return answer["containers_by_state"][name]


def test_twenty_idle_containers_stems_and_network_slots_are_gone_in_seconds(start_platform):
    own = start_platform("--freeze-after-ms=300")
    for i in range(20):
        own.put(f"f{i}", ECHO, limits={"memory": 64})
        assert own.invoke(f"f{i}", {"i": i}).json["response"]["result"] == {"i": i}
    within(30, "all are frozen", lambda: state(own, "frozen") == 20)
    begun = time.monotonic()
    own.stop()  # exit status 0, nothing left
    assert time.monotonic() - begun < 20 * SLOW
    assert "could not be removed" not in own.said()


def rules_of(own):
    tag = (own.data / "installation").read_text().strip()[:8]
    listed = subprocess.run(["iptables-save"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return [line for line in listed.splitlines() if tag in line]


@pytest.mark.parametrize("seen", ["capability=\"engine\"", "capability=\"freezer\"", "capability=\"network egress\""])
def test_a_start_that_is_ended_leaves_nothing(tmp_path, seen):
    own = Platform(tmp_path)
    own.spawn()
    within(60, f"it says {seen}", lambda: seen in own.said())
    own.process.send_signal(signal.SIGTERM)
    assert own.wait() == 0, own.said()
    assert rules_of(own) == []


def test_a_start_whose_port_is_taken_makes_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = Platform(tmp_path)
        own.spawn(f"--listen=127.0.0.1:{taken.getsockname()[1]}")
        assert own.wait() == 1
    assert "address already in use" in own.said() and "capability=" not in own.said()
    assert rules_of(own) == []


def test_a_start_that_fails_leaves_no_folder(tmp_path):
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run([BUILD / "naraed", f"--listen=127.0.0.1:{taken.getsockname()[1]}", f"--data={data}"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOW, check=False)
    assert done.returncode == 1 and "address already in use" in done.stderr
    assert not pathlib.Path(f"/run/narae/{data.stat().st_ino & 0xffffffff:08x}").exists()


@pytest.mark.parametrize("mistake", ["--docker=/nonexistent.sock", "--stems=python"])
def test_a_start_without_an_engine_leaves_no_folder(tmp_path, mistake):
    data = tmp_path / "data"
    done = subprocess.run([BUILD / "naraed", "--listen=127.0.0.1:0", f"--data={data}", mistake], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60 * SLOW, check=False)
    assert done.returncode == 1 and data.is_dir(), done.stderr
    assert not pathlib.Path(f"/run/narae/{data.stat().st_ino & 0xffffffff:08x}").exists(), done.stderr


def test_a_start_that_cannot_keeps_what_an_earlier_run_needs(tmp_path):
    run = tmp_path / "run"
    (run / "c" / "01234567").mkdir(parents=True)
    done = subprocess.run([BUILD / "naraed", "--listen=127.0.0.1:0", f"--data={tmp_path / 'data'}", f"--run={run}",
                           "--docker=/nonexistent.sock"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60 * SLOW, check=False)
    assert done.returncode == 1, done.stderr
    assert (run / "c" / "01234567").is_dir() and "localhost" in (run / "hosts").read_text()


def test_a_trial_of_time_with_a_broker_is_refused_before_anything_is_made(tmp_path):
    data = tmp_path / "data"
    done = subprocess.run([BUILD / "naraed", "--listen=127.0.0.1:0", f"--data={data}", "--scaling-time=160", "--kafka=127.0.0.1:1"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOW, check=False)
    assert done.returncode == 1 and "--scaling-time=160 is a trial within one process: not with --kafka" in done.stderr
    assert "capability=" not in done.stderr and not data.exists()


def test_the_folder_that_nobody_named_goes_with_the_process(tmp_path):
    data, log = tmp_path / "data", tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([BUILD / "naraed", "--listen=127.0.0.1:0", f"--data={data}", "--stems=off"],
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        within(60, "it listens", lambda: "listening on " in log.read_text())
        run = pathlib.Path(f"/run/narae/{data.stat().st_ino & 0xffffffff:08x}")
        assert run.is_dir()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60 * SLOW) == 0, log.read_text()
        assert not run.exists()
    finally:
        process.kill()
        process.wait()


def test_a_start_that_fails_late_takes_back_what_it_made(tmp_path):
    own = Platform(tmp_path)
    own.data.mkdir(exist_ok=True)
    (own.data / "scaling.db").write_bytes(b"this is no database at all " * 200)
    own.spawn()
    assert own.wait() == 1, own.said()
    assert "capability=\"network egress\"" in own.said() and "scaling.db" in own.said()
    assert rules_of(own) == []


def test_a_start_that_fails_late_leaves_no_folder_either(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "calls.db").write_bytes(b"this is no database at all " * 200)
    done = subprocess.run([BUILD / "naraed", "--listen=127.0.0.1:0", f"--data={data}"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60 * SLOW, check=False)
    assert done.returncode == 1 and "calls.db" in done.stderr
    assert not pathlib.Path(f"/run/narae/{data.stat().st_ino & 0xffffffff:08x}").exists()


class RemovesNothing(Proxy):
    """An Engine that hangs whenever it is to remove something."""

    def exchange(self, client, engine):
        if client.recv(6, socket.MSG_PEEK | socket.MSG_WAITALL) != b"DELETE":
            return super().exchange(client, engine)
        self.asked.append("DELETE")
        while client.recv(65536):  # until the other side gives up
            pass
        return False


def test_a_start_that_fails_while_the_engine_hangs_can_be_ended(tmp_path):
    own = Platform(tmp_path)
    proxy = RemovesNothing(str(tmp_path / "engine.sock"), DOCKER)
    own.docker_of_naraed = proxy.path
    own.data.mkdir()
    (own.data / "scaling.db").write_bytes(b"this is no database at all " * 200)
    try:
        own.spawn()
        within(60, "it waits for the Engine", lambda: "what it made is still being removed; a signal ends at once" in own.said())
        own.label = "narae.installation=" + (own.data / "installation").read_text().strip()
        assert proxy.asked and own.process.poll() is None
        own.process.send_signal(signal.SIGTERM)
        assert own.wait(10) == 1
        assert "a signal: stopping now" in own.said()
    finally:
        proxy.close()
        own.discard()
