"""What only some runtimes have."""
import json
import time

import host
import pytest
from containers import ROOT
from flavours import NO_BINARY, NOT_COMPOSITE, archive, compiled, flavours, program, tar_gz

BY_NAME = {f.name: f for f in flavours()}
PYTHON, NODE, ONCE, LOOP, DIRECT = (BY_NAME[n] for n in ("python", "nodejs", "once", "loop", "direct"))


def test_images_agree_on_the_wire():
    """Each image is built from its own folder, so each has its copy; a unit test compares one with the agent's headers."""
    copies = {(ROOT / "runtimes" / family / "wire.h").read_bytes() for family in ("python", "nodejs", "wasm")}
    assert len(copies) == 1


def loaded(start, flavour, file, code, **more):
    c = start(flavour)
    r = flavour.init(c, file=file, code=code, **more)
    assert not r.failed and r.verdict == host.OK, r.init_done or r.log
    return c.slot


@pytest.mark.parametrize("pack", [lambda f: archive(**f), tar_gz], ids=["zip", "tar.gz"])
def test_python_archive(start, pack):
    files = {"__main__.py": b"import helper\ndef enter(a):\n    return {'n': helper.twice(a['n'])}\n",
             "helper.py": b"def twice(n):\n    return 2 * n\n"}
    kind = "zip" if pack is not tar_gz else "tar.gz"
    slot = loaded(start, PYTHON, "code." + kind, pack(files), main="enter")
    assert slot.run({"n": 21}).value == {"n": 42}


def test_python_virtualenv(start):
    files = {"__main__.py": b"import dep\ndef main(a):\n    return {'v': dep.V}\n",
             "virtualenv/lib/python3.11/site-packages/dep.py": b"V = 7\n"}
    slot = loaded(start, PYTHON, "code.tar.gz", tar_gz(files))
    assert slot.run({}).value == {"v": 7}


def test_python_archive_with_files_named_like_the_library_s(start):
    stray = {f"{name}.py": b"raise ImportError('this is not the library')\n" for name in ("types", "enum", "token", "traceback")}
    code = b"import json, re\ndef main(a):\n    if 'raise' in a:\n        raise RuntimeError(a['raise'])\n    return json.loads('{\"n\":1}')\n"
    slot = loaded(start, PYTHON, "code.zip", archive(**{"__main__.py": code, **stray}))
    assert slot.run({}).value == {"n": 1}
    told = slot.run({"raise": "so it is"})
    assert told.value == {"error": "so it is"} and any("RuntimeError: so it is" in t for t in told.texts("stderr"))
    c = start(PYTHON)
    bad = PYTHON.init(c, file="code.zip", code=archive(**{"__main__.py": b"def main(:\n", **stray}))
    assert bad.failed and any("SyntaxError" in t for t in bad.texts("stderr"))


def test_python_exception_with_no_descriptor_left(start):
    code = b"""
import os
def main(a):
    try:
        while True:
            os.dup(0)
    except OSError as e:
        raise RuntimeError("none is left") from e
"""
    told = loaded(start, PYTHON, "code.py", code).run({})
    assert told.value == {"error": "none is left"} and any("RuntimeError: none is left" in t for t in told.texts("stderr"))


def test_python_children_get_the_variables_of_the_call(start):
    code = b"""
import os, subprocess
def main(a):
    said = subprocess.run(["printenv", "__OW_ACTIVATION_ID"], capture_output=True, text=True).stdout
    return {"child": said.strip(), "shell": os.popen("echo $__OW_ACTIVATION_ID").read().strip(), "own": os.environ["__OW_ACTIVATION_ID"]}
"""
    slot = loaded(start, PYTHON, "code.py", code)
    for call in ("1", "2"):
        assert set(slot.run({}, activation_id=call * 32).value.values()) == {call * 32}


def test_python_many_calls_need_no_more_memory(start):
    code = b"""
def main(a):
    return {"kb": int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1])}
"""
    slot = loaded(start, PYTHON, "code.py", code)
    size = []
    for n in range(20_000):
        r = slot.run({}, activation_id="%032x" % n)
        if n % 10_000 == 9_999:
            size.append(r.value["kb"])
    assert size[1] - size[0] < 512, size


def test_python_archive_without_main(start):
    c = start(PYTHON)
    r = PYTHON.init(c, file="code.zip", code=archive(other=b"x"))
    assert r.failed and json.loads(r.init_done) == {"error": NO_BINARY}
    assert ("stderr", "Zip file does not include __main__.py.") in r.lines


