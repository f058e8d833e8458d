"""Templates fitted to the data in closed form, from which a regression begins.

At every pitch the templates of magnitude are the principal components of all
frames, those of phase a weighted principal component analysis of the means
over a note, and of its first frames where there are templates of onsets.
Neighbouring pitches are turned towards each other (orthogonal Procrustes), so
that an instrument's levels change little from one pitch to the next, and then a
perceptron learns the levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gansynth_server.model.generator import Generator
from gansynth_server.model.templates import ONSET, Templates
from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.training.codes import Codes
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
    _learn(generator, reals, codes, spectra_and_levels(generator, reals), seed)


@dataclass(frozen=True)
class Levels:
    """Levels of every note on the templates of its pitch."""

    magnitude: Tensor
    """[N, templates, curves]."""
    phase: Tensor
    """[N, phase_templates]."""
    onset: Tensor
    """[N, onset_templates - 1]; the first template's level is 1."""


def spectra_and_levels(generator: Generator, reals: Reals) -> Levels:
    """Fit a new generator's templates and curves in closed form; return the levels of the notes."""
    templates = generator.templates
    assert templates is not None
    levels = torch.zeros(len(reals), FRAMES, templates.magnitude.shape[1], device=reals.device)
    constant = torch.zeros(len(reals), templates.phase.shape[1], device=reals.device)
    more = 0 if templates.onset is None else templates.onset.shape[1] - 1
    onset = torch.zeros(len(reals), more, device=reals.device)
    notes = {label: _places(reals, label) for label in set(reals.labels.tolist())}
    still_from = SILENT + 1 if templates.onset is None else ONSET
    for label, neighbour in track(_outwards(sorted(notes)), "fitting templates"):
        here = notes[label]
        spectra_here = reals.normalised(here.cpu().numpy())
        level, phase, weight = _residual(generator, reals, label, spectra_here, still_from)
        spectra, found = _principal(level[:, SILENT:], levels.shape[2])
        still, stays = _weighted_principal(phase, weight, constant.shape[1])
        if templates.onset is not None:
            mean, early, weight = _early(generator, reals, label, reals.aligned(here))
            drawn = mean[None]
            if more:
                others, onset[here] = _weighted_principal(early, weight, more)
                drawn = torch.cat([drawn, others])
            templates.onset.data[label] = drawn.view(more + 1, ONSET, BINS)
        if neighbour is not None:
            one, other = _pairs(reals.instruments, here, notes[neighbour])
            turn = _procrustes(found[one], levels[notes[neighbour][other], SILENT:])
            found, spectra = found @ turn, turn.T @ spectra
            turn = _procrustes(stays[one], constant[notes[neighbour][other]])
            stays, still = stays @ turn, turn.T @ still
            if more and templates.onset is not None:
                turn = _procrustes(onset[here][one], onset[notes[neighbour][other]])
                onset[here] = onset[here] @ turn
                drawn = templates.onset.data[label, 1:].flatten(1)
                templates.onset.data[label, 1:] = (turn.T @ drawn).view(more, ONSET, BINS)
        levels[here, SILENT:], constant[here] = found, stays
        templates.magnitude.data[label], templates.phase.data[label] = spectra, still
    pairs = [(levels, templates.magnitude.data), (constant, templates.phase.data)]
    if more and templates.onset is not None:
        pairs.append((onset, templates.onset.data[:, 1:]))
    for values, spectra in pairs:
        scale = values.square().mean().sqrt().clamp(min=1e-6)
        values /= scale
        spectra *= scale
    by_time = levels.transpose(1, 2)  # [N, templates, frames]
    flat = by_time.flatten(0, 1)
    curves = len(templates.curves)
    templates.curves.data = torch.linalg.eigh(flat.T @ flat)[1][:, -curves:].T.contiguous()
    return Levels(by_time @ templates.curves.data.T, constant, onset)


def _places(reals: Reals, label: int) -> Tensor:
    return (reals.labels == label).nonzero()[:, 0]


def _outwards(labels: list[int]) -> list[tuple[int, int | None]]:
    """List labels from the middle up, then from there down, each with the one before it."""
    middle = len(labels) // 2
    up = [(labels[n], labels[n - 1]) for n in range(middle + 1, len(labels))]
    down = [(labels[n], labels[n + 1]) for n in reversed(range(middle))]
    return [(labels[middle], None), *up, *down]


