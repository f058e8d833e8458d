"""MIDI note numbers, fractions included, and frequencies (Hz): 69 is A4, 440 Hz."""

from __future__ import annotations

import math

A4 = 69
A4_HZ = 440.0


def midi_to_hz(pitch: float) -> float:
    """Return the frequency (Hz) of a MIDI note number."""
    return float(A4_HZ * 2 ** ((pitch - A4) / 12))


def hz_to_midi(frequency: float) -> float:
    """Return the MIDI note number of a frequency (Hz) above 0."""
    return A4 + 12 * math.log2(frequency / A4_HZ)
