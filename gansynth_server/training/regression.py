"""Start and losses of regression on spectra.

``Loudness`` reads normalised magnitudes, so that the same losses serve mel
spectra (log power) and linear ones (log magnitude).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gansynth_server.model.config import GeneratorConfig
from gansynth_server.training.reals import Reals

SAMPLES_PER_PITCH = 32
"""Notes of a pitch that its mean is taken over."""


class Loudness:
    """Normalised magnitudes ↔ amplitudes, and phases ↔ turns, of one generator's output."""

    def __init__(self, config: GeneratorConfig) -> None:
        power = 2 if config.representation == "mel" else 1
        self.per_neper = config.normalizer.magnitude_a * power
        """Normalised magnitude per factor e of amplitude."""
        self.radians = math.pi / config.normalizer.phase_a
        """Phase increment in radians per normalised unit."""

    def amplitude(self, level: Tensor) -> Tensor:
        """Return the relative amplitude of normalised magnitudes."""
        return torch.exp(level / self.per_neper)

    def mean_phase(self, phase: Tensor, weight: Tensor, dim: int | tuple[int, ...]) -> Tensor:
        """Return the weighted circular mean of normalised phases over some dimensions."""
        angle = phase * self.radians
        sine, cosine = ((weight * part).sum(dim=dim) for part in (angle.sin(), angle.cos()))
        return torch.atan2(sine, cosine) / self.radians


def spread(groups: Tensor, most: int) -> dict[int, np.ndarray]:
    """Return evenly spread places of each group, at most so many."""
    found = {}
    numbers = groups.cpu().numpy()
    for group in np.unique(numbers):
        places = np.flatnonzero(numbers == group)
        found[group] = places[np.linspace(0, len(places) - 1, min(most, len(places))).astype(int)]
    return found


def pitch_means(reals: Reals) -> Tensor:
    """Compute the mean of each pitch, [pitches, 2, 1024], as tanh arguments; 0 without notes.

    Mean log magnitude, and the circular mean of the phase increment weighted
    by magnitude, over notes and frames that sound.
    """
    loudness = Loudness(reals.config)
    bias = torch.zeros(len(reals.config.pitches), 2, reals.config.shape[1], device=reals.device)
    for label, places in spread(reals.labels, SAMPLES_PER_PITCH).items():
        notes = reals.normalised(places)[:, :, 4:]
        level, phase = notes[:, 0], notes[:, 1]
        turn = loudness.mean_phase(phase, loudness.amplitude(level), (0, 1))
        mean = torch.stack([level.mean(dim=(0, 1)), turn])
        bias[label] = torch.atanh(mean.clamp(-0.95, 0.95))
    return bias


def magnitude_loss(level: Tensor, target: Tensor, peak: Tensor) -> Tensor:
    """Compute the squared error of log magnitudes, weighted where a listener hears it most."""
    weight = 0.1 + torch.sigmoid(12 * (target - (peak - 0.9)))
    return (weight * (level - target).square()).mean()


def band_loss(level: Tensor, target: Tensor, loudness: Loudness) -> Tensor:
    """Compute the squared error of 128 bands' log powers over a window, the loud ones above all.

    Regression of log magnitudes alone makes noise too soft; a listener hears the
    power of a band as its level.

    Args:
        level, target: [N, 1, frames, 1024] normalised log magnitudes.
    """
    unit = loudness.per_neper / 2  # of power
    bands = []
    for image in (level, target):
        power = (image / unit).reshape(*image.shape[:3], 128, 8)
        bands.append(torch.logsumexp(power, dim=(2, 4)) * unit)  # [N, 1, 128]
    ours, wanted = bands
    weight = 0.05 + torch.sigmoid(12 * (wanted - wanted.amax(dim=2, keepdim=True) + 0.45))
    return (weight * (ours - wanted).square()).mean()


def phase_loss(phase: Tensor, target: Tensor, level: Tensor, loudness: Loudness) -> Tensor:
    """Compute the magnitude-weighted 1 - cos of the phase increments' error, 0…2."""
    weight = loudness.amplitude(level - level.amax(dim=(1, 2), keepdim=True))
    error = 1 - torch.cos((phase - target) * loudness.radians)
    return (weight * error).sum() / weight.sum()
