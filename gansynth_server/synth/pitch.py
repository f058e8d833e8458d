"""The speed at which a voice reads its sound: pitch, bend and vibrato."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import BINS, SAMPLE_RATE
from gansynth_server.synth.ramps import Ramps, Rows

Float64 = NDArray[np.float64]
LIMIT = 60.0
"""Largest interval (semitones) from the rendered pitch."""
TOP = 135.0
"""Pitch, 20 kHz, beyond which there is nothing to be heard of a note."""


class Tune:
    """Semitones of each voice above the pitch that its spectrum was rendered at.

    Args:
        rate: samples per second.
        count: voices.
    """

    def __init__(self, rate: int, count: int) -> None:
        self._rate = rate
        self.pitch = Ramps(count)
        self.bend = Ramps(count)
        self._most = np.full(count, LIMIT)
        self._depth = np.zeros(count)
        self._speed = np.zeros(count)  # radians per sample
        self._angle = np.zeros(count)

    def begin(self, row: int, rendered: int) -> None:
        """Give a row a note that was rendered at this pitch."""
        self._most[row] = min(LIMIT, TOP - rendered)

    def vibrato(self, row: int, depth: float, hertz: float) -> None:
        """Set the depth (semitones to either side); 0 is none, and restarts the cycle."""
        if self._depth[row] == 0:
            self._angle[row] = 0
        self._depth[row] = depth
        self._speed[row] = 2 * np.pi * hertz / self._rate

    def moving(self, rows: Rows) -> NDArray[np.bool_]:
        return self.pitch.moving(rows) | self.bend.moving(rows) | (self._depth[rows] != 0)

    def ratios(self, rows: Rows) -> Float64:
        """Return the speeds [rows] at this moment, without vibrato."""
        total = self.pitch.now[rows, 0] + self.bend.now[rows, 0]
        return self._ratio(rows, total)

    def highest(self, rows: Rows, size: int) -> Float64:
        """Return bounds [rows] of the speeds within the next samples."""
        pitch = np.maximum(self.pitch.now[rows, 0], self.pitch.next(rows, size)[:, 0])
        bend = np.maximum(self.bend.now[rows, 0], self.bend.next(rows, size)[:, 0])
        return self._ratio(rows, pitch + bend + np.abs(self._depth[rows]))

    def paths(self, rows: Rows, size: int) -> Float64:
        """Return the speeds of the next samples [rows, size]."""
        total = self.pitch.ramp(rows, size)[..., 0] + self.bend.ramp(rows, size)[..., 0]
        angle = self._angle[rows][:, None] + self._speed[rows][:, None] * np.arange(1, size + 1)
        total += self._depth[rows][:, None] * np.sin(angle)
        return self._ratio(rows[:, None], total)

    def _ratio(self, rows: Rows, semitones: Float64) -> Float64:
        return np.exp2(np.clip(semitones, -LIMIT, self._most[rows]) / 12)

    def band(self, ratios: Float64) -> NDArray[np.int64]:
        """Count the bins that stay below half the sample rate at these speeds."""
        share = BINS * self._rate / (2 * ratios) / (SAMPLE_RATE / 2)
        return np.minimum(share, BINS).astype(np.int64)

    def advance(self, rows: Rows, size: int) -> None:
        self.pitch.advance(rows, size)
        self.bend.advance(rows, size)
        self._angle[rows] = np.mod(self._angle[rows] + self._speed[rows] * size, 2 * np.pi)
