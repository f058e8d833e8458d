"""What latent a note may have, from what notes of other latents are like.

Ridge regression of latents on the outlines of their notes, in its dual form:
there are some hundred notes, and thousands of levels in an outline. It is
fitted anew for every search, to notes that were looked at anyway.
"""

from __future__ import annotations

import torch
from torch import Tensor

RIDGES = (0.01, 0.1, 1.0)
"""Penalties on the weights, in units of the mean squared length of a note's outline."""


def guesses(outlines: Tensor, latents: Tensor, wanted: Tensor) -> Tensor:
    """Latents [3, latent_size], one for each penalty.

    Args:
        outlines: [N, levels] of the notes.
        latents: [N, latent_size] of them, N ≥ 2.
        wanted: [levels] of the note whose latent is looked for.
    """
    inputs, outputs = outlines.double(), latents.double()
    middle, mean = inputs.mean(dim=0), outputs.mean(dim=0)
    inputs = inputs - middle
    alike = inputs @ inputs.T
    unit = alike.diagonal().mean() * torch.eye(len(alike), dtype=alike.dtype)
    to_wanted = inputs @ (wanted.double() - middle)
    found = [
        to_wanted @ torch.linalg.solve(alike + ridge * unit, outputs - mean) + mean
        for ridge in RIDGES
    ]
    return torch.stack(found).to(latents.dtype)
