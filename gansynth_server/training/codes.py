"""Timbre codes: the place of each instrument of the data in the latent space."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.training.reals import Reals
from gansynth_server.training.regression import spread

SAMPLES = 16
"""Notes of an instrument that its code is taken from."""
WHITENING = 0.5
"""Whitening: 1 gives all axes equal variance, 0 the spectra's, where the first has nearly all."""


class Codes(nn.Module):
    """A code per instrument along a generator's axes, as latents whose prior is N(0, I).

    Args:
        values: [instruments, axes] codes, whose mean square is 1.
        axes: [axes, latent_size] of the generator, at right angles to each other.
        noise: standard deviation of the noise on a code to learn from.
    """

    values: Tensor
    axes: Tensor

    def __init__(self, values: Tensor, axes: Tensor, noise: float) -> None:
        super().__init__()
        self.noise = noise
        self.register_buffer("values", values)
        self.register_buffer("axes", axes)

    def latents(self, instruments: Tensor, chance: torch.Generator) -> Tensor:
        """Draw noisy latents [N, latent_size] for instrument indices [N]."""
        size = self.axes.shape[1]
        noise = torch.randn(len(instruments), size, device=self.axes.device, generator=chance)
        along = noise @ self.axes.T
        code = math.sqrt(1 - self.noise**2) * self.values[instruments] + self.noise * along
        return noise + (code - along) @ self.axes

    def presets(self) -> list[NDArray[np.float32]]:
        """Return the latent of each instrument: its code, and a fixed draw across the axes."""
        axes, found = self.axes.cpu(), []
        for number, code in enumerate(self.values.cpu() * math.sqrt(1 - self.noise**2)):
            rest = torch.randn(axes.shape[1], generator=torch.Generator().manual_seed(number))
            found.append((rest + (code - rest @ axes.T) @ axes).numpy())
        return found

    @classmethod
    def of_data(cls, reals: Reals, axes: Tensor, noise: float) -> Codes:
        """Compute principal components of the instruments' mean coarse log magnitudes, whitened."""
        groups = spread(reals.instruments, SAMPLES).values()
        means = torch.stack([_look(reals, places) for places in groups])
        left, scale, _ = torch.linalg.svd(means - means.mean(dim=0), full_matrices=False)
        values = (left * scale.clamp(min=1e-6) ** (1 - WHITENING))[:, : len(axes)]
        values = F.pad(values, (0, len(axes) - values.shape[1]))
        return cls(values / values.square().mean().sqrt().clamp(min=1e-6), axes, noise)

    @classmethod
    def of_presets(cls, presets: Tensor, axes: Tensor, noise: float) -> Codes:
        """Recover the codes of presets [instruments, latent_size]."""
        return cls(presets @ axes.T / math.sqrt(1 - noise**2), axes, noise)


def random_axes(count: int, latent_size: int, seed: int) -> Tensor:
    """Draw directions at right angles, [count, latent_size]."""
    chance = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(latent_size, count, generator=chance))[0].T.contiguous()


def _look(reals: Reals, places: NDArray[np.int64]) -> Tensor:
    """Return the mean coarse log magnitudes of some notes, [16 · 32]."""
    return F.avg_pool2d(reals.normalised(places)[:, :1], (8, 32)).flatten(1).mean(dim=0)
