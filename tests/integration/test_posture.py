"""What a function's own process may do, seen from inside every runtime: nothing that the platform has not opened; and what it can find
out about the host and about others: nothing."""
import base64
import gzip
import io
import json
import tarfile
import urllib.parse

import pytest
from conftest import BUILD, EngineConnection, engine

# The stored answers of tests/posture/posture.c. What is not named here must be refused.
CALLS_OPEN = {"memfd_create": "ok"}
CALLS_OTHER = {"clone3": "ENOSYS",  # so that the C library falls back
               "setpriority": "EACCES", "mlockall": "ENOMEM"}  # the kernel's own rules: no better rank, no more locked memory
SOCKETS_OPEN = {"inet", "unix", "audit"}  # the last one opens, and says nothing without a capability
WRITES_OPEN = {"/tmp/x", "/action/x", "/dev/shm/x"}
EXECUTE = {"/tmp": "EACCES", "/dev/shm": "EACCES", "/action": "ok"}
REFUSALS = {"EPERM", "EACCES", "EROFS", "ENOENT", "ENOTDIR", "ENXIO", "ENODEV", "EAFNOSUPPORT", "EPROTONOSUPPORT",
            "ESOCKTNOSUPPORT", "EISDIR"}
SELF = {"Uid": "65534 " * 3 + "65534", "Gid": "65534 " * 3 + "65534", "Groups": "65534",
        **{"Cap" + c: "0" * 16 for c in ("Inh", "Prm", "Eff", "Bnd", "Amb")}, "NoNewPrivs": "1", "Seccomp": "2",
        "nofile": "1024 1024", "core": "0 0", "fsize": "1073741824 1073741824", "memlock": "65536 65536", "dumpable": "1"}

PYTHON = '''
import base64, gzip, json, os, subprocess

def main(args):
    with open("/action/posture", "wb") as f:
        f.write(gzip.decompress(base64.b64decode("@PROBE@")))
    os.chmod("/action/posture", 0o755)
    return json.loads(subprocess.run(["/action/posture"], capture_output=True, text=True, check=True).stdout)
'''

NODE = '''
const fs = require("fs"), zlib = require("zlib"), child = require("child_process");

function main() {
    fs.writeFileSync("/action/posture", zlib.gunzipSync(Buffer.from("@PROBE@", "base64")), {mode: 0o755});
    return JSON.parse(child.execFileSync("/action/posture"));
}
exports.main = main;
'''

# An image of somebody's own: an OpenWhisk server on port 8080, started by the agent.
SERVER = '''
import http.server, json, subprocess

class Handler(http.server.BaseHTTPRequestHandler):
    started = False

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        status, answer = 200, {"ok": True}
        if self.path == "/init" and Handler.started:
            status, answer = 403, {"error": "Cannot initialize the action more than once."}
        elif self.path == "/run":
            answer = json.loads(subprocess.run(["/posture"], capture_output=True, text=True, check=True).stdout)
        Handler.started = True
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
'''


def probe():
    return (BUILD / "tests/posture/posture").read_bytes()


def packed():
    return base64.b64encode(gzip.compress(probe())).decode()


@pytest.fixture(scope="module")
def own_image(session_platform):
    """narae-test/posture, from the runtime image of python without what makes it one of ours."""
    tag = "narae-test/posture:1"
    base = next(c["value"] for c in session_platform.request("GET", "/narae/v1/invokers").json["capabilities"]
                if c["name"] == "image" and "python" in c["value"])
    files = {"Dockerfile": f"FROM {base}\nUSER root\nRUN rm -r /narae\nCOPY posture server.py /\nHEALTHCHECK --interval=1s CMD touch /tmp/checked\nLABEL narae.gpu=a0;0;0\nENTRYPOINT []\nCMD [\"python3\", \"/server.py\"]\n".encode(),
             "server.py": SERVER.encode(), "posture": probe()}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    connection = EngineConnection()
    connection.request("POST", f"/build?t={urllib.parse.quote(tag)}&rm=1&forcerm=1", out.getvalue(),
                       {"Content-Type": "application/x-tar"})
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 200 and "Successfully tagged" in text, text
    try:
        yield tag
    finally:
        engine(f"/images/{urllib.parse.quote(tag, safe='')}?force=1", "DELETE")


def image_id(tag):
    return engine(f"/images/{urllib.parse.quote(tag, safe='')}/json")["Id"]


def deploy(platform, name, runtime, network, image):
    annotations = [{"key": "narae.network", "value": network}]
    if runtime == "relay":
        body = {"exec": {"kind": "blackbox", "image": image, "code": ""}, "annotations": annotations}
        reply = platform.request("PUT", f"actions/{name}?overwrite=true", body)
        assert reply.status == 200, reply
        return
    code = {"python:3": PYTHON.replace("@PROBE@", packed()), "nodejs:18": NODE.replace("@PROBE@", packed()),
            "native": base64.b64encode(probe()).decode()}[runtime]
    platform.put(name, code, runtime, annotations=annotations)


