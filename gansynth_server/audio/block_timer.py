"""Due times of an audio thread's blocks, for the watchdog."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.output import Source

MAX_AHEAD = 0.030
"""Most time (s) that a listener may be ahead of its clock."""


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


class Watched:
    """A source whose blocks are timed; the listener asks for each when it plays the last."""

    def __init__(self, source: Source, rate: int, pulse: BlockTimer) -> None:
        self._source, self._rate, self._pulse = source, rate, pulse

    def render(self, frames: int) -> NDArray[np.float32]:
        now, seconds, pulse = time.monotonic(), frames / self._rate, self._pulse
        pulse.begin(pulse.due or now + seconds)
        ahead = max(0.0, pulse.due - now - seconds)
        sound = self._source.render(frames)
        # the next is asked for one block after this one was, and takes less than another;
        # a listener that asks for several at once pauses all the longer
        pulse.end(now + 2 * seconds + min(MAX_AHEAD, 0.9 * ahead))
        return sound
