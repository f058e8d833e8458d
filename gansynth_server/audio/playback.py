"""The work of PortAudio's thread: copying from a ring, with fades where sound begins or ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.ring import Ring

FADE_SECONDS = 0.005


class Playback:
    """Plays a ring in blocks of a fixed size; on the channels beyond the ring's, its first.

    Where the ring runs dry the last sample fades to zero, and what comes after
    fades in: no gap is a step.

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
        rise = (np.sin(0.5 * np.pi * phase) ** 2).astype(np.float32)
        self._ramp = rise.reshape(rows, blocksize)
        self._level = 0  # rows of the ramp that have been climbed
        self._fall = rise[::-1]
        self._fallen = len(rise)  # samples since the last gap began
        self._from = np.zeros((channels, 1), np.float32)  # the sample before it
        self._last = np.zeros((channels, 1), np.float32)
        self._dry = False
        self._rest = np.empty((channels, blocksize), np.float32)
        self._closing = False

    @property
    def silent(self) -> bool:
        """Return whether the sound has not begun or has faded out."""
        return self._level == 0 and self._fallen == len(self._fall)

    def fade_in(self) -> None:
        """Begin the next call from silence."""
        self._level = 0
        self._fallen = len(self._fall)
        self._closing = False

    def fade_out(self) -> None:
        """End the next calls in silence."""
        self._closing = True

    def callback(self, out: NDArray[np.float32], frames: int, _time: Any, status: Any) -> None:
        """Put the next block into ``out`` [blocksize, channels]."""
        self.calls += 1
        sound = out.T[: self._channels]
        missing = self._read(sound, status)
        if self._closing:
            self._level = max(0, self._level - 1)
            sound *= self._ramp[self._level, ::-1]
        elif self._level < len(self._ramp):
            sound *= self._ramp[self._level]
            self._level += 1
        self._add_fall(sound)
        if missing and (missing < frames or not self._dry):
            found = frames - missing
            self._from[:] = sound[:, found - 1 : found] if found else self._last
            self._fallen = 0
            sound[:, found:] = 0.0
            self._add_fall(sound[:, found:])
        self._dry = missing > 0
        if self._dry:
            self._level = 0
        self._last[:] = sound[:, -1:]
        out[:, self._channels :] = out[:, :1]

    def _read(self, sound: NDArray[np.float32], status: Any) -> int:
        """Read the next samples of the ring; return how many were missing."""
        if self._closing and self._level == 0:
            sound.fill(0.0)
            return 0
        missing = self.ring.read_into(sound)
        if self._closing:  # no more is written, so small blocks may run out within the fade
            return missing
        if missing or status.output_underflow:
            self.underruns += 1
        if status.output_underflow:
            self._level = 0  # there was a gap before this block
        return missing

    def _add_fall(self, sound: NDArray[np.float32]) -> None:
        """Add what is left of the last sample before a gap."""
        count = min(sound.shape[1], len(self._fall) - self._fallen)
        if count:
            rest = self._rest[:, :count]
            np.multiply(self._from, self._fall[self._fallen : self._fallen + count], out=rest)
            sound[:, :count] += rest
            self._fallen += count
