"""Runs Python functions: loads the code once, then serves calls on the slot's own connection.

The process is started with its container, before the code is known. It inherits a control channel to the agent (3),
a memory file with the JSON of INIT (4) and one page that it shares with the agent (5); runtimes/agent/control.h
describes all three, ports/frames.h the frames on a slot.

    rehearse    a container that waits without code goes through all that a first call needs, and then says so
    load        main() imports the code that INIT names and answers on the control channel
    serve       one slot: this process serves it. More: it forks one worker per slot and goes on forking on demand
    each call   is served by the module _narae (_narae.c), which comes back here when the function has raised, and
                when the connection has ended
    errors      an exception of the function is told in ANSWER; what ends the process ends the container

What is imported here each start pays for, so it is the C modules behind json and socket: these two bring re, enum and
selectors, more than half of the interpreter's whole start. Before an archive comes first in the path, and in a container
that waits without code, the others are there as well, so that no file of the archive takes their place.
"""
import _json
import _socket
import gc
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(__file__))
import _narae

del sys.path[0]

CONTROL_FD, INIT_FD, PAGE_FD = 3, 4, 5

# control messages
CONTROL = struct.Struct("<IIQiI")
TO_REHEARSE, TO_INIT, TO_SERVE, TO_REDIALLED = ord("P"), ord("I"), ord("S"), ord("R")
BOOTED, LOADED, FORKED, LOST = ord("b"), ord("i"), ord("f"), ord("l")
TEXT_MAX_BYTES = 30 << 10
FDS_MAX, INT_BYTES = 8, 4

ACTION = os.environ.get("NARAE_ACTION", "/action")



class Grammar:
    """What the scanner behind json.loads() is told."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = {"-Infinity": -float("inf"), "Infinity": float("inf"), "NaN": float("nan")}.__getitem__


scan_once = _json.make_scanner(Grammar)


def not_serializable(value):
    raise TypeError(f"Object of type {value.__class__.__name__} is not JSON serializable")


def make_encoder(markers):
    """What JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False) makes anew for each text."""
    return _json.make_encoder(
        markers, not_serializable, _json.encode_basestring, None, ":", ",", False, False, False)


def compact(value):
    return "".join(make_encoder({})(value, 0))


def error_json(sentence):
    return compact({"error": sentence}).encode(errors="replace")


def described(error):
    try:
        return str(error)
    except Exception:
        return type(error).__name__


class Control:
    """One end of a control channel."""

    def __init__(self, fd):
        self.socket = _socket.socket(fileno=fd)

    def send(self, kind, slot=0, call=0, value=0, text=b""):
        text = text[:TEXT_MAX_BYTES]
        self.socket.send(CONTROL.pack(kind, slot, call, value, len(text)) + text)

    def redialled(self):
        """The slot's next connection."""
        while True:
            kind, _, _, fds = self.receive()
            if kind == TO_REDIALLED and fds:
                return fds[0]

    def receive(self):
        """(type, slot, value, descriptors); the agent's end means ours."""
        data, more, _, _ = self.socket.recvmsg(CONTROL.size, _socket.CMSG_LEN(FDS_MAX * INT_BYTES))
        if len(data) < CONTROL.size:
            os._exit(1)
        fds = []
        for level, what, passed in more:
            if level == _socket.SOL_SOCKET and what == _socket.SCM_RIGHTS:
                fds += struct.unpack(f"{len(passed) // INT_BYTES}i", passed)
        kind, slot, _, value, _ = CONTROL.unpack(data[: CONTROL.size])
        for fd in fds:
            os.set_inheritable(fd, False)
        return kind, slot, value, fds


def read_init():
    size = os.fstat(INIT_FD).st_size
    return scan_once(os.pread(INIT_FD, size, 0).decode("utf-8", "surrogatepass"), 0)[0]


def read_source(fd):
    with open(fd, "rb") as f:
        f.seek(0)
        return f.read()


