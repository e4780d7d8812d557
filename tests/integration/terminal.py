"""Runs a program on a terminal of its own: a pseudo-terminal with a size, somebody who answers, a screen that is read."""
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
import unicodedata

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(text):
    return ESCAPE.sub("", text).replace("\r", "")


def width(text):
    """Columns that a terminal shows it in."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in text)


class Terminal:
    """`text` is all that was written to it, the three channels of the program together."""

    def __init__(self, words, columns=80, rows=24, **popen):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **popen)
        os.close(slave)
        self.octets = b""

    @property
    def text(self):
        return self.octets.decode(errors="replace")

    def read(self, seconds):
        """More of the output; False at its end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            more = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            more = b""
        self.octets += more
        return bool(more)

    def until(self, pattern, seconds=60, times=1):
        """Reads until the pattern was written so many times."""
        end = time.monotonic() + seconds
        while len(re.findall(pattern, self.text)) < times:
            assert time.monotonic() < end, f"not written within {seconds} s: {pattern}\n{self.text}"
            assert self.read(0.2), f"it ended without {pattern}:\n{self.text}"
        return self

    def type(self, text):
        os.write(self.master, text.encode())
        return self

    def end(self, seconds=60):
        """Exit status, when all was read."""
        end = time.monotonic() + seconds
        while self.read(0.2):
            assert time.monotonic() < end, f"it did not end within {seconds} s:\n{self.text}"
        return self.process.wait(max(1, end - time.monotonic()))

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.master)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
