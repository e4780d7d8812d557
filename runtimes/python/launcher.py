"""Runs Python functions: loads the code once, then serves calls on the slot's own connection.

The process is started with its container, before the code is known. It inherits a control channel to the agent (3),
a memory file with the JSON of INIT (4) and one page that it shares with the agent (5); runtimes/agent/control.h
describes all three, ports/frames.h the frames on a slot.

    load        main() imports the code that INIT names and answers on the control channel
    serve       one slot: this process serves it. More: it forks one worker per slot and goes on forking on demand
    each call   read RUN, set __OW_* variables, call the function, write ANSWER. A call that logged nothing also gets
                its END from here, in the same write; else the agent adds LOG and END
    errors      an exception of the function is told in ANSWER and the container is used no more
"""
import fcntl
import json
import linecache
import mmap
import os
import socket
import struct
import sys
import traceback
import types

CONTROL_FD, INIT_FD, PAGE_FD = 3, 4, 5

# frames
INIT_DONE, ANSWER, END, INIT, RUN = 2, 3, 5, 16, 17
FAILED, TRUNCATED = 2, 4
OK, TAINTED = 0, 3
HEAD = struct.Struct("<IBBHQ")
END_OK = struct.pack("<BxxxI", OK, 0)
READ_BYTES = 64 << 10

# control messages
CONTROL = struct.Struct("<IIQiI")
TO_INIT, TO_SERVE, TO_REDIALLED = ord("I"), ord("S"), ord("R")
LOADED, FORKED, DONE, LOST = ord("i"), ord("f"), ord("d"), ord("l")
TEXT_MAX_BYTES = 30 << 10

# one slot's line of the shared page, in 32-bit words
LINE_WORDS, ACTIVITY, ANSWERING, CALL, BEGUN, ENDED = 16, 0, 1, 2, 4, 5

FIONREAD = 0x541B
ACTION = os.environ.get("NARAE_ACTION", "/action")

compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


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
        self.socket = socket.socket(fileno=fd)

    def send(self, kind, slot=0, call=0, value=0, text=b""):
        text = text[:TEXT_MAX_BYTES]
        self.socket.send(CONTROL.pack(kind, slot, call, value, len(text)) + text)

    def receive(self):
        """(type, slot, value, descriptors); the agent's end means ours."""
        data, fds, _, _ = socket.recv_fds(self.socket, CONTROL.size, 8)
        if len(data) < CONTROL.size:
            os._exit(1)
        kind, slot, _, value, _ = CONTROL.unpack(data[: CONTROL.size])
        for fd in fds:
            os.set_inheritable(fd, False)
        return kind, slot, value, fds


def read_init():
    size = os.fstat(INIT_FD).st_size
    return json.loads(os.pread(INIT_FD, size, 0))


def read_source(fd):
    with open(fd, "rb") as f:
        f.seek(0)
        return f.read()


