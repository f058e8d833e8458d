"""Levels of templates and timbre codes, learnt together without any convolution.

Every note's levels on the templates of its pitch (:mod:`fitting`) are computed
once; a perceptron learns them from (code, pitch), and each instrument's code is
learnt with it, from noise. So thousands of notes a second are seen.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.model.generator import Generator
from gansynth_server.training.codes import Codes
from gansynth_server.training.fitting import Levels, spectra_and_levels
from gansynth_server.training.reals import Reals, order
from gansynth_server.util.progress import track

BATCH, RATE = 256, 1e-3
"""Notes of a step, and the largest learning rate of the one cycle."""
START = 0.1
"""Standard deviation of the codes before they are whitened, at the start: the smaller, the
faster they change."""
RIDGE = 1e-3
"""Share of the mean variance that is added to each code axis before whitening."""
COSINES = 8
"""Cosines over the pitches, so that neighbouring pitches begin alike."""
EXTRA, POWER_ITERATIONS = 8, 2
"""Of the randomised singular value decomposition (Halko et al. 2011)."""


def learn_levels(generator: Generator, reals: Reals, noise: float, epochs: int, seed: int) -> Codes:
    """Fit templates, then learn their levels and the codes.

    Args:
        generator: new, with axes, and a pitch bias that is fitted already; its templates are
            changed.
        noise: standard deviation of the noise on a code.
        epochs: times that all notes are seen.
        seed: of start, order and noise.

    Returns:
        codes that are white over the instruments, as N(0, I) is, the prior of latents.
    """
    templates, axes, labels = generator.templates, generator.axes, reals.labels
    assert templates is not None and axes is not None
    last = templates.levels[-1]
    assert isinstance(last, nn.Linear)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wanted = _principal_levels(spectra_and_levels(generator, reals), last)
        codes = START * torch.randn(len(reals.names), len(axes))
        pitch = Pitch(len(generator.config.pitches), templates.levels[0]).to(reals.device)
    codes = codes.to(reals.device).requires_grad_()
    learnt = [*templates.levels[:-1].parameters(), *pitch.parameters()]
    size = min(BATCH, len(labels))
    steps = max(2, epochs * len(labels) // size)
    groups: list[dict[str, Any]] = [{"params": learnt}, {"params": [codes], "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, RATE)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=steps)
    chance = torch.Generator(labels.device).manual_seed(seed)
    for step in track(range(steps), "learning levels and codes"):
        some = torch.from_numpy(order(len(labels), step * size, size, seed)).to(labels.device)
        drawn = Codes(_whitened(codes), axes, noise)
        z = drawn.latents(reals.instruments[some], chance)
        x = generator.condition(z, labels[some])
        ours = templates.levels[1:-1](pitch(x))
        loss = F.mse_loss(ours, wanted[some])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        cycle.step()
    pitch.fold()
    for parameter in templates.parameters():
        parameter.grad = None
    return Codes(_whitened(codes).detach(), axes.clone(), noise)


class Pitch(nn.Module):
    """The first layer, which reads cosines over the pitches too while it learns.

    They are a linear function of the one-hot label, so :meth:`fold` adds what was learnt to the
    layer's own weights.
    """

    ripples: Tensor

    def __init__(self, pitches: int, first: nn.Module) -> None:
        super().__init__()
        assert isinstance(first, nn.Linear)
        self._first = [first]  # a list, for it is the generator's, not a part of this
        place = (torch.arange(pitches) + 0.5)[:, None] / pitches
        ripples = torch.cos(math.pi * place * torch.arange(1, COSINES + 1))
        self.register_buffer("ripples", ripples)
        self.extra = nn.Linear(COSINES, first.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, input_size] → [N, width], before the activation."""
        onehot = x[:, -len(self.ripples) :]
        first: Tensor = self._first[0](x) + self.extra(onehot @ self.ripples)
        return first

    @torch.no_grad()
    def fold(self) -> None:
        weight = self._first[0].weight
        weight[:, -len(self.ripples) :] += self.extra.weight @ self.ripples.T


def _principal_levels(levels: Levels, last: nn.Linear) -> Tensor:
    """Fit the last layer to the levels' principal components; return these, [N, components].

    Levels of magnitude, of phase and of onsets count alike, as a whole.
    """
    parts = [levels.magnitude.flatten(1), levels.phase, levels.onset]
    scale = torch.cat(
        [part.new_full((part.shape[1],), float(part.square().sum(dim=1).mean())) for part in parts]
    )
    scale = scale.clamp(min=1e-12).rsqrt()
    values = torch.cat(parts, dim=1) * scale
    mean = values.mean(dim=0)
    values = values - mean
    count = min(last.in_features, *values.shape)
    more = min(count + EXTRA, *values.shape)
    basis = torch.svd_lowrank(values, more, POWER_ITERATIONS)[2][:, :count]
    found = F.pad(values @ basis, (0, last.in_features - count))
    unit = found.square().mean().sqrt().clamp(min=1e-6)
    basis = F.pad(basis, (0, last.in_features - count))
    last.weight.data = (basis * unit / scale[:, None]).contiguous()
    last.bias.data = mean / scale
    return found / unit


def _whitened(codes: Tensor) -> Tensor:
    """Return codes [instruments, size] of mean 0 whose covariance is the identity, almost."""
    centred = codes - codes.mean(dim=0)
    covariance = centred.T @ centred / len(codes)
    ridge = RIDGE * covariance.diagonal().mean().detach() * torch.eye(codes.shape[1]).to(codes)
    lower = torch.linalg.cholesky(covariance + ridge)
    return torch.linalg.solve_triangular(lower, centred.T, upper=False).T