def use_virtualenv():
    packages = os.path.join(
        ACTION, "virtualenv", "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    if os.path.isdir(packages):
        sys.path.insert(1, packages)


def know_the_library():
    """What functions use most, and the launcher for tracebacks."""
    import json, linecache, socket, traceback, types  # noqa: E401, F401


class Loaded:
    """Where tracebacks find the lines of a source that lies in no file."""

    def __init__(self, source):
        self.source = source

    def get_source(self, name):
        return self.source.decode(errors="replace")


def load(setup, code_fds):
    """The function to call, or None when the code does not compile; other errors are raised."""
    name = "__main__.py"
    if code_fds:
        source = read_source(code_fds[0])
    else:
        know_the_library()
        sys.path.insert(0, ACTION)
        use_virtualenv()
        name = os.path.join(ACTION, name)
        with open(name, "rb") as f:
            source = f.read()
    try:
        code = compile(source, name, "exec")
    except (SyntaxError, ValueError) as e:
        print_exception(e, None)
        return None
    module = type(sys)("main__")
    module.__file__ = name
    module.__loader__ = Loaded(source)
    sys.modules["main__"] = module
    exec(code, module.__dict__)
    function = getattr(module, setup["value"].get("main") or "main")
    if not callable(function):
        raise TypeError("the entry point is not a function")
    return function


def set_init_env(env):
    for key, value in env.items():
        try:
            os.environ[key] = value if isinstance(value, str) else compact(value)
        except (ValueError, OSError):
            pass  # no variable can have this name ("", "a=b"), or this text (a NUL in it)


def serve(function, setup, control, index, fd):
    """Serves the calls of one slot, for ever. The loop over its calls is _narae's."""
    markers = {}
    slot = _narae.Slot(
        function, scan_once, make_encoder(markers), markers, os.environ._data, answer_of, leave,
        PAGE_FD, index, control.socket.fileno(), setup.get("result_max_bytes", 1 << 20))
    while True:
        slot.serve(fd)
        os.close(fd)
        control.send(LOST, index)
        fd = control.redialled()


def answer_of(error):
    """The JSON for what the function raised; what is no Exception (sys.exit() and its like) ends the process.

    As stock clients know it: an application error with the exception's text; the traceback is in the log."""
    if not isinstance(error, Exception):
        leave(error)
    print_trace(error)
    return error_json(described(error))


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the function closed or replaced it


def leave(error):
    """Ends this process at once, with the status that SystemExit asks for."""
    code = error.code if isinstance(error, SystemExit) else None
    if error is not None and not isinstance(error, SystemExit):
        print_trace(error)
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    flush()
    os._exit((code or 0) & 0xFF)


def print_trace(error):
    """The traceback without our own frames."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    print_exception(error, trace)


def print_exception(error, trace):
    try:
        import traceback
    except Exception:
        sys.__excepthook__(type(error), error, trace)  # no descriptor is left to read it with, or no memory
        return
    try:
        traceback.print_exception(type(error), error, trace)
    except Exception:
        pass  # the function closed or replaced stderr


def fork_worker(function, setup, index, fds):
    """A worker of its own for a slot; the agent becomes its parent, because the process between ends at once."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        for fd in fds:
            os.close(fd)
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    slot_fd, out, err, control_fd = fds
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    os.close(CONTROL_FD)
    control = Control(control_fd)
    control.send(FORKED, index, value=os.getpid())
    serve(function, setup, control, index, slot_fd)


def initialize(control, setup, code_fds):
    """The function, having told the agent; on failure the agent is told that, and nothing more will come."""
    sentence = "Cannot start action. Check logs for details."
    function = None
    try:
        set_init_env(setup["value"].get("env") or {})
        function = load(setup, code_fds)
        if function is None:
            sentence = "The action failed to generate or locate a binary. See logs for details."
    except FileNotFoundError as e:
        if e.filename == os.path.join(ACTION, "__main__.py"):
            print("Zip file does not include __main__.py.", file=sys.stderr)
            sentence = "The action failed to generate or locate a binary. See logs for details."
        else:
            print_trace(e)
    except Exception as e:
        print_trace(e)
    except BaseException as e:
        leave(e)
    flush()
    gc.freeze()  # what is there now stays: no collection walks it, no fork copies it
    if function is None:
        control.send(LOADED, value=1, text=error_json(sentence))
    else:
        control.send(LOADED)
    return function


REHEARSED = b"""
import json, os, sys, time

class Thing:
    def __init__(self, a):
        self.a = {k: v for k, v in sorted(a.items())}

def main(args):
    text = f"{len(args)} {args.get('a')}"
    return {**Thing(args).a, "text": text.encode().decode(), "t": time.time() > 0}
"""


def rehearse():
    """What INIT and a call do, with a function of ours: what is loaded, compiled and touched for the first time is so now."""
    know_the_library()
    read_source(os.open(__file__, os.O_RDONLY | os.O_CLOEXEC))
    os.pread(INIT_FD, os.fstat(INIT_FD).st_size, 0)
    setup = scan_once('{"value":{"main":"main","env":{"__OW_ACTION_NAME":"/_/r"}},"slots":1}', 0)[0]
    set_init_env(setup["value"]["env"])
    module = type(sys)("main__")
    sys.modules["main__"] = module
    exec(compile(REHEARSED, "r", "exec"), module.__dict__)
    markers = {}
    value, _ = scan_once('{"a":[1,2.5,"b"],"c":{"d":null}}', 0)
    make_encoder(markers)(getattr(module, "main")(value), 0)
    del os.environ["__OW_ACTION_NAME"], sys.modules["main__"]
    flush()


def main():
    for fd in (CONTROL_FD, INIT_FD, PAGE_FD):
        os.set_inheritable(fd, False)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    control = Control(CONTROL_FD)
    function, setup, slots = None, None, 1
    while True:
        kind, index, value, fds = control.receive()
        if kind == TO_REHEARSE:
            rehearse()
            os.close(fds[0])
            control.send(BOOTED)
        elif kind == TO_INIT:
            slots, setup = value, read_init()
            function = initialize(control, setup, fds)
        elif kind == TO_SERVE and function and slots == 1:
            serve(function, setup, control, index, fds[0])
        elif kind == TO_SERVE and function:
            fork_worker(function, setup, index, fds)


main()
