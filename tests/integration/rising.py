"""A load whose callers become more and fewer: each calls again as soon as it was answered, over a connection of its own."""
import threading


class Load:
    """make() -> a caller's own function, which calls once and returns what is kept. A caller that raises ends; end() raises the same."""

    def __init__(self, make):
        self.make, self.told, self.failed = make, [], []
        self.lock, self.wanted, self.callers = threading.Lock(), 0, []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.to(0)
        if kind is None and self.failed:
            raise self.failed[0]

    def run(self, number):
        try:
            call = self.make()
            while number < self.wanted:
                told = call()
                with self.lock:
                    self.told.append(told)
        except BaseException as failed:  # noqa: B902: told in the thread that waits
            self.failed.append(failed)

    def to(self, count):
        """So many callers from now on; those who are too many have ended when this returns."""
        over, self.callers = self.callers[count:], self.callers[:count]
        self.wanted = count
        for one in over:
            one.join()
        while len(self.callers) < count:
            self.callers.append(threading.Thread(target=self.run, args=(len(self.callers),)))
            self.callers[-1].start()
