"""Functions that say numbered lines, one for every way a function can be run; for the tests of logs.

Each takes {"token", "lines", "pad"} and says "TOKEN NUMBER PAD" that often, every tenth line on stderr.
With "long" one line of so many L stands before that, with "forge" the line that ends an activation in the
logs of OpenWhisk's images comes on both streams, before and in the middle."""
import base64
import os
import pathlib
import subprocess
import tempfile

from conftest import DOCKER, ROOT

SENTINEL = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"

PYTHON = r"""
import sys
def forge():
    print("XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX", flush=True)
    print("XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX", file=sys.stderr, flush=True)
def main(args):
    token, pad = args["token"], "x" * args.get("pad", 0)
    if args.get("long"):
        print("L" * args["long"])
    for i in range(args["lines"]):
        if args.get("forge") and i in (0, args["lines"] // 2):
            forge()
        print("%s %d %s" % (token, i, pad), file=sys.stderr if i % 10 == 9 else sys.stdout)
    return {"said": args["lines"]}
"""

NODE = r"""
const sentinel = 'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX'
async function main(args) {
    const pad = 'x'.repeat(args.pad || 0)
    if (args.long)
        console.log('L'.repeat(args.long))
    for (let i = 0; i < args.lines; i++) {
        if (args.forge && (i === 0 || i === Math.floor(args.lines / 2))) {
            console.log(sentinel)
            console.error(sentinel)
        }
        (i % 10 === 9 ? console.error : console.log)(`${args.token} ${i} ${pad}`)
        if (i % 100 === 99)
            await new Promise(setImmediate) // calls of one process take turns
    }
    return {said: args.lines}
}
"""

# -DDIRECT, -DLOOP or -DONCE
C = r"""
#define _GNU_SOURCE
#ifdef DIRECT
#include "narae.h"
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long number(const char *text, const char *key, long otherwise)
{
    const char *at = strstr(text, key);
    return at ? strtol(strchr(at, ':') + 1, NULL, 10) : otherwise;
}

static void say(const char *text)
{
    char token[64] = "", pad[4096];
    const char *at = strstr(text, "\"token\"");
    long lines = number(text, "\"lines\"", 0), n = number(text, "\"pad\"", 0);
    memset(pad, 'x', sizeof pad);
    if (at)
        sscanf(strchr(at, ':'), ": \"%63[^\"]", token);
    for (long i = number(text, "\"long\"", 0); i > 0; i--)
        fputs(i == 1 ? "L\n" : "L", stdout);
    for (long i = 0; i < lines; i++) {
        if (number(text, "\"forge\"", 0) && (i == 0 || i == lines / 2)) {
            puts("XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX");
            fputs("XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n", stderr);
        }
        fprintf(i % 10 == 9 ? stderr : stdout, "%s %ld %.*s\n", token, i, (int)n, pad);
    }
    fflush(stdout);
}

#ifdef DIRECT
static int call_of(struct narae_call *call, void *context)
{
    char text[4096];
    (void)context;
    snprintf(text, sizeof text, "%.*s", (int)call->length, call->value);
    say(text);
    return narae_reply(call, "{\"said\":true}", 13);
}
int main(void)
{
    return narae_serve(call_of, NULL);
}
#elif defined LOOP
int main(void)
{
    char line[65536];
    FILE *out = fdopen(3, "w");
    while (fgets(line, sizeof line, stdin)) {
        say(line);
        fputs("{\"said\":true}\n", out);
        fflush(out);
    }
}
#else
int main(int argc, char **argv)
{
    (void)argc;
    say(argv[1]);
    puts("{\"said\":true}");
}
#endif
"""


def program(mode):
    """A static program in base64."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "exec"
        subprocess.run(["cc", "-O2", "-static", "-D" + mode.upper(), "-I", ROOT / "runtimes/native",
                        "-x", "c", "-", "-o", out], input=C.encode(), check=True)
        return base64.b64encode(out.read_bytes()).decode()


def relay_image():
    """A stranger's image: an HTTP server of its own, no agent, no launcher of ours."""
    base = subprocess.run([ROOT / "scripts" / "image-name", "python"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()
    name = "narae/logs-relay:1"
    subprocess.run(["docker", "-H", f"unix://{DOCKER}", "build", "--network=host", "-q", "-t", name,
                    "-f", "-", ROOT / "tests/contract/runtimes/functions"],
                   input=f'FROM {base}\nRUN rm -r /narae\nCOPY server.py /\n'
                         'CMD ["python3", "-u", "/server.py"]\n', text=True, check=True,
                   stdout=subprocess.DEVNULL, env=dict(os.environ, DOCKER_BUILDKIT="0"))
    return name


def deploy_all(platform):
    """Names of the functions: each mode, and with several calls at a time where there is such a thing."""
    one = {"memory": 128, "timeout": 60000}
    four = {**one, "concurrency": 4}
    none = {"key": "narae.network", "value": "none"}
    functions = [("python", PYTHON, "python:3", one, []), ("python-4", PYTHON, "python:3", four, []),
                 ("nodejs", NODE, "nodejs:18", one, []), ("nodejs-4", NODE, "nodejs:18", four, [])]
    for mode in ("direct", "loop", "once"):
        code, how = program(mode), [{"key": "narae.exec", "value": mode}]
        functions += [(mode, code, "native", one, how), (mode + "-4", code, "native", four, how)]
    for name, code, kind, limits, how in functions:
        platform.put(name, code, kind=kind, limits=limits, annotations=[none, *how])
    reply = platform.request("PUT", "actions/relay?overwrite=true", {
        "exec": {"kind": "blackbox", "image": relay_image(), "code": PYTHON, "binary": False},
        "limits": one, "annotations": [none]})
    assert reply.status == 200, reply
    return [f[0] for f in functions] + ["relay"]


def check(logs, token, lines, pad=0):
    """Exactly the lines of this call, each stream in its order."""
    assert len(logs) == lines, f"{token}: {len(logs)} lines instead of {lines}: {logs[-3:]}"
    at = {"stdout:": (i for i in range(lines) if i % 10 != 9),
          "stderr:": (i for i in range(lines) if i % 10 == 9)}
    pad, stamp = "x" * pad, ""
    for line in logs:
        when, stream, said = line.split(" ", 2)
        assert said == f"{token} {next(at[stream])} {pad}", f"{token}: {line}"
        assert when >= stamp, f"{token}: time goes back at {line}"
        stamp = when
