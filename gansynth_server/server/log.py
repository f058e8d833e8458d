"""The log: named loggers, lines that nobody waits for, and floods that become a count.

Lines are written by a thread of their own, so a terminal that stands still
holds nothing up. Of one kind of line of one source, one a second is
written; the next of them tells how many were not.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from gansynth_server.errors import UserError

ROOT = "gansynth_server"
NAMES = (
    *("osc", "osc.in", "osc.out", "dump", "clients", "receiver", "server", "handlers"),
    *("render", "audio", "synth", "timbre", "midi", "discovery", "watchdog"),
)
"""What --log knows, without the package's name before it."""
LEVELS = {
    "blocks": logging.DEBUG - 1,
    **{name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")},
}
_VERBOSITY = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.DEBUG, 2: logging.DEBUG - 1}

PAUSE = 1.0
"""Seconds from one line of a kind and source to the next."""
MOST = 20
"""Lines a second in all that are no debugging."""
MOST_DEBUG = 500
"""Lines a second of debugging, and of /dump."""
MOST_KINDS = 256
MOST_WAITING = 2000
"""Lines that may wait to be written; further ones are counted."""


class Calm:
    """Lets through as many lines as can be read, and counts the others; any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.spared = 0
        """Lines that were not let through."""
        self._clock = clock
        self._kinds: OrderedDict[object, tuple[float, int]] = OrderedDict()
        self._second = 0
        self._lines = {False: 0, True: 0}
        self._lock = threading.Lock()

    def passes(self, record: logging.LogRecord) -> int | None:
        """How many of its kind were not let through before this one; None if it is not either."""
        now = self._clock()
        chatty = record.levelno < logging.INFO or record.name == f"{ROOT}.dump"
        with self._lock:
            if int(now) != self._second:
                self._second, self._lines = int(now), {False: 0, True: 0}
            kind = record.name, record.msg, getattr(record, "source", None)
            told, hidden = self._kinds.pop(kind, (-PAUSE, 0))
            full = self._lines[chatty] >= (MOST_DEBUG if chatty else MOST)
            if full or (not chatty and now - told < PAUSE):
                self._kinds[kind] = told, hidden + 1
                self.spared += 1
                self._forget()
                return None
            self._lines[chatty] += 1
            self._kinds[kind] = now, 0
            self._forget()
        return hidden

    def _forget(self) -> None:
        if len(self._kinds) > MOST_KINDS:
            self._kinds.popitem(last=False)


class Writer(logging.Handler):
    """Hands lines to a thread that writes them."""

    def __init__(self, calm: Calm) -> None:
        super().__init__()
        self._calm = calm
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        hidden = self._calm.passes(record)
        if hidden is None:
            return
        if self._lines.qsize() >= MOST_WAITING:
            self._calm.spared += 1
            return
        try:
            more = f" (and {hidden} more like it)" if hidden else ""
            self._lines.put(self.format(record) + more)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Writes what waits, for a second at most."""
        self._lines.put(None)
        self._thread.join(timeout=1.0)
        super().close()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()
            except (OSError, ValueError):  # whoever read it has gone
                pass


def set_up(verbosity: int, levels: Sequence[str] = ()) -> Calm:
    """Begins to log to stderr.

    Args:
        verbosity: -1 … 2, see :class:`ServerOptions`.
        levels: of single loggers, as ``osc.in=debug``.

    Returns:
        What counts the lines that were not written.

    Raises:
        UserError: a logger or a level that there is not.
    """
    chosen = dict(_level(text) for text in levels)
    calm = Calm()
    writer = Writer(calm)
    writer.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(level=_VERBOSITY.get(verbosity, logging.WARNING), handlers=[writer])
    for name, level in chosen.items():
        logging.getLogger(f"{ROOT}.{name}").setLevel(level)
    return calm


def _level(text: str) -> tuple[str, int]:
    name, _, level = text.partition("=")
    if name not in NAMES:
        raise UserError(f"--log knows no {name!r}; there are {', '.join(NAMES)}")
    if level not in LEVELS:
        raise UserError(f"--log {name}= takes {', '.join(LEVELS)}, not {level!r}")
    return name, LEVELS[level]
