"""Templates fitted to the data in closed form, from which a regression begins.

At every pitch the templates of magnitude are the principal components of all
frames, those of phase a weighted principal component analysis of the means
over a note. Neighbouring pitches are turned towards each other (orthogonal
Procrustes), so that an instrument's levels change little from one pitch to the
next, and then a perceptron learns the levels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gansynth_server.model.generator import Generator
from gansynth_server.model.templates import CURVES, Templates
from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.training.codes import Codes
from gansynth_server.training.neighbours import outwards, pairs, places, procrustes
from gansynth_server.training.reals import Reals, order
from gansynth_server.training.regression import Loudness
from gansynth_server.util.progress import track

FLOOR = 80 * math.log(10) / 20
"""Level (nepers of amplitude) under a note's peak below which its spectrum counts as flat."""
SILENT = 3
"""Frames of silence before the note."""
MAX_SPECTRUM = 0.95
"""Largest value of a spectrum that a tanh is asked for."""
ROUNDS, RIDGE = 6, 1e-3
"""Rounds and ridge of the alternating least squares of phases; the loudest bins weigh 1."""
EPOCHS, BATCH, RATE = 150, 128, 2e-3
"""Training of the perceptron."""


def fit(generator: Generator, reals: Reals, codes: Codes, seed: int) -> None:
    """Fit a new generator's templates to the data.

    Args:
        generator: with a pitch bias that is fitted already; its templates are changed.
        reals: the notes; all their spectra are read once.
        codes: of the instruments.
        seed: of the perceptron's order and latents.
    """
    templates = generator.templates
    assert templates is not None
    levels = torch.zeros(len(reals), FRAMES, templates.magnitude.shape[1], device=reals.device)
    constant = torch.zeros(len(reals), templates.phase.shape[1], device=reals.device)
    notes = {label: places(reals, label) for label in set(reals.labels.tolist())}
    for label, neighbour in track(outwards(sorted(notes)), "fitting templates"):
        here = notes[label]
        level, phase, weight = _residual(generator, reals, label, here)
        spectra, found = _principal(level[:, SILENT:], levels.shape[2])
        still, stays = _weighted_principal(phase, weight, constant.shape[1])
        if neighbour is not None:
            one, other = pairs(reals.instruments, here, notes[neighbour])
            turn = procrustes(found[one], levels[notes[neighbour][other], SILENT:])
            found, spectra = found @ turn, turn.T @ spectra
            turn = procrustes(stays[one], constant[notes[neighbour][other]])
            stays, still = stays @ turn, turn.T @ still
        levels[here, SILENT:], constant[here] = found, stays
        templates.magnitude.data[label], templates.phase.data[label] = spectra, still
    for values, spectra in ((levels, templates.magnitude), (constant, templates.phase)):
        scale = values.square().mean().sqrt().clamp(min=1e-6)
        values /= scale
        spectra.data *= scale
    by_time = levels.transpose(1, 2)  # [N, templates, frames]
    flat = by_time.flatten(0, 1)
    templates.curves.data = torch.linalg.eigh(flat.T @ flat)[1][:, -CURVES:].T.contiguous()
    _learn(generator, reals, codes, by_time @ templates.curves.data.T, constant, seed)


def _residual(
    generator: Generator, reals: Reals, label: int, places: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the residual of a pitch's notes after the bias, as arguments of the tanh.

    Returns:
        log magnitude [n, frames, bins]; instantaneous frequency, the mean of each bin
        over time weighted by its amplitude, [n, bins]; and the bin's amplitude, 0…1.
    """
    loudness = Loudness(reals.config)
    notes = reals.normalised(places.cpu().numpy())
    bias = torch.zeros(2, 1, BINS, device=reals.device)
    if generator.pitch_bias is not None:
        bias = generator.pitch_bias.data[label][:, None]
    level, angle = notes[:, 0], notes[:, 1] * loudness.radians
    peak = level.amax(dim=(1, 2), keepdim=True)
    floored = torch.maximum(level, peak - FLOOR * loudness.per_neper)
    weight = loudness.amplitude(level - peak)
    weight[:, : SILENT + 1] = 0
    sums = [(weight * part).sum(dim=1) for part in (angle.sin(), angle.cos())]
    mean = torch.atan2(*sums) / loudness.radians
    turn = 2 * math.pi / loudness.radians
    expected = torch.tanh(bias[1])
    near = expected + torch.remainder(mean - expected + turn / 2, turn) - turn / 2
    near = torch.where(near.abs() > MAX_SPECTRUM, mean, near)  # beyond what the output can be
    both = [
        torch.atanh(value.clamp(-MAX_SPECTRUM, MAX_SPECTRUM)) - part
        for value, part in zip((floored, near), bias, strict=True)
    ]
    amplitude = weight.mean(dim=1)
    return both[0], both[1], amplitude / amplitude.amax(dim=1, keepdim=True)


def _principal(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Split [n, frames, bins] into orthonormal [count, bins] and levels [n, frames, count]."""
    flat = values.flatten(0, 1)
    spectra = torch.linalg.eigh(flat.T @ flat)[1][:, -count:].flip(1)
    return spectra.T, values @ spectra


def _weighted_principal(values: Tensor, weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Split weighted [n, bins] into spectra [count, bins] and levels [n, count]."""
    start = torch.linalg.svd(values * weight.sqrt(), full_matrices=False)[2][:count]
    spectra = F.pad(start, (0, 0, 0, count - len(start)))
    for _ in range(ROUNDS):
        levels = _solve(spectra.T, values, weight)
        spectra = _solve(levels, values.T, weight.T).T
    return spectra, _solve(spectra.T, values, weight)


def _solve(basis: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Solve for levels [n, k] whose product with basis.T is nearest to values [n, m]."""
    size = basis.shape[1]
    products = (basis[:, :, None] * basis[:, None, :]).flatten(1)
    matrix = (weight @ products).view(-1, size, size)
    matrix = matrix + RIDGE * torch.eye(size, device=basis.device)
    return torch.linalg.solve(matrix, (weight * values) @ basis)


def _learn(
    generator: Generator,
    reals: Reals,
    codes: Codes,
    level: Tensor,
    constant: Tensor,
    seed: int,
) -> None:
    """Train the perceptron on the levels [N, templates, curves] and [N, phase_templates]."""
    templates, labels = generator.templates, reals.labels
    assert isinstance(templates, Templates)
    size = min(BATCH, len(labels))
    steps = EPOCHS * len(labels) // size
    adam = torch.optim.Adam(templates.levels.parameters(), RATE, betas=(0.9, 0.99))
    falls = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    chance = torch.Generator(labels.device).manual_seed(seed)
    unit = level.square().mean()
    for step in track(range(steps), "learning their levels"):
        some = torch.from_numpy(order(len(labels), step * size, size, seed)).to(labels.device)
        z = codes.latents(reals.instruments[some], chance)
        x = generator.condition(z, labels[some])
        ours, stays = templates.split(templates.levels(x))
        loss = F.mse_loss(ours, level[some]) / unit + F.mse_loss(stays, constant[some])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        falls.step()
    adam.zero_grad(set_to_none=True)
