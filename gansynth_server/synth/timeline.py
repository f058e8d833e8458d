"""Commands in the order in which they are due, to the sample."""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from gansynth_server.synth.note import Note
from gansynth_server.synth.voices import Voices

_log = logging.getLogger(__name__)

Command = Callable[[Voices], None]


class Link(Protocol):
    """The relation between the seconds of a clock and the samples of a listener."""

    @property
    def idle(self) -> bool:
        """Return whether the listener has stopped asking for samples, so that commands wait."""
        ...

    def rendered(self, sample: int) -> None:
        """Take note that so many samples have been asked for, the last of them just now."""
        ...

    def sample(self, seconds: float) -> int:
        """Return the sample at a time (s); may be called from any thread."""
        ...

    def seconds(self, sample: float) -> float:
        """Return the time (s) of a sample."""
        ...

    def place(self, when: float | None, cause: object) -> int:
        """Return the sample for a command due at a time (s), or at once (0), with the message
        that caused it; may be called from any thread."""
        ...


class SteadyLink:
    """Counts time by the samples themselves: for sound that no listener waits for."""

    idle = False

    def __init__(self, rate: int) -> None:
        self._rate = rate

    def rendered(self, sample: int) -> None:
        pass

    def sample(self, seconds: float) -> int:
        return round(seconds * self._rate)

    def seconds(self, sample: float) -> float:
        return sample / self._rate

    def place(self, when: float | None, cause: object) -> int:
        return 0 if when is None else self.sample(when)


@dataclass(eq=False, slots=True)
class Entry:
    """A command that is due at a sample, and the note that it is about."""

    sample: int
    command: Command
    note: Note | None
    starts: bool
    cause: object


class Timeline:
    """Commands for the voices; ``post`` may be called from any thread, the rest from one."""

    def __init__(self) -> None:
        self._inbox: deque[Entry] = deque()
        self._due: list[tuple[int, int, Entry]] = []  # a heap: by sample, then as posted
        self._order = count()

    def __len__(self) -> int:
        return len(self._inbox) + len(self._due)

    def post(self, entry: Entry) -> None:
        """Post a command to run before its sample is rendered, or the next one where it is past."""
        self._inbox.append(entry)

    def receive(self) -> None:
        """Take in what was posted, except by a message that is still being handled."""
        while self._inbox and not getattr(self._inbox[0].cause, "unfinished", False):
            entry = self._inbox.popleft()
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

    def drop(self, of: Callable[[Note], bool]) -> list[Note]:
        """Forget what is to happen to the notes of one kind; return those that never began."""
        remaining: list[tuple[int, int, Entry]] = []
        never: list[Note] = []
        for due in self._due:
            entry = due[2]
            if entry.note is None or not of(entry.note):
                remaining.append(due)
            elif entry.starts:
                never.append(entry.note)
        self._due = remaining
        heapq.heapify(self._due)
        return never
