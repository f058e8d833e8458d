"""The loudness of a note over time: attack, decay, sustain, release."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ATTACK = 0.010
RELEASE = 0.300
CUT = 0.005
"""Default attack, default release, and fade of a voice that is cut off (s)."""

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Times in seconds, ``sustain`` as a linear level 0…1.

    ``curve`` bends decay and release as SuperCollider's Env does: 0 is a
    straight line, below 0 they fall fast first, above 0 slowly first.
    """

    attack: float = ATTACK
    decay: float = 0.0
    sustain: float = 1.0
    release: float = RELEASE
    curve: float = 0.0


PLAIN = Envelope()


class Envelopes:
    """The envelopes of a bank of voices.

    Args:
        rate: samples per second.
        count: voices.
    """

    def __init__(self, rate: int, count: int) -> None:
        self._rate = rate
        self.age = np.zeros(count, np.int64)
        """Samples since the start."""
        self.off = np.full(count, np.inf)
        """Age at which the release begins."""
        self.cut = np.zeros(count, bool)
        """True for a row that is being cut off."""
        self._base = np.ones(count)  # level from which a cut fades
        self._attack = np.ones(count)  # all in samples
        self._decay = np.ones(count)
        self._sustain = np.ones(count)
        self._fade = np.ones(count)
        self._curve = np.zeros(count)

    def begin(self, row: int, envelope: Envelope, held: float | None) -> None:
        """Start a row, which is released after ``held`` seconds where that is known already."""
        self.age[row] = 0
        self.cut[row] = False
        self._base[row] = 1
        self.shape(row, envelope)
        seconds = np.inf if held is None else max(held, envelope.attack)
        self.off[row] = seconds * self._rate

    def shape(self, row: int, envelope: Envelope) -> None:
        """Change what is still to come of a row's envelope."""
        if self.cut[row]:
            return
        self._attack[row] = envelope.attack * self._rate
        self._decay[row] = envelope.decay * self._rate
        self._sustain[row] = envelope.sustain
        if not self.released(row):
            self._fade[row] = max(envelope.release, CUT) * self._rate
        self._curve[row] = envelope.curve

    def released(self, row: int) -> bool:
        return bool(self.age[row] >= self.off[row])

    def release(self, row: int) -> None:
        """Begin the release of a row, unless that was begun before."""
        self.off[row] = min(self.off[row], self.age[row])

    def cut_off(self, row: int) -> None:
        """Fade a row out in 5 ms from where it is."""
        if self.cut[row]:
            return
        self._base[row] = self.levels(np.array([row]), 1)[0, 0]
        self.cut[row] = True
        self._attack[row] = self._decay[row] = 0
        self._sustain[row] = 1
        self.off[row] = self.age[row]
        self._fade[row] = CUT * self._rate
        self._curve[row] = 0

    def moving(self, rows: Rows, size: int) -> NDArray[np.bool_]:
        """Mask the rows that are not at level 1 throughout the next samples."""
        age = self.age[rows]
        settled = (age >= self._attack[rows]) & (self._sustain[rows] == 1)
        return ~settled | (age + size > self.off[rows]) | self.cut[rows]

    def levels(self, rows: Rows, size: int) -> Float32:
        """Compute the levels of the next samples, [rows, size]."""
        begin, steps = self.age[rows], np.arange(size)
        columns = (self._attack, self._decay, self._sustain, self._fade, self._curve, self.off)
        attack, decay, sustain, fade, curve, off = (column[rows] for column in columns)

        def gone(within: NDArray[np.bool_], since: Float64, length: Float64) -> Float64:
            """Share of a segment that is over, of some rows; its last sample reaches its end."""
            age = (begin[within] - since[within])[:, None] + steps
            return np.clip(age / np.maximum(length[within, None] - 1, 1), 0, 1)

        level = np.repeat(self._base[rows][:, None], size, axis=1)
        rising = begin < attack
        if rising.any():
            level[rising] *= gone(rising, np.zeros(len(rows)), attack)
        sinking = (sustain != 1) & (begin + size > attack)
        if sinking.any():
            fallen = _bent(gone(sinking, attack, decay), curve[sinking, None])
            level[sinking] *= 1 - (1 - sustain[sinking, None]) * fallen
        ending = begin + size > off
        if ending.any():
            level[ending] *= 1 - _bent(gone(ending, off, fade), curve[ending, None])
        return level.astype(np.float32)

    def advance(self, rows: Rows, size: int) -> None:
        self.age[rows] += size

    def over(self, rows: Rows) -> NDArray[np.bool_]:
        """Mask the rows that have faded out."""
        return self.age[rows] >= self.off[rows] + self._fade[rows]


def _bent(x: Float64, curve: Float64) -> Float64:
    if not curve.any():
        return x
    safe = np.where(np.abs(curve) < 1e-3, 1e-3, curve)
    return np.asarray(np.expm1(safe * x) / np.expm1(safe))
