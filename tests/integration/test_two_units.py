"""The two units that are installed: their command lines, run under users with the rights that the units give, are a whole platform, of which neither
half can open what is the other's. The users are two that nobody has; the sandbox of files is systemd's own, and judged by `scripts/package --unit`.
"""
import base64
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.parse

import pytest
import test_compiled
import test_wasm
import world
from conftest import BUILD, DOCKER, ROOT, SLOW, Platform, within
from functions import HELLO
from registry import Registry, docker, make_image

API, INVOKER = 61741, 61742  # in the places of narae and narae-invoker
UNITS = {API: "narae", INVOKER: "narae-invoker"}
PREENV = "/narae/v1/functions/small/preenv"


def text_of(name):
    return (ROOT / "packaging" / name).read_text()


def setting(user, name):
    """Of the unit; None: it has none."""
    found = re.findall(rf"(?m)^{name}=(.*)$", text_of(f"{UNITS[user]}.service"))
    return found[-1] if found else None


class TwoUnits(Platform):
    """Both processes. The folders are those of the units, below one of the test's own."""

    def __init__(self):
        super().__init__(tempfile.mkdtemp(prefix="nr", dir="/tmp"))
        self.places = {"@sbin@/naraed": f"{self.folder}/bin/naraed", "@lib@/narae-agent": f"{self.folder}/bin/narae-agent",
                       "/etc/narae": f"{self.folder}/etc", "/var/lib/narae-keys": f"{self.folder}/keys",
                       "/var/lib/narae-invoker": f"{self.folder}/invoker", "/var/lib/narae": str(self.data),
                       "/run/narae-invoker": f"{self.folder}/irun", "/run/narae": str(self.run),
                       "--invoker-uid=narae-invoker": f"--invoker-uid={INVOKER}", "/var/run/docker.sock": DOCKER,
                       "127.0.0.1:3233": "127.0.0.1:0"}
        self.state = self.folder / "invoker"
        self.invoker_log = self.folder / "invoker.log"
        self.invoker = None

    def here(self, text):
        return re.sub("|".join(re.escape(place) for place in self.places), lambda m: self.places[m.group()], text)

    def make(self):
        """What the package makes: folders of one user each, the configuration."""
        self.folder.chmod(0o755)
        for name, mode, user in (("bin", 0o755, 0), ("etc", 0o755, 0), ("data", 0o700, API), ("keys", 0o700, API), ("run", 0o711, API),
                                 ("invoker", 0o700, INVOKER), ("irun", 0o711, INVOKER)):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(mode)
            os.chown(self.folder / name, user, user)
        for program in ("naraed", "narae-agent"):
            shutil.copy(BUILD / program, self.folder / "bin")
        for file, more, user in (("naraed.conf", f"run = {self.run}/r\nregistries = any\n", API), ("invoker.conf", "stems = off\ninvoker-name = here\n", INVOKER)):
            path = self.folder / "etc" / file
            path.write_text(self.here(text_of(file)) + more)
            path.chmod(0o640)
            os.chown(path, 0, user)

    def unit(self, user, log):
        """What systemd does with the unit, but for its view of the files."""
        capabilities = [c.removeprefix("CAP_").lower() for c in (setting(user, "AmbientCapabilities") or "").split()]
        allowed = ",".join(["-all", *("+" + c for c in capabilities)])
        groups = f"--groups={os.stat(DOCKER).st_gid}" if setting(user, "SupplementaryGroups") == "docker" else "--clear-groups"
        assert setting(user, "NoNewPrivileges") == "yes"
        assert setting(user, "CapabilityBoundingSet") == (setting(user, "AmbientCapabilities") or "")
        words = ["setpriv", f"--reuid={user}", f"--regid={user}", groups, "--no-new-privs", f"--inh-caps={allowed}",
                 f"--ambient-caps={allowed}", f"--bounding-set={allowed}", *shlex.split(self.here(setting(user, "ExecStart")))]
        with log.open("ab") as out:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, umask=0o077)

    def spawn(self, *more):
        assert not more
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        self.process = self.unit(API, self.log)
        self.pid = self.process.pid

    def join(self):
        self.invoker = self.unit(INVOKER, self.invoker_log)
        within(60, "the invoker has named its containers", (self.state / "installation").exists)
        self.label = "narae.installation=" + (self.state / "installation").read_text().strip()

    def leave(self):
        """SIGTERM: exit status 0, and no container is left."""
        self.invoker.send_signal(signal.SIGTERM)
        assert self.invoker.wait(timeout=90 * SLOW) == 0, self.invoker_log.read_text()[-4000:]
        self.invoker = None
        assert self.containers() == []

    def start(self, *more):
        if not self.log.exists():
            self.make()
        if self.invoker is None:
            self.join()
        super().start()
        self.label = "narae.installation=" + (self.state / "installation").read_text().strip()
        return self

    def stop(self):
        self.leave()
        super().stop()

    def discard(self):
        print(self.invoker_log.read_text()[-4000:] if self.invoker_log.exists() else "")
        try:
            if self.invoker:
                self.invoker.kill()
                self.invoker.wait()
                world.forget_network(self.label.split("=")[1][:8])
        finally:
            if self.process:
                self.process.kill()
                self.process.wait()
            super().discard()