def test_python_missing_entry(start):
    c = start(PYTHON)
    r = PYTHON.init(c, code=b"x = 1\n")
    assert r.failed and json.loads(r.init_done) == {"error": "Cannot start action. Check logs for details."}
    assert any("has no attribute 'main'" in text for text in r.texts("stderr"))


def test_python_sys_exit_and_result_that_cannot_be_json(start):
    slot = loaded(start, PYTHON, "code.py", b"def main(a):\n    return {'x': {1, 2}}\n")
    r = slot.run({})
    assert not r.failed and "not JSON serializable" in r.value["error"] and r.verdict == host.OK
    assert "not JSON serializable" in slot.run({}).value["error"]
    slot = loaded(start, PYTHON, "code.py", b"import sys\ndef main(a):\n    print('bye')\n    sys.exit(4)\n")
    r = slot.run({})
    assert r.answer is None and r.verdict == host.EXITED and r.exit_status == 4 << 8
    assert r.lines == [("stdout", "bye")]


def test_python_exceptions_of_any_kind(start):
    code = (b"class Mute(Exception):\n    def __str__(self):\n        raise RuntimeError('no text')\n"
            b"class Base(BaseException):\n    pass\n"
            b"def main(a):\n    raise {'mute': Mute(), 'base': Base('ground'), 'half': ValueError('\\ud800')}[a['raise']]\n")
    r = loaded(start, PYTHON, "code.py", code).run({"raise": "mute"})
    assert r.value == {"error": "Mute"} and not r.failed and r.verdict == host.OK
    r = loaded(start, PYTHON, "code.py", code).run({"raise": "half"})
    assert r.value == {"error": "?"}
    r = loaded(start, PYTHON, "code.py", code).run({"raise": "base"})
    assert r.answer is None and r.verdict == host.EXITED and r.exit_status == 1 << 8
    assert any("Base: ground" in t for t in r.texts("stderr")) and not any("launcher" in t for t in r.texts("stderr"))


def test_python_half_a_character_is_no_json(start):
    r = loaded(start, PYTHON, "code.py", b"def main(a):\n    return {'x': '\\ud800'}\n").run({})
    assert "surrogates not allowed" in r.value["error"] and r.verdict == host.OK


@pytest.mark.parametrize("flavour", [PYTHON, NODE, ONCE, DIRECT], ids=lambda f: f.name)
def test_names_that_no_variable_can_have(start, flavour):
    c = start(flavour)
    env = {"a=b": "1", "": "2", "GOOD": "3", "NUMBER": 4}
    assert not flavour.init(c, env=env).failed
    assert c.slot.run({"do": "env", "names": ["GOOD", "NUMBER"]}).value == {"GOOD": "3", "NUMBER": "4"}


def test_python_traceback_has_the_functions_lines_only(start):
    slot = loaded(start, PYTHON, "code.py", b"def main(a):\n    return f(a)\ndef f(a):\n    return 1 / 0\n")
    texts = slot.run({}).texts("stderr")
    assert any("return 1 / 0" in t for t in texts) and not any("launcher" in t for t in texts)


def test_python_forked_child_does_not_answer(start):
    slot = loaded(start, PYTHON, "code.py",
                  b"import os\ndef main(a):\n    pid = os.fork()\n    if pid:\n        os.waitpid(pid, 0)\n"
                  b"    return {'parent': pid != 0}\n")
    for _ in range(20):
        assert slot.run({}).value == {"parent": True}


@pytest.mark.parametrize("slots", [1, 3])
def test_direct_forked_child_does_not_answer(start, slots):
    c = start(DIRECT)
    assert not DIRECT.init(c, slots=slots).failed
    for slot in [c.slot] + [c.accept() for _ in range(slots - 1)]:
        for _ in range(20):
            r = slot.run({"do": "fork"})
            assert r.value == {"parent": True} and r.verdict == host.OK


def test_python_result_of_2_gb(start):
    slot = loaded(start, PYTHON, "code.py", b"def main(a):\n    return {'x': 'a' * (2 << 30)}\n")
    r = slot.run({})
    assert r.answer is None and r.verdict == host.OOM


def test_output_between_calls_is_nobodys(start):
    code = (b"import threading, time\n"
            b"def late():\n    time.sleep(0.05)\n    print('late')\n"
            b"def main(a):\n    if a.get('late'):\n        threading.Thread(target=late).start()\n    print('now')\n"
            b"    return {}\n")
    slot = loaded(start, PYTHON, "code.py", code)
    assert slot.run({"late": True}).lines == [("stdout", "now")]
    time.sleep(0.3)
    assert slot.run({}).lines == [("stdout", "now")]


