"""Flavours: every way to run a function, with the one function that all cases use."""
import functools
import base64
import io
import os
import pathlib
import shlex
import subprocess
import tarfile
import zipfile

import pytest

from containers import ROOT, Container, has_image, image_of

FUNCTIONS = pathlib.Path(__file__).parent / "functions"
NOT_COMPOSITE = "The action did not return a dictionary or array."


def archive(**files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in files.items():
            info = zipfile.ZipInfo(name.replace("__slash__", "/").replace("__dot__", "."))
            info.external_attr = 0o755 << 16
            z.writestr(info, content)
    return data.getvalue()


def tar_gz(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as t:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            t.addfile(info, io.BytesIO(content))
    return data.getvalue()


def program(source, *flags):
    """A static program: the image has no compiler and need not have its libraries. NARAE_CC is the compiler for images of another
    architecture."""
    out = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / ("narae-program-%d" % os.getpid())
    subprocess.run([*shlex.split(os.environ.get("NARAE_CC", "cc")), "-O2", "-static", *flags, "-I", ROOT / "runtimes/native", "-x", "c", "-", "-o", out],
                   input=source, check=True)
    code = out.read_bytes()
    out.unlink()
    return code


def compiled(mode, cache={}):
    """every.c for one mode."""
    if mode not in cache:
        cache[mode] = program((FUNCTIONS / "every.c").read_bytes(), "-D" + mode.upper())
    return cache[mode]


@functools.cache
def own_image(server):
    """python's image without our profile: a stranger's, for the relay. Built once in a run."""
    name = "narae/contract-%s:1%s" % (server, os.environ.get("NARAE_ARCH", ""))
    subprocess.run(["docker", "build", "-q", "-t", name, "-f", "-", FUNCTIONS],
                   input="FROM %s\nRUN rm -r /narae\nCOPY %s.py /server.py\n" % (image_of("python"), server),
                   text=True, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, DOCKER_BUILDKIT="0"))
    return name


def by_compiler(family, file, source, main="", cache={}):
    """What the compiler of a kind makes of a source, or None: its image is large and made only when it is asked for."""
    if (family, source) not in cache:
        if not has_image(family):
            return None
        c = Container(image_of(family), memory_mb=1024)
        try:
            assert not c.slot.init(file, source).failed
            c.slot.socket.settimeout(240)
            made = c.slot.run({"main": main}).value
            assert "bytes" in made, made
            code = b""
            while len(code) < made["bytes"]:
                code += base64.b64decode(c.slot.run({"piece": len(code) // (700 << 10)}).value["data"])
        finally:
            c.close()
        cache[family, source] = code
    return cache[family, source]


def wasm(source, *flags):
    """A WebAssembly module, by Debian's clang, lld and wasi-libc."""
    out = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / ("narae-module-%d.wasm" % os.getpid())
    subprocess.run(["clang", "--target=wasm32-wasi", "-O2", *flags, "-x", "c", "-", "-o", out], input=source, check=True)
    code = out.read_bytes()
    out.unlink()
    return code


@functools.cache
def wasm_of_all_cases():
    return wasm((FUNCTIONS / "every.c").read_bytes(), "-DWASM", "-DONCE")


class Flavour:
    """What differs between the ways to run a function."""

    def __init__(self, name, family, file, code, thrown, **more):
        self.name, self.family, self.file, self.code = name, family, file, code
        self.thrown = thrown            # how the error text of a throw begins; None: the process ends
        self.thrown_failed = more.get("thrown_failed", True)  # what an HTTP runtime answers with another status than 200
        self.exec = more.get("exec")
        self.keeps_state = more.get("keeps_state", True)
        self.logs_init = more.get("logs_init", True)
        self.forks = more.get("forks", True)
        self.in_turn = more.get("in_turn", False)  # one process serves one call after the other
        self.slots_max = more.get("slots_max", 64)  # that a container has memory and tasks for
        self.bad = more.get("bad")      # (file, code, env, how the error begins or None) that does not initialise
        self.command = more.get("command")
        self.server = more.get("server", "server")

    def image(self):
        return own_image(self.server) if self.command else image_of(self.family)

    def start(self, **more):
        if self.code() is None:
            # the full run makes all images
            (pytest.fail if "NARAE_ALL_IMAGES" in os.environ else pytest.skip)(
                "the compiler's image is not here: scripts/images makes it when its family is named")
        return Container(self.image(), command=self.command, **more)

    def init(self, container, file=None, code=None, **more):
        if self.exec:
            more.setdefault("exec", self.exec)
        return container.slot.init(file or self.file, self.code() if code is None else code, **more)


NO_BINARY = "The action failed to generate or locate a binary. See logs for details."


def flavours():
    python, node = (FUNCTIONS / "every.py").read_bytes(), (FUNCTIONS / "every.js").read_bytes()
    return [
        Flavour("python", "python", "code.py", lambda: python,
                "boom", thrown_failed=False,
                bad=("code.py", b"def main(:\n", {}, NO_BINARY)),
        Flavour("nodejs", "nodejs", "code.js", lambda: node, "An error has occurred: Error: boom", forks=False,
                bad=("code.js", b"throw new Error('no')", {}, "Initialization has failed due to: Error: no")),
        Flavour("once", "native", "exec", lambda: compiled("once"), NOT_COMPOSITE, exec="once",
                keeps_state=False, logs_init=False,
                bad=("code.zip", archive(other=b"x"), {}, NO_BINARY)),
        Flavour("loop", "native", "exec", lambda: compiled("loop"), None, exec="loop",
                bad=("exec", None, {"DIE": "1"}, None)),
        Flavour("direct", "native", "exec", lambda: compiled("direct"), 'boom "quoted"', exec="direct",
                bad=("exec", None, {"DIE": "1"}, None)),
        Flavour("turns", "native", "exec", lambda: compiled("turns"), 'boom "quoted"', exec="direct", forks=False, in_turn=True,
                bad=("exec", None, {"DIE": "1"}, None)),
        Flavour("go", "native", "exec", lambda: by_compiler("go", "code.go", (FUNCTIONS / "every.go").read_bytes()),
                "An error has occurred: boom", thrown_failed=False, exec="loop", slots_max=24,
                bad=("exec", None, {"DIE": "1"}, None)),
        Flavour("java", "java", "code.jar", lambda: by_compiler("javac", "code.java", (FUNCTIONS / "every.java").read_bytes()),
                "An error has occurred: boom", thrown_failed=False, slots_max=4, bad=("code.jar", None, {"DIE": "1"}, None)),
        Flavour("wasm", "wasm", "code.wasm", wasm_of_all_cases, NOT_COMPOSITE, keeps_state=False, logs_init=False,
                bad=("code.wasm", b"\0asm\1\0\0\0 and nothing of the kind", {}, "Initialization has failed due to: ")),
        Flavour("relay", "python", "code.py", lambda: python, "An error has occurred: boom", forks=False,
                command=["python3", "-u", "/server.py"],
                bad=("code.py", b"def main(:\n", {}, "Initialization has failed due to:")),
    ]
