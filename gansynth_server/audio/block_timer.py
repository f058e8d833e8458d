"""When the blocks of an audio thread are due, for the watchdog."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.output import Source

MAX_AHEAD = 0.030
"""Seconds that a listener may be ahead of its clock."""


class BlockTimer:
    """When an audio thread last began and ended a block.

    Written by that thread alone, without a lock; the watchdog reads it.

    Args:
        name: of whose clock it is, in words.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.thread = 0
        self.longest = 0.0
        """Seconds by which a block was held up at most, so far."""
        self.due = 0.0
        """When the block in hand, or the next, should be done; 0 before the first."""
        self._clock = clock

    def begin(self, due: float) -> None:
        """Notes that the calling thread begins a block that should be done at a time."""
        self.thread = threading.get_ident()
        self.due = due

    def end(self, next_due: float = 0.0) -> None:
        """Notes that it is done, and when the next will have to be; 0 is not known."""
        self.longest = max(self.longest, self._clock() - self.due)
        self.due = next_due

    def behind(self, now: float) -> float:
        """Seconds by which a block is late now."""
        due = self.due
        return now - due if due else 0.0


class Watched:
    """A source whose blocks are looked after; the listener asks for each when it plays the last."""

    def __init__(self, source: Source, rate: int, pulse: BlockTimer) -> None:
        self._source, self._rate, self._pulse = source, rate, pulse

    def render(self, frames: int) -> NDArray[np.float32]:
        now, seconds, pulse = time.monotonic(), frames / self._rate, self._pulse
        pulse.begin(pulse.due or now + seconds)
        ahead = max(0.0, pulse.due - now - seconds)
        sound = self._source.render(frames)
        # the next is asked for one block after this one was, and takes less than another;
        # who asks for some at one go pauses all the longer
        pulse.end(now + 2 * seconds + min(MAX_AHEAD, 0.9 * ahead))
        return sound