@pytest.fixture(scope="module")
def units():
    p = TwoUnits()
    try:
        yield p.start()
        p.stop()
    finally:
        print(p.said()[-4000:] if p.log.exists() else "")
        p.discard()


def call(units, name, parameters=None):
    reply = units.invoke(name, parameters or {"name": "Ada"}, "blocking=true&result=true")
    assert reply.status == 200, reply
    return reply.json


def as_user(user, *words, groups="--clear-groups"):
    return subprocess.run(["setpriv", f"--reuid={user}", f"--regid={user}", groups, "--bounding-set=-all", *words],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)


def status_of(process):
    return pathlib.Path(f"/proc/{process.pid}/status").read_text()


@pytest.mark.parametrize("kind", HELLO)
def test_a_function_of_each_kind(units, kind):
    name = "hello-" + kind.split(":")[0]
    units.put(name, HELLO[kind], kind)
    assert call(units, name) == {"greeting": "Hello, Ada!"}


def test_a_module_of_web_assembly(units, tmp_path):
    units.put("module", base64.b64encode(test_wasm.compiled(tmp_path, test_wasm.HELLO).read_bytes()).decode(), "wasm:1")
    assert call(units, "module")["greeting"] == "Hello, Ada!"


@pytest.mark.parametrize("language", test_compiled.LANGUAGES, ids=lambda language: language.family)
def test_a_function_is_compiled(units, language):
    language.need()
    name = f"greet-{language.family}"
    reply = units.request("PUT", f"actions/{name}", {"exec": {"kind": language.kind, "code": language.broken}})
    assert reply.status == 400 and language.said in reply.error, reply
    units.put(name, language.source, language.kind)
    assert call(units, name)["greeting"] == "Hello, Ada!"


def test_an_image_is_pulled(units):
    """By the invoker, for a registry with users: the controller knows the password, the invoker is given it with the question."""
    image = make_image(f"narae-test/units-{os.getpid()}:one", "one")
    registry = Registry({"robot": "word_17"})
    try:
        reference, digest = registry.start().push("team/app:1", image)
        body = {"exec": {"kind": "blackbox", "image": reference}}
        reply = units.request("PUT", "actions/app", body)
        assert reply.status == 403, reply
        path = "/narae/v1/registries/" + urllib.parse.quote(registry.host, safe="")
        assert units.request("PUT", path, {"username": "robot", "password": "word_17"}).status in (200, 201)
        reply = units.request("PUT", "actions/app", body)
        assert reply.status == 200, reply
        assert f"@{digest}" in json.dumps(reply.json["annotations"])
        assert call(units, "app")["image"] == "one"
        listed = units.request("GET", "/narae/v1/images").json["images"]
        assert [(one["digest"], one["state"]) for one in listed] == [(digest, "present")] and listed[0]["bytes"] > 0
        reply = units.request("PUT", "actions/none", {"exec": {"kind": "blackbox", "image": reference.replace("app", "absent")}})
        assert reply.status in (400, 404) and "absent" in reply.error, reply
    finally:
        registry.close()
        docker("image", "rm", "-f", image, check=False)


def test_preenv_finds_the_size_of_a_small_function(units):
    units.put("small", "def main(args):\n    return {'sum': sum(range(2000))}\n", limits={"memory": 256},
              annotations=[{"key": "narae.network", "value": "none"}])
    reply = units.request("POST", PREENV, {"repeats": 3})
    assert reply.status == 202, reply

    def ended():
        now = units.request("GET", f"{PREENV}/{reply.json['id']}").json
        return now if now["state"] != "running" else None
    done = within(240, "the search ends", ended, every=0.1)
    assert done["state"] == "done" and done["chosen_mb"] <= 256, done
    for tried in done["configurations"]:
        assert tried["outcome"] == "ok" and 0 < tried["peak_mb"] < 256 and tried["p50_ms"] > 0, tried
    assert done["environment"]["engine"], "what runs the containers is told by the invoker"


