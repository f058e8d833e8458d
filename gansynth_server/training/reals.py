"""Real notes as spectra, made from their waves on the training's device."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansynth_server.errors import UserError
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.spectral import transform
from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.spectral.normalizer import Normalizer, Representation
from gansynth_server.training.dataset import Dataset

AT_ONCE = 32
"""Notes whose spectra are made together, which bounds the memory for it."""
MARGIN = 0.8
"""A fitted normaliser maps the data's magnitudes to ± this (Magenta's margin)."""


def order(count: int, first: int, size: int, seed: int) -> NDArray[np.int64]:
    """Return places in a data set of the samples ``first`` … ``first + size - 1`` of a training.

    Every epoch is a permutation of its own, so a run that is resumed at any
    sample sees what it would have seen.
    """
    numbers = np.arange(first, first + size)
    epochs = numbers // count
    places = np.empty(size, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        places[here] = _shuffled(count, int(epoch), seed)[numbers[here] % count]
    return places


@lru_cache(maxsize=2)  # a step may end one epoch and begin the next
def _shuffled(count: int, epoch: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(count)


class Reals:
    """The notes of the training split as the generator should make them.

    Args:
        config: of the generator: pitches, normaliser and representation.
        rows: which notes of the data take part.
        cache_gb: where they all fit in, spectra are kept on the device as
            float16 and made once; otherwise they are made each time.
    """

    def __init__(
        self,
        data: Dataset,
        config: GeneratorConfig,
        rows: NDArray[np.int64],
        device: torch.device,
        cache_gb: float,
    ) -> None:
        self.data, self.config, self.rows, self.device = data, config, rows, device
        notes = [data.notes[row] for row in rows]
        self.names = tuple(dict.fromkeys(note.instrument for note in notes))
        number = {name: i for i, name in enumerate(self.names)}
        self.labels = torch.tensor([config.label(n.pitch) for n in notes], device=device)
        self.instruments = torch.tensor([number[n.instrument] for n in notes], device=device)
        self._cache: Tensor | None = None
        if len(rows) * 2 * FRAMES * BINS * 2 <= cache_gb * 1e9:
            shape = (len(rows), 2, FRAMES, BINS)
            self._cache = torch.empty(shape, dtype=torch.float16, device=device)
            self._made = torch.zeros(len(rows), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.rows)

    def normalised(self, places: NDArray[np.int64]) -> Tensor:
        """Return spectra of some places as the network gives them: [n, 2, 128, 1024] in ±1."""
        if self._cache is None:
            return self._make(places)
        # sums differ in their last bits with their company, so a note's is always the same
        for block in np.unique(places[~self._made[places].numpy()] // AT_ONCE):
            some = slice(block * AT_ONCE, min((block + 1) * AT_ONCE, len(self.rows)))
            self._cache[some] = self._make(np.arange(some.start, some.stop)).half()
            self._made[some] = True
        return self._cache[torch.from_numpy(places).to(self.device)].float()

    def physical(self, places: NDArray[np.int64]) -> Tensor:
        """Return the same in physical units, [n, 2, 128, 1024]."""
        spectra = self.normalised(places).permute(0, 2, 3, 1)
        return transform.denormalise(spectra, self.config.normalizer).permute(0, 3, 1, 2)

    def _make(self, places: NDArray[np.int64]) -> Tensor:
        waves = self.data.audio(self.rows[places]).to(self.device)
        physical = transform.physical_spectra(waves, self.config.representation)
        return transform.normalise(physical, self.config.normalizer).permute(0, 3, 1, 2)


def pitches_of(data: Dataset, rows: NDArray[np.int64]) -> tuple[int, ...]:
    """Return the pitches that a generator of these notes needs; UserError if there are none."""
    pitches = tuple(sorted({data.notes[row].pitch for row in rows}))
    if not pitches:
        raise UserError("the data holds no notes of this kind to train on; see --sources")
    return tuple(range(pitches[0], pitches[-1] + 1))


def fit_normalizer(
    data: Dataset, rows: NDArray[np.int64], representation: Representation
) -> Normalizer:
    """Return Magenta's normaliser for mel spectra; for others, one of the data's range."""
    if representation == "mel":
        return Normalizer()
    low, high = float("inf"), float("-inf")
    for start in range(0, min(len(rows), 1024), AT_ONCE):
        waves = data.audio(rows[start : start + AT_ONCE])
        level = transform.physical_spectra(waves, representation)[..., 0]
        low, high = min(low, float(level.min())), max(high, float(level.max()))
    scale = 2 * MARGIN / (high - low)
    return Normalizer(magnitude_a=scale, magnitude_b=MARGIN - scale * high)