def test_node_archives_and_entries(start):
    files = {"index.js": b"exports.main = (a) => ({ n: a.n + 1 });"}
    assert loaded(start, NODE, "code.tar.gz", tar_gz(files)).run({"n": 1}).value == {"n": 2}
    files = {"package.json": b'{"main": "lib/start.js"}', "lib/start.js": b"exports.go = async (a) => ({ go: a.n });"}
    assert loaded(start, NODE, "code.tar.gz", tar_gz(files), main="go").run({"n": 1}).value == {"go": 1}
    files = {"index.js": b"", "lib/other.js": b"exports.fn = () => ({ other: true });"}
    slot = loaded(start, NODE, "code.tar.gz", tar_gz(files), main="lib/other.fn")
    assert slot.run({}).value == {"other": True}
    assert loaded(start, NODE, "code.js", b"exports.main = () => ({ exported: 1 });").run({}).value == {"exported": 1}


def test_node_promises(start):
    slot = loaded(start, NODE, "code.js", NODE.code())
    r = slot.run({"do": "reject"})
    assert not r.failed and r.value["error"]["message"] == "boom" and r.verdict == host.OK
    assert slot.run({"do": "nothing"}).value == {}
    assert slot.run({"do": "client"}).value == {"overwhisk": "function"}
    assert slot.run({"do": "child"}).lines == [("stdout", "from a child")]


@pytest.mark.parametrize("code, error", [
    (b"({ toJSON() { return undefined; } })", NOT_COMPOSITE),
    (b"new Date(0)", NOT_COMPOSITE),
    (b"({ get then() { throw new Error('boom'); } })", "An error has occurred: Error: boom"),
    (b"(() => { throw { toString() { throw 1; } }; })()", "An error has occurred: a value that cannot be shown as text"),
    (b"({ x: 10n })", "An error has occurred: TypeError: Do not know how to serialize a BigInt")])
def test_node_odd_results(start, code, error):
    r = loaded(start, NODE, "code.js", b"function main() { return " + code + b"; }").run({})
    assert r.failed and r.value == {"error": error} and r.verdict == host.TAINTED


@pytest.mark.parametrize("code, main, error", [
    (b"function main(a) {\n  return {a: 1;\n}\n", "main", "SyntaxError: Unexpected token ';' (code.js:2)"),
    (b"// unclosed\nfunction main(a) {\n  if (a) {\n}\n", "main", "SyntaxError: Unexpected end of input (code.js:5)"),
    (b"let x = 1; let x = 2;", "main", "SyntaxError: Identifier 'x' has already been declared (code.js:1)"),
    (b"\nimport fs from 'fs';\n", "main", "SyntaxError: Cannot use import statement outside a module (code.js:2)"),
    (b"function main() {}", "class", "Error: Action entrypoint 'class' is not a function."),
    (b"JSON.parse('{')", "main", "SyntaxError: Unexpected end of JSON input")],
    ids=["token", "end", "twice", "import", "no name", "not the code"])
def test_node_code_that_cannot_be_read_is_told_by_its_own_lines(start, code, main, error):
    c = start(NODE)
    r = NODE.init(c, file="code.js", code=code, main=main)
    assert r.failed
    assert json.loads(r.init_done)["error"].startswith("Initialization has failed due to: " + error)
    logged = "\n".join(text for _, text in r.lines)
    assert "SyntaxError" in logged or main == "class"
    for ours in ("__narae", "launcher.js", "node:internal", "(function (exports"):
        assert ours not in logged, logged


def test_node_stacks_are_of_the_function(start):
    slot = loaded(start, NODE, "code.js", b"function deep(a) {\n  return a.b.c;\n}\nfunction main(a) {\n  return deep(a);\n}\n")
    r = slot.run({})
    assert r.failed and [text.strip() for _, text in r.lines if " at " in text] == \
        ["at deep (/action/code.js:2:14)", "at main (/action/code.js:5:10)"]


def test_node_thenables(start):
    slot = loaded(start, NODE, "code.js", b"function main(a) { return { then(yes) { "
                  b"if (a.bad) throw new Error('boom'); yes({ good: 1 }); yes({ good: 2 }); } }; }")
    assert slot.run({}).value == {"good": 1}
    assert slot.run({"bad": 1}).value["error"]["message"] == "boom"
    assert slot.run({}).value == {"good": 1}


