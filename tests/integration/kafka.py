"""A real Kafka broker of a test's own, by scripts/kafka, and kcat as the client that is not ours."""
import os
import pathlib
import signal
import subprocess
import tempfile

from ports import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Broker:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="nk", dir="/tmp")
        self.address = self.start()

    def script(self, *words):
        done = subprocess.run([ROOT / "scripts/kafka", *words, f"--dir={self.dir}"], stdout=subprocess.PIPE, text=True,
                              stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, f"scripts/kafka {' '.join(words)}: status {done.returncode}"
        return done.stdout

    def start(self):
        """The same port each time."""
        return self.script("start", "--port=0").split()[-1]

    @property
    def pid(self):
        return int(pathlib.Path(self.dir, "pid").read_text())

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """As a power cut: nothing is written down."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        while os.path.exists(f"/proc/{pid}"):
            subprocess.run(["sleep", "0.05"], check=True)

    def remove(self):
        self.script("remove")

    def kcat(self, *words, stdin=None, seconds=120):
        done = subprocess.run(["kcat", "-b", self.address, *words], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=seconds, check=False)
        assert done.returncode == 0, f"kcat {words}: {done.stderr}"
        return done.stdout

    def read(self, topic, form="%s\n"):
        """All that is in a topic, one message a line."""
        return self.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", form).splitlines()

    def write(self, topic, lines, key_separator=None):
        self.kcat("-P", "-t", topic, *(["-K", key_separator] if key_separator else []), stdin="".join(f"{l}\n" for l in lines))


def unused_address():
    """Nobody listens there."""
    return f"127.0.0.1:{free_port()}"
