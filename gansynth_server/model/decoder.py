"""A generator without convolutions: notes as weighted sums of spectra, drawn by a perceptron.

Every pitch has spectra of its own, because its partials lie elsewhere:

* log magnitudes are a mean and spectra whose levels are weighted sums of curves over time;
* phases of the first frames, the attack, are the angles of sums of complex spectra;
* after them each bin advances by the angle of a sum of complex spectra, constant over the note.

Sums of unit vectors have angles that are nowhere torn, as sums of wrapped angles are. The bins
are linear: on the mel scale those above 4 kHz share bands, and their phases are lost
(docs/training.md).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gansynth_server.model.config import ONSET, SILENT, WIDTH, GeneratorConfig

SILENCE = -1.0
"""Least normalised log magnitude, that of the frames before the note."""
TINY = 1e-30
"""Added to squares, so that no length is 0."""


class Decoder(nn.Module):
    """Conditions and labels → normalised spectra.

    ``mean`` [pitches, bins] and ``magnitude`` [pitches, templates, bins] are normalised log
    magnitudes, ``curves`` [curves, frames] functions of time; ``onset`` [pitches,
    onset_templates, 2, 5, bins] are real and imaginary parts of phases as unit vectors in
    frames 3…7, ``phase`` [pitches, phase_templates, 2, bins] those of increments.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        pitches, (frames, bins) = len(config.pitches), config.shape
        self.config = config
        self.phase_scale = config.normalizer.phase_a / math.pi
        self.mean = nn.Parameter(torch.zeros(pitches, bins))
        self.magnitude = nn.Parameter(torch.zeros(pitches, config.templates, bins))
        self.curves = nn.Parameter(torch.zeros(config.curves, frames))
        onset = (pitches, config.onset_templates, 2, ONSET - SILENT, bins)
        self.onset = nn.Parameter(torch.zeros(onset))
        self.phase = nn.Parameter(torch.zeros(pitches, config.phase_templates, 2, bins))
        self.sizes = [
            config.templates * config.curves,
            2 * config.onset_templates,
            2 * config.phase_templates,
        ]
        self.levels = nn.Sequential(
            nn.Linear(config.input_size, WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, config.principal_levels),
            nn.Linear(config.principal_levels, sum(self.sizes)),
        )

    def forward(self, x: Tensor, labels: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """[N, input_size] and [N] → frames first…last-1 of [N, 2, frames, bins]."""
        return self.drawn(self.levels(x), labels, first, last)

    def drawn(
        self, levels: Tensor, labels: Tensor, first: int = 0, last: int | None = None
    ) -> Tensor:
        """Draw frames first…last-1 of [N, 2, frames, bins] with levels [N, sum(sizes)]."""
        weights, onset, phase = torch.split(levels, self.sizes, dim=1)
        weights = weights.reshape(len(weights), -1, len(self.curves)) @ self.curves[:, first:last]
        magnitude = weights.transpose(1, 2) @ self.magnitude[labels] + self.mean[labels][:, None]
        last = first + magnitude.shape[1]
        steps = angle(*sums(phase, self.phase[labels]))[:, None]
        steps = steps.expand(-1, magnitude.shape[1], -1)
        if first < ONSET:
            early = increments(*sums(onset, self.onset[labels]))
            steps = torch.cat([early[:, first:last], steps[:, max(0, ONSET - first) :]], dim=1)
        magnitude = magnitude.clamp(SILENCE, 1)
        if first < SILENT:
            silent = torch.full_like(magnitude[:, : SILENT - first], SILENCE)
            magnitude = torch.cat([silent, magnitude[:, SILENT - first :]], dim=1)
        return torch.stack([magnitude, steps * self.phase_scale], dim=1)


def shortened(z: Tensor) -> Tensor:
    """Shorten latents [N, size] whose mean square is more than 1, the prior's, to that."""
    return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True).clamp(min=1))


def increments(real: Tensor, imaginary: Tensor) -> Tensor:
    """Phases in frames 3…7 as vectors [N, 5, bins] → increments (rad) in frames 0…7."""
    turned = (
        real[:, 1:] * real[:, :-1] + imaginary[:, 1:] * imaginary[:, :-1],
        imaginary[:, 1:] * real[:, :-1] - real[:, 1:] * imaginary[:, :-1],
    )
    start = angle(real[:, :1], imaginary[:, :1])
    silent = torch.zeros_like(start).expand(-1, SILENT, -1)
    return torch.cat([silent, start, angle(*turned)], dim=1)


def angle(real: Tensor, imaginary: Tensor) -> Tensor:
    """Compute the angle (rad) of vectors, 0 where they vanish, by what OpenVINO has too."""
    # tan(φ/2) = y / (r + |x|), which cancels nowhere; for x < 0 the angle is that from -x
    length = torch.sqrt(real * real + imaginary * imaginary + TINY)
    near = 2 * torch.atan(imaginary / (length + real.abs()))
    return torch.where(real < 0, torch.where(imaginary < 0, -math.pi, math.pi) - near, near)


def sums(levels: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Sum complex spectra [N, K, 2, …] with complex levels [N, 2·K], real parts first."""
    a, b = (part[:, None] for part in levels.chunk(2, dim=1))
    real, imaginary = (part.flatten(2) for part in vectors.unbind(dim=2))
    both = a @ real - b @ imaginary, a @ imaginary + b @ real
    shape = (len(levels), *vectors.shape[3:])
    return both[0].view(shape), both[1].view(shape)
