"""Due times of an audio thread's blocks, for the watchdog."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class BlockTimer:
    """The times at which an audio thread last began and ended a block.

    Written by that thread alone, without a lock; the watchdog reads it.

    Args:
        name: of the clock, in words.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.thread = 0
        self.longest = 0.0
        """Longest time (s) that a block was held up so far."""
        self.due = 0.0
        """Time (s) by which the current block, or the next, is due; 0 before the first."""
        self._clock = clock

    def begin(self, due: float) -> None:
        """Take note that the calling thread begins a block due at a time (s)."""
        self.thread = threading.get_ident()
        self.due = due

    def end(self, next_due: float = 0.0) -> None:
        """Take note that it is done, and when the next is due; 0 is not known."""
        self.longest = max(self.longest, self._clock() - self.due)
        self.due = next_due

    def behind(self, now: float) -> float:
        """Return the time (s) by which a block is late now."""
        due = self.due
        return now - due if due else 0.0
