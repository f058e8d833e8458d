"""Batched inverse STFT of the live path, at the listener's sample rate.

The generator's frames have 2048 points at 16 kHz. A larger inverse FFT whose
new bins stay empty is ideal band-limited interpolation, so at 48 kHz (6144
points, hop 1536) a frame comes out resampled without extra delay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.spectral.constants import BINS, FFT, HOP, LEAD, SAMPLE_RATE
from gansynth_server.spectral.spectrum import Float32

LOWEST_RATE, HIGHEST_RATE = 16000, 192000
"""Range of a listener's sample rate (Hz); notes have sound up to 8 kHz."""


def check_rate(rate: int) -> None:
    """Raise UserError for a sample rate out of range."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise UserError(
            f"a sample rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, not {rate}; try 48000"
        )


def direct(rate: int) -> bool:
    """Whether a hop is a whole number of samples at this rate."""
    return rate * HOP % SAMPLE_RATE == 0


class FrameInverse:
    """Inverse FFT, window and scale for rows of frames at one sample rate.

    Args:
        rate: sample rate (Hz) for which :func:`direct` holds.
    """

    def __init__(self, rate: int) -> None:
        if not direct(rate):
            raise ValueError(f"{rate} Hz does not divide the hop")
        self.rate = rate
        self.hop = HOP * rate // SAMPLE_RATE
        self.size = FFT * rate // SAMPLE_RATE
        n = np.arange(self.size)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / self.size)
        # the squares of Hann windows a quarter apart add up to 3/2 (COLA)
        self._window = (hann / 1.5 * (self.size / FFT)).astype(np.float32)
        self._cut = min(BINS, self.size // 2)

    def __call__(
        self, magnitude: Float32, phase: NDArray[np.floating], band: int = BINS
    ) -> Float32:
        """[J, 1024] magnitudes and phases → [J, size] windowed frames to overlap-add.

        Args:
            band: number of bins, from 0, above which all are empty.
        """
        cut = min(self._cut, band)
        angle = phase[:, :cut].astype(np.float32, copy=False)
        bins = np.zeros((len(magnitude), self.size // 2 + 1), np.complex64)
        spectrum = bins[:, 1 : cut + 1]
        np.cos(angle, out=spectrum.real)
        np.sin(angle, out=spectrum.imag)
        spectrum *= magnitude[:, :cut]
        if self.size > FFT and cut == self._cut:
            # at 16 kHz the last bin is at Nyquist, and real; here it has a mirror image
            bins[:, self._cut] = bins[:, self._cut].real / 2
        # as fast as PyTorch's on one thread
        frames = np.fft.irfft(bins, n=self.size).astype(np.float32, copy=False)
        frames *= self._window
        return frames

    def whole(self, magnitude: Float32, increment: Float32) -> Float32:
        """Compute a whole note from its frames in order, all in one inverse FFT.

        Args:
            magnitude: [128, 1024].
            increment: [128, 1024] phase increments (rad per frame).

        Returns:
            float32 [samples] from the first of the note: 4 s.
        """
        silent = LEAD // HOP - 3  # frames that end before the note begins
        frames = self(magnitude[silent:], _phases(increment)[silent:])
        parts = frames.reshape(len(frames), 4, self.hop)
        total = np.zeros((len(frames) + 3, self.hop), np.float32)
        for part in range(4):
            total[part : part + len(parts)] += parts[:, part]
        # the note begins with the last quarter of the first frame that reaches into it
        return total[3:].reshape(-1)


def _phases(increment: Float32) -> Float32:
    """Add the increments of each bin up, [frames, 1024], to phases within ±π."""
    phase = np.empty_like(increment)
    total = np.zeros(increment.shape[1])  # float64, so that it never drifts
    turns = np.empty_like(total)
    # row by row: NumPy's cumsum along the first axis takes eight times as long
    for row, out in zip(increment, phase, strict=True):
        total += row
        np.multiply(total, 1 / (2 * np.pi), out=turns)
        np.rint(turns, out=turns)
        turns *= 2 * np.pi
        np.subtract(total, turns, out=out, casting="same_kind")
    return phase
