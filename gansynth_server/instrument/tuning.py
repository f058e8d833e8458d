"""Pitches of keys: concert pitch, and scales and keyboard mappings in Scala's formats.

The formats are those of Manuel Op de Coul's Scala:
https://www.huygens-fokker.org/scala/scl_format.html and
https://www.huygens-fokker.org/scala/help.htm#mappings. Keys are MIDI note
numbers; pitches are fractional ones, 69 being 440 Hz.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from gansynth_server.errors import UserError
from gansynth_server.util.midi_pitch import A4_HZ, hz_to_midi, midi_to_hz

MIDDLE_C = 60
MAX_DEGREES = 1024
MAX_CENTS = 120000
# behind a value only a space, a tab, a comment or the end of the line may come
_NUMBER = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)(?=[ \t!]|$)")
_RATIO = re.compile(r"(\d+)(?:\s*/\s*(\d+)|(?!\s*/))(?=[ \t!]|$)")
_WHOLE = re.compile(r"\s*([-+]?\d{1,9})(?=[ \t!]|$)")
_SILENT = re.compile(r"[xX](?=[ \t!]|$)")
_FREQUENCY = "the reference frequency"
_HEAD = (
    "the size of the map",
    "the first key",
    "the last key",
    "the middle key",
    "the reference key",
    _FREQUENCY,
    "the degree of the formal octave",
)


@dataclass(frozen=True)
class Scale:
    """Degrees in cents above the first, which is 0; the last one is the period."""

    name: str
    cents: tuple[float, ...]

    def __call__(self, degree: int) -> float:
        """Return the cents of any degree, also beyond the period and below 0."""
        if not self.cents:
            return 0.0
        periods, step = divmod(degree, len(self.cents))
        return periods * self.cents[-1] + (self.cents[step - 1] if step else 0.0)


@dataclass(frozen=True)
class Mapping:
    """Keys and the degrees that they play; the pattern of ``degrees`` begins at ``middle``.

    Without degrees every key plays the next one. None is a key that is silent.
    ``octave`` is the degree by which the pattern rises from one turn to the
    next; 0 is the highest. Keys outside of ``first`` … ``last`` stay in equal temperament.
    """

    degrees: tuple[int | None, ...] = ()
    first: int = 0
    last: int = 127
    middle: int = MIDDLE_C
    reference: int = MIDDLE_C
    frequency: float = midi_to_hz(MIDDLE_C)
    octave: int = 0

    def cents(self, key: int, scale: Scale) -> float | None:
        """Return the cents above the key ``middle``; None for a key that is silent."""
        steps = key - self.middle
        if not self.degrees:
            return scale(steps)
        turns, place = divmod(steps, len(self.degrees))
        degree = self.degrees[place]
        octave = self.octave or len(scale.cents)
        return None if degree is None else turns * scale(octave) + scale(degree)


EQUAL = Scale("12tet", tuple(100.0 * degree for degree in range(1, 13)))


@dataclass(frozen=True)
class Tuning:
    """A function from keys to pitches.

    ``a4`` is the concert pitch in Hz; it moves everything by its ratio to 440,
    also a mapping's reference frequency.

    Raises:
        UserError: the mapping leaves its reference key silent.
    """

    scale: Scale = EQUAL
    mapping: Mapping = Mapping()
    a4: float = A4_HZ

    def __post_init__(self) -> None:
        if self._cents(self.mapping.reference) is None:
            raise UserError(f"the mapping leaves its reference key {self.mapping.reference} silent")

    def __call__(self, key: float) -> float:
        """Return the fractional MIDI pitch of a key; between two keys it is interpolated.

        Raises:
            UserError: the key is silent in this tuning, or beyond all pitches (0 to 127).
        """
        below = math.floor(key)
        pitch = self._pitch(below)
        if key != below:
            pitch += (key - below) * (self._pitch(below + 1) - pitch)
        if not 0 <= pitch <= 127:
            raise UserError(f"key {key:g} is pitch {pitch:.2f} in this tuning, beyond 0 to 127")
        return pitch

    def _pitch(self, key: int) -> float:
        mapping = self.mapping
        concert = 12 * math.log2(self.a4 / A4_HZ)
        if not mapping.first <= key <= mapping.last:
            return key + concert
        cents, reference = self._cents(key), self._cents(mapping.reference)
        if cents is None or reference is None:
            raise UserError(f"key {key} is silent in this tuning; /tuning 12tet gives it a pitch")
        base = hz_to_midi(mapping.frequency)
        return base + (cents - reference) / 100 + concert

    def _cents(self, key: int) -> float | None:
        return self.mapping.cents(key, self.scale)


def read_scale(text: str) -> Scale:
    """Read the scale of a .scl text; UserError says which line is wrong."""
    lines = _lines(text)
    name = lines[0][1].strip() if lines else ""
    lines = [(number, line) for number, line in lines[1:] if line.strip()]
    if not lines:
        raise UserError("the .scl text ends before its number of notes")
    (number, line), degrees = lines[0], lines[1:]
    count = _whole(line, f".scl line {number}", "the number of notes", 0, MAX_DEGREES)
    if len(degrees) < count:
        raise UserError(f"the .scl text promises {count} notes and has {len(degrees)}")
    cents = tuple(_degree(line, f".scl line {number}") for number, line in degrees[:count])
    return Scale(name or "unnamed", cents)


def read_mapping(text: str) -> Mapping:
    """Read the keyboard mapping of a .kbm text; UserError says which line is wrong."""
    lines = [(number, line) for number, line in _lines(text) if line.strip()]
    if len(lines) < len(_HEAD):
        raise UserError(f"the .kbm text ends before {_HEAD[len(lines)]}")
    places = [f".kbm line {number}" for number, _ in lines]
    numbers = [
        _real(line, place, name) if name == _FREQUENCY else _whole(line, place, name)
        for place, (_, line), name in zip(places, lines, _HEAD, strict=False)
    ]
    frequency = numbers.pop(5)
    size, first, last, middle, reference, octave = map(int, numbers)
    if not 0 <= size <= MAX_DEGREES:
        raise UserError(f"{places[0]}: a map has 0 to {MAX_DEGREES} keys, not {size}")
    if not 1 <= frequency <= 100000:
        raise UserError(f"{places[5]}: {_FREQUENCY} must be 1 to 100000 Hz, not {frequency:g}")
    entries = list(zip(places, lines, strict=True))[len(_HEAD) :][:size]
    degrees = [
        None if _SILENT.match(line.strip(" \t")) else _whole(line, place, "a scale degree or x")
        for place, (_, line) in entries
    ]
    degrees += [None] * (size - len(degrees))  # "at the end" they "may be left out"
    return Mapping(tuple(degrees), first, last, middle, reference, frequency, octave)


def _lines(text: str) -> list[tuple[int, str]]:
    """Return the lines that are no comments, with their numbers from 1."""
    lines = re.split(r"\r\n|\r|\n", text)  # splitlines would split at Latin-1's … too
    return [(n, line) for n, line in enumerate(lines, 1) if not line.startswith("!")]


def _whole(
    line: str, place: str, what: str, low: int = -MAX_DEGREES, high: int = MAX_DEGREES
) -> int:
    found = _WHOLE.match(line.rstrip())
    if found is None or not low <= int(found[1]) <= high:
        raise UserError(
            f"{place}: {what} must stand here, {low} to {high}, not {line.strip()[:40]!r}"
        )
    return int(found[1])


def _real(line: str, place: str, what: str) -> float:
    found = _NUMBER.match(line.strip())
    if found is None:
        raise UserError(f"{place}: {what} must stand here, not {line.strip()[:40]!r}")
    return float(found[0])


def _degree(line: str, place: str) -> float:
    """Read the cents of a line of a .scl text."""
    # "If the value contains a period, it is a cents value, otherwise a ratio. … Anything after
    # a valid pitch value should be ignored."
    text = line.strip(" \t")
    number, ratio = _NUMBER.match(text), _RATIO.match(text)
    cents = math.inf
    if number is not None and "." in number[0]:
        cents = float(number[0])
    elif ratio is not None and len(ratio[0]) <= 100 and int(ratio[1]) > 0 < int(ratio[2] or 1):
        cents = 1200 * (math.log2(int(ratio[1])) - math.log2(int(ratio[2] or 1)))
    if not abs(cents) <= MAX_CENTS:
        raise UserError(
            f"{place}: {text[:40]!r} is neither cents (386.3) nor a ratio (5/4), with a space or "
            "! behind it"
        )
    return cents