def test_node_half_a_character_becomes_a_replacement(start):
    slot = loaded(start, NODE, "code.js", b"function main() { return { x: '\\ud800', ['\\udfff']: '\\u{1F600}', y: '\\\\ud800' }; }")
    r = slot.run({})
    assert r.value == {"x": "\ufffd", "\ufffd": "\U0001f600", "y": "\\ud800"} and r.verdict == host.OK


@pytest.mark.parametrize("code", [
    b"const fs = require('fs'); function main(a) { fs.writeFileSync('/dev/stdout', a.t); return a; }",
    b"const fs = require('fs'); const f = fs.openSync('/dev/stdout', 'w'); function main(a) { fs.writeSync(f, a.t); return a; }",
    b"async function main(a) { const { spawnSync } = await import('child_process');"
    b" spawnSync('printf', ['%s', a.t], { stdio: 'inherit' }); return a; }",
    b"const w = new (require('worker_threads').Worker)(`const { parentPort } = require('worker_threads');"
    b" parentPort.on('message', (t) => { require('fs').writeSync(1, t); parentPort.postMessage(0); })`, { eval: true });"
    b" function main(a) { return new Promise((yes) => { w.once('message', () => yes(a)); w.postMessage(a.t); }); }",
], ids=["path", "descriptor", "child of an import", "thread"])
def test_node_output_past_the_console_is_log(start, code):
    slot = loaded(start, NODE, "code.js", code)
    for n in range(60):
        assert slot.run({"t": "line %d\n" % n}).lines == [("stdout", "line %d" % n)]


def test_node_late_exception_ends_the_worker(start):
    slot = loaded(start, NODE, "code.js",
                  b"function main() { console.log('before'); return new Promise(() => setTimeout(() => "
                  b"{ throw new Error('late'); }, 10)); }")
    r = slot.run({})
    assert r.answer is None and r.verdict == host.EXITED
    assert ("stdout", "before") in r.lines and any("late" in t for t in r.texts("stderr"))


def test_node_result_of_2_gb(start):
    slot = loaded(start, NODE, "code.js",
                  b"function main() { const x = []; for (let i = 0; i < 2048; i++) x.push('a'.repeat(1 << 20) + i); "
                  b"return { x }; }")
    r = slot.run({})
    assert r.verdict == host.OOM or r.value == {"error": "The action exhausted its memory and was aborted."}


def test_script_gets_its_parameters_twice(start):
    slot = loaded(start, ONCE, "exec", b"#!/bin/sh\nread line\necho log\necho \"[$1,$line]\"\n\n")
    r = slot.run({"a": 1})
    assert r.value == [{"a": 1}, {"a": 1}] and r.lines == [("stdout", "log")]
    big = loaded(start, ONCE, "exec", b"#!/bin/sh\necho \"[$#,$(wc -c)]\"\n")
    assert big.run({"x": "a" * 131071 * 2}).value == [0, 131071 * 2 + 8]
    edge = "a" * (131071 - 8)
    assert big.run({"x": edge}).value == [1, 131071]
    assert big.run({"x": edge + "a"}).value == [0, 131072]


def test_once_result_of_2_gb_is_cut_and_counted(start):
    slot = loaded(start, ONCE, "exec",
                  b"#!/bin/sh\nprintf '{\"x\":\"'\nhead -c 2147483648 /dev/zero | tr '\\0' a\nprintf '\"}'\n")
    r = slot.run({})
    assert r.truncated and r.true_length == (2 << 30) + 8 and len(r.answer) == 1 << 20
    assert r.answer.startswith(b'{"x":"aaa') and r.verdict == host.OK


def test_log_flood_of_1_gb_costs_no_memory(start):
    slot = loaded(start, ONCE, "exec", b"#!/bin/sh\nyes | head -c 1073741824 >&2\necho '{}'\n",
                  log_max_bytes=1 << 20)
    r = slot.run({})
    assert r.value == {} and r.log_truncated and len(r.log) < (1 << 20) + 256 and r.verdict == host.TAINTED


def test_script_whose_interpreter_does_not_exist(start):
    r = loaded(start, ONCE, "exec", b"#!/bin/sh\r\necho '{}'\r\n").run({})
    assert r.failed and r.value == {"error": NOT_COMPOSITE}
    assert r.lines == [("stderr", "cannot execute /action/exec: the interpreter that it names does not exist "
                        "(a first line that ends with CR LF?)")]


