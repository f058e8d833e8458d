"""Other phases for a note's magnitudes, to hear what instantaneous frequency is good for."""

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
MOMENTUM = 0.99  # of the fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard 2013)


def with_phase(spectrum: Spectrum, method: Method, seed: int = 0) -> Spectrum:
    """The same magnitudes with the phases of a method.

    Args:
        method: ``if`` integrates the network's own instantaneous frequency,
            ``griffinlim`` looks for phases that agree with the magnitudes,
            starting from random ones, ``random`` takes those as they are.
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
    """Phases whose inverse STFT has nearly the given magnitudes.

    Args:
        magnitude: [N, 128, 1024].
        phase: [N, 128, 1024] radians to begin with.

    Returns:
        [N, 128, 1024] radians.
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
    """The whole note as it sounds at 16 kHz, float32 [64000]."""
    parts = (torch.from_numpy(part)[None] for part in (spectrum.magnitude, spectrum.increment))
    return transform.waves(*parts)[0]
