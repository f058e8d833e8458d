"""The recording of one bus: its sound, and the messages that brought it about."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.instrument.client import Client
from gansynth_server.recording.client_state import Words, flat, state
from gansynth_server.recording.files import Files
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import NoteId
from gansynth_server.synth.timeline import Entry
from gansynth_server.util import yielding_json

MAX_BACKLOG_S = 10.0
"""Sound (s) that may wait to be written; what comes then is lost."""
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

    client: int
    words: Words
    asked: float
    when: float | None
    unfinished: bool = False
    """Whether it is being handled: what comes of it takes effect together (:class:`Timeline`)."""
    sample: int | None = None
    """Sample before which the first of its commands ran, or the start of its note."""
    begun: bool = False
    """Whether a note of it was started."""
    ended: list[tuple[int, NoteId]] = field(default_factory=list)
    """Samples and ids of notes that it released at once."""


class Recorder:
    """Listens to a bus, and writes what is heard and the messages that brought it about.

    Threads: ``asked`` belongs to the one that handles messages, the methods of a
    :class:`Tap` to the audio thread; both only append to lists, and a thread of the
    recorder's own writes.

    Args:
        done: is told the length (s), the number of frames lost, and why all is lost.
    """

    def __init__(
        self, bus: Bus, files: Files, checkpoint: str, done: Callable[[float, int, str], None]
    ) -> None:
        self.bus = bus
        self._files, self._done = files, done
        self._setting = {
            "checkpoint": checkpoint,
            "rate": bus.rate,
            "channels": bus.channels,
            "max_voices": bus.voices.count,
        }
        self._blocks: deque[NDArray[np.float32]] = deque()
        self._causes: list[Cause] = []
        self._clients: set[int] = set()
        self._words = 0
        self._frames = self._written = self._lost = 0
        self._start = 0
        self._origin: float | None = None
        self._then: Callable[[], None] = lambda: None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    def start(self, clients: list[Client], now: float) -> None:
        """Begin with the next block; these clients are heard on the bus."""
        for client in clients:
            self._introduce(client, now)
        self._thread.start()
        self.bus.tap = self

    def stop(self, then: Callable[[], None] = lambda: None) -> None:
        """End with the last block; ``done``, and ``then``, are called when the files are ready.

        May be called from any thread, but with ``then`` only once.
        """
        if self.bus.tap is self:
            self.bus.tap = None
        self._then = then
        self._ending.set()

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
        cause = Cause(client.number, words, now, when, unfinished=True)
        self._causes.append(cause)
        return cause

    def failed(self, cause: Cause) -> None:
        """Forget a message that could not be handled."""
        self._words -= len(cause.words)
        if self._causes[-1] is cause:  # as a rule
            self._causes.pop()
        else:
            self._causes.remove(cause)

    def _introduce(self, client: Client, now: float) -> None:
        """Record the settings of a client, before its first message."""
        self._clients.add(client.number)
        for words in state(client, now):
            self._causes.append(Cause(client.number, words, now, None))

    # the audio thread

    def begins(self, sample: int) -> None:
        if self._origin is None:
            self._start, self._origin = sample, self.bus.link.seconds(sample)

    def ran(self, entry: Entry, sample: int) -> None:
        cause, note = entry.cause, entry.note
        if not isinstance(cause, Cause):
            return
        if cause.sample is None or entry.starts:
            cause.sample, cause.begun = sample, entry.starts
        if note is not None and note.cause is not cause and note.off is not None:
            cause.ended.append((sample, note.id))

    def sounded(self, sound: NDArray[np.float32]) -> None:
        frames, rate = sound.shape[1], self.bus.rate
        if self._frames - self._written > MAX_BACKLOG_S * rate:
            self._lost += frames
            sound = np.broadcast_to(np.float32(0), sound.shape)  # of no size
        self._blocks.append(sound)
        self._frames += frames
        if self._frames > MAX_SECONDS * rate:
            self.stop()

    # its own thread

    def _run(self) -> None:
        yielding_json.wait.set(self.bus.pause)
        why, ended = "", False
        try:
            while not ended:
                ended = self._ending.wait(WRITE_PERIOD_S)
                while self._blocks:
                    block = self._blocks.popleft()
                    self._files.write(block)
                    self._written += block.shape[1]
            self._files.close(yielding_json.steps(self._lines()))
        except (OSError, RuntimeError, UserError) as error:
            self.stop()
            why = str(error)
        except Exception as error:
            _log.exception("a recording failed")
            self.stop()
            why = repr(error)
        self._done(self._written / self.bus.rate, self._lost, why)
        self._then()

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Return the lines of the score (see :class:`Event`), in the order of handling."""
        yield {"setting": self._setting}
        rate, origin = self.bus.voices.rate, self._origin or 0.0

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
