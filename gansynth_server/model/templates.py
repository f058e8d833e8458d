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
DEEP = 1024
"""Width of the hidden layers of a perceptron for principal levels."""
ONSET = 8
"""Frames in which phases carry the attack: they line all bins up with the instant of the onset."""


class Templates(nn.Module):
    """Conditions and labels → terms of the last tanh's argument.

    ``magnitude`` [pitches, templates, bins] are log magnitude spectra, whose levels over
    time are weighted sums of the ``curves`` [curves, frames]; ``phase`` [pitches,
    phase_templates, bins] are instantaneous frequencies, whose levels are constant.
    ``onset`` [pitches, onset_templates, 8, bins] are those of the first frames instead, where
    there are any; the level of the first one is always 1.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        pitches, (frames, bins) = len(config.pitches), config.shape
        self.magnitude = nn.Parameter(torch.zeros(pitches, config.templates, bins))
        self.phase = nn.Parameter(torch.zeros(pitches, config.phase_templates, bins))
        self.curves = nn.Parameter(torch.zeros(config.curves, frames))
        self.onset: nn.Parameter | None = None
        if config.onset_templates:
            self.onset = nn.Parameter(torch.zeros(pitches, config.onset_templates, ONSET, bins))
        count = config.templates * config.curves + config.phase_templates
        self.levels = _perceptron(config, count + max(0, config.onset_templates - 1))

    def split(self, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The perceptron's output → weights of the curves [N, templates, curves], levels [N,
        phase_templates] and those of all onset templates but the first."""
        (_, templates, _), (curves, _) = self.magnitude.shape, self.curves.shape
        first = templates * curves
        last = first + self.phase.shape[1]
        weights = levels[:, :first].reshape(len(levels), -1, curves)
        return weights, levels[:, first:last], levels[:, last:]

    def forward(self, x: Tensor, labels: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """[N, input_size] and [N] → frames first…last-1 of [N, 2, frames, bins]."""
        curves = self.curves[:, first:last]
        level, constant, early = self.split(self.levels(x))
        magnitude = (level @ curves).transpose(1, 2) @ self.magnitude[labels]
        phase = (constant[:, None] @ self.phase[labels]).expand_as(magnitude)
        if self.onset is not None and first < ONSET:
            spectra = self.onset[labels, :, first:last]
            one = early.new_ones(len(early), 1)
            weights = torch.cat([one, early], dim=1)[:, None]
            onset = (weights @ spectra.flatten(2)).view(len(x), *spectra.shape[2:])
            phase = torch.cat([onset, phase[:, onset.shape[1] :]], dim=1)
        return torch.stack([magnitude, phase], dim=1)


def _perceptron(config: GeneratorConfig, outputs: int) -> nn.Sequential:
    """Make the perceptron of the levels, through their principal components if there are any."""
    if not config.principal_levels:
        return nn.Sequential(
            nn.Linear(config.input_size, HIDDEN),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Linear(HIDDEN, HIDDEN),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Linear(HIDDEN, outputs),
        )
    return nn.Sequential(
        nn.Linear(config.input_size, DEEP),
        nn.GELU(),
        nn.Linear(DEEP, DEEP),
        nn.GELU(),
        nn.Linear(DEEP, DEEP),
        nn.GELU(),
        nn.Linear(DEEP, config.principal_levels),
        nn.Linear(config.principal_levels, outputs),
    )


def pooled(outline: Tensor, scale: int) -> Tensor:
    """An outline [N, 2, 1 or frames, bins] at a lower resolution."""
    if scale == 1:
        return outline
    return F.avg_pool2d(outline, (scale if outline.shape[2] > 1 else 1, scale))
