"""The bank: every sounding note of all listeners of a rate is a row of arrays.

A row keeps its place in its note, its phases and its place in the sound (see
:mod:`gansynth_server.synth.overlap_add`). The phases are kept by the row and only advanced by
the spectrum's increments, so frames can be repeated, skipped or exchanged without a seam.
Listeners that want a block at the same time get it in one pass: one gather, one inverse FFT and
one envelope for all of their rows, because most of the cost of a pass is that of NumPy's calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gansynth_server.synth.envelope import Envelopes
from gansynth_server.synth.note import Note
from gansynth_server.synth.overlap_add import OverlapAdd
from gansynth_server.synth.playhead import STEADY
from gansynth_server.synth.ramps import Ramps, Rows

Float32 = NDArray[np.float32]

CHANNELS = 2
LOUDEST = 64.0
"""Level beyond which a row is broken: 36 dB above full scale, where a note peaks at about 0.3."""


class Owner(Protocol):
    """A listener's share of the bank (see :class:`Voices`)."""

    channels: int
    rows: set[int]
    non_finite: int

    def admit(self) -> None:
        """Give rows to notes that wait."""
        ...

    def on_row_ended(self, note: Note) -> None:
        """Take note of a row that the bank has ended."""
        ...


class Bank:
    """Rows at one sample rate; used by one thread at a time.

    Args:
        rate: samples per second (see :class:`FrameInverse`).
        count: notes of all listeners that may sound at once. Memory is taken as rows are used,
            123 kB each at 48 kHz.
    """

    def __init__(self, rate: int, count: int) -> None:
        self.rate = rate
        self.notes: list[Note | None] = [None] * count
        self.active = np.zeros(count, bool)
        self.overlap = OverlapAdd(rate, count, self.notes)
        self.envelopes = Envelopes(rate, count)
        self.weights = Ramps(count, CHANNELS)
        """Loudness times pan of each row."""
        self._row_of: dict[Note, int] = {}
        self._owner: list[Owner | None] = [None] * count

    @property
    def hop(self) -> int:
        """Hop (samples): the longest pass."""
        return self.overlap.hop

    def row(self, note: Note) -> int | None:
        """Return the row of a sounding note; None if it does not sound."""
        return self._row_of.get(note)

    def begin(self, owner: Owner, note: Note) -> int | None:
        """Give a rendered note a row; None while all rows are taken."""
        if self.active.all():
            return None
        row = int(np.argmin(self.active))
        self.notes[row], self._owner[row], self._row_of[note] = note, owner, row
        self.active[row] = True
        owner.rows.add(row)
        self.overlap.begin(row, note)
        held = None if note.off is None else max(0.0, note.off - note.on)
        self.envelopes.begin(row, note.envelope, held)
        self.apply(row, note, 0, owner.channels)
        return row

    def apply(self, row: int, note: Note, samples: int, channels: int) -> None:
        """Make a row what its note wants, within so many samples."""
        assert note.spectrum is not None
        overlap = self.overlap
        self.weights.set(row, note.loudness * _pan(note.pan, channels), samples)
        overlap.tune.pitch.set(row, note.offset, samples)
        overlap.tune.bend.set(row, note.bend + note.pressed_by("bend"), samples)
        depth, hertz = note.vibrato
        overlap.tune.vibrato(row, depth + note.pressed_by("vibrato"), hertz)
        overlap.frames.tilt[row] = note.brightness + note.pressed_by("brightness")
        self.envelopes.shape(row, note.envelope)
        region = note.region or note.spectrum.region or STEADY
        overlap.motion.steer(row, note.hold, note.speed, region, note.overlay is not None)

    def finish(self, row: int) -> None:
        """End a row at once; its owner is told of the note."""
        note, owner = self.notes[row], self._owner[row]
        self.active[row] = False
        self.notes[row] = self._owner[row] = None
        if note is not None and owner is not None:
            del self._row_of[note]
            owner.rows.discard(row)
            owner.on_row_ended(note)

    def render(self, due: Sequence[Owner], frames: int) -> list[Float32]:
        """Render the next samples of some listeners' rows: float32 [channels, frames] for each.

        They are not limited. A row whose sound is not finite, or far too loud, is ended and
        counted as its owner's ``non_finite``; the others go on.
        """
        out = [np.zeros((voices.channels, frames), np.float32) for voices in due]
        for done in range(0, frames, self.hop):
            size = min(self.hop, frames - done)
            for voices in due:
                voices.admit()
            of = [np.array(sorted(voices.rows), np.int64) for voices in due]
            rows = np.concatenate(of) if of else np.empty(0, np.int64)
            if len(rows):
                self._mix(due, of, rows, [mix[:, done : done + size] for mix in out])
        return out

    def _mix(
        self, due: Sequence[Owner], of: Sequence[Rows], rows: Rows, out: Sequence[Float32]
    ) -> None:
        """Run one pass: add the sound of all rows up for each owner into its part of ``out``."""
        size = out[0].shape[1]
        sound = self.overlap.read(rows, size)  # [rows, size]
        moving = self.envelopes.moving(rows, size)
        if moving.any():
            sound[moving] *= self.envelopes.levels(rows[moving], size)
        weights = self._weights(rows, size)
        first = 0
        for voices, own, mix in zip(due, of, out, strict=True):
            part = slice(first, first + len(own))
            first += len(own)
            if not len(own):
                continue
            mix[:] = _weighted(weights, sound, part, voices.channels)
            if not np.abs(mix).max() <= LOUDEST:  # NaN is not either
                broken = ~(np.abs(sound[part]).max(axis=1) <= LOUDEST)
                for row in own[broken]:
                    voices.non_finite += 1
                    self.finish(int(row))
                sound[part][broken] = 0
                mix[:] = _weighted(weights, sound, part, voices.channels)
        self.weights.advance(rows, size)
        self.envelopes.advance(rows, size)
        over = self.overlap.over(rows) | self.envelopes.over(rows)
        for row in rows[over & self.active[rows]]:
            self.finish(int(row))

    def _weights(self, rows: Rows, size: int) -> _Weights:
        moving = self.weights.moving(rows)
        still = (self.weights.now[rows] * ~moving[:, None]).astype(np.float32)
        ramps = self.weights.ramp(rows[moving], size).astype(np.float32) if moving.any() else None
        return still, moving, ramps


_Weights = tuple[Float32, NDArray[np.bool_], Float32 | None]
"""[rows, 2] weights of rows that stay, which rows move, and their ramps [moving, size, 2]."""


def _weighted(weights: _Weights, sound: Float32, part: slice, channels: int) -> Float32:
    """Sum one listener's rows with their loudness and pan: [channels, size]."""
    still, moving, ramps = weights
    mix: Float32 = still[part, :channels].T @ sound[part]
    if ramps is not None and moving[part].any():
        before = int(moving[: part.start].sum())
        ramp = ramps[before : before + int(moving[part].sum()), :, :channels]
        mix += np.einsum("nsc,ns->cs", ramp, sound[part][moving[part]])
    return mix


def _pan(pan: float, channels: int) -> NDArray[np.float64]:
    """Return weights [2] of equal power, 1 in the middle; a mono sound uses the first alone."""
    if channels == 1:
        return np.array([1.0, 0.0])
    angle = (pan + 1) * np.pi / 4
    return np.sqrt(2) * np.array([np.cos(angle), np.sin(angle)])
