"""The sound of voices before their loudness: frames added up, read at each voice's own speed.

When a block needs more sound, all rows that have run out get their next frame
through one batched inverse FFT.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import BINS, FRAMES, HOP, LEAD, SAMPLE_RATE
from gansynth_server.spectral.inverse import FrameInverse
from gansynth_server.synth.note import Note
from gansynth_server.synth.phase_vocoder import PhaseVocoder
from gansynth_server.synth.pitch import LIMIT, Tune
from gansynth_server.synth.playhead import FIRST, Playhead, Steps
from gansynth_server.synth.ramps import Rows
from gansynth_server.synth.resample import TAPS, Interpolator

Float32 = NDArray[np.float32]

REACH = 11
"""Most hops that a voice reads at once; a faster voice reads several times."""
SEGMENTS = REACH + 8  # hops in a voice's ring: the sound read, four being added up, and room
OPENING = 4  # frames that sound in a note's first hop
TAIL = 3  # hops that sound on after the last frame, less the lead before the first


class OverlapAdd:
    """A ring of sound per voice.

    Args:
        rate: samples per second (see :class:`FrameInverse`).
        count: voices.
        notes: of these voices; the owner changes them.
    """

    def __init__(self, rate: int, count: int, notes: Sequence[Note | None]) -> None:
        self._notes = notes
        self._count = count
        self._inverse = FrameInverse(rate)
        self.hop = self._inverse.hop
        self._interpolate = Interpolator()
        self.motion = Playhead(count)
        self.frames = PhaseVocoder(count)
        self.tune = Tune(rate, count)
        self.late = 0
        """Frames that were not there yet when they were needed."""
        # the last segment repeats the first, so that what is read lies in one piece
        self._ring = np.zeros((count, SEGMENTS + 1, self.hop), np.float32)
        self._hops = np.zeros(count, np.int64)  # frames added so far, FIRST more
        self._position = np.zeros(count)  # place in the note's sound, samples
        self._end = np.full(count, np.inf)  # position after the last frame's sound
        self.ratio = np.ones(count)
        """Speed at which each row was read last; 1 is that of its frames."""

    def begin(self, row: int, note: Note) -> None:
        """Begin a row at the start of a note, or where the note is to begin."""
        place = min(FIRST + round(note.skip * SAMPLE_RATE / HOP), FRAMES - 1)
        self._ring[row] = 0
        self.frames.begin(row, note, place)
        self.motion.begin(row, note.tempo, place)
        self.tune.begin(row, note.rendered)
        self._hops[row] = FIRST
        self._position[row] = 0
        self.ratio[row] = 1
        self._end[row] = np.inf

    def seek(self, row: int, place: float) -> None:
        """Continue a row from another of its frames."""
        self.motion.seek(row, place)
        self._end[row] = np.inf

    def over(self, rows: Rows) -> NDArray[np.bool_]:
        """Mask the rows that have been read to their end."""
        return self._position[rows] >= self._end[rows]

    def read(self, rows: Rows, size: int) -> Float32:
        """Read the next samples of rows [rows, size ≤ hop], repitched where they are to be."""
        fast = self.tune.highest(rows, size) * size > REACH * self.hop
        if not fast.any():
            return self._read(rows, size)
        sound = np.empty((len(rows), size), np.float32)
        sound[~fast] = self._read(rows[~fast], size)
        most = max(1, int(REACH * self.hop / np.exp2(LIMIT / 12)))
        for done in range(0, size, most):
            part = min(most, size - done)
            sound[fast, done : done + part] = self._read(rows[fast], part)
        return sound

    def _read(self, rows: Rows, size: int) -> Float32:
        """Read as :meth:`read`, for rows that need no more than ``REACH`` hops."""
        start = self._position[rows]
        ratio = self.ratio[rows] = self.tune.ratios(rows)
        after = start + size * ratio
        plain = (ratio == 1) & (start == np.rint(start))
        moving = self.tune.moving(rows)
        if moving.any():
            plain &= ~moving
            paths = self.tune.paths(rows[moving], size)
            after[moving] = start[moving] + paths.sum(axis=1)
        if not plain.all():
            self.frames.band[rows] = self.tune.band(ratio)
        self._fill(rows, after + TAPS)
        # sample 0 of the note lies in the segment of frame LEAD/HOP
        span = SEGMENTS * self.hop
        place = (start + LEAD // HOP * self.hop) % span
        sound = np.empty((len(rows), size), np.float32)
        if plain.any():
            sound[plain] = self._windows(size)[rows[plain], place[plain].astype(np.int64)]
        if not plain.all():
            other = ~plain
            at = place[other, None] + np.arange(size) * ratio[other, None]
            if moving.any():
                at[moving[other]] = place[moving, None] + np.cumsum(paths, axis=1) - paths
            windows = self._windows(TAPS)
            sound[other] = self._interpolate(windows, rows[other], at, span)
        self._position[rows] = after
        self.tune.advance(rows, size)
        return sound

    def _windows(self, size: int) -> Float32:
        """View all stretches of so many samples in the rings, [count, places, size]."""
        ring = self._ring.reshape(self._count, -1)
        shape = (self._count, ring.shape[1] - size + 1, size)
        return np.ndarray(shape, np.float32, ring, 0, (*ring.strides, ring.strides[1]))

    def _fill(self, rows: Rows, need: NDArray[np.float64]) -> None:
        """Add frames until every row holds the sound up to a position."""
        for row in rows[self._hops[rows] == FIRST]:
            self._open(int(row))
        # frame t completes the sound up to sample (t + 1 - LEAD/HOP)·hop
        ready = (self._hops[rows] - LEAD // HOP) * self.hop
        missing = np.ceil((need - ready) / self.hop).astype(np.int64)
        hungry = missing > 0
        if hungry.any():
            self._hop_rows(rows[hungry], missing[hungry])

    def _open(self, row: int) -> None:
        """Add the frames of a note's first hop at once, if it reads them as they are."""
        note = self._notes[row]
        assert note is not None and note.spectrum is not None
        if (
            self.motion.place[row] != FIRST
            or self.motion.strayed[row]
            or self.motion.held[row]
            or self.frames.tilt[row]
            or self.frames.band[row] < BINS
            or note.spectrum.ready < FIRST + OPENING
        ):
            return
        magnitude, phase = self.frames.first(row, note, OPENING)
        sound = self._inverse(magnitude, phase).reshape(OPENING, 4, self.hop)
        for n in range(OPENING):
            for part in range(4):
                self._ring[row, (FIRST + n + part) % SEGMENTS] += sound[n, part]
        self._ring[row, SEGMENTS] = self._ring[row, 0]
        self._hops[row] += OPENING
        self.motion.place[row] += OPENING

    def _hop_rows(self, rows: Rows, counts: NDArray[np.int64]) -> None:
        """Add the next frames of some rows, so many for each, through one inverse FFT."""
        first = self._hops[rows]
        steps, ends = self.motion.walk(rows, counts)
        live = steps.playing[steps.first]
        if live.any():
            playing, steps = rows[live], steps.of(live)
            notes = [self._notes[row] for row in playing]
            magnitude, phase, late = self.frames.next(playing, notes, steps)
            self.late += late
            band = int(self.frames.band[playing].max())
            sound = self._inverse(magnitude, phase, band).reshape(-1, 4, self.hop)
            self._add(playing, first[live], steps, sound)
        for row, hop, count in zip(rows[~live], first[~live], counts[~live], strict=True):
            self._ring[row, (hop + 3 + np.arange(count)) % SEGMENTS] = 0
        self._ring[rows, SEGMENTS] = self._ring[rows, 0]
        over = ends < counts
        last = first[over] + ends[over] + 1
        self._end[rows[over]] = np.minimum(self._end[rows[over]], (last - TAIL) * self.hop)
        self._hops[rows] += counts

    def _add(self, rows: Rows, first: NDArray[np.int64], steps: Steps, sound: Float32) -> None:
        """Add frames [frames, 4, hop] to the rings of rows, each a hop after the one before.

        Args:
            first: the hop of each row at which they begin.
        """
        single = steps.counts == 1
        if single.any():
            at = rows[single]
            segments = (first[single, None] + np.arange(4)) % SEGMENTS
            frames = sound if single.all() else sound[steps.first[single]]
            for part in range(3):
                self._ring[at, segments[:, part]] += frames[:, part]
            self._ring[at, segments[:, 3]] = frames[:, 3]
        for n in np.flatnonzero(~single):
            count, begin = int(steps.counts[n]), int(steps.first[n])
            total = np.zeros((count + 3, self.hop), np.float32)
            for part in range(4):
                total[part : part + count] += sound[begin : begin + count, part]
            ring, segments = self._ring[rows[n]], (first[n] + np.arange(count + 3)) % SEGMENTS
            ring[segments[:3]] += total[:3]
            ring[segments[3:]] = total[3:]
