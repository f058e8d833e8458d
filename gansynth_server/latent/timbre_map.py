"""A map of a checkpoint's timbres, and directions with names; kept in its folder.

``NAME/map.npz`` holds ``latents`` [N, latent_size], ``places`` [N, 2] in 0…1,
``measures`` [N, 5], ``presets`` (names) and ``nearest`` [N] (which of them each
latent sounds most like), ``directions`` [5, latent_size], ``fit`` [5], and the
``weights``' fingerprint.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.latent import companion
from gansynth_server.latent.descriptor_names import MEASURES
from gansynth_server.latent.directions import Directions
from gansynth_server.latent.vectors import Latent, mix

if TYPE_CHECKING:
    from gansynth_server.model.checkpoint import Checkpoint

Float32 = NDArray[np.float32]

FILE = "map.npz"
RIDGE = 0.1
"""Regularisation of the regression, as a share of the latents' own variance."""
NEIGHBOURS = 4
"""Latents that are mixed at a place between them."""


@dataclass(frozen=True, eq=False)
class TimbreMap:
    """See the module; ``directions[k]`` is the change of a latent for one standard deviation of
    measure k, ``fit[k]`` the share of that measure's variance which latents explain linearly."""

    latents: Float32
    places: Float32
    measures: Float32
    presets: tuple[str, ...]
    nearest: NDArray[np.int64]
    directions: Float32
    fit: Float32

    @property
    def latent_size(self) -> int:
        """Size of the latents."""
        return self.latents.shape[1]

    def at(self, x: float, y: float) -> Latent:
        """Return the latent at a place of the map, mixed of those of the nearest places."""
        distance = np.linalg.norm(self.places - np.array([x, y], np.float32), axis=1)
        near = np.argsort(distance, kind="stable")[:NEIGHBOURS]
        if distance[near[0]] < 1e-6:
            return self.latents[near[0]].copy()
        weights = (1 / distance[near]) ** 2
        return mix([self.latents[n] for n in near], weights.tolist())

    @cached_property
    def named(self) -> Directions:
        """The directions of the measures, for :func:`gansynth_server.latent.directions.edit`."""
        return Directions(self.directions, self.fit, np.ones_like(self.fit), MEASURES)

    def encode(self, weights: str) -> bytes:
        """Return the bytes of the file."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            latents=self.latents.astype(np.float16),
            places=self.places,
            measures=self.measures,
            presets=np.array(self.presets),
            nearest=self.nearest.astype(np.int16),
            directions=self.directions,
            fit=self.fit,
            weights=np.array(weights),
        )
        return file.getvalue()


def regress(latents: Float32, measures: NDArray[np.float64]) -> tuple[Float32, Float32]:
    """Compute the directions of latents along which measures grow, by ridge regression.

    Returns:
        [measures, latent_size], the shortest change that raises each measure by one standard
        deviation as far as the regression tells, and the shares of variance that it explains.
    """
    x = latents - latents.mean(axis=0)
    y = (measures - measures.mean(axis=0)) / np.maximum(measures.std(axis=0), 1e-9)
    gram = x.T.astype(np.float64) @ x
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    slopes = np.linalg.solve(gram, x.T.astype(np.float64) @ y)  # [latent_size, measures]
    fit = 1 - ((y - x @ slopes) ** 2).mean(axis=0)
    directions = slopes / np.maximum((slopes**2).sum(axis=0), 1e-9)
    return directions.T.astype(np.float32), fit.astype(np.float32)


def file_of(checkpoint: Checkpoint) -> Path:
    """Return where a checkpoint's map lies: in its folder."""
    return checkpoint.beside(FILE)


def load(checkpoint: Checkpoint) -> TimbreMap:
    """Return a checkpoint's map: the same object until its file changes.

    Raises:
        UserError: there is none, it is damaged, or it belongs to other weights.
    """
    how = f"make it with: gansynth map {checkpoint.name}"
    return companion.load(checkpoint, file_of(checkpoint), "map", how, _read)


@lru_cache(maxsize=16)
def _read(path: Path, stamp: int, how: str) -> tuple[TimbreMap, str]:
    with companion.reading(path, "map", how) as file:
        numbers = ("latents", "places", "measures", "directions", "fit")
        latents, places, measures, directions, fit = (
            np.asarray(file[name], np.float32) for name in numbers
        )
        presets = tuple(str(name) for name in file["presets"])
        nearest, weights = file["nearest"].astype(np.int64), str(file["weights"])
    count, size = latents.shape if latents.ndim == 2 else (0, 0)
    whole = (
        count >= NEIGHBOURS
        and places.shape == (count, 2)
        and measures.shape == (count, len(MEASURES))
        and directions.shape == (len(MEASURES), size)
        and fit.shape == (len(MEASURES),)
        and nearest.shape == (count,)
        and all(np.isfinite(a).all() for a in (latents, places, measures, directions, fit))
        and 0 <= nearest.min() <= nearest.max() < len(presets)
    )
    if not whole:
        raise UserError(f"{path} is damaged; {how}")
    return TimbreMap(latents, places, measures, presets, nearest, directions, fit), weights
