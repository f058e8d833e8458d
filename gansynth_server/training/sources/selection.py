"""Which notes of an instrument are rendered: some of the pitches, velocities that differ."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.analysis.spectral_distance import Target

PROBES = (48, 60, 72)
"""Pitches at which instruments are compared: C3, C4 and C5. A share of the pitches has them."""
PROBE = 60
"""The one at which the velocities of an instrument are compared."""
VELOCITY = 100
"""The velocity that is always taken, or the one nearest to it."""
SAME_VELOCITY = "sounds as at another velocity"


def some_pitches(instrument: str, pitches: Sequence[int], share: float) -> tuple[int, ...]:
    """A share (0…1) of the pitches, drawn for each instrument, and the probes among them.

    The same on every machine: a checksum decides, another one than that of the splits.
    """
    return tuple(
        pitch
        for pitch in pitches
        if pitch in PROBES or zlib.crc32(f"{pitch}:{instrument}".encode()) < share * 2**32
    )


def by_nearness(velocities: Sequence[int]) -> list[int]:
    """Velocities, those nearest to the usual one first."""
    return sorted(velocities, key=lambda velocity: (abs(velocity - VELOCITY), velocity))


def layers(
    waves: Mapping[int, NDArray[np.float32]], velocities: Sequence[int], step: float
) -> Sequence[int]:
    """The velocities of an instrument that sound different, whatever their loudness.

    Args:
        waves: velocity → note of one pitch, [64000]; silent ones may be missing.
        velocities: to choose from.
        step: distance in dB to all velocities taken before; 0 takes all.

    Returns:
        Some of the velocities, the one nearest to 100 among them.
    """
    if not step:
        return velocities
    kept: list[tuple[int, Target]] = []
    for velocity in by_nearness(velocities):
        wave = waves.get(velocity)
        heard = None if wave is None else torch.from_numpy(wave)
        if not kept and heard is None:
            return velocities
        if heard is not None and all(float(t.distance(heard[None])) >= step for _, t in kept):
            kept.append((velocity, Target(heard)))
    return [velocity for velocity, _ in kept]