def _pairs(instruments: Tensor, here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places in both lists of notes of the same instruments."""
    same = instruments[here][:, None] == instruments[there]
    one, other = same.nonzero().T
    return one, other


def _residual(
    generator: Generator, reals: Reals, label: int, notes: Tensor, still_from: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the residual of a pitch's notes after the bias, as arguments of the tanh.

    Args:
        notes: their spectra.
        still_from: first frame whose phase counts.

    Returns:
        log magnitude [n, frames, bins]; instantaneous frequency, the mean of each bin
        over time weighted by its amplitude, [n, bins]; and the bin's amplitude, 0…1.
    """
    loudness = Loudness(reals.config)
    bias = _bias(generator, reals, label)
    level, phase = notes[:, 0], notes[:, 1]
    peak = level.amax(dim=(1, 2), keepdim=True)
    floored = torch.maximum(level, peak - FLOOR * loudness.per_neper)
    weight = loudness.amplitude(level - peak)
    weight[:, :still_from] = 0
    mean = loudness.mean_phase(phase, weight, 1)
    near = _nearest(mean, torch.tanh(bias[1]), loudness)
    both = [
        torch.atanh(value.clamp(-MAX_SPECTRUM, MAX_SPECTRUM)) - part
        for value, part in zip((floored, near), bias, strict=True)
    ]
    amplitude = weight.mean(dim=1)
    return both[0], both[1], amplitude / amplitude.amax(dim=1, keepdim=True)


def _early(
    generator: Generator, reals: Reals, label: int, notes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute instantaneous frequencies of the first frames, as arguments of the tanh.

    Args:
        notes: their spectra, with aligned partials.

    Returns:
        their mean over notes [frames · bins], what each note differs by [n, frames · bins],
        and the amplitudes, 0…1.
    """
    loudness = Loudness(reals.config)
    level, phase = notes[:, 0], notes[:, 1, :ONSET]
    weight = loudness.amplitude(level - level.amax(dim=(1, 2), keepdim=True))[:, :ONSET]
    near = _nearest(phase, loudness.mean_phase(phase, weight, 0), loudness)
    argument = torch.atanh(near.clamp(-MAX_SPECTRUM, MAX_SPECTRUM))
    argument = (argument - _bias(generator, reals, label)[1]).flatten(1)
    weight = (weight / weight.amax(dim=(1, 2), keepdim=True).clamp(min=1e-9)).flatten(1)
    mean = (weight * argument).sum(dim=0) / weight.sum(dim=0).clamp(min=1e-9)
    return mean, argument - mean, weight


def _bias(generator: Generator, reals: Reals, label: int) -> Tensor:
    """Return the bias of a pitch, [2, 1, bins]."""
    if generator.pitch_bias is None:
        return torch.zeros(2, 1, BINS, device=reals.device)
    return generator.pitch_bias.data[label][:, None]


def _nearest(phase: Tensor, expected: Tensor, loudness: Loudness) -> Tensor:
    """Move phases by whole turns to where they are nearest to the expected ones."""
    turn = 2 * math.pi / loudness.radians
    near = expected + torch.remainder(phase - expected + turn / 2, turn) - turn / 2
    return torch.where(near.abs() > MAX_SPECTRUM, phase, near)  # beyond what the output can be


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


def _procrustes(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the rotation [k, k] that brings ours [..., k] nearest to theirs."""
    left, _, right = torch.linalg.svd(ours.flatten(0, -2).T @ theirs.flatten(0, -2))
    return left @ right


def _learn(generator: Generator, reals: Reals, codes: Codes, wanted: Levels, seed: int) -> None:
    """Train the perceptron on the levels."""
    templates, labels = generator.templates, reals.labels
    assert isinstance(templates, Templates)
    size = min(BATCH, len(labels))
    steps = EPOCHS * len(labels) // size
    adam = torch.optim.Adam(templates.levels.parameters(), RATE, betas=(0.9, 0.99))
    falls = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    chance = torch.Generator(labels.device).manual_seed(seed)
    unit = wanted.magnitude.square().mean()
    for step in track(range(steps), "learning their levels"):
        some = torch.from_numpy(order(len(labels), step * size, size, seed)).to(labels.device)
        z = codes.latents(reals.instruments[some], chance)
        x = generator.condition(z, labels[some])
        ours, stays, early = templates.split(templates.levels(x))
        loss = F.mse_loss(ours, wanted.magnitude[some]) / unit
        loss = loss + F.mse_loss(stays, wanted.phase[some])
        if early.shape[1]:
            loss = loss + F.mse_loss(early, wanted.onset[some])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        falls.step()
    adam.zero_grad(set_to_none=True)
