"""Timbres of a latent space: one direction per instrument, whose share a softmax reads.

The directions stand at right angles where there is room for them. A random
latent has some share of every timbre and most of one; a preset is far out
along its own, so that the way from one preset to another leads by no third.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SHARPNESS = 3.0
"""Length of the directions, that is standard deviation of the softmax's arguments: a random
latent has 0.4 of its foremost timbre, on average over 100."""
FAR = 4.5
"""A preset's standard deviations along its own direction, which give it 0.99 of its timbre."""
ROUNDS = 4
PRESETS = 0.3
"""Part of the latents to learn from that are as far out as presets."""


def directions(count: int, latent_size: int, seed: int) -> Tensor:
    """Timbres as a generator has them, [count, latent_size]."""
    chance = torch.Generator().manual_seed(seed)
    random = torch.randn(max(count, latent_size), latent_size, generator=chance)
    if count <= latent_size:
        return SHARPNESS * torch.linalg.qr(random)[0][:count]
    return SHARPNESS * random / random.norm(dim=1, keepdim=True)


def latents(timbres: Tensor, wanted: Tensor, chance: torch.Generator) -> Tensor:
    """Latents to learn a timbre from: N(0, I) on condition that it is the foremost one.

    The foremost timbre of a draw and the wanted one change places, which is exact for
    directions at right angles; where they are not, it takes more than one round and now and
    then does not succeed. Some latents are moved on to where presets are.

    Args:
        timbres: [T, latent_size] directions.
        wanted: [N] which timbre of each.
        chance: randomness.

    Returns:
        [N, latent_size].
    """
    size = timbres.shape[1]
    z = torch.randn(len(wanted), size, generator=chance, device=timbres.device)
    units = timbres / timbres.norm(dim=1, keepdim=True)
    for _ in range(1 if len(units) <= size else ROUNDS):
        along = z @ units.T
        highest, first = along.max(dim=1, keepdim=True)
        difference = highest - along.gather(1, wanted[:, None])
        z = z + difference * (units[wanted] - units[first[:, 0]])
    far = torch.rand(len(z), 1, generator=chance, device=z.device) < PRESETS
    return z + far * (FAR - highest).clamp(min=0) * units[wanted]


def presets(timbres: Tensor) -> list[NDArray[np.float32]]:
    """A latent for each timbre: far along its direction, a fixed draw along all others."""
    units = (timbres / timbres.norm(dim=1, keepdim=True)).cpu()
    found = []
    for number, unit in enumerate(units):
        rest = torch.randn(len(unit), generator=torch.Generator().manual_seed(number))
        found.append((rest + (FAR - rest @ unit) * unit).numpy())
    return found


def foremost(timbres: Tensor, z: Tensor) -> Tensor:
    """Which timbre has the largest share of each latent: [N, latent_size] → [N]."""
    return (z @ timbres.T).argmax(dim=1)
