"""Timbre descriptors of notes: brightness, attack, sustain, noisiness, harmonicity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis.acoustics import QUIET, attack, centroid, envelope, spectral
from gansynth_server.analysis.labelled_notes import LabelledNotes
from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.util.midi_pitch import midi_to_hz

Float64 = NDArray[np.float64]

UNITS = ("octaves above the note", "octaves of ms", "dB", "dB", "dB")
"""Units of :data:`gansynth_server.latent.descriptor_names.MEASURES`."""
LATE = slice(40, 60)
"""Blocks of 50 ms, the third second, whose level relative to the loudest is the sustain."""
DEEPEST = -60.0
"""Lowest sustain (dB); notes that have faded further count as equally short."""
PUREST = (-20.0, 40.0)
"""Range of harmonicity (dB)."""
NEAR = 2 ** (1 / 24) - 1
"""Half a semitone, as a ratio: within it of a multiple of the fundamental, power is harmonic."""


def measure(sounds: LabelledNotes) -> Float64:
    """Descriptors [N, 5] in the order of ``MEASURES``; finite for silence too."""
    hertz = np.array([midi_to_hz(float(pitch)) for pitch in sounds.pitches])
    brightness = np.log2(np.maximum([centroid(w) for w in sounds.waves], 1.0) / hertz)
    rise = np.array([attack(wave) for wave in sounds.waves])
    slow = np.log2(np.nan_to_num(rise, nan=1.0) + 1.0)
    sustain = np.array([_sustain(wave) for wave in sounds.waves])
    noise = 10 * np.log10(np.clip(spectral(sounds).flatness, 1e-6, 1.0))
    harmonic = np.array([_harmonic(wave, f) for wave, f in zip(sounds.waves, hertz, strict=True)])
    return np.stack([brightness, slow, sustain, noise, harmonic], axis=1)


def _sustain(wave: NDArray[np.float32]) -> float:
    """Level (dB) of the third second relative to the loudest 50 ms."""
    level = envelope(wave)
    late = float(np.sqrt(np.mean(level[LATE] ** 2)))
    return float(max(DEEPEST, 20 * np.log10((late + 1e-9) / (level.max() + 1e-9))))


def _harmonic(wave: NDArray[np.float32], hertz: float) -> float:
    """Harmonic-to-noise ratio (dB) of the first two seconds, given the fundamental (Hz)."""
    part = wave[: 2 * SAMPLE_RATE] * np.hanning(2 * SAMPLE_RATE)
    power = np.abs(np.fft.rfft(part)) ** 2
    ratio = np.fft.rfftfreq(len(part), 1 / SAMPLE_RATE) / hertz
    partial = np.maximum(np.rint(ratio), 1)
    near = np.abs(ratio / partial - 1) < np.maximum(NEAR / partial, 2 / hertz)
    harmonic, rest = power[near].sum() + QUIET, power[~near].sum() + QUIET
    return float(np.clip(10 * np.log10(harmonic / rest), *PUREST))
