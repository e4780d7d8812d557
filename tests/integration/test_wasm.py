"""WebAssembly functions: deployed as one .wasm, told at once what is wrong with it, called like any other."""
import base64
import json
import os
import subprocess
import threading

import pytest
from conftest import BUILD, within

HELLO = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
static const char *after(const char *text, const char *key)
{
    const char *p = strstr(text, key);
    return p ? p + strlen(key) + strspn(p + strlen(key), ": \"") : "";
}
int main(int argc, char **argv)
{
    static int count;
    const char *in = argc > 1 ? argv[1] : "{}", *name = after(in, "\"name\""), *own = getenv("OWN");
    printf("called %s\n", getenv("__OW_ACTION_NAME"));
    fflush(stdout);
    fprintf(stderr, "to stderr\n");
    if (strstr(in, "\"spin\""))
        for (volatile int i = 0;; i++) {}
    if (strstr(in, "\"trap\""))
        __builtin_trap();
    if (strstr(in, "\"sleep\"")) {
        struct timespec t = {0, 300000000};
        nanosleep(&t, NULL);
    }
    if (strstr(in, "\"error\""))
        return puts("{\"error\":\"as asked\"}") < 0;
    if (strstr(in, "\"nothing\""))
        return 0;
    printf("{\"greeting\":\"Hello, %.*s!\",\"count\":%d,\"own\":\"%s\"}\n", (int)strcspn(name, "\""), name, ++count, own ? own : "");
    return 0;
}
"""


def compiled(folder, source, *flags):
    out = folder / "f.wasm"
    subprocess.run(["clang", "--target=wasm32-wasi", "-O2", *flags, "-x", "c", "-", "-o", out], input=source.encode(), check=True)
    return out


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """The path of a module that greets."""
    return compiled(tmp_path_factory.mktemp("wasm"), HELLO)


@pytest.fixture(scope="module")
def encoded(module):
    return base64.b64encode(module.read_bytes()).decode()


@pytest.fixture
def hello(platform, name, encoded):
    platform.put(name, encoded, "wasm:default", limits={"timeout": 10000})
    return name


def narae(platform, *words, cwd=None):
    done = subprocess.run([BUILD / "narae", *words], capture_output=True, text=True, check=False, timeout=120, cwd=cwd,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NARAE_APIHOST": platform.url, "NARAE_AUTH": platform.auth})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_module_is_called(platform, hello):
    document = platform.request("GET", f"actions/{hello}").json
    assert document["exec"]["kind"] == "wasm:1" and document["exec"]["binary"] is True
    for _ in range(3):  # nothing stays from call to call
        reply = platform.invoke(hello, {"name": "Ada"})
        assert reply.status == 200 and reply.json["response"]["result"] == {"greeting": "Hello, Ada!", "count": 1, "own": ""}
    logs = [line.split(" ", 2)[2] for line in platform.record(reply.activation)["logs"]]
    assert sorted(logs) == [f"called /guest/{hello}", "to stderr"]


def test_what_it_answers_badly(platform, hello):
    reply = platform.invoke(hello, {"do": "error"})
    assert (reply.status, reply.json["response"]["result"]) == (502, {"error": "as asked"})
    reply = platform.invoke(hello, {"do": "nothing"})
    assert reply.status == 502 and "did not return a dictionary or array" in reply.json["response"]["result"]["error"]
    reply = platform.invoke(hello, {"do": "trap"})
    assert reply.status == 502 and "exited unexpectedly" in reply.json["response"]["result"]["error"]
    logs = "\n".join(platform.record(reply.activation)["logs"])
    assert "unreachable" in logs and "memory of the module: " in logs
    assert platform.invoke(hello, {"name": "Ada"}).json["response"]["result"]["greeting"] == "Hello, Ada!"


def test_a_runaway_module_ends_at_its_time_limit(platform, name, encoded):
    platform.put(name, encoded, "wasm:1", limits={"timeout": 1000})
    reply = platform.invoke(name, {"do": "spin"})
    assert reply.status == 502 and "exceeded its time limits of 1000 milliseconds" in reply.json["response"]["result"]["error"]
    assert any("called /guest/" in line for line in platform.record(reply.activation)["logs"])
    assert platform.invoke(name, {"name": "Ada"}).status == 200


def test_concurrent_calls_have_instances_of_their_own(platform, name, encoded):
    platform.put(name, encoded, "wasm:1", limits={"concurrency": 4, "timeout": 30000})
    assert platform.invoke(name, {"name": "0"}).status == 200
    replies = {}

    def call(n):
        replies[n] = platform.invoke(name, {"name": f"n{n}", "do": "sleep"})
    threads = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for n, reply in replies.items():
        assert reply.status == 200 and reply.json["response"]["result"] == {"greeting": f"Hello, n{n}!", "count": 1, "own": ""}


@pytest.mark.parametrize("code, words", [
    ("(module)", "This is its text form"),
    ("", None),
    ("function main() {}", "The code is no WebAssembly module"),
    (base64.b64encode(b"PK\3\4 not even a zip").decode(), "archive"),
    (base64.b64encode(b"\177ELF\2\1\1\0" + bytes(64)).decode(), "a program for a processor"),
    (base64.b64encode(b"\0asm\r\0\1\0").decode(), "is a WebAssembly component"),
    (base64.b64encode(b"\0asm\1\0\0\0").decode(), "exports no function '_start'"),
    (base64.b64encode(b"\0asm\1\0\0\0\7\xff\xff\xff\xff\x0f").decode(), "is damaged"),
    (base64.b64encode(b"\0asm\1\0\0\0\2\x0b\1\3env\3foo\0\0\7\x0a\1\6_start\0\0").decode(), "imports 'foo' from 'env'"),
], ids=["text", "empty", "javascript", "zip", "elf", "component", "library", "damaged", "imports"])
def test_what_is_no_module_is_refused(platform, name, code, words):
    reply = platform.request("PUT", f"actions/{name}", {"exec": {"kind": "wasm:1", "code": code}})
    if words is None:  # no code at all is taken, as for every kind, and told when it is called
        assert reply.status == 200
        assert "there is no module" in platform.invoke(name).json["response"]["result"]["error"]
        return
    assert reply.status == 400 and words in reply.error, reply
    assert platform.request("GET", f"actions/{name}").status == 404


def test_what_only_the_engine_sees_is_the_error_of_a_call(platform, name):
    odd = b"\0asm\1\0\0\0\1\4\1\x60\0\0\3\2\1\0\7\x0a\1\6_start\0\0\x0a\5\1\3\0\xff\x0b"  # an instruction that there is none of
    platform.put(name, base64.b64encode(odd).decode(), "wasm:1")
    reply = platform.invoke(name)
    assert reply.status == 502 and reply.json["response"]["result"]["error"].startswith("Initialization has failed due to: ")


def test_more_memory_than_the_function_has(platform, name, tmp_path):
    large = compiled(tmp_path, "int main(void) { return 0; }", f"-Wl,--initial-memory={512 << 20}")
    platform.put(name, base64.b64encode(large.read_bytes()).decode(), "wasm:1", limits={"memory": 128})
    reply = platform.invoke(name)
    error = reply.json["response"]["result"]["error"]
    assert reply.status == 502 and error.startswith("The module could not be started: ") and "memory" in error


def test_the_command_line_knows_the_ending(platform, name, module, tmp_path):
    assert f"deployed {name} 0.0.1 (wasm:1)" in narae(platform, "deploy", module, "--name", name)
    assert json.loads(narae(platform, "invoke", name, "-p", "name", "Ada"))["greeting"] == "Hello, Ada!"
    narae(platform, "get", name, "--save", cwd=tmp_path)
    assert (tmp_path / f"{name}.wasm").read_bytes() == module.read_bytes()


def test_stems_are_kept_once_the_kind_is_used(platform, hello):
    assert platform.invoke(hello, {"name": "Ada"}).status == 200

    def waiting():
        told = platform.request("GET", "/narae/v1/invokers", auth=platform.admin_auth).json
        stems = told["stems"]
        return any(s["kind"] == "wasm:1" and s["wanted"] > 0 and s["ready"] > 0 for s in stems)
    within(60, "a stem of wasm:1 waits", waiting)
