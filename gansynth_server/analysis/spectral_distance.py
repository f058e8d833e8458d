"""Multi-resolution spectral distance of a generated note to a recorded one, at equal loudness.

Mel powers are compared in dB at three resolutions, from fine in time and coarse
in frequency to the opposite, as a listener compares them: exact partials where
they last, exact times where they do not. Notes are compared as waves, because
the spectra that a network generates are not consistent: no wave has them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gansynth_server.model.config import GeneratorConfig
from gansynth_server.spectral import transform

RESOLUTIONS = ((1, 16), (4, 4), (16, 1))
"""Frames and bands over which powers are averaged."""
MIDDLE = 1
"""Index of the resolution at which loudness is measured."""
FLOOR = 70.0
"""Level under the loudest cell (dB) that counts as silence."""
DECIBELS = 10 / math.log(10)
"""Decibels per neper of power."""
FAINT = 0.1
"""Weight of a faint cell; a loud one has 1.1."""
HALF = 40.0
"""Level under the loudest cell (dB) at which the weight is half way between."""
WIDTH = 5.0
"""Width of that transition (dB)."""


def sound(images: Tensor, config: GeneratorConfig) -> Tensor:
    """Normalised images [N, 2, 128, 1024] → waves [N, 64000]."""
    spectra = transform.denormalise(images.permute(0, 2, 3, 1), config.normalizer)
    magnitude, increment = transform.polar(spectra, config.representation)
    # gradients go through the magnitudes alone: those of a phase accumulated over a hundred
    # frames lead nowhere
    return transform.waves(magnitude, increment.detach())


class Target:
    """A recorded note that generated ones are compared with.

    Args:
        wave: [64000] at 16 kHz.
    """

    def __init__(self, wave: Tensor) -> None:
        pyramid = pyramid_of(wave[None])
        peak = pyramid[MIDDLE].amax()
        self.outline = _outline(pyramid)[0]
        """[levels], as :meth:`look` returns them."""
        self._wanted = [pooled - peak for pooled in pyramid]
        self._weights = [FAINT + torch.sigmoid((wanted + HALF) / WIDTH) for wanted in self._wanted]

    def distance(self, waves: Tensor) -> Tensor:
        """Waves [N, 64000] → distances (dB) [N]: weighted mean of the absolute differences in
        level, at equal loudness."""
        return self.compare(pyramid_of(waves))

    def look(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Waves [N, 64000] → distances (dB) [N], and outlines [N, levels]: levels relative to
        the loudest cell (dB)."""
        pyramid = pyramid_of(waves)
        return self.compare(pyramid), _outline(pyramid)

    def compare(self, pyramid: list[Tensor]) -> Tensor:
        """The same of waves whose :func:`pyramid_of` is known."""
        parts = []
        gain = self._gain(pyramid[MIDDLE])
        for ours, wanted, weight in zip(pyramid, self._wanted, self._weights, strict=True):
            level = (ours + gain[:, None, None]).clamp(min=-FLOOR)
            error = (level - wanted.clamp(min=-FLOOR)).abs()
            parts.append((weight * error).mean(dim=(1, 2)) / weight.mean())
        return torch.stack(parts).mean(dim=0)

    def _gain(self, ours: Tensor) -> Tensor:
        """Gains (dB) [N] that make notes as loud as the recorded one."""
        wanted = self._wanted[MIDDLE]
        power = torch.logsumexp(wanted.flatten(1) / DECIBELS, dim=1)
        return DECIBELS * (power - torch.logsumexp(ours.flatten(1) / DECIBELS, dim=1))


def _outline(pyramid: list[Tensor]) -> Tensor:
    level = pyramid[MIDDLE]
    return (level - level.amax(dim=(1, 2), keepdim=True)).clamp(min=-FLOOR).flatten(1)


def pyramid_of(waves: Tensor) -> list[Tensor]:
    """Mean mel powers (dB) of waves [N, 64000] at each resolution."""
    power = transform.mel_power(waves)[:, None]
    peak = power.detach().amax(dim=(1, 2, 3)).clamp(min=1e-9)[:, None, None]
    least = 10 ** (-FLOOR / 10)
    pooled = [avg_pool2d(power, size)[:, 0] / peak for size in RESOLUTIONS]
    return [DECIBELS * torch.log((mean + least) * peak) for mean in pooled]
