"""Loudness, brightness and strokes of a line, beside its pitch."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gansynth_server.spectral.constants import SAMPLE_RATE

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Real = TypeVar("Real", np.float32, np.float64)

HOP = SAMPLE_RATE // 200
"""Samples (5 ms) from one frame to the next."""
LEVEL_WINDOW = SAMPLE_RATE * 3 // 100
"""Samples (30 ms) under the window of a level: two periods of a low voice."""
BRIGHT_WINDOW = 1024
"""Samples (64 ms) under the window of a brightness."""
BRIGHT_SMOOTH = 25
"""Frames (125 ms) over which brightness is averaged: timbres move every 64 ms."""
QUIET = 1e-10
"""Power that counts as silence."""
RISE, RISE_FRAMES = 10.0, 6
"""A stroke is a rise of the level by so many dB within so many frames (30 ms)."""
STROKES_APART = 20
"""Least number of frames (0.1 s) between two strokes."""


class Stroke(NamedTuple):
    """A sound without pitch: when (s), its level (dB) and the centre of its spectrum (Hz)."""

    seconds: float
    level: float
    centroid: float


def frame_count(sound: Float32) -> int:
    """Return the number of frames of a sound [n]: one every 5 ms, from its first sample on."""
    return len(sound) // HOP + 1


def frames_of(sound: NDArray[Real], window: int) -> NDArray[Real]:
    """Return the samples about the centre of each frame, a view [frames, window]."""
    padded = np.pad(sound, (window // 2, window // 2 + HOP))
    return sliding_window_view(padded, window)[: (len(sound) // HOP + 1) * HOP : HOP]


def level(sound: Float32) -> Float64:
    """Measure the RMS level (dB full scale) of each frame, [frames]."""
    window = np.hanning(LEVEL_WINDOW)
    power = frames_of(sound.astype(np.float64) ** 2, LEVEL_WINDOW) @ (window / window.sum())
    return np.asarray(10 * np.log10(power + QUIET))


def centroid(sound: Float32) -> Float64:
    """Measure the centre (Hz) of each frame's power spectrum, [frames], every fourth frame and
    interpolated."""
    frames = frames_of(sound, BRIGHT_WINDOW)[::4]
    power = np.abs(np.fft.rfft(frames * np.hanning(BRIGHT_WINDOW))) ** 2
    hertz = np.fft.rfftfreq(BRIGHT_WINDOW, 1 / SAMPLE_RATE)
    centre = power @ hertz / np.maximum(power.sum(axis=1), QUIET)
    return np.interp(np.arange(frame_count(sound)), np.arange(len(centre)) * 4, centre)


def brightness(sound: Float32, hertz: Float64) -> Float64:
    """Measure the brightness (octaves above the note) of each frame, smoothed; nan without pitch.

    Args:
        sound: [n] at 16 kHz.
        hertz: [frames], nan where there is no pitch.
    """
    heard = hertz > 0
    octaves = np.log2(np.maximum(centroid(sound), 1) / np.where(heard, hertz, 1))
    kernel = np.ones(BRIGHT_SMOOTH)
    total = np.convolve(np.where(heard, octaves, 0), kernel, "same")
    count = np.convolve(heard, kernel, "same")
    return np.where(heard, total / np.maximum(count, 1), np.nan)


def strokes(sound: Float32, hertz: Float64, begin: float) -> list[Stroke]:
    """Find the sounds without pitch that begin suddenly: consonants, claps, drums.

    Args:
        sound: [n] at 16 kHz.
        hertz: [frames], nan where there is no pitch.
        begin: level (dB) that they reach.
    """
    levels, centres, found = level(sound), centroid(sound), list[Stroke]()
    last = -STROKES_APART
    for n in range(RISE_FRAMES, len(levels) - RISE_FRAMES):
        rises = levels[n] - levels[n - RISE_FRAMES] >= RISE and levels[n] >= begin
        if not rises or n - last < STROKES_APART:
            continue
        last = n
        after = slice(n, n + RISE_FRAMES)
        if not (hertz[after] > 0).any():
            # a level's window reaches 15 ms ahead of its frame
            start = (n + 2) * HOP / SAMPLE_RATE
            found.append(Stroke(start, float(levels[after].max()), float(centres[n + 2])))
    return found
