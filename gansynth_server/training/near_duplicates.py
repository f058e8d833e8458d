"""Which instruments sound like one that was taken before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansynth_server.analysis.spectral_distance import Target, pyramid_of

Waves = Mapping[int, NDArray[np.float32]]
"""Notes of an instrument: pitch → [64000]."""


@dataclass
class _Taken:
    """The notes of all instruments taken that have a pitch."""

    numbers: list[int] = field(default_factory=list)
    """Which instruments they are of, ascending."""
    levels: list[Tensor] = field(default_factory=list)
    """Their levels at each resolution, [rows, …]; rows beyond the notes are room for more."""

    def add(self, number: int, wave: Tensor) -> None:
        pyramid = pyramid_of(wave[None])
        count = len(self.numbers)
        if not self.levels or count == len(self.levels[0]):
            room = [level.new_empty(max(64, count), *level.shape[1:]) for level in pyramid]
            self.levels = [
                torch.cat(pair) for pair in zip(self.levels or pyramid, room, strict=True)
            ]
        for level, new in zip(self.levels, pyramid, strict=True):
            level[count] = new[0]
        self.numbers.append(number)

    def distances(self, wave: Tensor, wanted: NDArray[np.bool_]) -> tuple[list[int], list[float]]:
        """Instruments out of the wanted ones that have this pitch, and their distances (dB)."""
        rows = [row for row, number in enumerate(self.numbers) if wanted[number]]
        if not rows:
            return [], []
        found = Target(wave).compare([level[rows] for level in self.levels])
        return [self.numbers[row] for row in rows], found.tolist()


class Instruments:
    """The instruments that were taken, to compare others with.

    Args:
        probes: MIDI pitches at which they are compared.
        least: distance in dB (mean over the probes) that a new one must have
            from every one before.
    """

    def __init__(self, probes: Sequence[int], least: float) -> None:
        self.probes, self.least = tuple(probes), least
        self._count = 0
        self._taken = {pitch: _Taken() for pitch in self.probes}

    def add(self, waves: Waves) -> None:
        """Takes an instrument."""
        for pitch in self._shared(waves):
            self._taken[pitch].add(self._count, torch.from_numpy(waves[pitch]))
        self._count += 1

    def near(self, waves: Waves) -> bool:
        """Whether notes sound like an instrument that was taken."""
        pitches = self._shared(waves)
        total, count = np.zeros(self._count), np.zeros(self._count, np.int64)
        for pitch in pitches:
            # no later note can bring an instrument back whose sum is too large
            possible = total < self.least * len(pitches)
            numbers, distances = self._taken[pitch].distances(
                torch.from_numpy(waves[pitch]), possible
            )
            total[numbers] += distances
            count[numbers] += 1
        mean = np.where(count > 0, total / np.maximum(count, 1), np.inf)
        # an instrument that fell out early has the sum of some pitches only
        mean[total >= self.least * len(pitches)] = np.inf
        return bool((mean < self.least).any())

    def _shared(self, waves: Waves) -> list[int]:
        return [pitch for pitch in self.probes if pitch in waves]
