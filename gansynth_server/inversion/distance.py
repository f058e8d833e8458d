"""How far a generated note is from a recorded one, whatever their loudness.

Log powers are compared at three resolutions, fine in time and coarse in
frequency up to the opposite, as a listener does: exact partials where they
last, and when things happen where they do not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gansynth_server.model.config import GeneratorConfig

RESOLUTIONS = ((1, 16), (4, 4), (16, 1))
"""Frames and bins over which powers are averaged."""
MIDDLE = 1
"""The one at which loudness is measured."""
FLOOR = 70.0
"""Decibels under the loudest place where all is silence."""
DECIBELS = 10 / math.log(10)
"""Per neper of power."""
FAINT = 0.1
"""What a faint place counts, where a loud one counts 1.1."""
HALF = 40.0
"""Decibels under the loudest place at which it counts half way between."""
WIDTH = 5.0


def decibels(images: Tensor, config: GeneratorConfig) -> Tensor:
    """Normalised images [N, 2, 128, 1024] → power [N, 128, 1024] in dB, but for a constant."""
    nepers = (images[:, 0] - config.normalizer.magnitude_b) / config.normalizer.magnitude_a
    return nepers * DECIBELS * (1 if config.representation == "mel" else 2)


class Target:
    """What notes are compared with.

    Args:
        image: [2, 128, 1024], normalised as the generator's are.
    """

    def __init__(self, image: Tensor, config: GeneratorConfig) -> None:
        self._config = config
        pyramid = _pyramid(decibels(image[None], config))
        peak = pyramid[MIDDLE].amax()
        self._wanted = [pooled - peak for pooled in pyramid]
        self._weights = [FAINT + torch.sigmoid((wanted + HALF) / WIDTH) for wanted in self._wanted]

    def distance(self, images: Tensor) -> Tensor:
        """Normalised images [N, 2, 128, 1024] → dB [N]: the mean difference in level, where
        it is heard most, after the loudness has been matched."""
        total: Tensor | float = 0.0
        pyramid = _pyramid(decibels(images, self._config))
        gain = self._gain(pyramid[MIDDLE])
        for ours, wanted, weight in zip(pyramid, self._wanted, self._weights, strict=True):
            level = (ours + gain[:, None, None]).clamp(min=-FLOOR)
            error = (level - wanted.clamp(min=-FLOOR)).abs()
            total = total + (weight * error).mean(dim=(1, 2)) / weight.mean()
        assert isinstance(total, Tensor)
        return total / len(RESOLUTIONS)

    def _gain(self, ours: Tensor) -> Tensor:
        """Decibels [N] that make notes as loud as the wanted one."""
        wanted = self._wanted[MIDDLE]
        power = torch.logsumexp(wanted.flatten(1) / DECIBELS, dim=1)
        return DECIBELS * (power - torch.logsumexp(ours.flatten(1) / DECIBELS, dim=1))


def _pyramid(level: Tensor) -> list[Tensor]:
    """Mean powers of [N, 128, 1024] dB at each resolution, in dB."""
    peak = level.amax(dim=(1, 2), keepdim=True)
    power = torch.exp((level - peak) / DECIBELS)[:, None]
    least = 10 ** (-FLOOR / 10)
    pooled = [torch.nn.functional.avg_pool2d(power, size)[:, 0] for size in RESOLUTIONS]
    return [DECIBELS * torch.log(mean + least) + peak for mean in pooled]