def test_once_without_a_result(start):
    slot = loaded(start, ONCE, "exec", b"#!/bin/sh\necho not json\nexit 3\n")
    r = slot.run({})
    assert r.failed and r.value == {"error": NOT_COMPOSITE} and r.lines == [("stdout", "not json")]


def test_once_leaves_no_process(start):
    slot = loaded(start, ONCE, "exec",
                  b"#!/bin/sh\nif [ \"$1\" = '{\"start\":1}' ]; then sleep 1000 &\n"
                  b"until [ \"$(cat /proc/$!/comm)\" = sleep ]; do :; done; fi\n"
                  b"n=0; for c in /proc/[0-9]*/comm; do [ \"$(cat $c)\" = sleep ] && n=$((n+1)); done\necho \"{\\\"n\\\":$n}\"\n")
    assert slot.run({"start": 1}).value == {"n": 1}
    left = [slot.run({}).value["n"] for _ in range(50)]
    assert left[-1] == 0 and 0 in left[:20]  # killed at once; its burial takes a moment


@pytest.mark.parametrize("lead", ["", "x", "xx", "xxx"])
def test_direct_sentence_is_not_cut_inside_a_character(start, lead):
    code = program(('#include "narae.h"\n'
                    "static int f(struct narae_call *c, void *a) { (void)a; return narae_fail(c, TEXT); }\n"
                    "int main(void) { return narae_serve(f, NULL); }\n").encode(), '-DTEXT="%s"' % (lead + "\U0001f600" * 200))
    r = loaded(start, DIRECT, "exec", code).run({})
    assert r.failed and len(r.value["error"]) > 100
    assert r.value["error"] == (lead + "\U0001f600" * 200)[:len(r.value["error"])]


@pytest.mark.parametrize("flavour", [ONCE, LOOP, DIRECT], ids=lambda f: f.name)
def test_native_archive(start, flavour):
    code = archive(exec=compiled(flavour.name), data__slash__x=b"1")
    slot = loaded(start, flavour, "code.zip", code)
    assert slot.run({"do": "echo", "x": 1}).value == {"do": "echo", "x": 1}


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_archive_that_climbs_out(start, name):
    c = start(ONCE)
    r = ONCE.init(c, file="code.tar.gz", code=tar_gz({"exec": b"#!/bin/sh\n", name: b"x"}))
    assert r.failed and json.loads(r.init_done)["error"].startswith("The archive could not be unpacked:")


def test_archive_that_is_damaged(start):
    c = start(PYTHON)
    r = PYTHON.init(c, file="code.zip", code=b"PK\3\4 nothing of the kind")
    assert r.failed and json.loads(r.init_done)["error"].startswith("The archive could not be unpacked:")


def test_archive_larger_than_memory(start):
    c = start(ONCE, memory_mb=64)
    r = ONCE.init(c, file="code.tar.gz", code=tar_gz({"exec": b"#!/bin/sh\n", "big": bytes(80 << 20)}))
    assert r.verdict in (host.OOM, host.TAINTED)
    assert r.init_done is None or r.failed


def test_node_many_calls_need_no_more_memory(start):
    slot = loaded(start, NODE, "code.js", b"function main(a) { if (a.gc) globalThis.gc(); return { mb: process.memoryUsage().rss >> 20, key: process.env.__OW_API_KEY.length,"
                  b" last: process.env.__OW_API_KEY.slice(-5) }; }")
    size = []
    for n in range(9_000):
        r = slot.run({"gc": n in (1_000, 8_999)}, api_key="%07000d" % n)
        assert r.value["key"] == 7000 and r.value["last"] == "%05d" % n
        if n in (1_000, 8_999):
            size.append(r.value["mb"])
    assert size[1] - size[0] < 16, size  # 56 MB of texts have passed


def test_node_variables_of_a_call_can_be_changed_and_go(start):
    slot = loaded(start, NODE, "code.js", b"""
function main(a) {
  const seen = [process.env.__OW_API_KEY, process.env.__OW_ACTIVATION_ID];
  if (a.change) process.env.__OW_ACTIVATION_ID = 'mine';
  if (a.remove) delete process.env.__OW_ACTIVATION_ID;
  const child = require('child_process').execSync('echo $__OW_ACTIVATION_ID').toString().trim();
  return { seen, child };
}""")
    assert slot.run({"change": 1}, api_key="k", activation_id="1").value == {"seen": ["k", "1"], "child": "mine"}
    assert slot.run({"remove": 1}, api_key="k", activation_id="2").value == {"seen": ["k", "2"], "child": ""}
    assert slot.run({}, activation_id="3").value == {"seen": [None, "3"], "child": "3"}
