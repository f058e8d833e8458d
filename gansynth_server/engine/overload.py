"""Whether there are more voices than can be rendered in time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Sequence

TIME_SLICE_S = 0.2
"""Time constant (s) of the measured load."""
FULL = 0.92
"""Share of real time that the work may take."""


class Overload:
    """Measures the share of real time that rendering takes, and who takes the most of it."""

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._processor = clock, processor
        self._last = clock()
        self._held = self._worked = 0.0  # shares of the time of late
        self._by: dict[Hashable, float] = {}  # seconds of late, of each
        self._begun = (0.0, 0.0)

    def begin(self) -> None:
        """Take note that rendering begins."""
        self._begun = self._clock(), self._processor()

    def end(self, owners: Sequence[Hashable]) -> None:
        """Take note that the sound of some owners is rendered."""
        now = self._clock()
        held, worked = now - self._begun[0], self._processor() - self._begun[1]
        passed = max(now - self._last, held, 1e-9)
        self._last = now
        weight = min(1.0, passed / TIME_SLICE_S)
        self._held += weight * (held / passed - self._held)
        self._worked += weight * (worked / passed - self._worked)
        decay = math.exp(-passed / TIME_SLICE_S)
        self._by = {owner: s * decay for owner, s in self._by.items() if s * decay > 1e-6}
        for owner in owners:
            self._by[owner] = self._by.get(owner, 0.0) + held / len(owners)

    def culprit(self) -> Hashable | None:
        """Return who takes the most, where there is no time left; then the measure begins again,
        so that what is ended has a while to show.

        Time in which the thread was suspended does not count.
        """
        if self._held < FULL or self._worked < FULL / 2:
            return None
        self._held = self._worked = 0.0
        return max(self._by, key=lambda owner: self._by[owner], default=None)
