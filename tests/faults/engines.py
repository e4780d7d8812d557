"""A private Docker Engine that a fault may be put into: its own data, sockets, containerd and pids. Never the one that others use.

It lives in a network namespace of its own, with its own docker0: a dockerd in the host's would take over, or with --bridge=none even
delete, the bridge of the Engine that others use. The images come from the Engine of NARAE_DOCKER by save and load.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from conftest import DOCKER, SLOW, engine, within

ROOT = pathlib.Path(__file__).resolve().parents[2]


def children(pid):
    """All processes below one, without containers' shims: these belong to no process for long."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        try:
            tasks = pathlib.Path(f"/proc/{parent}/task").glob("*/children")
            for child in {int(c) for t in tasks for c in t.read_text().split()}:
                if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "containerd":
                    found.append(child)
                todo.append(child)
        except OSError:
            continue
    return found


def alive(pid):
    """A zombie is not."""
    try:
        return bool(pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def command(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


class Engine:
    """One dockerd with its containerd."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nre", dir="/tmp"))
        self.socket = str(self.folder / "docker.sock")
        self.log = self.folder / "log"
        self.process = None
        self.namespace = subprocess.Popen(["unshare", "--net", "sleep", "infinity"],
                                          stdin=subprocess.DEVNULL)
        own = os.readlink("/proc/self/ns/net")
        within(10, "it has a network namespace of its own",
               lambda: os.readlink(f"/proc/{self.namespace.pid}/ns/net") != own)

    def start(self, live_restore=True):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", f"--net=/proc/{self.namespace.pid}/ns/net", "dockerd",
                 "-H", f"unix://{self.socket}", "--data-root", self.folder / "data",
                 "--exec-root", self.folder / "exec", "--pidfile", self.folder / "pid",
                 "--iptables=false", "--ip-forward=false", "--ip-masq=false",
                 f"--live-restore={str(live_restore).lower()}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        within(60, "the private Engine answers", self.answers, every=0.05)
        return self

    def answers(self):
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
        try:
            return engine("/version", docker=self.socket)
        except OSError:
            return None

    def load(self, *images):
        """Copies images from the Engine that has them."""
        save = subprocess.Popen(["docker", "-H", f"unix://{DOCKER}", "save", *images],
                                stdout=subprocess.PIPE)
        subprocess.run(["docker", "-H", f"unix://{self.socket}", "load"], stdin=save.stdout,
                       stdout=subprocess.DEVNULL, check=True)
        assert save.wait() == 0

    def ids(self):
        return [self.process.pid, *children(self.process.pid)]

    def signal(self, number):
        """To dockerd and its containerd; functions have shims of their own."""
        for pid in self.ids():
            os.kill(pid, number)

    def stop(self):
        """As an operator does: SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60 * SLOW)

    def kill(self):
        """dockerd and containerd, without a word."""
        pids = self.ids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        within(10, "containerd is gone", lambda: not any(map(alive, pids)))
        # Where process 1 is slow to reap, a dockerd that starts now would take the zombie for a containerd that runs.
        (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    # ---- what lies around

    def namespaces(self):
        """Network namespaces that it keeps. (Their files go when it looks for empty ones, once a minute.)"""
        mounts = pathlib.Path(f"/proc/{self.process.pid}/mounts").read_text().splitlines()
        return [m.split()[1] for m in mounts if m.split()[1].startswith(f"{self.folder}/exec/netns/")]

    def shims(self):
        """(process that holds a container of this Engine, command of what runs inside or "").

        A dockerd that ends between the two halves of a start forgets what it made: no call of its API reaches that any more."""
        found = []
        for cmdline in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = cmdline.read_bytes().split(b"\0")
                if words[0].rsplit(b"/", 1)[-1].startswith(b"containerd-shim") and \
                        str(self.folder).encode() in b" ".join(words):
                    tasks = (cmdline.parent / "task").glob("*/children")
                    inside = [c for t in tasks for c in t.read_text().split() if alive(c)]
                    found.append((int(cmdline.parent.name), " ".join(map(command, inside))))
            except OSError:
                continue
        return found

    def discard(self):
        """Whatever a test did: nothing stays behind."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            for container in engine("/containers/json?all=1", docker=self.socket):
                engine(f"/containers/{container['Id']}?force=1", "DELETE", self.socket)
            self.stop()
        for pid, _ in self.shims():
            os.kill(pid, signal.SIGKILL)
        self.namespace.kill()
        self.namespace.wait()
        for mount in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
            where = mount.split()[1]
            if where.startswith(str(self.folder)):
                subprocess.run(["umount", "-l", where], check=False)
        end = time.monotonic() + 10
        while self.folder.exists() and time.monotonic() < end:
            shutil.rmtree(self.folder, ignore_errors=True)


def image(family):
    return subprocess.run([ROOT / "scripts/image-name", family], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()
