"""The voice bank: every sounding note is a row of arrays.

A voice keeps its frame number, its phases and its place in the sound. When a
block needs more sound, all rows that have run out get their next frame through
one batched inverse FFT. The phases are kept by the voice and only advanced by
the spectrum's increments, so frames can be repeated, skipped or exchanged
without a seam. A frame that is not rendered in time is replaced by the last
one that is, at the pitch that it has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import BINS, FRAMES, HOP, LEAD
from gansynth_server.spectral.inverse import FrameInverse, note_length
from gansynth_server.synth.interpolate import TAPS, Interpolator
from gansynth_server.synth.note import Note, gather

Float32 = NDArray[np.float32]

ATTACK = 0.010
RELEASE = 0.300
CUT = 0.005
"""Seconds of attack, of release and of the fade when a voice is cut off."""

STEADY = (40, 80)
"""Frames between which a held note moves to and fro: about 1.1 to 2.4 s after its start."""

FIRST = LEAD // HOP - 3  # frame 3 is the first that reaches into the note
SEGMENTS = 8  # hops in a voice's ring: the sound read, four being added up, and room


class Voices:
    """A bank of voices at one sample rate; used by one thread at a time.

    Args:
        rate: samples per second (see :class:`FrameInverse`).
        count: voices that may sound at once; beyond it the least important
            one (released first, then the oldest) is faded out in 5 ms.
    """

    def __init__(self, rate: int, count: int) -> None:
        self.rate = rate
        self.count = count
        self._inverse = FrameInverse(rate)
        self._hop = self._inverse.hop
        self._length = note_length(rate)
        self._interpolate = Interpolator()
        self.notes: list[Note | None] = [None] * count
        self.waiting: deque[Note] = deque()
        self._started: list[Note] = []
        self._ended: list[Note] = []
        self.spoilt = 0
        self.late = 0
        self._active = np.zeros(count, bool)
        self._phase = np.zeros((count, BINS))  # radians; float64, so that it never drifts
        # the last segment repeats the first, so that what is read lies in one piece
        self._ring = np.zeros((count, SEGMENTS + 1, self._hop), np.float32)
        self._frame = np.zeros(count, np.int64)  # frames added so far, FIRST more
        self._place = np.zeros(count, np.int64)  # frame of the spectrum to add next
        self._step = np.ones(count, np.int64)  # and the way to the one after it
        self._held = np.zeros(count, bool)
        self._position = np.zeros(count)  # place in the note's sound, samples
        self._ratio = np.ones(count)
        self._age = np.zeros(count, np.int64)  # samples since the start
        self._gain = np.zeros(count, np.float32)
        self._off = np.full(count, np.inf)  # age at which the release begins
        self._fade = np.full(count, RELEASE * rate)  # length of the release, samples

    @property
    def sounding(self) -> int:
        return int(self._active.sum())

    def start(self, note: Note) -> None:
        """Gives a rendered note a voice; when all are taken it waits for the cut of one."""
        self.waiting.append(note)

    def release(self, note: Note) -> None:
        """Begins the release of a note, unless that was begun before."""
        row = self._row(note)
        if row is not None and self._off[row] == np.inf:
            self._off[row] = self._age[row]

    def cut_all(self, of: Callable[[Note], bool]) -> None:
        """Fades the notes of one kind out in 5 ms; those that wait end unheard."""
        kept = [note for note in self.waiting if not of(note)]
        self._ended += [note for note in self.waiting if of(note)]
        self.waiting = deque(kept)
        for row in np.flatnonzero(self._active):
            note = self.notes[row]
            if note is not None and of(note):
                self._cut_row(int(row))

    def drop(self, notes: Iterable[Note]) -> None:
        """Ends notes unheard that never came."""
        self._ended += notes

    def take_started(self) -> list[Note]:
        """Notes that began to sound since the last call."""
        taken, self._started = self._started, []
        return taken

    def take_ended(self) -> list[Note]:
        """Notes whose sound is over since the last call."""
        taken, self._ended = self._ended, []
        return taken

    def render(self, frames: int) -> Float32:
        """The next samples of all voices together, float32 [frames], not limited.

        A voice whose sound is not finite is ended and counted in ``spoilt``;
        the others go on. Frames that were not there yet are counted in ``late``.
        """
        out = np.zeros(frames, np.float32)
        done = 0
        while done < frames:
            size = min(self._hop, frames - done)
            self._admit()
            if self._active.any():
                out[done : done + size] = self._mix(size)
            done += size
        return out

    def _row(self, note: Note) -> int | None:
        return self.notes.index(note) if note in self.notes else None

    def _cut_row(self, row: int) -> None:
        self._gain[row] *= self._envelope(np.array([row]), 1)[0, 0]  # the fade starts from here
        self._age[row] = max(self._age[row], int(ATTACK * self.rate))
        self._off[row] = self._age[row]
        self._fade[row] = CUT * self.rate

    def _admit(self) -> None:
        """Moves waiting notes into free rows and makes room for those left over."""
        while self.waiting and not self._active.all():
            self._begin(int(np.argmin(self._active)), self.waiting.popleft())
        if self.waiting:
            fading = self._active & (self._fade < RELEASE * self.rate)
            candidates = np.flatnonzero(self._active & ~fading)
            score = np.where(np.isfinite(self._off), self._age + self._length, self._age)
            order = candidates[np.argsort(-score[candidates], kind="stable")]
            for row in order[: max(0, len(self.waiting) - int(fading.sum()))]:
                self._cut_row(int(row))

    def _begin(self, row: int, note: Note) -> None:
        assert note.spectrum is not None
        self.notes[row] = note
        self._started.append(note)
        self._active[row] = True
        self._ring[row] = 0
        # phases of frame FIRST-1: the frames before it are silent
        increments = note.spectrum.increment[:FIRST]
        self._phase[row] = np.mod(increments.sum(axis=0, dtype=np.float64), 2 * np.pi)
        self._frame[row] = self._place[row] = FIRST
        self._step[row] = 1
        self._held[row] = note.hold
        self._position[row] = 0
        self._ratio[row] = note.ratio
        self._age[row] = 0
        self._gain[row] = note.gain
        self._fade[row] = RELEASE * self.rate
        held = np.inf if note.off is None else max(0.0, note.off - note.on)
        self._off[row] = max(held, ATTACK) * self.rate

    def _end(self, row: int) -> None:
        note = self.notes[row]
        if note is not None:
            self._ended.append(note)
        self.notes[row] = None
        self._active[row] = False

    def _mix(self, size: int) -> Float32:
        rows = np.flatnonzero(self._active)
        self._fill(rows, size)
        sound = self._read(rows, size)  # [rows, size]
        sound *= self._gain[rows, None]
        age, off = self._age[rows], self._off[rows]
        moving = (age < ATTACK * self.rate) | (age + size > off)
        if moving.any():
            sound[moving] *= self._envelope(rows[moving], size)
        mix = sound.sum(axis=0)
        if not np.isfinite(mix).all():
            good = np.isfinite(sound).all(axis=1)
            for row in rows[~good]:
                self.spoilt += 1
                self._end(int(row))
            mix = sound[good].sum(axis=0)
        self._age[rows] += size
        self._position[rows] += size * self._ratio[rows]
        over = (~self._held[rows] & (self._position[rows] >= self._length)) | (
            self._age[rows] >= self._off[rows] + self._fade[rows]
        )
        for row in rows[over & self._active[rows]]:
            self._end(int(row))
        return mix

    def _fill(self, rows: NDArray[np.int64], size: int) -> None:
        """Adds frames until every row holds the sound that the next block reads."""
        need = self._position[rows] + size * self._ratio[rows] + TAPS
        while True:
            # frame t completes the sound up to sample (t + 1 - LEAD/HOP)·hop
            ready = (self._frame[rows] - LEAD // HOP) * self._hop
            hungry = rows[ready < need]
            if not len(hungry):
                return
            self._hop_rows(hungry)

    def _hop_rows(self, rows: NDArray[np.int64]) -> None:
        """One frame for each of some rows, through one inverse FFT."""
        frame = self._frame[rows]
        segments = (frame[:, None] + np.arange(4)) % SEGMENTS
        playing = self._place[rows] < FRAMES
        live = rows[playing]
        if len(live):
            notes = [self.notes[row] for row in live]
            magnitude, increment, late = gather(notes, self._place[live])
            self.late += late
            phase = self._phase[live] + increment
            phase -= 2 * np.pi * np.rint(phase / (2 * np.pi))
            self._phase[live] = phase
            sound = self._inverse(magnitude, phase).reshape(len(live), 4, self._hop)
            segment = segments[playing]
            for part in range(3):
                self._ring[live, segment[:, part]] += sound[:, part]
            self._ring[live, segment[:, 3]] = sound[:, 3]
        self._ring[rows[~playing], segments[~playing][:, 3]] = 0
        self._ring[rows, SEGMENTS] = self._ring[rows, 0]
        self._frame[rows] += 1
        self._place[rows] += self._step[rows]
        held, place = self._held[rows], self._place[rows]
        self._step[rows[held & (place >= STEADY[1])]] = -1
        self._step[rows[held & (place <= STEADY[0])]] = 1

    def _read(self, rows: NDArray[np.int64], size: int) -> Float32:
        """The next samples of some rows, repitched where their ratio asks for it."""
        # sample 0 of the note lies in the segment of frame LEAD/HOP
        span = SEGMENTS * self._hop
        start = (self._position[rows] + LEAD // HOP * self._hop) % span
        flat = self._ring.reshape(self.count, span + self._hop)
        windows = np.lib.stride_tricks.sliding_window_view(flat, size, axis=1)
        sound = windows[rows, start.astype(np.int64)]
        bent = self._ratio[rows] != 1
        if bent.any():
            at = start[bent, None] + np.arange(size) * self._ratio[rows[bent], None]
            sound[bent] = self._interpolate(flat, rows[bent], at, span)
        return sound

    def _envelope(self, rows: NDArray[np.int64], size: int) -> Float32:
        """Attack times release of the next samples, [rows, size]."""
        age = self._age[rows][:, None] + np.arange(size)
        attack = np.minimum(age / (ATTACK * self.rate - 1), 1)
        off, fade = self._off[rows][:, None], self._fade[rows][:, None]
        release = np.clip(1 - (age - off) / (fade - 1), 0, 1)
        return (attack * release).astype(np.float32)
