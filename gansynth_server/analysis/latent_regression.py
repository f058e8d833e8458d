"""Ridge regression of latents on the spectral outlines of their notes.

Fitted at every search, to the notes that were rendered for its starts.
"""

from __future__ import annotations

import torch
from torch import Tensor

RIDGES = (0.01, 0.1, 1.0)
"""Penalties on the weights, in units of the mean squared length of an outline."""


def regress_latents(outlines: Tensor, latents: Tensor, wanted: Tensor) -> Tensor:
    """Estimates [3, latent_size] of a note's latent, one for each penalty.

    Args:
        outlines: [N, levels] of notes whose latents are known.
        latents: [N, latent_size] of these notes, N ≥ 2.
        wanted: [levels], the outline of the note whose latent is wanted.
    """
    inputs, outputs = outlines.double(), latents.double()
    middle, mean = inputs.mean(dim=0), outputs.mean(dim=0)
    inputs = inputs - middle
    # the dual form solves N × N: there are some hundred notes, and thousands of levels
    alike = inputs @ inputs.T
    unit = alike.diagonal().mean() * torch.eye(len(alike), dtype=alike.dtype)
    to_wanted = inputs @ (wanted.double() - middle)
    estimates = [
        to_wanted @ torch.linalg.solve(alike + ridge * unit, outputs - mean) + mean
        for ridge in RIDGES
    ]
    return torch.stack(estimates).to(latents.dtype)
