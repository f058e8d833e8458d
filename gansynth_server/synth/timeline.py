"""Commands in the order in which they are due, to the sample."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from gansynth_server.synth.note import Note
from gansynth_server.synth.voices import Voices

_log = logging.getLogger(__name__)

Command = Callable[[Voices], None]


@dataclass(eq=False, slots=True)
class Entry:
    """A command that is due at a sample, and what it is about."""

    sample: int
    command: Command
    note: Note | None = None
    starts: bool = False
    """Whether it is the note's first."""
    releases: bool = False
    """Whether it is the note's release."""
    cause: int = 0
    """Number of the message that brought it about; 0 is none that is recorded."""
    slot: int | None = None
    """Slot of a spectrum that was lent with it (see :mod:`gansynth_server.spectral.arena`)."""


class Timeline:
    """Commands for the voices, in the order in which they are due."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, Entry]] = []  # a heap: by sample, then as posted
        self._order = count()

    def __len__(self) -> int:
        return len(self._due)

    def post(self, entry: Entry) -> None:
        """Post a command to run before its sample is rendered, or the next one where it is past."""
        heapq.heappush(self._due, (entry.sample, next(self._order), entry))

    def run(self, voices: Voices, sample: int) -> Iterator[Entry]:
        """Run what is due at a sample, and yield each entry after it was run."""
        while self._due and self._due[0][0] <= sample:
            entry = heapq.heappop(self._due)[2]
            try:
                entry.command(voices)
            except Exception:  # the others are done nevertheless
                _log.exception("a command for the voices failed")
            yield entry

    def until(self, sample: int, frames: int) -> int:
        """Return the frames from a sample to the next command, at most ``frames``."""
        return min(frames, self._due[0][0] - sample) if self._due else frames

    def drop(self, of: Callable[[Note], bool]) -> list[Entry]:
        """Forget what is to happen to the notes of one kind, and return it."""
        remaining: list[tuple[int, int, Entry]] = []
        dropped: list[Entry] = []
        for due in self._due:
            note = due[2].note
            if note is None or not of(note):
                remaining.append(due)
            else:
                dropped.append(due[2])
        self._due = remaining
        heapq.heapify(self._due)
        return dropped
