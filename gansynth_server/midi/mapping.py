"""What a MIDI controller changes, and by how much."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gansynth_server.errors import UserError

CENTRE = 64
"""Value of a controller that has two sides."""
AMOUNTS = {
    "gain": 1.0,
    "pan": 1.0,
    "brightness": 12.0,
    "vibrato": 0.5,
    "pressure": 1.0,
    "attack": 32.0,
    "release": 16.0,
    "direction": 0.5,
    "pedal": 1.0,
    "none": 0.0,
}
"""What the whole way of a controller comes to: linear, places to either side, dB per octave,
semitones, of full pressure, times as long (two), of a latent; the last two have no amount."""
TIMES = ("attack", "release")
_TWO_SIDED = ("pan", "brightness", "direction")
_DIRECTION = re.compile(r"direction([1-9]\d{0,3})")


@dataclass(frozen=True)
class Target:
    """What one controller changes; ``direction`` counts from 1."""

    name: str
    amount: float
    direction: int = 0

    def value(self, control: int) -> float:
        """What a controller's value 0…127 means."""
        side = max(-1.0, (control - CENTRE) / (127 - CENTRE))
        if self.name in _TWO_SIDED:
            return side * self.amount
        if self.name in TIMES:
            return float(self.amount**side)
        if self.name == "gain":
            return (control / 127) ** 2 * self.amount
        return control / 127 * self.amount


def target(name: str, amount: float | None = None) -> Target:
    """A target by its name; UserError lists them where it is none."""
    found = _DIRECTION.fullmatch(name)
    kind = "direction" if found else name
    if kind not in AMOUNTS or (kind == "direction") != bool(found):
        names = ", ".join(AMOUNTS).replace("direction", "direction1, direction2 …")
        raise UserError(f"a controller's target is one of {names}, not {name!r}")
    chosen = AMOUNTS[kind] if amount is None else amount
    if kind in TIMES and chosen <= 0:
        raise UserError(f"{kind} becomes so many times as long: more than 0, not {chosen:g}")
    return Target(kind, chosen, int(found[1]) if found else 0)


def defaults() -> dict[int, Target]:
    """The usual controllers, by their numbers; 20 to 27 are free for everybody's own use."""
    usual = {
        **{1: "vibrato", 7: "gain", 10: "pan", 11: "gain", 64: "pedal"},
        **{72: "release", 73: "attack", 74: "brightness"},
        **{20 + n: f"direction{n + 1}" for n in range(8)},
    }
    return {control: target(name) for control, name in usual.items()}
