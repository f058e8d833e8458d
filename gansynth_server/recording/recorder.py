"""The recording of one bus: its sound, and the messages that brought it about."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from gansynth_server.engine.events import Event, Ran, Tapped, Untapped
from gansynth_server.engine.handle import BusHandle
from gansynth_server.engine.tap import EngineTap
from gansynth_server.errors import UserError
from gansynth_server.instrument.client import ActiveNote, Client, NoteId
from gansynth_server.recording.client_state import Words, flat, state
from gansynth_server.recording.files import Files

WRITE_PERIOD_S = 0.1
"""Time (s) from one look for something to write to the next."""
MAX_SECONDS = 3600.0
"""Length (s) of a recording."""
MAX_WORDS = 2_000_000
"""Addresses and arguments of all messages of a recording."""

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Cause:
    """A message: its client, when it was handled, and the time it was meant for (None: at once)."""

    number: int
    client: int
    words: Words
    asked: float
    when: float | None
    sample: int | None = None
    """Sample before which the first of its commands ran, or the start of its note."""
    begun: bool = False
    """Whether a note of it was started."""
    ended: list[tuple[int, NoteId]] = field(default_factory=list)
    """Samples and ids of notes that it released at once."""


class Recorder:
    """Writes what is heard on a bus and the messages that brought it about.

    Threads: ``asked`` belongs to the one that handles messages, ``hear`` to the one that is told
    what the engine does; a thread of the recorder's own reads the ring and writes.

    Args:
        tap: how the engine copies the sound.
        done: is told the length (s), the number of frames lost, and why all is lost.
    """

    def __init__(
        self,
        bus: BusHandle,
        tap: EngineTap,
        files: Files,
        checkpoint: str,
        done: Callable[[float, int, str], None],
    ) -> None:
        self.bus = bus
        self._tap, self._files, self._done = tap, files, done
        self._setting = {
            "checkpoint": checkpoint,
            "rate": bus.rate,
            "channels": bus.channels,
            "max_voices": bus.voices,
        }
        self._causes: list[Cause] = []
        self._numbers = count(1)
        self._recent: dict[int, Cause] = {}  # by number
        self._clients: set[int] = set()
        self._words = 0
        self._written = self._lost = 0
        self._start = 0
        self._origin: float | None = None
        self._then: Callable[[], None] = lambda: None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    def start(self, clients: list[Client], now: float) -> None:
        """Begin; these clients are heard on the bus."""
        for client in clients:
            self._introduce(client, now)
        self._thread.start()

    def stop(self, then: Callable[[], None] | None = None) -> None:
        """End with the last block; ``done``, and ``then``, are called when the files are ready.

        May be called from any thread, but with ``then`` only once.
        """
        if then is not None:
            self._then = then
        self._tap.close()

    def join(self) -> None:
        """Wait until the files are ready."""
        self._thread.join(timeout=10)

    # the thread that handles messages

    def asked(self, client: Client, words: Words, now: float, when: float | None) -> Cause | None:
        """Record a message that is about to be handled; None if there are too many."""
        if self._words >= MAX_WORDS:
            return None
        self._words += len(words)
        if client.number not in self._clients:
            self._introduce(client, now)
        cause = self._add(client, words, now, when)
        self._recent[cause.number] = cause
        return cause

    def failed(self, cause: Cause) -> None:
        """Forget a message that could not be handled."""
        self._words -= len(cause.words)
        del self._recent[cause.number]
        if self._causes[-1] is cause:  # as a rule
            self._causes.pop()
        else:
            self._causes.remove(cause)

    def _introduce(self, client: Client, now: float) -> None:
        """Record the settings of a client, before its first message."""
        self._clients.add(client.number)
        for words in state(client, now):
            self._add(client, words, now, None)

    def _add(self, client: Client, words: Words, now: float, when: float | None) -> Cause:
        cause = Cause(next(self._numbers), client.number, words, now, when)
        self._causes.append(cause)
        return cause

    # the thread that is told what the engine does

    def hear(self, event: Event, released: ActiveNote | None) -> None:
        """Take note of what the engine did.

        Args:
            released: note that was released, if any.
        """
        match event:
            case Tapped(_, sample, seconds):
                self._start, self._origin = sample, seconds
            case Ran(_, number, sample, starts):
                cause = self._recent.get(number)
                if cause is not None:
                    self._ran(cause, sample, starts, released)
            case Untapped(_, lost):
                self.end(lost)

    def _ran(self, cause: Cause, sample: int, starts: bool, released: ActiveNote | None) -> None:
        if cause.sample is None or starts:
            cause.sample, cause.begun = sample, starts
        if released is not None and released.cause != cause.number:
            cause.ended.append((sample, released.id))

    def end(self, lost: int = 0) -> None:
        """Write what has come, and end: no block follows."""
        self._lost = lost
        self._ending.set()

    # its own thread

    def _run(self) -> None:
        why, ended = "", False
        try:
            while not ended:
                ended = self._ending.wait(WRITE_PERIOD_S)
                sound = self._tap.ring.read()
                if sound.size:
                    self._files.write(sound)
                self._written += sound.shape[1]
                if self._written > MAX_SECONDS * self.bus.rate:
                    self.stop()
            self._files.close(self._lines())
        except (OSError, RuntimeError, UserError) as error:
            self.stop()
            why = str(error)
        except Exception as error:
            _log.exception("a recording failed")
            self.stop()
            why = repr(error)
        self._tap.free()
        self._done(self._written / self.bus.rate, self._lost, why)
        self._then()

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Return the lines of the score (see :class:`Event`), in the order of handling."""
        yield {"setting": self._setting}
        rate, origin = self.bus.voices_rate, self._origin or 0.0

        def line(cause: Cause, sample: int, words: Words) -> dict[str, Any]:
            made = {
                "time": max(0, sample - self._start) / rate,
                "message": list(flat(words)),
                "client": cause.client,
                "asked": cause.asked - origin,
            }
            return made if cause.when is None else {**made, "when": cause.when - origin}

        for cause in list(self._causes):
            when = cause.asked if cause.when is None else cause.when
            sample = self._start + round((when - origin) * rate)
            if cause.sample is not None:
                sample = cause.sample
            # a note of the same id was released before this one began
            if cause.begun:
                for released, id in cause.ended:
                    if released < sample:
                        yield line(cause, released, ("/note/off", id))
            yield line(cause, sample, cause.words)
