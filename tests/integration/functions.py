"""Functions that the tests deploy, by language. `who` tells one container from another."""

ECHO = {
    "python:3": "def main(args):\n    return args\n",
    "nodejs:18": "function main(args) { return args }\n",
    "native": "#!/bin/sh\ncat\n",
}

HELLO = {
    "python:3": """
def main(args):
    print("greeting", args.get("name", "nobody"))
    return {"greeting": "Hello, %s!" % args.get("name", "nobody")}
""",
    "nodejs:18": """
function main(args) {
    console.log('greeting', args.name || 'nobody')
    return {greeting: `Hello, ${args.name || 'nobody'}!`}
}
""",
    "native": """#!/bin/sh
read -r args
name=$(printf %s "$args" | sed -n 's/.*"name" *: *"\\([^"]*\\)".*/\\1/p')
echo "greeting ${name:-nobody}"
echo "{\\"greeting\\": \\"Hello, ${name:-nobody}!\\"}"
""",
}

# Does as it is told; `who` is the container's own.
TROUBLE = {
    "python:3": """
import os, sys, time, uuid
who = str(uuid.uuid4())
def main(args):
    do = args.get("do")
    if do == "throw":
        raise ValueError("boom")
    if do == "error":
        return {"error": "as asked", "other": 1}
    if do == "number":
        return 5
    if do == "array":
        return [1, {"two": 2}]
    if do == "exit":
        os._exit(3)
    if do == "sleep":
        time.sleep(args["seconds"])
    if do == "memory":
        hold = []
        while True:
            hold.append(bytearray(8 << 20))
    if do == "log":
        for i in range(args["lines"]):
            print("line %07d %s" % (i, "x" * 80))
    if do == "big":
        return {"big": "x" * args["bytes"]}
    if do == "both":
        print("to stdout")
        print("to stderr", file=sys.stderr)
    return {"who": who}
""",
    "nodejs:18": """
const who = require('crypto').randomUUID()
function main(args) {
    switch (args.do) {
    case 'throw': throw new Error('boom')
    case 'error': return {error: 'as asked', other: 1}
    case 'number': return 5
    case 'array': return [1, {two: 2}]
    case 'exit': process.exit(3)
    case 'sleep': return new Promise(done => setTimeout(() => done({who}), args.seconds * 1000))
    case 'memory': { const hold = []; for (;;) hold.push(Buffer.alloc(8 << 20, 1)) }
    case 'log': for (let i = 0; i < args.lines; i++)
        console.log('line ' + String(i).padStart(7, '0') + ' ' + 'x'.repeat(80)); break
    case 'big': return {big: 'x'.repeat(args.bytes)}
    case 'both': console.log('to stdout'); console.error('to stderr'); break
    }
    return {who}
}
""",
    "native": """#!/bin/bash
read -r args
do=$(printf %s "$args" | sed -n 's/.*"do" *: *"\\([a-z]*\\)".*/\\1/p')
value() { printf %s "$args" | sed -n "s/.*\\"$1\\" *: *\\([0-9.]*\\).*/\\1/p"; }
case $do in
error) echo '{"error": "as asked", "other": 1}'; exit ;;
number) echo 5; exit ;;
array) echo '[1, {"two": 2}]'; exit ;;
nothing) exit ;;
exit) exit 3 ;;
sleep) sleep "$(value seconds)" ;;
memory) exec tail /dev/zero ;;
log) seq "$(value lines)" | sed "s/.*/line &  $(printf 'x%.0s' $(seq 80))/" ;;
big) printf '{"big": "'; head -c "$(value bytes)" /dev/zero | tr '\\0' x; echo '"}'; exit ;;
both) echo "to stdout"; echo "to stderr" >&2 ;;
esac
echo "{\\"who\\": \\"$HOSTNAME\\"}"
""",
}

KINDS = list(ECHO)

# What kind a document shows for each.
SHOWN_KIND = {"python:3": "python:3", "nodejs:18": "nodejs:18", "native": "blackbox"}
