"""Reading a sound between its samples, by a windowed sinc.

What a voice plays has nothing above 8 kHz, so at the bank's rates a short
kernel is clean: 12 taps leave images below -90 dB at 48 kHz.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

TAPS = 12
PHASES = 4096
Float32 = NDArray[np.float32]


@cache
def kernel(phases: int) -> Float32:
    """Return weights [phases, TAPS] for a place p/phases between sample TAPS/2-1 and the next."""
    at = np.arange(TAPS) - (TAPS // 2 - 1) - np.arange(phases)[:, None] / phases
    # half the band: the sound ends at a third of it, the images begin at five thirds
    weights = np.sinc(at) * np.i0(9.0 * np.sqrt(np.clip(1 - (at / (TAPS / 2)) ** 2, 0, 1)))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


class Interpolator:
    """Reads rows of a ring at fractional places."""

    def __init__(self) -> None:
        self._kernel = kernel(PHASES)

    def __call__(
        self, windows: Float32, rows: NDArray[np.int64], at: NDArray[np.float64], span: int
    ) -> Float32:
        """Interpolate the rings rows[n] at the places at[n, :] (samples), 0 to less than twice
        ``span``, which is one turn.

        Args:
            windows: of TAPS samples from each place of each ring, which repeats its first
                TAPS samples after ``span``.
        """
        whole = at.astype(np.int64)
        phase = ((at - whole) * PHASES).astype(np.int64)
        first = whole - (TAPS // 2 - 1)
        first += span * (first < 0)
        first -= span * (first >= span)
        return np.einsum("nft,nft->nf", windows[rows[:, None], first], self._kernel[phase])


class Resampler:
    """Sound at ``source`` Hz, read at ``target`` Hz; delay TAPS/2 samples.

    The place of every output sample is kept as a fraction of whole numbers,
    so it never drifts.
    """

    def __init__(self, source: int, target: int, channels: int = 1) -> None:
        divisor = int(np.gcd(source, target))
        self._step, self._phases = source // divisor, target // divisor
        self._kernel = kernel(self._phases)
        self._history = np.zeros((channels, TAPS), np.float32)
        self._phase = 0  # place of the next output, in 1/phases of a sample after _history[TAPS/2]

    def needed(self, frames: int) -> int:
        """Return the source samples that the next ``frames`` output samples use up."""
        return (self._phase + frames * self._step) // self._phases

    def __call__(self, source: Float32, frames: int) -> Float32:
        """Resample [channels, ``needed(frames)``] to [channels, ``frames``]."""
        place = self._phase + np.arange(frames) * self._step
        whole, phase = np.divmod(place, self._phases)
        sound = np.concatenate([self._history, source], axis=1)
        windows = np.lib.stride_tricks.sliding_window_view(sound, TAPS, axis=1)
        out = np.einsum("cft,ft->cf", windows[:, whole], self._kernel[phase])
        self._phase = (self._phase + frames * self._step) % self._phases
        self._history = sound[:, source.shape[1] :]
        return out
