"""Scaling between physical units and the network's [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Representation = Literal["mel", "linear"]
REPRESENTATIONS: tuple[Representation, ...] = get_args(Representation)


@dataclass(frozen=True)
class Normalizer:
    """Affine map between physical units and the network's [-1, 1].

    ``normalised = a * physical + b`` per channel; the defaults are those of
    Magenta's ``specgrams_prespecified_normalizer``.
    """

    magnitude_a: float = 0.0661371661726
    magnitude_b: float = 0.113718730221
    phase_a: float = 0.8
    phase_b: float = 0.0
