from threading import Event, Thread

from pipeline.cli.notify import run_until_asked
from pipeline.cli.process import Signals


class Asked(Signals):
    """A signal that comes during the first wait, which goes on until the threads have seen it."""

    def __init__(self, threads):
        super().__init__()
        self._seen, self._threads = Event(), threads

    def ask(self):
        super().ask()
        self._seen.set()

    def wait(self, seconds):
        self.ask()
        for thread in self._threads:
            thread.join(seconds)

    def until(self):
        self._seen.wait(60.0)


def test_threads_that_end_because_a_signal_came_have_not_failed():
    threads = []
    stop = Asked(threads)
    threads += [Thread(target=stop.until, daemon=True) for _ in range(2)]

    assert run_until_asked(threads, stop)


def test_a_thread_that_ends_by_itself_has_failed_and_ends_the_others():
    stop = Signals()
    others = Event()
    failing = Thread(target=lambda: None, daemon=True)
    telling = Thread(target=others.wait, args=(60.0,), daemon=True)
    stop.ask = others.set

    assert not run_until_asked([failing, telling], stop)
    assert not telling.is_alive()
