"""Metrics of timbre: consistency across pitches, smoothness along paths, presets' likeness."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansynth_server.analysis.acoustics import attack, centroid, envelope
from gansynth_server.analysis.labelled_notes import LabelledNotes
from gansynth_server.analysis.spectral_distance import Target
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.vectors import slerp
from gansynth_server.spectral import transform
from gansynth_server.spectral.constants import BINS, SAMPLE_RATE
from gansynth_server.training.dataset import Dataset

Float64 = NDArray[np.float64]

BANDS = 20
FLOOR = -60.0
"""Level (dB) relative to the loudest band under which bands count as silent."""
PITCH_PAIRS, PER_PAIR = 6, 8
PATHS, PATH_STEPS = 4, 16
PRESET_PITCHES = (48, 60, 72)
MAX_PRESETS = 128


@cache
def _triangles() -> Tensor:
    """Overlapping triangles on the mel scale, FFT bins to bands [1024, 20]."""
    hertz = (np.arange(BINS) + 1) * SAMPLE_RATE / 2 / BINS
    scale = np.log1p(hertz / 700) / np.log1p(SAMPLE_RATE / 2 / 700) * (BANDS + 1)
    distance = np.abs(scale[:, None] - np.arange(1, BANDS + 1))
    return torch.from_numpy(np.clip(1 - distance, 0, None)).float()


def bands(sounds: LabelledNotes) -> Float64:
    """Spectral envelopes [N, 20] of whole notes (dB relative to the loudest band)."""
    parts = [
        transform.stft(part).abs().square().mean(dim=1) @ _triangles() for part in sounds.batches()
    ]
    decibels = 10 * torch.log10(torch.cat(parts) + 1e-12)
    relative = decibels - decibels.amax(dim=1, keepdim=True)
    return relative.clamp(min=FLOOR).double().numpy()


def neighbour_rows(data: Dataset, pitches: tuple[int, ...], seed: int) -> NDArray[np.int64]:
    """Rows of timbres at two neighbouring pitches, [M, 2].

    Up to eight instruments at each of up to six pairs of pitches out of
    ``pitches``; both notes have the same velocity.
    """
    timbres: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
    for row, note in enumerate(data.notes):
        if note.pitch in pitches:
            timbres[note.instrument, note.velocity][note.pitch] = row
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for found in timbres.values():
        for low, high in pairwise(sorted(found)):
            pairs[low, high].append((found[low], found[high]))
    rng = np.random.default_rng(seed)
    usable = sorted(pair for pair, members in pairs.items() if len(members) > 1)
    rows: list[tuple[int, int]] = []
    for group in rng.permutation(len(usable))[:PITCH_PAIRS]:
        members = pairs[usable[group]]
        rows += [members[index] for index in rng.permutation(len(members))[:PER_PAIR]]
    return np.array(rows, np.int64).reshape(-1, 2)


def consistency(low: LabelledNotes, high: LabelledNotes) -> float:
    """Change of timbre between neighbouring pitches: 0 for none, 1 as between different timbres.

    Args:
        low: M timbres, each at one pitch; at least two at each pitch.
        high: the same timbres at the next pitch.

    Returns:
        RMS distance (dB) of the spectral envelopes of the same timbre, over
        that of different timbres at the same two pitches.
    """
    first, second = bands(low), bands(high)
    other = np.arange(len(low))
    for pitch in np.unique(low.pitches):
        members = np.flatnonzero(low.pitches == pitch)
        other[members] = np.roll(members, 1)

    def distance(to: Float64) -> float:
        return float(np.mean(np.sqrt(((first - to) ** 2).mean(axis=1))))

    return distance(second) / max(distance(second[other]), 1e-9)


def paths(prior: Prior, seed: int) -> NDArray[np.float32]:
    """Latents along slerp paths between random ones, [4 · 17, size]."""
    ends = [(prior.draw(seed + 2 * n), prior.draw(seed + 2 * n + 1)) for n in range(PATHS)]
    amounts = np.linspace(0, 1, PATH_STEPS + 1)
    return np.stack([slerp(a, b, float(amount)) for a, b in ends for amount in amounts])


def smoothness(embedding: Float64) -> dict[str, float]:
    """Evenness of the embeddings [4 · 17, D] along :func:`paths`.

    Returns:
        ``path_ratio``: the longest step over the mean one, mean of the paths
        (1: even); ``path_length``: the way over the distance of its ends.
    """
    along = embedding.reshape(PATHS, PATH_STEPS + 1, -1)
    steps = np.linalg.norm(np.diff(along, axis=1), axis=2)
    ends = np.linalg.norm(along[:, -1] - along[:, 0], axis=1)
    ratio = steps.max(axis=1) / np.maximum(steps.mean(axis=1), 1e-9)
    length = steps.sum(axis=1) / np.maximum(ends, 1e-9)
    return {"path_ratio": float(ratio.mean()), "path_length": float(length.mean())}


def preset_rows(
    data: Dataset, names: frozenset[str], pitches: tuple[int, ...]
) -> NDArray[np.int64]:
    """Rows of instruments named like presets, at pitches 48, 60 and 72, one velocity each."""
    wanted = set(PRESET_PITCHES) & set(pitches)
    found: dict[tuple[str, int], int] = {}
    for row, note in sorted(enumerate(data.notes), key=lambda entry: abs(entry[1].velocity - 100)):
        if note.instrument in names and note.pitch in wanted:
            found.setdefault((note.instrument, note.pitch), row)
    kept = set(sorted({name for name, _ in found})[:MAX_PRESETS])
    return np.array([row for (name, _), row in sorted(found.items()) if name in kept], np.int64)


def alike(real: LabelledNotes, ours: LabelledNotes) -> dict[str, Any]:
    """Compare notes with real notes of the same instruments and pitches.

    Args:
        real: N real notes.
        ours: N notes in the same order.

    Returns:
        ``envelope_correlation``: mean over the instruments of Pearson's r of
        the 50 ms levels; ``centroid_rank_correlation`` and
        ``attack_rank_correlation``: Spearman's rho over the instruments of
        spectral centroid and attack time (None for fewer than three, or silence);
        ``preset_distance``: median distance (dB) by :class:`Target`; and
        ``instruments``: name → its distance, its correlation, and real and other centroid (Hz)
        and attack (ms).
    """
    assert real.instruments is not None
    names = np.array(real.instruments)
    levels = [
        _correlation(envelope(a), envelope(b)) for a, b in zip(real.waves, ours.waves, strict=True)
    ]
    pairs = zip(torch.from_numpy(real.waves), torch.from_numpy(ours.waves), strict=True)
    distances = np.array([float(Target(a).distance(b[None])) for a, b in pairs])
    columns = [distances, np.array(levels)]
    for measure in (centroid, attack):
        columns += [np.array([measure(wave) for wave in side.waves]) for side in (real, ours)]
    order = sorted(set(names))
    table = np.array([[column[names == name].mean() for column in columns] for name in order])
    return {
        "preset_distance": float(np.median(table[:, 0])),
        "envelope_correlation": float(table[:, 1].mean()),
        "centroid_rank_correlation": _rank_correlation(table[:, 2], table[:, 3]),
        "attack_rank_correlation": _rank_correlation(table[:, 4], table[:, 5]),
        "instruments": {
            name: {
                "distance_db": round(float(row[0]), 2),
                "envelope_correlation": round(float(row[1]), 3),
                "centroid_hz": [_whole(value) for value in row[2:4]],
                "attack_ms": [_whole(value) for value in row[4:6]],
            }
            for name, row in zip(order, table, strict=True)
        },
    }


def _rank_correlation(a: Float64, b: Float64) -> float | None:
    """Spearman's rho; None where there is nothing to rank."""
    from scipy.stats import spearmanr

    if len(a) < 3 or not np.isfinite([a, b]).all() or min(np.ptp(a), np.ptp(b)) == 0:
        return None
    return float(spearmanr(a, b).statistic)


def _whole(value: float) -> int | None:
    """Round a figure; None for the attack of silence."""
    return round(value) if np.isfinite(value) else None


def _correlation(a: Float64, b: Float64) -> float:
    """Pearson's r, 0 where one is constant."""
    if min(a.std(), b.std()) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
