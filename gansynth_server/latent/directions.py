"""Principal directions of a checkpoint's timbre (GANSpace, Härkönen et al. 2020).

The components are those of the first convolution's activations (after leaky
ReLU and pixel norm), or of what a checkpoint's templates draw, over random
latents. A live note is rendered from its latent alone, so each component is
also given as a direction of latents, by linear regression: moving a latent
along it moves the activations along the component, as far as latents reach
(:attr:`Directions.reach`). The pitch moves the activations too; each pitch's
own mean is taken off first, so that it is no direction.

``NAME/pca.npz`` holds ``layer``, ``comp`` [count, time, frequency, channel],
``stdev``, ``var_ratio`` [count] and ``global_mean`` as SOPI's files do, and
``latent`` [count, latent_size], ``reach`` [count] and the first layer's ``bias``,
which tells whether the file belongs to the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.latent import companion
from gansynth_server.latent.paths import held, parts
from gansynth_server.latent.slots import Path
from gansynth_server.latent.vectors import Latent
from gansynth_server.model.checkpoint import fingerprint

if TYPE_CHECKING:
    from gansynth_server.model.checkpoint import Checkpoint

Float32 = NDArray[np.float32]

FILE = "pca.npz"


@dataclass(frozen=True, eq=False)
class Directions:
    """How latents move the principal components of a checkpoint.

    latent: [count, latent_size], the change of a latent that belongs to one
        standard deviation of each component.
    share: [count], share of the activations' variance.
    reach: [count], standard deviations by which the activations really move along
        a component where the latent is moved by one; about 0 where no latent leads there.
    names: names of the components, where they have other ones than numbers.
    """

    latent: Float32
    share: Float32
    reach: Float32
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.latent)

    @property
    def latent_size(self) -> int:
        """Size of the latents."""
        return self.latent.shape[1]

    def offset(self, amounts: Mapping[int, float]) -> Latent:
        """Return the change of a latent for amounts in standard deviations, by component.

        Raises:
            UserError: there is no such component.
        """
        for component in amounts:
            if not 0 <= component < len(self):
                raise UserError(f"components are 0 to {len(self) - 1}, not {component}")
        weights = np.array(list(amounts.values()), np.float64)
        return (weights @ self.latent[list(amounts)]).astype(np.float32)


class OffsetPath:
    """A path moved along principal directions.

    Args:
        bare: whether it has no latent of its own under it.
    """

    def __init__(
        self, base: Path, directions: Directions, amounts: Mapping[int, float], bare: bool
    ) -> None:
        self.base, self.directions, self.bare = base, directions, bare
        self.amounts = {c: amount for c, amount in amounts.items() if amount}
        self._offset = directions.offset(self.amounts)
        self.parts = 1 + parts(base)

    def __str__(self) -> str:
        names = self.directions.names
        amounts = " ".join(f"{names[c] if names else c} {a:g}" for c, a in self.amounts.items())
        return f"{'' if names else 'pca '}{amounts or 'nothing'} on {self.base}"

    def at(self, seconds: float) -> Latent:
        return self.base.at(seconds) + self._offset

    def rests_until(self, seconds: float) -> float:
        return self.base.rests_until(seconds)


def edit(
    path: Path, directions: Directions, amounts: Mapping[int, float], bare: bool, seconds: float
) -> OffsetPath:
    """Move a path along directions; one that was moved already gets further amounts.

    Raises:
        UserError: there is no such component.
    """
    if isinstance(path, OffsetPath) and path.directions is directions and path.bare == bare:
        return OffsetPath(path.base, directions, {**path.amounts, **amounts}, bare)
    return OffsetPath(held(path, seconds), directions, amounts, bare)


def file_of(checkpoint: Checkpoint) -> FilePath:
    """Return where a checkpoint's directions lie: in its folder."""
    return checkpoint.beside(FILE)


def load(checkpoint: Checkpoint) -> Directions:
    """Return a checkpoint's directions: the same object until their file changes.

    Raises:
        UserError: there are none, they are damaged, or they belong to other weights.
    """
    how = f"make them with: gansynth directions {checkpoint.name}"
    return companion.load(checkpoint, file_of(checkpoint), "principal directions", how, _read)


@lru_cache(maxsize=64)
def _read(path: FilePath, stamp: int, how: str) -> tuple[Directions, str]:
    """Read a file once per stamp: the directions, and the fingerprint of their weights."""
    with companion.reading(path, "directions", how) as file:
        names = ("latent", "var_ratio", "reach", "bias")
        latent, share, reach, bias = (np.asarray(file[n], np.float32) for n in names)
    sizes = latent.ndim == 2 and share.shape == reach.shape == (len(latent),)
    if not sizes or not all(np.isfinite(a).all() for a in (latent, share, reach)):
        raise UserError(f"{path} is damaged; {how}")
    return Directions(latent, share, reach), fingerprint(bias)