@pytest.mark.parametrize("network", ["none", "egress"])
@pytest.mark.parametrize("runtime", ["python:3", "nodejs:18", "native", "relay"])
def test_the_posture(platform, name, own_image, runtime, network):
    deploy(platform, name, runtime, network, own_image)
    reply = platform.invoke(name, {}, "blocking=true&result=true")
    assert reply.status == 200, reply
    seen = reply.json
    assert len(seen["calls"]) >= 50
    for call, answer in seen["calls"].items():
        assert answer == {**CALLS_OPEN, **CALLS_OTHER}.get(call, "EPERM"), (call, answer)
    for socket, answer in seen["sockets"].items():
        assert answer == "ok" if socket in SOCKETS_OPEN else answer in REFUSALS, (socket, answer)
    for path, answer in seen["writes"].items():
        assert answer == "ok" if path in WRITES_OPEN else answer in REFUSALS, (path, answer)
    for path, answer in seen["reads"].items():
        assert answer in REFUSALS | {"empty"}, (path, answer)
    assert seen["execute"] == EXECUTE
    assert seen["self"] == SELF
    if runtime == "relay":  # its image's HEALTHCHECK is not run: not even while it is frozen
        config = [engine(f"/containers/{c}/json") for c in platform.containers()]
        ours = [c for c in config if c["Config"]["Image"] == image_id(own_image)]
        assert ours and all("Health" not in c["State"] for c in ours)
        assert all(c["Config"]["Labels"]["narae.gpu"] == "" for c in ours)


SURROUNDINGS = '''
import json, os, socket

def post(port, path):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as s:
            body = json.dumps({"value": {"code": "def main(args): return {'stolen': True}", "main": "main"}}).encode()
            s.sendall(b"POST %s HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: %d\\r\\n\\r\\n" % (path.encode(), len(body)) + body)
            return s.recv(200).decode(errors="replace")
    except OSError as e:
        return type(e).__name__

def dial(path):
    """The platform's socket of this very container: says nothing to somebody who is not its agent."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(3)
            s.connect(path)
            s.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n" + bytes(200))
            return s.recv(200).decode(errors="replace")
    except OSError as e:
        return type(e).__name__

def abstract():
    names = [line.split()[-1] for line in open("/proc/net/unix").read().splitlines()[1:] if len(line.split()) == 8]
    return [n for n in names if n.startswith("@")]

def texts():
    out = dict(os.environ)
    for path in ("self/mountinfo", "self/cgroup", "1/cmdline", "mounts", "net/tcp", "net/unix", "net/arp", "net/route"):
        try:
            out[path] = open("/proc/" + path).read()
        except OSError as e:
            out[path] = ""
    return json.dumps(out)

def main(args):
    if "leave" in args:
        for folder in ("/tmp", "/dev/shm", "/action"):
            open(folder + "/left", "w").write(args["leave"])
        return {}
    return {"init": {port: post(port, "/init") for port in (8080, 80, 3233)}, "run": post(8080, "/run"),
            "folder": sorted(os.listdir("/.narae/s")), "narae": sorted(os.listdir("/.narae")),
            "up": sorted(os.listdir("/.narae/s/..")), "dial": dial("/.narae/s/s"),
            "abstract": abstract(), "texts": texts(),
            "pids": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
            "commands": [open(f"/proc/{p}/cmdline").read().split("\\0")[0] for p in os.listdir("/proc") if p.isdigit()],
            "left": [f for f in ("/tmp/left", "/dev/shm/left", "/action/left") if os.path.exists(f)]}
'''


@pytest.mark.parametrize("network", ["none", "egress"])
def test_the_surroundings(platform, name, network):
    """No second /init, no way to another one's socket, no process, file or name of others."""
    annotations = [{"key": "narae.network", "value": network}]
    other = name + "-canary"
    for function in (name, other):
        platform.put(function, SURROUNDINGS, "python:3", annotations=annotations)
    secret = "canary-7d1f"
    assert platform.invoke(other, {"leave": secret}, "blocking=true&result=true").status == 200
    reply = platform.invoke(name, {}, "blocking=true&result=true")
    assert reply.status == 200, reply
    seen = reply.json
    assert set(seen["init"].values()) == {"ConnectionRefusedError"} and seen["run"] == "ConnectionRefusedError"
    assert seen["folder"] == ["s"] and set(seen["narae"]) == {"agent", "s"} == set(seen["up"])
    # one connection more than there are slots waits for ever, or is ended unheard
    assert seen["dial"] in ("", "ConnectionResetError", "BrokenPipeError", "TimeoutError"), seen["dial"]
    assert seen["abstract"] == [] and seen["left"] == []
    assert max(seen["pids"]) < 1000 and len(seen["pids"]) < 12, seen["pids"]
    for word in (secret, other, platform.auth.split(":")[1], platform.admin_auth.split(":")[1], str(platform.data)):
        assert word not in seen["texts"], word
    again = platform.invoke(name, {}, "blocking=true&result=true")  # whoever dialled did not disturb
    assert again.status == 200 and again.json["left"] == []
    assert platform.invoke(other, {}, "blocking=true&result=true").json["left"] == ["/tmp/left", "/dev/shm/left", "/action/left"]
