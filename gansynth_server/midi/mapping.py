"""Mapping of MIDI controllers to targets, and the amounts of these."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gansynth_server.errors import UserError

CENTRE = 64
"""Middle value of a bipolar controller."""
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
"""Effect of a controller's full range: linear gain, pan to either side, dB per octave, semitones,
share of full pressure, factors of the times (two), standard deviations; the rest have none."""
TIMES = ("attack", "release")
_BIPOLAR = ("pan", "brightness", "pca")
_PCA = re.compile(r"pca(\d{1,4})")


@dataclass(frozen=True)
class Target:
    """Target of a controller; ``component`` is that of a principal direction, from 0."""

    name: str
    amount: float
    component: int = 0

    def value(self, control: int) -> float:
        """Effect of a controller's value 0…127."""
        side = max(-1.0, (control - CENTRE) / (127 - CENTRE))
        if self.name in _BIPOLAR:
            return side * self.amount
        if self.name in TIMES:
            return float(self.amount**side)
        if self.name == "gain":
            return (control / 127) ** 2 * self.amount
        return control / 127 * self.amount


def target(name: str, amount: float | None = None) -> Target:
    """Target of a name; UserError lists the names where there is none such."""
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
    """Default mapping by controller number; 20 to 27, which MIDI leaves undefined, are pca0 … 7."""
    usual = {
        **{1: "vibrato", 7: "gain", 10: "pan", 11: "gain", 64: "pedal"},
        **{72: "release", 73: "attack", 74: "brightness"},
        **{20 + n: f"pca{n}" for n in range(8)},
    }
    return {control: target(name) for control, name in usual.items()}
