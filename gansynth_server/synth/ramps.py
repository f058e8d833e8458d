"""Numbers of voices that move to their goals in a straight line, to the sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Float64 = NDArray[np.float64]


class Ramps:
    """One number per voice and part.

    Args:
        count: voices.
        parts: numbers of each that move together.
    """

    def __init__(self, count: int, parts: int = 1) -> None:
        self.now = np.zeros((count, parts))
        self._goal = np.zeros((count, parts))
        self._left = np.zeros(count, np.int64)  # samples

    def set(self, row: int, goal: float | Float64, samples: int = 0) -> None:
        """Send a row to its goal within so many samples; 0 is at once."""
        if not samples:
            self.now[row] = goal
        elif np.array_equal(self._goal[row], np.broadcast_to(goal, self._goal[row].shape)):
            return  # it is on its way, or there
        self._goal[row] = goal
        self._left[row] = samples

    def moving(self, rows: Rows) -> NDArray[np.bool_]:
        """Mask the rows that are on their way."""
        return self._left[rows] > 0

    def ramp(self, rows: Rows, size: int) -> Float64:
        """Return the next values [rows, size, parts], each after its sample."""
        left = np.maximum(self._left[rows], 1)[:, None, None]
        share = np.minimum(np.arange(1, size + 1)[:, None] / left, 1)
        now = self.now[rows][:, None]
        return now + (self._goal[rows][:, None] - now) * share

    def next(self, rows: Rows, size: int) -> Float64:
        """Return the values after so many samples [rows, parts]."""
        left = self._left[rows]
        share = np.minimum(size / np.maximum(left, 1), 1)[:, None]
        here = self.now[rows] + (self._goal[rows] - self.now[rows]) * share
        return np.where(left[:, None] <= size, self._goal[rows], here)

    def advance(self, rows: Rows, size: int) -> None:
        """Move rows on by so many samples."""
        rows = rows[self.moving(rows)]
        if not len(rows):
            return
        self.now[rows] = self.next(rows, size)
        self._left[rows] = np.maximum(self._left[rows] - size, 0)
