"""What regression on spectra starts from and what it minimises."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gansynth_server.model.config import Normalizer

_N = Normalizer()


def timbre_features(spectra: NDArray[np.float16], instruments: NDArray[np.int64]) -> Tensor:
    """[instruments, 16·32] mean coarse log magnitudes, without those common to all."""
    totals = torch.zeros(int(instruments.max()) + 1, 16 * 32)
    counts = torch.bincount(torch.from_numpy(instruments)).clamp(min=1)
    for start in range(0, len(spectra), 256):
        images = torch.from_numpy(spectra[start : start + 256, 0].astype(np.float32))
        coarse = F.avg_pool2d(images[:, None], (8, 32)).flatten(1)
        totals.index_add_(0, torch.from_numpy(instruments[start : start + 256]), coarse)
    means = totals / counts[:, None]
    return means - means.mean(dim=0)


def pitch_means(spectra: NDArray[np.float16], labels: NDArray[np.int64], count: int) -> Tensor:
    """[pitches, 2, 1024]: what notes of a pitch have in common, as tanh arguments; else 0.

    Mean log magnitude, and the circular mean of the phase increment weighted
    by magnitude, over all notes and frames that sound.
    """
    bias = torch.zeros(count, 2, 1024)
    for label in np.unique(labels):
        notes = torch.from_numpy(spectra[labels == label][:, :, 4:]).float()
        level, angle = notes[:, 0], notes[:, 1] * (math.pi / _N.phase_a)
        weight = torch.exp((level - _N.magnitude_b) / _N.magnitude_a / 2)
        real = (weight * angle.cos()).sum(dim=(0, 1))
        imaginary = (weight * angle.sin()).sum(dim=(0, 1))
        mean = torch.stack(
            [level.mean(dim=(0, 1)), torch.atan2(imaginary, real) * (_N.phase_a / math.pi)]
        )
        bias[label] = torch.atanh(mean.clamp(-0.95, 0.95))
    return bias


def magnitude_loss(level: Tensor, target: Tensor, peak: Tensor) -> Tensor:
    """Squared error of normalised log magnitudes, where a listener would hear it most."""
    weight = 0.1 + torch.sigmoid(12 * (target - (peak - 0.9)))
    return (weight * (level - target).square()).mean()


def band_loss(level: Tensor, target: Tensor) -> Tensor:
    """Squared error of the log powers of 128 bands over a window, the loud ones above all.

    Regression of log magnitudes alone makes what varies too soft; the power of
    a band is what a listener hears as its level.

    Args:
        level, target: [N, 1, frames, 1024] normalised log powers.
    """
    bands = []
    for image in (level, target):
        power = (image / _N.magnitude_a).reshape(*image.shape[:3], 128, 8)
        bands.append(torch.logsumexp(power, dim=(2, 4)) * _N.magnitude_a)  # [N, 1, 128]
    ours, wanted = bands
    weight = 0.05 + torch.sigmoid(12 * (wanted - wanted.amax(dim=2, keepdim=True) + 0.45))
    return (weight * (ours - wanted).square()).mean()


def phase_loss(phase: Tensor, target: Tensor, level: Tensor) -> Tensor:
    """Magnitude-weighted 1 - cos of the error of the phase increments, 0…2."""
    weight = torch.exp((level - level.amax(dim=(1, 2), keepdim=True)) / _N.magnitude_a / 2)
    error = 1 - torch.cos((phase - target) * (math.pi / _N.phase_a))
    return (weight * error).sum() / weight.sum()
