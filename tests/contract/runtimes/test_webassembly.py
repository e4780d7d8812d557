"""What only WebAssembly has: a fresh instance per call, limits that the engine keeps, a world with nothing in it."""
import json

import host
import pytest
from flavours import NOT_COMPOSITE, flavours, wasm

WASM = next(f for f in flavours() if f.name == "wasm")

INCLUDES = "#include <dirent.h>\n#include <errno.h>\n#include <fcntl.h>\n#include <stdio.h>\n#include <stdlib.h>\n" \
           "#include <string.h>\n#include <sys/stat.h>\n#include <time.h>\n#include <unistd.h>\n"


def c(body, *flags):
    return wasm((INCLUDES + "int main(int argc, char **argv) {\n(void)argc; (void)argv;\n" + body + "\nreturn 0; }").encode(), *flags)


def loaded(start, code, memory_mb=128, **more):
    container = start(WASM, memory_mb=memory_mb)
    r = WASM.init(container, code=code, memory_mb=memory_mb, **more)
    assert not r.failed and r.verdict == host.OK, r.init_done or r.log
    return container


def test_parameters_come_as_argument_and_on_stdin(start):
    slot = loaded(start, c("""
        static char in[300000]; size_t n = fread(in, 1, sizeof in, stdin);
        printf("[%d,%zu,%d,%.*s]\\n", argc, n, argc > 1 ? strcmp(argv[1], in) : -9, n < 100 ? (int)n : 1, n < 100 ? in : "0");
    """)).slot
    assert slot.run({"a": "\u00e9"}).value == [2, 10, 0, {"a": "\u00e9"}]
    assert slot.run({"x": "a" * (131071 - 8)}).value == [2, 131071, 0, 0]
    assert slot.run({"x": "a" * (131071 - 7)}).value == [1, 131072, -9, 0]


def test_only_the_last_line_waits(start):
    """Lines that begin like JSON wait for what follows them; all others are logged at once, in their order."""
    slot = loaded(start, c(r"""
        printf("one\n{\"not\":\"yet\"}\n\n[2\n");
        fputs("  three", stdout); fflush(stdout); fputs(" and more\n", stdout);
        printf("  {\"n\":%d}\n\n  \n", 3);
        return 7;
    """)).slot
    for _ in range(2):
        r = slot.run({})
        assert r.value == {"n": 3} and r.verdict == host.OK  # whatever its exit status
        assert r.texts("stdout") == ["one", '{"not":"yet"}', "", "[2", "  three and more"]


def test_a_result_that_is_too_long_is_cut_and_counted(start):
    slot = loaded(start, c(r"""
        char *x = malloc(1 << 20); memset(x, 'a', 1 << 20); fputs("{\"x\":\"", stdout);
        for (int i = 0; i < 64; i++) fwrite(x, 1, 1 << 20, stdout);
        puts("\"}");
    """)).slot
    r = slot.run({})
    assert r.truncated and r.true_length == (64 << 20) + 8 and len(r.answer) == 1 << 20 and r.verdict == host.OK


def test_no_files_and_no_way_out(start):
    """What a program would reach for: folders, files, the container's own, a new one, a socket's number."""
    r = loaded(start, c(r"""
        struct stat st; char here[256]; int n = 0;
        const char *paths[] = {"/", ".", "/etc/passwd", "/proc/self/environ", "/tmp/x", "/action/code.wasm", "/.narae/s/s", "../x"};
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
            n += open(paths[i], O_RDONLY) >= 0;
            n += open(paths[i], O_CREAT | O_WRONLY, 0644) >= 0;
            n += stat(paths[i], &st) == 0;
            n += opendir(paths[i]) != NULL;
            n += mkdir(paths[i], 0755) == 0;
        }
        for (int fd = 3; fd < 64; fd++) n += write(fd, "x", 1) >= 0 || read(fd, here, 1) >= 0;
        printf("{\"reached\":%d}\n", n);
    """)).slot.run({})
    assert r.value == {"reached": 0}


def test_memory_grows_to_the_limit_of_the_function_and_no_further(start):
    """The engine says no at the limit: malloc returns NULL there, and nobody is killed for what was never touched."""
    r = loaded(start, c(r"""
        size_t mb = 0; while (mb < 4096 && malloc(1 << 20)) { __asm__ volatile("" : : : "memory"); mb++; }
        printf("{\"mb\":%zu}\n", mb);
    """, "-fno-builtin-malloc"), memory_mb=128).slot.run({})
    assert 100 <= r.value["mb"] < 128 and r.verdict == host.OK


