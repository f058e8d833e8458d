"""Time tags of bundles on the clock of the instrument."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gansynth_server.osc.codec import UNIX_EPOCH

MIN_JUMP_S = 0.005
"""Jump (s) of the wall clock from which it is believed."""
MAX_MEASURE_S = 0.001
"""Time (s) of a look at both clocks; one that took longer says nothing."""


class TagTime:
    """Turns time tags into seconds of another clock, by an offset that stays.

    Times of one sender keep their distances, for the offset is only measured again
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
        """Return the time (s) of the clock for seconds since the epoch."""
        offset, took = self._measure()
        if took < MAX_MEASURE_S and abs(offset - self._offset) > MIN_JUMP_S:
            self._offset = offset
        return seconds + self._offset

    def _measure(self) -> tuple[float, float]:
        before = self._clock()
        wall = self._wall() - self._start
        after = self._clock()
        return (before + after) / 2 - wall, after - before


class MessageClock:
    """Monotonic time (s) that stands still while a message is handled: it has one time."""

    def __init__(self) -> None:
        self._held: float | None = None

    def __call__(self) -> float:
        held = self._held
        return time.monotonic() if held is None else held

    @contextmanager
    def held(self) -> Iterator[float]:
        """Stand still; for one thread at a time."""
        self._held = time.monotonic()
        try:
            yield self._held
        finally:
            self._held = None
