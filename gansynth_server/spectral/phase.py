"""Phase reconstruction for a note's magnitudes, to compare with instantaneous frequency."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from gansynth_server.spectral import transform
from gansynth_server.spectral.spectrum import Spectrum

Method = Literal["if", "griffinlim", "random"]
METHODS: tuple[Method, ...] = get_args(Method)

ITERATIONS = 60
MOMENTUM = 0.99
"""α of the fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013)."""


def with_phase(spectrum: Spectrum, method: Method, seed: int = 0) -> Spectrum:
    """Give a note's magnitudes the phases of a method.

    Args:
        method: ``if`` integrates the network's instantaneous frequency,
            ``griffinlim`` iterates from random phases to ones consistent with
            the magnitudes, ``random`` keeps the random ones.
        seed: of the random phases.
    """
    if method == "if":
        return spectrum
    magnitude = torch.from_numpy(spectrum.magnitude)[None]
    uniform = np.random.default_rng(seed).uniform(-np.pi, np.pi, spectrum.magnitude.shape)
    phase = torch.from_numpy(uniform.astype(np.float32))[None]
    if method == "griffinlim":
        phase = griffin_lim(magnitude, phase)
    increment = torch.diff(phase, dim=1, prepend=torch.zeros_like(phase[:, :1]))
    return Spectrum(spectrum.magnitude, increment[0].numpy())


def griffin_lim(magnitude: Tensor, phase: Tensor) -> Tensor:
    """Estimate phases whose inverse STFT has nearly the given magnitudes.

    Args:
        magnitude: [N, 128, 1024].
        phase: [N, 128, 1024] (radians) to start from.

    Returns:
        [N, 128, 1024] (radians).
    """
    estimate = torch.polar(magnitude, phase)
    before = torch.zeros_like(estimate)
    for _ in range(ITERATIONS):
        consistent = transform.stft(transform.istft(estimate))
        ahead = consistent + MOMENTUM * (consistent - before)
        before = consistent
        estimate = torch.polar(magnitude, ahead.angle())
    return estimate.angle()


def wave(spectrum: Spectrum) -> Tensor:
    """Wave of a whole note at 16 kHz, float32 [64000]."""
    parts = (torch.from_numpy(part)[None] for part in (spectrum.magnitude, spectrum.increment))
    return transform.waves(*parts)[0]
