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
    "pca": 2.0,
    "pedal": 1.0,
    "none": 0.0,
}
"""What the whole way of a controller comes to: linear, places to either side, dB per octave,
semitones, of full pressure, times as long (two), standard deviations; the rest have none."""
TIMES = ("attack", "release")
_TWO_SIDED = ("pan", "brightness", "pca")
_PCA = re.compile(r"pca(\d{1,4})")


@dataclass(frozen=True)
class Target:
    """What one controller changes; ``component`` is that of a principal direction, from 0."""

    name: str
    amount: float
    component: int = 0

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
    found = _PCA.fullmatch(name)
    kind = "pca" if found else name
    if kind not in AMOUNTS or (kind == "pca") != bool(found):
        names = ", ".join(AMOUNTS).replace("pca", "pca0, pca1 …")
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
        **{20 + n: f"pca{n}" for n in range(8)},
    }
    return {control: target(name) for control, name in usual.items()}
