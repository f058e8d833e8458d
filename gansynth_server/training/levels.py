"""Levels of a decoder's spectra and timbre codes, learnt together.

Every note's levels are computed once (:mod:`spectra`); a perceptron learns them from
(code, pitch), and each instrument's code is learnt with it, from noise. So
thousands of notes a second are seen. Some examples are mixtures of two instruments' notes
of a pitch (mixup, Zhang et al. 2018): the timbre between two codes is then between theirs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.model.decoder import Decoder
from gansynth_server.model.generator import Generator
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.reals import Reals, order
from gansynth_server.util.progress import track

BATCH, RATE = 128, 1e-3
"""Notes of a step, and the largest learning rate of the one cycle."""
START = 0.1
"""Standard deviation of the codes before they are whitened, at the start: the smaller, the
faster they change."""
RIDGE = 1e-3
"""Share of the mean variance that is added to each code axis before whitening."""
COSINES = 8
"""Cosines over the pitches, so that neighbouring pitches begin alike."""
SHARES = 1.0, 0.3, 0.1
"""What levels of magnitude, of onsets and of phase count for in the error, as a whole each."""
EXTRA, POWER_ITERATIONS = 8, 2
"""Of the randomised singular value decomposition (Halko et al. 2011)."""


def learn_levels(
    generator: Generator, reals: Reals, levels: Tensor, options: TrainOptions
) -> Tensor:
    """Train a decoder's perceptron; return the codes of the instruments, [M, latent_size].

    The codes are white over the instruments.

    Args:
        generator: its decoder has the spectra that the levels belong to.
        levels: of all notes, [N, sum(sizes)].
    """
    decoder, labels = generator.decoder, reals.labels
    assert decoder is not None
    last = decoder.levels[-1]
    assert isinstance(last, nn.Linear)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        wanted = _principal_levels(levels, decoder, last)
        codes = START * torch.randn(len(reals.names), generator.config.latent_size)
        pitch = Pitch(len(generator.config.pitches), decoder.levels[0])
    codes.requires_grad_()
    size = min(BATCH, len(labels))
    steps = max(2, options.level_epochs * len(labels) // size)
    learnt = [*decoder.levels[:-1].parameters(), *pitch.parameters()]
    groups: list[dict[str, Any]] = [{"params": learnt}, {"params": [codes], "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, RATE)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=steps)
    examples = Examples(reals, wanted, options)
    for step in track(range(steps), "learning levels and codes"):
        places = torch.from_numpy(order(len(labels), step * size, size, options.seed))
        z, target = examples(whitened(codes), places)
        x = generator.condition(z, labels[places])
        loss = F.mse_loss(decoder.levels[1:-1](pitch(x)), target)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        cycle.step()
    pitch.fold()
    for parameter in decoder.parameters():
        parameter.grad = None
    return whitened(codes).detach()


class Examples:
    """Noisy latents and their principal levels, some of them mixtures of two instruments.

    Args:
        wanted: principal levels of all notes, [N, components].
    """

    def __init__(self, reals: Reals, wanted: Tensor, options: TrainOptions) -> None:
        self._reals, self._wanted, self._options = reals, wanted, options
        self._chance = torch.Generator().manual_seed(options.seed)
        self._count = len(reals.names)
        self._place = torch.full((len(reals.config.pitches), self._count), -1)
        self._place[reals.labels, reals.instruments] = torch.arange(len(reals))

    def __call__(self, codes: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Codes [M, size] and places of n notes → latents [n, size] and levels [n, components]."""
        n, chance, noise = len(places), self._chance, self._options.code_noise
        other = torch.randint(self._count, (n,), generator=chance)
        there = self._place[self._reals.labels[places], other]
        mixed = (torch.rand(n, generator=chance) < self._options.mixtures) & (there >= 0)
        share = (torch.rand(n, generator=chance) * mixed)[:, None]
        z = mixture(codes[self._reals.instruments[places]], codes[other], share)
        fresh = torch.randn(z.shape, generator=chance)
        wanted = torch.lerp(self._wanted[places], self._wanted[there.clamp(min=0)], share)
        return math.sqrt(1 - noise**2) * z + noise * fresh, wanted


def mixture(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Mix latents [n, size]: their weighted sum's direction, at the mean length."""
    mixed = torch.lerp(a, b, share)
    length = torch.lerp(a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True), share)
    return mixed * (length / mixed.norm(dim=1, keepdim=True).clamp(min=1e-6))


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


def _principal_levels(levels: Tensor, decoder: Decoder, last: nn.Linear) -> Tensor:
    """Fit the last layer to the levels' principal components; return these, [N, components]."""
    mean = levels.mean(dim=0)
    scale = torch.cat(
        [
            part.new_full((part.shape[1],), math.sqrt(share / max(energy, 1e-12)))
            for part, share in zip(
                torch.split(levels - mean, decoder.sizes, dim=1), SHARES, strict=True
            )
            for energy in [float(part.square().sum(dim=1).mean())]
        ]
    )
    values = (levels - mean) * scale
    count = min(last.in_features, *values.shape)
    more = min(count + EXTRA, *values.shape)
    basis = torch.svd_lowrank(values, more, POWER_ITERATIONS)[2][:, :count]
    found = F.pad(values @ basis, (0, last.in_features - count))
    unit = found.square().mean().sqrt().clamp(min=1e-6)
    basis = F.pad(basis, (0, last.in_features - count))
    last.weight.data = (basis * unit / scale[:, None]).contiguous()
    last.bias.data = mean
    return found / unit


def whitened(codes: Tensor) -> Tensor:
    """Return codes [instruments, size] of mean 0 whose covariance is the identity, almost."""
    centred = codes - codes.mean(dim=0)
    covariance = centred.T @ centred / len(codes)
    ridge = RIDGE * covariance.diagonal().mean().detach() * torch.eye(codes.shape[1]).to(codes)
    lower = torch.linalg.cholesky(covariance + ridge)
    return torch.linalg.solve_triangular(lower, centred.T, upper=False).T
