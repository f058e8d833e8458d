"""The voices of one listener: its share of a bank, which notes wait for one, and which must go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.synth.bank import Bank
from gansynth_server.synth.note import Note
from gansynth_server.synth.ramps import Rows

Float32 = NDArray[np.float32]

COSTLY = 4
"""Reading speed from which a voice counts as costly."""
BUDGET = 2
"""Frames per hop that there may be for each voice, on average; one read n times as fast takes n."""
SMOOTH = 0.010
"""Least time (s) that a change of loudness, pan or pitch takes."""


class Voices:
    """Up to ``count`` rows of a bank; used by one thread at a time.

    Args:
        rate: samples per second (see :class:`FrameInverse`).
        count: notes that may sound at once; beyond it the one that is missed least
            (see :meth:`admit`) is faded out in 5 ms.
        channels: 1, or 2 for stereo.
        bank: where the rows are; None makes one for these voices alone.
    """

    def __init__(self, rate: int, count: int, channels: int = 1, bank: Bank | None = None) -> None:
        self.bank = bank or Bank(rate, count)
        self.rate = rate
        self.count = count
        self.channels = channels
        self.rows: set[int] = set()
        """Rows of the bank that are this listener's."""
        self.waiting: deque[Note] = deque()
        self.non_finite = 0
        """Voices that were ended because their sound was not finite."""
        self.sheds = 0
        """Voices that were ended because there was no time for them."""
        self._started: list[Note] = []
        self._ended: list[Note] = []

    @property
    def late(self) -> int:
        """Number of the bank's frames that were not there yet when they were needed."""
        return self.bank.overlap.late

    @property
    def sounding(self) -> int:
        return len(self.rows)

    @property
    def notes(self) -> list[Note | None]:
        """Notes that sound."""
        return [self.bank.notes[row] for row in sorted(self.rows)]

    def start(self, note: Note) -> None:
        """Give a rendered note a voice; when all are taken it waits for the cut of one."""
        if note.choke is not None:
            self.cut_all(lambda other: (other.owner, other.choke) == (note.owner, note.choke))
        self.waiting.append(note)

    def release(self, note: Note) -> None:
        """Begin the release of a note, unless that was begun before."""
        row = self.bank.row(note)
        if row is not None:
            self.bank.envelopes.release(row)

    def change(self, note: Note, seconds: float = 0.0, **changes: Any) -> None:
        """Set attributes of a note, which may sound already or be yet to come.

        Args:
            seconds: that a change of pitch, bend, loudness or pan takes; 10 ms at least.
        """
        for name, value in changes.items():
            setattr(note, name, value)
        row = self.bank.row(note)
        if row is not None:
            samples = max(1, round(max(seconds, SMOOTH) * self.rate))
            self.bank.apply(row, note, samples, self.channels)

    def seek(self, note: Note, place: float) -> None:
        """Go on from another frame of a note that sounds."""
        row = self.bank.row(note)
        if row is not None:
            self.bank.overlap.seek(row, place)

    def next_frame(self, note: Note) -> tuple[float, float] | None:
        """Return a note's next frame and the step to the one after; None if it is silent."""
        row = self.bank.row(note)
        return None if row is None else self.bank.overlap.motion.next_frame(row)

    def cut_all(self, of: Callable[[Note], bool]) -> None:
        """Fade the notes of one kind out in 5 ms; those that wait end unheard."""
        remaining = [note for note in self.waiting if not of(note)]
        self._ended += [note for note in self.waiting if of(note)]
        self.waiting = deque(remaining)
        for row in sorted(self.rows):
            note = self.bank.notes[row]
            if note is not None and of(note):
                self.bank.envelopes.cut_off(row)

    def shed_voices(self) -> int:
        """Fade an eighth of the voices out, for there are more than can be rendered in time.

        First those that are read many times as fast as they were made, which take as much
        more work, then those that are missed least.

        Returns:
            Number of voices.
        """
        rows = self._uncut()
        ratio = self.bank.overlap.ratio[rows]
        order = np.lexsort((self._steal_priority(rows), -ratio * (ratio > COSTLY)))
        gone = rows[order][: -(-len(rows) // 8)]
        for row in gone:
            self.bank.envelopes.cut_off(int(row))
        self.sheds += len(gone)
        return len(gone)

    def clear(self) -> None:
        """End all notes at once, without a fade: for when they cannot be rendered."""
        for row in sorted(self.rows):
            self.bank.finish(row)
        self.cut_all(lambda note: True)

    def drop(self, notes: Iterable[Note]) -> None:
        """End notes unheard that never came."""
        self._ended += notes

    def take_started(self) -> list[Note]:
        """Return the notes that began to sound since the last call."""
        taken, self._started = self._started, []
        return taken

    def take_ended(self) -> list[Note]:
        """Return the notes whose sound is over since the last call."""
        taken, self._ended = self._ended, []
        return taken

    def render(self, frames: int) -> Float32:
        """Render these voices alone, float32 [channels, frames]; see :meth:`Bank.render`."""
        return self.bank.render([self], frames)[0]

    def on_row_ended(self, note: Note) -> None:
        """Take note of a row that the bank has ended."""
        self._ended.append(note)

    def admit(self) -> None:
        """Move waiting notes into free rows and make room for those left over.

        As FluidSynth does, the first to go are those released, then those that
        only the pedal holds, then what is old or quiet.
        """
        while self.waiting and len(self.rows) < self.count:
            if self.bank.begin(self, self.waiting[0]) is None:
                break  # other listeners have all rows: it waits until one of them ends
            self._started.append(self.waiting.popleft())
        self._limit_work()
        if not self.waiting:
            return
        rows = self._uncut()
        order = np.argsort(self._steal_priority(rows), kind="stable")
        leaving = len(self.rows) - len(rows)
        for row in rows[order][: max(0, len(self.waiting) - leaving)]:
            self.bank.envelopes.cut_off(int(row))

    def _uncut(self) -> Rows:
        """Return the rows that are not being cut off."""
        rows = np.array(sorted(self.rows), np.int64)
        return rows[~self.bank.envelopes.cut[rows]]

    def _limit_work(self) -> None:
        """Fade out what is read so fast that it takes the work of many others."""
        if not self.rows:
            return
        rows = self._uncut()
        ratio = self.bank.overlap.ratio[rows]
        excess = np.maximum(ratio, 1).sum() - BUDGET * self.count
        if excess <= 0:
            return
        fast = np.flatnonzero(ratio > COSTLY)
        order = fast[np.argsort(self._steal_priority(rows)[fast], kind="stable")]
        for n in order[:-1]:  # one of them there is always time for
            self.bank.envelopes.cut_off(int(rows[n]))
            excess -= ratio[n]
            if excess <= 0:
                return

    def _steal_priority(self, rows: Rows) -> NDArray[np.float64]:
        """Rate how much rows would be missed."""
        envelopes = self.bank.envelopes
        seconds = envelopes.age[rows] / self.rate
        level = self.bank.overlap.frames.level[rows] * self.bank.weights.now[rows].max(axis=1)
        level *= envelopes.levels(rows, 1)[:, 0]
        worth = 1 / np.maximum(seconds, 1e-3) + 0.5 * level / max(level.max(initial=0), 1e-9)
        worth -= 2e3 * (envelopes.age[rows] >= envelopes.off[rows])
        notes = [self.bank.notes[row] for row in rows]
        worth -= 1e3 * np.array([note is not None and note.pedalled for note in notes])
        return np.asarray(worth)
