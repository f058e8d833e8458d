"""What the file name of a recording says: instrument, pitch, velocity."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gansynth_server.util.note_names import note_number

VELOCITY = 100
"""Where a name has none."""
DYNAMICS = {"pp": 33, "p": 49, "mp": 64, "mf": 80, "f": 96, "ff": 112}
"""MIDI velocities of notation programs."""

NSYNTH = re.compile(r"(.+_\d{3})-(\d{3})-(\d{3})")
NUMBER = re.compile(r"(?<![a-z])(?:pitch|midi|note)[ _-]?(\d{1,3})(?!\d)", re.IGNORECASE)
TONE = re.compile(r"(?<![a-z0-9#♯♭])[a-g][#♯s♭b]?\d(?![a-z0-9#♯♭])", re.IGNORECASE)
DYNAMIC = re.compile(r"(?<![a-z0-9])(pp|p|mp|mf|f|ff)(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """What a name says; no pitch where it names none or several."""

    instrument: str
    pitch: int | None
    velocity: int


def parse(stem: str) -> Named:
    """Read a file name without its suffix.

    Pitches are NSynth's ``NAME_024-060-100`` (instrument, pitch, velocity),
    ``pitch_67``, ``midi67``, ``note-67``, a name of three digits alone
    (``060``), and tones such as ``C4``, ``A#3``, ``Eb2``, with 60 = C4.
    """
    if match := NSYNTH.fullmatch(stem):
        name, pitch, velocity = match.groups()
        return Named(clean(name), int(pitch), min(max(int(velocity), 1), 127))
    if re.fullmatch(r"\d{3}", stem):
        return Named("", int(stem), VELOCITY)
    pitches: set[int | None] = {int(match[1]) for match in NUMBER.finditer(stem)}
    rest = NUMBER.sub("", stem)
    if not pitches:
        pitches = {note_number(match[0]) for match in TONE.finditer(stem)}
        rest = TONE.sub("", stem)
    if len(pitches) != 1:
        return Named(clean(stem), None, VELOCITY)
    dynamics = [match[1].lower() for match in DYNAMIC.finditer(rest)]
    velocity = DYNAMICS[dynamics[-1]] if dynamics else VELOCITY
    return Named(clean(DYNAMIC.sub("", rest)), pitches.pop(), velocity)


def clean(name: str) -> str:
    """A name as those of the other sources: lower case, words joined by underscores."""
    return re.sub(r"[\W_]+", "_", name).strip("_").lower()