def use_virtualenv():
    packages = os.path.join(
        ACTION, "virtualenv", "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    if os.path.isdir(packages):
        sys.path.insert(1, packages)


def load(setup, code_fds):
    """The function to call, or None when the code does not compile; other errors are raised."""
    name = "__main__.py"
    if code_fds:
        source = read_source(code_fds[0])
        linecache.cache[name] = (len(source), None,
                                 source.decode(errors="replace").splitlines(True), name)
    else:
        sys.path.insert(0, ACTION)
        use_virtualenv()
        name = os.path.join(ACTION, name)
        with open(name, "rb") as f:
            source = f.read()
    try:
        code = compile(source, name, "exec")
    except (SyntaxError, ValueError):
        traceback.print_exc(limit=0)
        return None
    module = types.ModuleType("main__")
    module.__file__ = name
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


# A call's variables stand in os.environ. The C library's environment, which children get, follows only when the function is about to
# make a child: putenv keeps every value it was ever given, so one variable a call would fill the memory.
MAKES_A_CHILD = frozenset(("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"))


def before_a_child(event, _arguments):
    if event in MAKES_A_CHILD:
        for name, value in list(os.environ._data.items()):
            if name.startswith(b"__OW_"):
                os.putenv(name, value)


class Slot:
    """Serves the calls of one slot, for ever."""

    def __init__(self, function, setup, control, page, index):
        self.function = function
        self.limit = setup.get("result_max_bytes", 1 << 20)
        self.control = control
        self.words = page.cast("I")
        self.calls = page.cast("Q")
        self.index = index
        self.line = index * LINE_WORDS
        self.streams = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (1, 2)]
        self.unread = bytearray(4)
        self.env = {}
        self.pid = os.getpid()

    def serve(self, fd):
        words, line = self.words, self.line
        call_word = (line + CALL) // 2
        while True:
            head, payload = self.next_frame(fd)
            if head is None:
                fd = self.redialled(fd)
                continue
            kind, call = head
            if kind != RUN:
                self.refuse(fd, call)
                continue
            self.calls[call_word] = call
            words[line + BEGUN] = (words[line + BEGUN] + 1) & 0xFFFFFFFF
            activity = words[line + ACTIVITY]
            body, flags, verdict = self.call(payload)
            payload = None
            self.answer(fd, call, body, flags, verdict, activity)

    def next_frame(self, fd):
        """((type, call), payload), or (None, None) at the end of the connection."""
        try:
            data = os.read(fd, READ_BYTES)
            while 0 < len(data) < HEAD.size:
                more = os.read(fd, READ_BYTES)
                if not more:
                    return None, None
                data += more
            if not data:
                return None, None
            length, kind, _, _, call = HEAD.unpack_from(data)
            if len(data) == HEAD.size + length:
                return (kind, call), data[HEAD.size:]
            whole = bytearray(HEAD.size + length)
            at = len(data)
            whole[:at] = data
            view = memoryview(whole)
            while at < len(whole):
                n = os.readv(fd, [view[at:]])
                if n == 0:
                    return None, None
                at += n
            view.release()
            return (kind, call), whole[HEAD.size:]
        except ConnectionError:
            return None, None

    def redialled(self, fd):
        os.close(fd)
        self.control.send(LOST, self.index)
        while True:
            kind, _, _, fds = self.control.receive()
            if kind == TO_REDIALLED and fds:
                return fds[0]

    def set_env(self, args):
        env, variables = self.env, os.environ._data
        for key, value in args.items():
            if key != "value" and env.get(key) != value:
                env[key] = value
                text = value if isinstance(value, str) else compact(value)
                variables[b"__OW_" + key.upper().encode()] = os.environ.encodevalue(text)
        if len(env) != len(args) - 1:
            for key in [k for k in env if k not in args]:
                del env[key]
                os.environ.pop("__OW_" + key.upper(), None)

    def call(self, payload):
        """(bytes of the answer, its flags, verdict)"""
        try:
            args = json.loads(payload)
            self.set_env(args)
            value = args["value"]
            if not isinstance(value, (dict, list)):
                return error_json(
                    "The action did not receive a dictionary or array as an argument."), FAILED, TAINTED
            result = self.function(value)
            self.one_process()
            if not isinstance(result, (dict, list)):
                return error_json("The action did not return a dictionary or array."), FAILED, TAINTED
            return compact(result).encode(), 0, OK
        except Exception as e:
            self.one_process()
            print_trace(e)
            # as stock clients know it: an application error with the exception's text; the traceback is in the log
            return error_json(described(e)), 0, TAINTED
        except BaseException as e:  # sys.exit() and its like end the process, as they say
            leave(e)

    def one_process(self):
        """A child that the function forked must not answer in its parent's place."""
        if os.getpid() != self.pid:
            leave(None)

    def logged_nothing(self, activity):
        """The argument why this is enough is in runtimes/agent/control.h; the order matters."""
        unread = self.unread
        for fd in self.streams:
            fcntl.ioctl(fd, FIONREAD, unread)
            if unread != b"\0\0\0\0":
                return False
        return activity & 1 == 0 and self.words[self.line + ACTIVITY] == activity

    def answer(self, fd, call, body, flags, verdict, activity):
        words, line = self.words, self.line
        if len(body) > self.limit:
            flags |= TRUNCATED
            body = struct.pack("<Q", len(body)) + body[: self.limit]
        parts = [HEAD.pack(len(body), ANSWER, flags, 0, call), body]
        flush()
        alone = verdict == OK and self.logged_nothing(activity)
        if alone:
            parts.append(HEAD.pack(len(END_OK), END, 0, 0, call))
            parts.append(END_OK)
        words[line + ANSWERING] = 1
        if alone:  # before the write: the host may hang up as soon as it has END, and must not seem to cut a call
            words[line + ENDED] = (words[line + ENDED] + 1) & 0xFFFFFFFF
        write_all(fd, parts)
        words[line + ANSWERING] = 0
        if not alone:
            self.control.send(DONE, self.index, call, verdict)

    def refuse(self, fd, call):
        text = error_json("Cannot initialize the action more than once.")
        write_all(fd, [HEAD.pack(len(text), INIT_DONE, FAILED, 0, call), text,
                       HEAD.pack(len(END_OK), END, 0, 0, call), END_OK])


def write_all(fd, parts):
    """Everything, or as much as the host still takes; that it is gone shows at the next read."""
    try:
        done = os.writev(fd, parts)
        left = sum(map(len, parts)) - done
        if left:
            rest = memoryview(b"".join(parts))[done:]
            while rest:
                rest = rest[os.write(fd, rest):]
    except (BrokenPipeError, ConnectionError):
        pass


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
    try:
        traceback.print_exception(type(error), error, trace)
    except Exception:
        pass  # the function closed or replaced stderr


def fork_worker(function, setup, page, index, fds):
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
    Slot(function, setup, control, page, index).serve(slot_fd)


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
    if function is None:
        control.send(LOADED, value=1, text=error_json(sentence))
    else:
        control.send(LOADED)
    return function


def main():
    for fd in (CONTROL_FD, INIT_FD, PAGE_FD):
        os.set_inheritable(fd, False)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.addaudithook(before_a_child)
    page = memoryview(mmap.mmap(PAGE_FD, 4096))
    control = Control(CONTROL_FD)
    function, setup, slots = None, None, 1
    while True:
        kind, index, value, fds = control.receive()
        if kind == TO_INIT:
            slots, setup = value, read_init()
            function = initialize(control, setup, fds)
        elif kind == TO_SERVE and function and slots == 1:
            Slot(function, setup, control, page, index).serve(fds[0])
        elif kind == TO_SERVE and function:
            fork_worker(function, setup, page, index, fds)


main()
