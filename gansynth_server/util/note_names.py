"""Names of notes as MIDI note numbers: c4 is 60."""

from __future__ import annotations

import re

STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
ACCIDENTALS = {"#": 1, "♯": 1, "s": 1, "b": -1, "♭": -1, "f": -1}
"""Semitones; s and f are SuperCollider's and TidalCycles' sharp and flat."""

_NAME = re.compile(r"([a-gA-G])([#♯sS♭bBfF]*)(-?\d)?")


def note_number(name: str, octave: int | None = None) -> int | None:
    """Return the MIDI note number of a name such as c4, eb3, F♯-1 or cs; None for other text.

    Args:
        octave: of a name that has none; None refuses such names.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    letter, accidentals, digits = found.groups()
    if digits is not None:
        octave = int(digits)
    if octave is None:
        return None
    shift = sum(ACCIDENTALS[sign] for sign in accidentals.lower())
    return 12 * (octave + 1) + STEPS[letter.lower()] + shift
