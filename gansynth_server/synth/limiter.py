"""A look-ahead limiter: what leaves stays within the ceiling, without clipping."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CEILING = 0.985
LOOKAHEAD = 0.001
RECOVERY = 60.0
"""Ceiling (full scale is 1), look-ahead in seconds, and recovery in dB per second."""


class Limiter:
    """Delays the sound by 1 ms and turns it down before a peak arrives.

    The gain that a peak needs is held over the look-ahead (a running minimum)
    and smoothed over it (a running mean), so it is reached exactly at the
    peak; afterwards it recovers at a constant rate in dB.
    """

    def __init__(self, rate: int, channels: int = 1) -> None:
        self.delay = round(LOOKAHEAD * rate)
        self._slope = RECOVERY / 20 * np.log(10) / rate  # nepers per sample
        self._sound = np.zeros((channels, self.delay), np.float32)
        self._need = np.zeros(2 * self.delay)  # log gains of the samples before
        self._log_gain = 0.0

    def __call__(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [channels, frames] → the same, ``delay`` samples later; one gain for all."""
        frames = sound.shape[1]
        delayed = np.concatenate([self._sound, sound], axis=1)
        self._sound = delayed[:, frames:]
        delayed = delayed[:, :frames]
        level = np.abs(sound).max(axis=0)
        if self._log_gain == 0 and not self._need.any() and level.max(initial=0) <= CEILING:
            return delayed
        need = np.minimum(0.0, np.log(CEILING) - np.log(np.maximum(level, 1e-9)))
        # recovery: g[n] = min(need[n], g[n-1] + slope), as one running minimum
        ramp = self._slope * np.arange(1, frames + 1)
        followed = np.minimum.accumulate(np.minimum(need - ramp, self._log_gain)) + ramp
        followed = np.minimum(followed, 0.0)
        self._log_gain = float(followed[-1])
        held = np.concatenate([self._need, followed])
        self._need = held[frames:]
        window = np.lib.stride_tricks.sliding_window_view
        lowest = window(held, self.delay + 1).min(axis=1)  # [frames + delay]
        gain = np.exp(lowest)
        total = np.cumsum(np.concatenate([[0.0], gain]))
        smooth = (total[self.delay + 1 :] - total[: -self.delay - 1]) / (self.delay + 1)
        return np.clip(delayed * smooth, -CEILING, CEILING).astype(np.float32)