def test_a_module_that_is_born_too_large_is_told_why(start):
    container = loaded(start, c(r'puts("{}");', "-Wl,--initial-memory=%d" % (256 << 20)), memory_mb=128)
    r = container.slot.run({})
    assert r.failed and r.value["error"].startswith("The module could not be started: ")
    assert "memory" in r.value["error"] and r.verdict == host.TAINTED


@pytest.mark.parametrize("body, words", [
    ("__builtin_trap();", "unreachable"),
    ("volatile int *p = (int *)0x7ffffff0; return *p;", "out of bounds"),
    ("volatile int zero = argc - argc; return (argc + 100) / zero;", "divide by zero"),
    ("abort();", "unreachable"),
    ("struct s { int (*f)(int); } volatile s = {(int (*)(int))12345}; return s.f(1);", "undefined element"),
], ids=["trap", "bounds", "zero", "abort", "call"])
def test_a_trap_ends_the_call_and_the_log_says_which(start, body, words):
    container = loaded(start, c('puts("before"); fflush(stdout);' + body))
    r = container.slot.run({})
    assert r.answer is None and r.verdict == host.EXITED and r.exit_status == 134 << 8
    assert ("stdout", "before") in r.lines
    said = "\n".join(r.texts("stderr"))
    assert words in said and "memory of the module: " in said, said


def test_endless_recursion_is_a_trap(start):
    r = loaded(start, wasm(b"int f(int n, volatile int *p); int g(int n, volatile int *p) { int x[64]; x[n & 63] = n; *p += 1;\n"
                           b"return f(n + 1, p) + x[(n + 1) & 63]; } int f(int n, volatile int *p) { return g(n, p) + *p; }\n"
                           b"int main(int c, char **v) { volatile int p = 0; (void)v; return f(c, &p); }\n",
                           "-Wl,-z,stack-size=16777216", "-O0")).slot.run({})
    assert r.answer is None and r.verdict == host.EXITED and any("stack" in t for t in r.texts("stderr"))


def test_a_runaway_module_is_ended_when_its_call_is_cut(start):
    container = loaded(start, c('puts("begin"); fflush(stdout); for (volatile int i = 0;; i++) {}'))
    container.slot.begin_run({})
    container.slot.close()
    assert container.exit_status() == 137


def test_code_that_cannot_be_loaded_is_told_by_the_engine(start):
    for code, words in ((b"", "there is no module"), (b"#!/bin/sh\n", "magic"), (b"\0asm\1\0\0\0\1\x7f", "unexpected end"),
                        (wasm(b"int host(void); int main(void) { return host(); }\n", "-Wl,--allow-undefined"), "env::host")):
        container = start(WASM)
        r = WASM.init(container, code=code)
        assert r.failed and r.verdict == host.TAINTED
        error = json.loads(r.init_done)["error"]
        assert error.startswith("Initialization has failed due to: ") and words in error, error


def test_a_library_is_no_command(start):
    library = wasm(b"int main(void);\n__attribute__((export_name(\"f\"))) int f(void) { return 1; }\n",
                   "-mexec-model=reactor", "-Wl,--no-entry")
    r = loaded(start, library).slot.run({})
    assert r.failed and "_start" in r.value["error"]


def test_clocks_and_chance(start):
    slot = loaded(start, c(r"""
        struct timespec a, b, rest = {0, 20000000}; long chance = 0;
        clock_gettime(CLOCK_MONOTONIC, &a); nanosleep(&rest, NULL); clock_gettime(CLOCK_MONOTONIC, &b);
        getentropy(&chance, sizeof chance);
        printf("{\"slept\":%d,\"now\":%lld,\"chance\":%ld}\n",
               (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 20, (long long)time(NULL), chance);
    """)).slot
    one, two = slot.run({}).value, slot.run({}).value
    assert one["slept"] == two["slept"] == 1 and two["now"] >= one["now"] > 1700000000 and one["chance"] != two["chance"]


def test_nothing_of_a_call_reaches_the_next(start):
    slot = loaded(start, c(r"""
        static int count; static char kept[64]; char *key = getenv("__OW_API_KEY");
        printf("{\"count\":%d,\"kept\":\"%s\",\"key\":\"%s\"}\n", ++count, kept, key ? key : "");
        if (key) snprintf(kept, sizeof kept, "%s", key);
        if (fputs("no newline at the end", stderr)) {}
    """)).slot
    assert slot.run({}, api_key="first").value == {"count": 1, "kept": "", "key": "first"}
    assert slot.run({}).value == {"count": 1, "kept": "", "key": ""}
    assert slot.run({}).texts("stderr") == ["no newline at the end"]


def test_nothing_on_stdout(start):
    r = loaded(start, c('fputs("only words\\n", stderr);')).slot.run({})
    assert r.failed and r.value == {"error": NOT_COMPOSITE} and r.texts("stderr") == ["only words"]
