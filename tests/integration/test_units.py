"""The unit of one process: its rights, taken from its own text, are enough for a whole platform, and no more than that is given. test_two_units.py: the others."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from conftest import BUILD, DOCKER, ROOT, Platform
from functions import HELLO

UNIT = (ROOT / "packaging" / "narae-single.service").read_text()
USER = 61739  # nobody has it


def setting(name):
    return re.findall(rf"(?m)^{name}=(.*)$", UNIT)


def capabilities():
    given, = setting("AmbientCapabilities")
    return [c.removeprefix("CAP_").lower() for c in given.split()]


class AsUnit(Platform):
    """naraed as systemd would start it: user, group of Docker, capabilities; the sandbox of files is systemd's own."""

    def spawn(self, *more):
        programs = self.folder / "bin"
        for folder in (programs, self.run):
            folder.mkdir(mode=0o711, exist_ok=True)
            os.chown(folder, USER, USER)
        for program in ("naraed", "narae-agent"):
            shutil.copy(BUILD / program, programs)
        self.data.mkdir(mode=0o700)
        os.chown(self.data, USER, USER)
        self.folder.chmod(0o755)
        allowed = "-all," + ",".join("+" + c for c in capabilities())
        words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", f"--groups={os.stat(DOCKER).st_gid}", "--no-new-privs",
                 f"--inh-caps={allowed}", f"--ambient-caps={allowed}", f"--bounding-set={allowed}", programs / "naraed",
                 "--listen=127.0.0.1:0", f"--data={self.data}", f"--run={self.run}", f"--docker={DOCKER}", *self.options, *more]
        with self.log.open("ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid


@pytest.fixture(scope="module")
def unit():
    assert setting("NoNewPrivileges") == ["yes"] and setting("SupplementaryGroups") == ["docker"]
    assert setting("CapabilityBoundingSet") == setting("AmbientCapabilities")
    p = AsUnit(tempfile.mkdtemp(prefix="nr", dir="/tmp"), "--stems=off")
    try:
        yield p.start()
        p.stop()
    finally:
        p.discard()


def as_user(user, *words):
    return subprocess.run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *words], capture_output=True,
                          text=True, check=False)


def test_it_is_a_whole_platform(unit):
    unit.put("hello", HELLO["python:3"])
    assert unit.invoke("hello", {"name": "Ada"}, "blocking=true&result=true").json == {"greeting": "Hello, Ada!"}
    unit.put("echo", "#!/bin/sh\ncat\n", "native", annotations=[{"key": "narae.network", "value": "none"}])
    assert unit.invoke("echo", {"n": 1}, "blocking=true&result=true").json == {"n": 1}


def test_nothing_is_lost_beside_root(unit):
    """What the probe at the start finds is what root finds: the rights that the unit gives are those that are needed."""
    said = unit.said()
    for what in ("freezer", "memory raise", "network egress"):
        line, = re.findall(rf'capability="{what}" (.*)', said)
        if not line.startswith("yes"):  # a host that cannot do it at all does not refuse it
            assert "Permission denied" not in line and "root rights" not in line, line
    status = pathlib.Path(f"/proc/{unit.pid}/status").read_text()
    assert re.search(rf"(?m)^Uid:\s+{USER}\s+{USER}\s+{USER}", status)
    assert "NoNewPrivs:\t1" in status
    bound = int(re.search(r"CapBnd:\s+(\w+)", status).group(1), 16)
    assert bin(bound).count("1") == len(capabilities()) == 5


def test_nobody_else_reads_the_data(unit):
    for path in (unit.data, unit.data / "meta.db", unit.data / "admin.key", unit.data / "buckets"):
        assert os.stat(path).st_uid == USER
        done = as_user(USER + 1, "ls" if path.is_dir() else "cat", str(path))
        assert done.returncode != 0 and "Permission denied" in done.stderr, (path, done)
    assert as_user(USER + 1, "test", "-r", DOCKER).returncode == 1
    assert list(unit.data.glob("*.key")), "the control: there is something to read"


@pytest.mark.parametrize("which", ["naraed.conf", "invoker.conf"])
def test_the_options_in_the_file_are_known(tmp_path, which):
    text = (ROOT / "packaging" / which).read_text()
    for given in (text, re.sub(r"(?m)^#(\S+ = )", r"\1", text)):  # also those that wait behind a #
        file = tmp_path / "naraed.conf"
        file.write_text(given)
        done = subprocess.run([BUILD / "naraed", f"--config={file}", "--version"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    file.write_text(text + "no-such-option = 1\n")
    done = subprocess.run([BUILD / "naraed", f"--config={file}", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "no-such-option" in done.stderr
