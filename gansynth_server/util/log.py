"""The log: named loggers, lines written by a thread of their own, and floods that become a count.

A terminal that stands still holds up that thread alone. Of one kind of line from
one source, one a second is written; the next of them tells how many were not.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from logging.handlers import QueueHandler, QueueListener
from typing import Any

from gansynth_server.errors import UserError

FORMAT = "%(asctime)s %(name)s: %(message)s%(more)s"
ROOT = "gansynth_server"
LOGGERS = {
    **{name: name for name in ("osc", "osc.in", "osc.out", "dump", "clients")},
    **{name: name for name in ("server", "handlers", "net", "instrument", "midi", "render")},
    **{name: name for name in ("audio", "engine", "synth", "recording", "failures", "page")},
    "receiver": "server.receiver",
    "discovery": "server.oscquery",
    "timbre": "instrument.morphing",
    "watchdog": "engine.watchdog",
}
"""Names that --log takes → the logger that each sets, without the package's name before it."""
LEVELS = {
    "blocks": logging.DEBUG - 1,
    **{name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")},
}
_VERBOSITY = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.DEBUG, 2: logging.DEBUG - 1}

PAUSE = 1.0
"""Time (s) from one line of a kind and source to the next."""
MAX_LINES = 20
"""Lines a second in all, debugging left out."""
MAX_DEBUG = 500
"""Lines a second of debugging, and of /dump."""
MAX_KINDS = 256
MAX_WAITING = 2000
"""Lines that may wait to be written; further ones are only counted."""


class LogThrottle:
    """Passes as many lines as can be read, and counts the others; any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.spared = 0
        """Lines that did not pass, or found no room."""
        self._clock = clock
        self._kinds: OrderedDict[object, tuple[float, int]] = OrderedDict()
        self._second = 0
        self._lines = {False: 0, True: 0}
        self._lock = threading.Lock()

    def passes(self, record: logging.LogRecord) -> int | None:
        """Return how many of its kind did not pass before this one; None if it does not either."""
        now = self._clock()
        chatty = record.levelno < logging.INFO or record.name == f"{ROOT}.dump"
        with self._lock:
            if int(now) != self._second:
                self._second, self._lines = int(now), {False: 0, True: 0}
            kind = record.name, record.msg, getattr(record, "source", None)
            passed, hidden = self._kinds.pop(kind, (-PAUSE, 0))
            full = self._lines[chatty] >= (MAX_DEBUG if chatty else MAX_LINES)
            if full or (not chatty and now - passed < PAUSE):
                self._kinds[kind] = passed, hidden + 1
                self.spared += 1
                self._forget()
                return None
            self._lines[chatty] += 1
            self._kinds[kind] = now, 0
            self._forget()
        return hidden

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record passes; its ``more`` says how many did not before it."""
        hidden = self.passes(record)
        record.more = f" (and {hidden} more like it)" if hidden else ""
        return hidden is not None

    def _forget(self) -> None:
        if len(self._kinds) > MAX_KINDS:
            self._kinds.popitem(last=False)


class LogHandler(QueueHandler):
    """Hands lines to the thread of a :class:`StderrListener`; never waits for it."""

    def __init__(self, throttle: LogThrottle) -> None:
        self._throttle = throttle
        self._lines: queue.SimpleQueue[Any] = queue.SimpleQueue()
        super().__init__(self._lines)
        self._listener = StderrListener(self._lines)
        self._listener.start()
        self.addFilter(throttle.filter)
        self.setFormatter(logging.Formatter(FORMAT, defaults={"more": ""}))

    def enqueue(self, record: logging.LogRecord) -> None:
        # the queue has no bound of its own, so that the listener's end always fits in
        if self._lines.qsize() >= MAX_WAITING:
            self._throttle.spared += 1
        else:
            super().enqueue(record)

    def close(self) -> None:
        """Write what waits, for a second at most."""
        self._listener.stop()
        super().close()


class StderrListener(QueueListener):
    """Writes the lines of a queue to stderr, on a thread of its own."""

    def start(self) -> None:
        super().start()
        if self._thread is not None:
            self._thread.name = "log"

    def handle(self, record: logging.LogRecord) -> None:
        # not by a StreamHandler: logging.shutdown waits for its lock, and so for a blocked stderr
        try:
            sys.stderr.write(f"{record.getMessage()}\n")
            sys.stderr.flush()
        except (OSError, ValueError):  # its reader has gone
            pass

    def stop(self) -> None:
        """End the thread once it has written what waits, or after a second."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self.enqueue_sentinel()
            thread.join(timeout=1.0)


def set_up(verbosity: int, levels: Sequence[str] = ()) -> LogThrottle:
    """Begin to log to stderr.

    Args:
        verbosity: -1 … 2, see :class:`ServerOptions`.
        levels: of single loggers, as ``osc.in=debug``.

    Returns:
        the throttle, which counts the lines that were not written.

    Raises:
        UserError: no such logger, or no such level.
    """
    chosen = dict(_level(text) for text in levels)
    throttle = LogThrottle()
    level = _VERBOSITY.get(verbosity, logging.WARNING)
    logging.basicConfig(level=level, handlers=[LogHandler(throttle)])
    for name, level in chosen.items():
        logging.getLogger(f"{ROOT}.{LOGGERS[name]}").setLevel(level)
    return throttle


def _level(text: str) -> tuple[str, int]:
    name, _, level = text.partition("=")
    if name not in LOGGERS:
        raise UserError(f"--log knows no {name!r}; there are {', '.join(LOGGERS)}")
    if level not in LEVELS:
        raise UserError(f"--log {name}= takes {', '.join(LEVELS)}, not {level!r}")
    return name, LEVELS[level]
