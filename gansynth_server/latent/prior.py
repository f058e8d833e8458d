"""The prior of a checkpoint: how its random latents are drawn.

Magenta's networks, and those trained as theirs, are trained on N(0, I). A network
that learnt a code per instrument knows timbres where codes lie, and sums of many
between them: there it draws from round its codes, fitted after the training as by
Ghosh et al. 2020 (From variational to deterministic autoencoders).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gansynth_server.latent.vectors import Latent, draw, mix

if TYPE_CHECKING:
    from gansynth_server.model.generator import Generator

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Prior:
    """Draws latents; the same seed gives the same one."""

    size: int
    """Numbers of a latent."""
    centres: Float32 | None = None
    """[M, size] timbres to draw around; None draws from N(0, I)."""
    blend: float = 0.0
    """Largest share of a second centre."""
    scatter: float = 0.0
    """Standard deviation of the noise, 0…1."""

    @classmethod
    def of_generator(cls, generator: Generator) -> Prior:
        """Return the prior that a network says."""
        config, centres = generator.config, generator.centres
        found = None if centres is None else centres.float().cpu().numpy()
        return cls(config.latent_size, found, config.blend, config.scatter)

    def draw(self, seed: int, spread: float = 1.0) -> Latent:
        """Draw a latent, [size]; ``spread`` scales it."""
        if self.centres is None:
            return draw(self.size, seed, spread)
        z = self.of(np.random.default_rng(seed)) * spread
        return z.astype(np.float32)

    def draws(self, seeds: Iterable[int]) -> Float32:
        """Draw the latents of many seeds, [seeds, size]."""
        return np.stack([self.draw(seed) for seed in seeds])

    def of(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Draw a latent, [size], with a random generator."""
        if self.centres is None:
            return random.standard_normal(self.size)
        pair = self.centres[random.integers(len(self.centres), size=2)]
        share = self.blend * random.random()
        between = mix(list(pair), (1 - share, share)).astype(np.float64)
        # of the centres' own covariance, so that it stays where the network knows timbres
        mixture = random.standard_normal(len(self.centres))
        noise = mixture @ self.centres / np.sqrt(len(self.centres))
        return np.asarray(np.sqrt(1 - self.scatter**2) * between + self.scatter * noise)
