"""At which octave of the asked pitch a synthesiser sounds, if at any, by autocorrelation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.util.midi_pitch import midi_to_hz

OCTAVES = (-24, -12, 0, 12, 24)
WINDOW = 2048
LONGEST = 1024
"""Samples of the longest period looked for, 15.6 Hz."""
FINE = 8
"""Steps per sample in which periods are looked for."""
FIRST, LAST, STEP = SAMPLE_RATE // 10, SAMPLE_RATE * 5 // 2, SAMPLE_RATE // 10
AUDIBLE = 0.03
"""Frames quieter than this share of the loudest one say nothing."""
OFF = 0.5
"""Semitones that a note may be off."""
PERIODIC = 0.75
"""Least median correlation of a frame with itself a period later."""
SURER = 0.04
"""By which the correlation at a longer period must exceed that at a shorter one: any multiple of
a period is a period too, so the shortest of those that do as well is the pitch's."""
FUNDAMENTAL = 0.03
"""Least share of the strongest partial's magnitude that the fundamental of a low octave has:
two tones a fifth apart repeat at an octave below, where nothing sounds."""


def octave_of(waves: Mapping[int, NDArray[np.float32]]) -> int | None:
    """Semitones by which an instrument sounds above the pitches asked of it: whole octaves.

    Args:
        waves: pitch asked for → [64000] at 16 kHz.

    Returns:
        What most of the notes agree on; None where they sound neither at the
        pitch asked for nor up to two octaves off.
    """
    heard = Counter(_octave(wave, pitch) for pitch, wave in waves.items())
    octave, count = heard.most_common(1)[0]
    return octave if 2 * count > len(waves) else None


def _octave(wave: NDArray[np.float32], pitch: int) -> int | None:
    likeness = _likeness(wave)
    if likeness is None:
        return None
    found: tuple[float, int] | None = None
    # from the highest octave, so that a longer period has to do better
    for octave in reversed(OCTAVES):
        hertz = midi_to_hz(pitch + octave)
        period, spread = FINE * SAMPLE_RATE / hertz, 2 ** (OFF / 12)
        low, high = round(period / spread), round(period * spread)
        if high >= likeness.shape[1]:
            continue
        here = likeness[:, low : high + 1]
        value = float(np.median(here.max(axis=1)))
        # a peak, not the slope of one beside it
        inside = np.median(here.argmax(axis=1)) not in (0, high - low)
        if not inside or value < PERIODIC or (found and value < found[0] + SURER):
            continue
        if octave < 0 and not _sounds(wave, hertz):
            continue
        found = value, octave
    return found[1] if found else None


def _likeness(wave: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Normalised square difference function (McLeod and Wyvill 2005) of the audible frames.

    Returns:
        [frames, lags], 1 where a frame is itself a lag later, lags in steps of
        an eighth of a sample; None where nothing is heard.
    """
    frames = np.lib.stride_tricks.sliding_window_view(wave[FIRST:LAST], WINDOW + LONGEST)[::STEP]
    energy = (frames.astype(np.float64) ** 2).sum(axis=1)
    frames = frames[energy > AUDIBLE**2 * max(energy.max(), 1e-9)].astype(np.float64)
    if not len(frames):
        return None
    frames = frames - frames.mean(axis=1, keepdims=True)
    size = 2 * (WINDOW + LONGEST)
    head = np.fft.rfft(frames[:, :WINDOW], size)
    product = np.conj(head) * np.fft.rfft(frames, size)
    cross = FINE * np.fft.irfft(product, FINE * size)[:, : FINE * LONGEST]
    total = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    power = total[:, WINDOW : WINDOW + LONGEST + 1] - total[:, : LONGEST + 1]
    lags = np.arange(FINE * LONGEST) / FINE
    below = lags.astype(np.int64)
    later = power[:, below] + (lags - below) * (power[:, below + 1] - power[:, below])
    return np.asarray(2 * cross / np.maximum(power[:, :1] + later, 1e-12))


def _sounds(wave: NDArray[np.float32], hertz: float) -> bool:
    """Tells whether there is a partial at a frequency."""
    part = wave[FIRST:LAST] * np.hanning(LAST - FIRST)
    magnitude = np.abs(np.fft.rfft(part))
    bin_hertz = SAMPLE_RATE / len(part)
    spread = 2 ** (OFF / 12)
    near = magnitude[round(hertz / spread / bin_hertz) : round(hertz * spread / bin_hertz) + 1]
    return bool(near.max() > FUNDAMENTAL * magnitude.max())
