"""Images made for OpenWhisk, as they are: a proxy on port 8080 that unpacks code below the folder its image says, compiles it and runs it."""
import os
import subprocess

import pytest
from conftest import BUILD, DOCKER, ROOT

# What the proxy of ActionLoop images does with code: into ./action/N/bin/exec, which is a process that lives on and answers on descriptor 3.
PROXY = r'''#!/usr/bin/python3 -u
import http.server, json, os, subprocess, sys
END = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
worker = []

def init(value):
    if worker:
        return 403, {"error": "Cannot initialize the action more than once."}
    os.makedirs("./action/1/bin")
    path = "./action/1/bin/exec"
    with open(path, "w") as f:
        f.write(value["code"])
    os.chmod(path, 0o755)
    reader, writer = os.pipe()
    def three():
        os.dup2(writer, 3)
    worker.append(subprocess.Popen([path], stdin=subprocess.PIPE, preexec_fn=three, close_fds=False, env=dict(os.environ, **value["env"])))
    worker.append(os.fdopen(reader))
    os.close(writer)
    return 200, {"ok": True}

def run(body):
    worker[0].stdin.write(json.dumps(body).encode() + b"\n")
    worker[0].stdin.flush()
    answer = json.loads(worker[1].readline())
    for stream in (sys.stdout, sys.stderr):
        print(END, file=stream, flush=True)
    return 200, answer

class Server(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = init(body["value"]) if self.path == "/init" else run(body)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

http.server.HTTPServer(("", 8080), Server).serve_forever()
'''

ACTION = r"""#!/bin/sh
echo "folder $(pwd)"
while read -r line; do
    echo "called $PLACE"
    echo "{\"said\":$line}" >&3
done
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Made as those images are: the proxy is the entry point, in a folder of the language."""
    folder = tmp_path_factory.mktemp("proxy")
    (folder / "proxy").write_text(PROXY)
    (folder / "proxy").chmod(0o755)
    base = subprocess.run([ROOT / "scripts/image-name", "python"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    (folder / "Dockerfile").write_text(f'FROM {base}\nRUN rm -r /narae && mkdir -p /shAction/action\nWORKDIR /shAction\n'
                                       'COPY proxy /bin/proxy\nENV PLACE=image\nENTRYPOINT ["/bin/proxy"]\n')
    name = f"narae-test/stock-proxy:{os.getpid()}"
    subprocess.run(["docker", "-H", f"unix://{DOCKER}", "build", "--network=host", "-q", "-t", name, folder], check=True,
                   stdout=subprocess.DEVNULL, env=dict(os.environ, DOCKER_BUILDKIT="0"))
    yield name
    subprocess.run(["docker", "-H", f"unix://{DOCKER}", "image", "rm", "-f", name], check=False, stdout=subprocess.DEVNULL)


def test_an_action_loop_image_runs_as_it_is(platform, name, image, tmp_path):
    source = tmp_path / "hello.lang"  # of a language that the command line does not know: it goes as text
    source.write_text(ACTION)
    done = subprocess.run([BUILD / "narae", "deploy", source, "--name", name, "--image", image], capture_output=True, text=True, check=False,
                          timeout=120, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NARAE_APIHOST": platform.url,
                                            "NARAE_AUTH": platform.auth})
    assert done.returncode == 0, done.stderr
    for n in range(3):
        reply = platform.invoke(name, {"n": n})
        assert reply.status == 200, reply
        said = reply.json["response"]["result"]["said"]
        assert said["value"] == {"n": n} and said["activation_id"] == reply.activation
    assert [line.split(" ", 2)[2] for line in platform.record(reply.activation)["logs"]] == ["called image"]
