"""Function containers as the invoker makes them, through the Engine's API: hardened, without a network, the agent and
the socket's folder mounted read-only."""
import functools
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from host import Listener

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("NARAE_BUILD", ROOT / "build"))
DOCKER = os.environ.get("NARAE_DOCKER", "/var/run/docker.sock")
AGENT = pathlib.Path(os.environ.get("NARAE_AGENT", BUILD / "narae-agent"))
# An agent with sanitizers inside: what they say is on the container's stderr, which is kept then.
CHECKED = "NARAE_AGENT" in os.environ
LABEL = ("narae.contract-test", str(os.getpid()))  # of our containers, not those of another run beside this one


class Engine(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("engine", timeout=60)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(DOCKER)


def engine(method, path, body=None):
    c = Engine()
    c.request(method, "/v1.41" + path, body and json.dumps(body), {"Content-Type": "application/json"})
    r = c.getresponse()
    text = r.read()
    c.close()
    if r.status >= 400 and not (method == "DELETE" and r.status == 404):
        raise RuntimeError("%s %s: %d %s" % (method, path, r.status, text[:300]))
    return json.loads(text) if text.startswith((b"{", b"[")) else text


@functools.cache
def image_of(family):
    """The runtime's image, built when it is not there; NARAE_IMAGE_PYTHON and its like name another one. Looked for once."""
    if other := os.environ.get("NARAE_IMAGE_" + family.upper()):
        return other
    name = subprocess.check_output([ROOT / "scripts/image-name", family], text=True).strip()
    try:
        engine("GET", "/images/%s/json" % name)
    except RuntimeError:
        subprocess.run([ROOT / "scripts/images", family], check=True, stdout=subprocess.DEVNULL)
    return name


def has_image(family):
    name = subprocess.check_output([ROOT / "scripts/image-name", family], text=True).strip()
    try:
        engine("GET", "/images/%s/json" % name)
    except RuntimeError:
        return False
    return True


def tmpfs(mode):
    return "rw,nosuid,nodev,%s,size=64m,nr_inodes=16k,uid=65534,gid=65534,mode=0755" % mode


def create_body(image, folder, memory_mb, command):
    mounts = [(str(AGENT), "/.narae/agent"), (folder, "/.narae/s")]
    return {
        "Image": image, "User": "65534:65534", "Entrypoint": ["/.narae/agent"],
        "Cmd": ["--socket=/.narae/s/s", "--id=0123abcd"] + (["--"] + command if command else []),
        "Env": ["ASAN_OPTIONS=detect_leaks=0", "UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1"]
               if CHECKED else [],
        "NetworkDisabled": True, "StopSignal": "SIGKILL", "Labels": dict([LABEL]),
        "HostConfig": {
            "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "ReadonlyRootfs": True,
            "Memory": memory_mb << 20, "MemorySwap": memory_mb << 20, "PidsLimit": 256,
            "Tmpfs": {"/tmp": tmpfs("noexec"), "/action": tmpfs("exec")},
            "IpcMode": "private", "CgroupnsMode": "private", "Init": False,
            "LogConfig": {"Type": "json-file" if CHECKED else "none"}, "RestartPolicy": {"Name": "no"},
            "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 1024},
                        {"Name": "core", "Soft": 0, "Hard": 0}],
            "Mounts": [{"Type": "bind", "Source": s, "Target": t, "ReadOnly": True}
                       for s, t in mounts],
        },
    }


class Container:
    def __init__(self, image, memory_mb=256, command=None):
        self.folder = tempfile.mkdtemp(prefix="nrc-")
        os.chmod(self.folder, 0o755)
        self.listener = Listener(self.folder)
        self.id = engine("POST", "/containers/create",
                         create_body(image, self.folder, memory_mb, command))["Id"]
        engine("POST", "/containers/%s/start" % self.id)
        self.slot = self.listener.accept()

    def accept(self, seconds=30):
        return self.listener.accept(seconds)

    def exit_status(self, seconds=10):
        """Of the ended container; None when it still runs after so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = engine("GET", "/containers/%s/json" % self.id)["State"]
            if not state["Running"]:
                return state["ExitCode"]
            time.sleep(0.02)
        return None

    def close(self):
        said = engine("GET", "/containers/%s/logs?stderr=1" % self.id) if CHECKED else b""
        engine("DELETE", "/containers/%s?force=true" % self.id)
        self.slot.close()
        self.listener.close()
        shutil.rmtree(self.folder)
        assert b"Sanitizer" not in said and b"runtime error" not in said, said.decode(errors="replace")
