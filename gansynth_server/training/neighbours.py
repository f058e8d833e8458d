"""Pitches beside each other, turned so that an instrument's levels change little between them."""

from __future__ import annotations

import torch
from torch import Tensor

from gansynth_server.training.reals import Reals


def procrustes(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the rotation [k, k] (complex: unitary) that brings ours [..., k] nearest to theirs."""
    left, _, right = torch.linalg.svd(ours.flatten(0, -2).mH @ theirs.flatten(0, -2))
    return left @ right


def places(reals: Reals, label: int) -> Tensor:
    """Return the places of a label's notes."""
    return (reals.labels == label).nonzero()[:, 0]


def outwards(labels: list[int]) -> list[tuple[int, int | None]]:
    """List labels from the middle up, then from there down, each with the one before it."""
    middle = len(labels) // 2
    up = [(labels[n], labels[n - 1]) for n in range(middle + 1, len(labels))]
    down = [(labels[n], labels[n + 1]) for n in reversed(range(middle))]
    return [(labels[middle], None), *up, *down]


def pairs(instruments: Tensor, here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places in both lists of notes of the same instruments."""
    same = instruments[here][:, None] == instruments[there]
    one, other = same.nonzero().T
    return one, other
