"""What runs on PortAudio's thread: copying from a ring, with a fade at either end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.ring import Ring

FADE_SECONDS = 0.005


class Playback:
    """Plays a ring in blocks of a fixed size; on the channels beyond the ring's, its first.

    Threads: ``callback`` is PortAudio's and takes no locks, logs nothing and
    makes no arrays but views. ``fade_in`` may only be called while it does not
    run; all else may be used from anywhere.
    """

    def __init__(self, rate: int, blocksize: int, ahead: int, channels: int = 1) -> None:
        self.ring = Ring(ahead * blocksize, channels)
        self._channels = channels
        self.calls = 0
        self.underruns = 0
        """Calls that came too late or found too little in the ring."""
        rows = max(1, round(FADE_SECONDS * rate / blocksize))
        phase = (np.arange(rows * blocksize) + 0.5) / (rows * blocksize)
        self._ramp = (np.sin(0.5 * np.pi * phase) ** 2).astype(np.float32).reshape(rows, blocksize)
        self._level = 0  # rows of the ramp that have been climbed
        self._closing = False

    @property
    def silent(self) -> bool:
        """Whether the sound has not begun or has faded out."""
        return self._level == 0

    def fade_in(self) -> None:
        """Lets the next call begin from silence."""
        self._level = 0
        self._closing = False

    def fade_out(self) -> None:
        """Lets the next calls end in silence."""
        self._closing = True

    def callback(self, out: NDArray[np.float32], frames: int, _time: Any, status: Any) -> None:
        """Puts the next block into ``out`` [blocksize, channels]."""
        self.calls += 1
        if self._closing and self._level == 0:
            out.fill(0.0)
            return
        sound = out.T[: self._channels]
        if self.ring.read_into(sound) or status.output_underflow:
            self.underruns += 1
        if self._closing:
            self._level -= 1
            sound *= self._ramp[self._level, ::-1]
        elif self._level < len(self._ramp):
            sound *= self._ramp[self._level]
            self._level += 1
        out[:, self._channels :] = out[:, :1]
