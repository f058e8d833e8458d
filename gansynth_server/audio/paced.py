"""Real time without a sound card: a pacer, and the output that it drives."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

STALL_SECONDS = 1.0
"""Lateness (s) from which lost time is skipped instead of made up for."""


class Pacer:
    """Tells when blocks are due in real time.

    Due times are counted from the first frame, so there is no drift: a late
    block is followed by early ones. After a stall the count begins again.

    Args:
        now: time (s) at which the first block is due, as ``time.monotonic`` tells it.
    """

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._origin = now
        self._frames = 0

    def early(self, now: float) -> float:
        """Return the time (s) until the next block is due; below 0 it is late."""
        return self._origin + self._frames / self._rate - now

    def advance(self, frames: int, now: float) -> bool:
        """Take note that the block that is due now had so many frames; False if time is skipped."""
        late = -self.early(now) > STALL_SECONDS
        if late:
            self._origin, self._frames = now, 0
        self._frames += frames
        return not late


class NullOutput:
    """Wants sound in real time, by the computer's clock, and throws it away."""

    def __init__(
        self, name: str = "none (no sound)", *, rate: int, blocksize: int, channels: int = 1
    ) -> None:
        self.name = name
        self.rate = rate
        self.channels = channels
        self.blocksize = blocksize
        self.latency = blocksize / rate
        self.underruns = 0
        """Stalls after which time was skipped."""
        self._pacer: Pacer | None = None

    def start(self) -> None:
        self._pacer = Pacer(self.rate, time.monotonic())

    def wanted(self, now: float) -> bool:
        return self.pause(now) == 0.0

    def pause(self, now: float) -> float:
        if self._pacer is None:
            return self.latency
        return max(0.0, self._pacer.early(now))

    def put(self, block: NDArray[np.float32]) -> None:
        if self._pacer and not self._pacer.advance(block.shape[1], time.monotonic()):
            self.underruns += 1

    def stop(self) -> None:
        self._pacer = None
