"""Spectral templates per pitch, whose weighted sum the convolutions refine.

As in non-negative matrix factorisation, a spectrogram is a sum of spectra times
their levels over time, here of log magnitudes, so levels may be negative. Every
pitch has its own spectra, because its partials lie elsewhere; a small perceptron
computes the levels from the timbre. So narrow convolutions need not learn the
partials of every pitch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.layers import LEAKY_SLOPE

HIDDEN = 512
CURVES = 32
"""Functions of time whose weighted sums are the levels."""


class Templates(nn.Module):
    """Conditions and labels → terms of the last tanh's argument.

    ``magnitude`` [pitches, templates, bins] are log magnitude spectra, whose levels over
    time are weighted sums of the ``curves`` [32, frames]; ``phase`` [pitches,
    phase_templates, bins] are instantaneous frequencies, whose levels are constant.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        pitches, (frames, bins) = len(config.pitches), config.shape
        self.magnitude = nn.Parameter(torch.zeros(pitches, config.templates, bins))
        self.phase = nn.Parameter(torch.zeros(pitches, config.phase_templates, bins))
        self.curves = nn.Parameter(torch.zeros(CURVES, frames))
        self.levels = nn.Sequential(
            nn.Linear(config.input_size, HIDDEN),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Linear(HIDDEN, HIDDEN),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Linear(HIDDEN, config.templates * CURVES + config.phase_templates),
        )

    def split(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """The perceptron's output → weights of the curves [N, templates, 32] and levels
        [N, phase_templates]."""
        count = self.magnitude.shape[1] * CURVES
        return levels[:, :count].reshape(len(levels), -1, CURVES), levels[:, count:]

    def forward(self, x: Tensor, labels: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """[N, input_size] and [N] → frames first…last-1 of [N, 2, frames, bins]."""
        curves = self.curves[:, first:last]
        level, constant = self.split(self.levels(x))
        magnitude = (level @ curves).transpose(1, 2) @ self.magnitude[labels]
        phase = constant[:, None] @ self.phase[labels]
        return torch.stack([magnitude, phase.expand_as(magnitude)], dim=1)


def pooled(outline: Tensor, scale: int) -> Tensor:
    """An outline [N, 2, 1 or frames, bins] at a lower resolution."""
    if scale == 1:
        return outline
    return F.avg_pool2d(outline, (scale if outline.shape[2] > 1 else 1, scale))
