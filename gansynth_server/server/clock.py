"""Times of bundles on the clock of the instrument."""

from __future__ import annotations

import time
from collections.abc import Callable

from gansynth_server.osc.codec import UNIX_EPOCH

STEP = 0.005
"""Seconds that the wall clock has to jump before it is believed."""
QUICK = 0.001
"""Seconds; a look at both clocks that took longer says nothing."""


class TagTime:
    """Turns time tags into seconds of another clock, by an offset that stays.

    Times of one sender keep their distances, for the offset is only taken anew
    when the wall clock has been set. (Where NTP merely corrects its speed, the
    monotonic clock follows.) Used by one thread.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._wall = clock, wall
        self._start = int(wall())
        self.epoch = UNIX_EPOCH + (self._start << 32)
        """The time tag to count from: a recent one, so that seconds are exact as floats."""
        self._offset = self._measure()[0]

    def __call__(self, seconds: float) -> float:
        """Seconds of the clock, of seconds since the epoch."""
        offset, took = self._measure()
        if took < QUICK and abs(offset - self._offset) > STEP:
            self._offset = offset
        return seconds + self._offset

    def _measure(self) -> tuple[float, float]:
        before = self._clock()
        wall = self._wall() - self._start
        after = self._clock()
        return (before + after) / 2 - wall, after - before
