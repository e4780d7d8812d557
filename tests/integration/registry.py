"""A Docker registry of a test's own: Debian's docker-registry on a free port of 127.0.0.1, with or without users.

It is installed by scripts/registry where it is missing. Images are made here from nothing but what this host has: no other registry is needed.
"""
import functools
import hashlib
import io
import json
import pathlib
import secrets
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request

from conftest import DOCKER, ROOT, within
from ports import free_port

CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
{auth}"""

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def docker(*words, check=True, config=None, **more):
    configured = ["--config", str(config)] if config else []
    return subprocess.run(["docker", *configured, "-H", f"unix://{DOCKER}", *words], check=check, capture_output=True,
                          text=True, **more).stdout.strip()


def hashed(password):
    """By bcrypt, the only hash that the registry reads; perl is on every Debian."""
    return subprocess.run(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", password, "$2b$04$" + secrets.token_hex(11)], check=True,
                          capture_output=True, text=True).stdout


class Registry:
    """Users are {name: password}; None lets everybody in."""

    def __init__(self, users=None):
        self.users = users
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nrreg", dir="/tmp"))
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.process = None
        self.references = []

    def start(self):
        auth = ""
        if self.users:
            lines = [f"{user}:{hashed(password)}" for user, password in self.users.items()]
            (self.folder / "users").write_text("\n".join(lines) + "\n")
            auth = f"auth: {{htpasswd: {{realm: test, path: {self.folder}/users}}}}\n"
        (self.folder / "config.yml").write_text(CONFIG.format(folder=self.folder, port=self.port, auth=auth))
        program = shutil.which("docker-registry")
        if program is None:
            subprocess.run([ROOT / "scripts" / "registry"], check=True)
            program = shutil.which("docker-registry")
        self.process = subprocess.Popen([program, "serve", self.folder / "config.yml"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        within(30, "the registry answers", self.answers)
        return self

    def answers(self):
        assert self.process.poll() is None, "the registry ended"
        try:
            with urllib.request.urlopen(f"http://{self.host}/v2/", timeout=5) as reply:
                return reply.status == 200
        except urllib.error.HTTPError as refusal:
            return refusal.code == 401
        except OSError:
            return False

    def stop(self):
        """It is away; what it has stays, and start() brings it back."""
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop()
        for reference in self.references:
            docker("image", "rm", "-f", reference, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def login(self):
        """A folder of the Docker client's settings with the first user's credentials."""
        config = self.folder / "docker"
        if self.users and not config.exists():
            user, password = next(iter(self.users.items()))
            docker("login", "--username", user, "--password-stdin", self.host, config=config, input=password)
        return config if self.users else None

    def push(self, name, image):
        """Pushes a local image under a name; the host itself forgets it. Returns host/name:tag and the digest."""
        reference = f"{self.host}/{name}"
        docker("tag", image, reference)
        docker("push", "--quiet", reference, config=self.login())
        repository = reference.rsplit(":", 1)[0]
        digests = json.loads(docker("image", "inspect", "--format", "{{json .RepoDigests}}", reference))
        digest = next(d for d in digests if d.startswith(repository + "@")).split("@")[1]
        docker("image", "rm", reference)
        docker("image", "rm", f"{repository}@{digest}", check=False)
        self.references.append(f"{repository}@{digest}")
        return reference, digest

    def index(self, name, entries, media="application/vnd.oci.image.index.v1+json"):
        """Several images under one name: `entries` are [(local image, platform)]. Returns host/name:tag, the digest of the list and those of
        the entries."""
        repository, tag = name.rsplit(":", 1)
        manifests = []
        for n, (image, platform) in enumerate(entries):
            _, digest = self.push(f"{repository}:{tag}-{n}", image)
            with self.ask("GET", f"{repository}/manifests/{digest}", headers={"Accept": MANIFEST}) as reply:
                manifests.append({"mediaType": MANIFEST, "digest": digest, "size": len(reply.read()), "platform": platform})
        text = json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": manifests}).encode()
        with self.ask("PUT", name.replace(":", "/manifests/"), text, {"Content-Type": media}) as reply:
            digest = reply.headers["Docker-Content-Digest"]
        self.references.append(f"{self.host}/{repository}@{digest}")
        return f"{self.host}/{name}", digest, [m["digest"] for m in manifests]

    def ask(self, method, path, body=None, headers=None):
        return urllib.request.urlopen(urllib.request.Request(f"http://{self.host}/v2/{path}", body, headers or {}, method=method), timeout=30)


SERVER = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* An image's own server of /init and /run on port 8080; says which image it is. */
int main(int count, char **words)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(8080)};
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    char text[65536], reply[256];

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(s, 64) < 0)
        return 1;
    for (;;) {
        int c = accept(s, NULL, NULL), n = 0, got;
        char *body = NULL;
        while ((got = read(c, text + n, sizeof(text) - 1 - n)) > 0) {
            text[n += got] = 0;
            char *length = strcasestr(text, "content-length:");
            if ((body = strstr(text, "\r\n\r\n")) && (!length || n - (body + 4 - text) >= atoi(length + 15)))
                break;
        }
        int run = strncmp(text, "POST /run", 9) == 0;
        if (run)
            printf("XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"), fflush(stdout),
                fprintf(stderr, "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n");
        char who[64];
        snprintf(who, sizeof(who), "{\"image\":\"%s\"}", count > 1 ? words[1] : "");
        const char *answer = run ? who : "{\"ok\":true}";
        int k = snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                         strlen(answer), answer);
        if (write(c, reply, k) < 0)
            return 1;
        close(c);
    }
}
"""


@functools.lru_cache(maxsize=1)
def server():
    """The program, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "server"
        subprocess.run(["cc", "-O1", "-static", "-D_GNU_SOURCE", "-x", "c", "-", "-o", out], input=SERVER, text=True, check=True)
        return out.read_bytes()


def make_image(tag, who, changes=None):
    """A local image from nothing but one program, which answers {"image": who}."""
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "server"
        program.write_bytes(server())
        program.chmod(0o755)
        lines = ["FROM scratch", "COPY server /server", *([f'CMD ["/server", "{who}"]'] if changes is None else changes)]
        (program.parent / "Dockerfile").write_text("\n".join(lines) + "\n")
        docker("build", "-q", "-t", tag, folder)
    return tag


def made_for(architecture, tag):
    """The same local image with another architecture in its configuration; its tag."""
    saved = subprocess.run(["docker", "-H", f"unix://{DOCKER}", "save", tag], check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as t:
        files = {m.name: t.extractfile(m).read() for m in t if m.isfile()}
    manifest = json.loads(files.pop("manifest.json"))
    config = json.loads(files.pop(manifest[0]["Config"]))
    config["architecture"] = architecture
    text = json.dumps(config).encode()
    name = f"{tag}-{architecture}"
    manifest[0].update(Config=hashlib.sha256(text).hexdigest() + ".json", RepoTags=[name])
    files.pop("repositories", None)
    files[manifest[0]["Config"]] = text
    files["manifest.json"] = json.dumps(manifest).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            t.addfile(entry, io.BytesIO(content))
    subprocess.run(["docker", "-H", f"unix://{DOCKER}", "load", "-q"], input=out.getvalue(), check=True, stdout=subprocess.DEVNULL)
    return name
