"""What a command that runs for long needs of its process: a clock, signals, a log."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import Any, Final, Self

FORCED: Final = 1  # exit code of a process that was asked to end twice
OURS: Final = "plumbline"  # what the names of our own loggers begin with
SELDOM_SECONDS: Final = 60.0
MESSAGE_START: Final = 24  # characters: what follows may be a port or a name
SAME_REQUEST_SECONDS: Final = 0.5  # two signals within this are one request to stop
SLICE_SECONDS: Final = 0.1  # a wait notices a signal as late as this


class SystemClock:
    """The clocks of this machine; satisfies `service.ports.Clock`."""

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds from some moment on, never set back."""
        return time.monotonic()


class Signals:
    """SIGTERM and SIGINT: the first asks to stop, a second ends the process at once; satisfies `service.ports.Stop`."""

    def __init__(self) -> None:
        self._asked = False
        self._first = 0.0  # when the first came, by the monotonic clock
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self) -> bool:
        """Whether a signal came."""
        return self._asked

    def ask(self) -> None:
        """As a first signal does."""
        self._asked, self._first = True, time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep, until a signal comes at the latest."""
        end = time.monotonic() + seconds
        while not self._asked and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_SECONDS))

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked and time.monotonic() - self._first < SAME_REQUEST_SECONDS:
            return  # `timeout` and some supervisors signal the process and then its group: that is one request
        if self._asked:  # whatever the process waits for, it waits no longer; nothing more is written or committed
            os.write(2, b"plumbline: asked to end a second time: ended at once, without a commit\n")
            os._exit(FORCED)
        self._asked, self._first = True, time.monotonic()


class Hangup:
    """SIGHUP: a request to read the configuration again; it does not end a wait."""

    def __init__(self) -> None:
        self._came = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGHUP, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGHUP, self._before)

    def came(self) -> bool:
        """Whether a signal came since this was last asked."""
        came, self._came = self._came, False
        return came

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True


class Facts(logging.Formatter):
    """A line for an event: time, level, what happened, and its facts as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        facts: Mapping[str, object] = getattr(record, "facts", {})
        ours = record.name.startswith(OURS)
        words = " ".join([record.getMessage(), *(f"{name}={_shown(value)}" for name, value in facts.items())])
        line = f"{at} {record.levelname} {words if ours else f'{record.name}: {words}'}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Seldom(logging.Filter):
    """Lets a library say the same thing once a minute: in an outage the Kafka client says it eight times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be seen."""
        what = record.name, str(record.msg)[:MESSAGE_START]
        if record.name.startswith(OURS) or record.created - self._said.get(what, 0.0) >= SELDOM_SECONDS:
            self._said[what] = record.created
            return True
        return False


def log_to_stderr() -> None:
    """Send the program's log to standard error; of the Kafka client only what it warns of, and that seldom."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Facts())
    handler.addFilter(Seldom())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("kafka").setLevel(logging.WARNING)
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)  # warns of its own slow tasks on a busy machine


def _shown(value: object) -> str:
    """A fact on one line, in quotes where it is more than one word."""
    text = str(value)
    plain = text.isprintable() and not any(letter in text for letter in ' "=')
    return text if text and plain else json.dumps(text, ensure_ascii=False)