def test_which_layout_runs_is_said(units):
    assert f"layout: two units: this process opens no Docker socket, its invoker joins at unix:{units.run}/invoker.sock; user {API}" in units.said()
    assert f"layout: an invoker alone, for the controller at unix:{units.run}/invoker.sock; user {INVOKER}" in units.invoker_log.read_text()
    told = units.request("GET", "/narae/v1/invokers", auth=units.admin_auth).json
    assert told["layout"] == "other hosts" and [one["name"] for one in told["invokers"]] == ["here"]
    assert {"engine", "freezer"} <= {one["name"] for one in told["capabilities"]}, "what the invoker's host can do is told"


def test_each_has_the_rights_of_its_unit(units):
    api, invoker = status_of(units.process), status_of(units.invoker)
    for user, status, count in ((API, api, 0), (INVOKER, invoker, 5)):
        assert re.search(rf"(?m)^Uid:\s+{user}\s+{user}\s+{user}", status) and "NoNewPrivs:\t1" in status
        assert bin(int(re.search(r"CapBnd:\s+(\w+)", status).group(1), 16)).count("1") == count
    assert re.search(r"(?m)^Groups:\s*$", api), "the gateway is in no group"
    assert str(os.stat(DOCKER).st_gid) in re.search(r"(?m)^Groups:(.*)$", invoker).group(1).split()


def test_neither_opens_what_is_the_others(units):
    def may(user, path):
        return as_user(user, "ls" if path.is_dir() else "cat", str(path)).returncode == 0

    assert as_user(API, "test", "-r", DOCKER, "-o", "-w", DOCKER).returncode == 1
    assert as_user(INVOKER, "test", "-r", DOCKER, "-a", "-w", DOCKER, groups=f"--groups={os.stat(DOCKER).st_gid}").returncode == 0
    databases = [units.data / name for name in ("meta.db", "calls.db", "fleet.db")]
    kept = [path for path in (units.state / "code").rglob("*") if path.is_file()]
    assert all(path.exists() for path in databases) and kept
    for path in (units.data, units.data / "buckets", units.folder / "keys", units.folder / "etc" / "naraed.conf", *databases, *units.data.glob("*.key")):
        assert may(API, path) and not may(INVOKER, path), path
    for path in (units.state, units.folder / "etc" / "invoker.conf", *kept):
        assert may(INVOKER, path) and not may(API, path), path
    # with the capabilities that narae-invoker has file modes hide nothing: there it is the sandbox
    hidden = {user: set(re.findall(r"-(/\S+)", setting(user, "InaccessiblePaths"))) for user in UNITS}
    assert hidden[INVOKER] >= {"/var/lib/narae", "/var/lib/narae-keys", "/etc/narae/naraed.conf"}
    assert hidden[API] >= {"/run/docker.sock", "/var/lib/docker", "/run/containerd", "/var/lib/narae-invoker"}


def test_another_user_joins_as_no_invoker(units):
    knock = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(60); sys.exit(s.recv(1) != b'')"
    done = as_user(INVOKER + 1, "/usr/bin/python3", "-c", knock, f"{units.run}/invoker.sock")
    assert done.returncode == 0, done.stderr  # it is hung up on, unheard


def test_the_invoker_alone_is_started_anew(units):
    units.put("again", HELLO["python:3"])
    call(units, "again")
    units.leave()
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(units.invoke("again", {"name": "Bo"}, "blocking=true&result=true")))
    waiting.start()
    within(20, "the call waits for an invoker", lambda: units.metric("narae_calls_unplaced") == 1)
    units.join()
    waiting.join()
    assert answers[0].json == {"greeting": "Hello, Bo!"}, answers[0]
    assert units.process.poll() is None


def test_the_platform_alone_is_started_anew(units):
    units.put("over", HELLO["python:3"])
    call(units, "over")
    units.process.send_signal(signal.SIGTERM)
    assert units.wait() == 0, units.said()[-4000:]
    before = units.invoker.pid
    units.start()
    assert call(units, "over") == {"greeting": "Hello, Ada!"}
    assert units.invoker.pid == before and units.invoker.poll() is None


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze is here")
def test_systemd_finds_no_mistake():
    done = subprocess.run([ROOT / "scripts/package", "--unit"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"verify (\S+): nothing", done.stdout + done.stderr)) == {"narae", "narae-invoker", "narae-single"}


@pytest.mark.parametrize("uid, why", [("nobody-of-this-name", "no user of this host"), ("-2", "no user of this host"), (str(1 << 32), "no user of this host")])
def test_an_invokers_user_that_is_none(uid, why, tmp_path):
    done = subprocess.run([BUILD / "naraed", "--docker=none", f"--data={tmp_path}", f"--invokers-listen=unix:{tmp_path}/s", f"--invoker-uid={uid}"],
                          capture_output=True, text=True, check=False, timeout=60 * SLOW)
    assert done.returncode == 1 and uid in done.stderr and why in done.stderr
