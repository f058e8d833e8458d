"""Latent vectors: drawing, spherical interpolation, mixing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Latent = NDArray[np.float32]


def draw(size: int, seed: int, spread: float = 1.0) -> Latent:
    """Draw a latent from N(0, 1)·spread; the same seed gives the same latent."""
    normal = np.random.default_rng(seed).standard_normal(size)
    return (normal * spread).astype(np.float32)


def draws(size: int, seeds: Iterable[int]) -> NDArray[np.float32]:
    """Latents [seeds, size] of many seeds."""
    return np.stack([draw(size, seed) for seed in seeds])


def slerp(a: Latent, b: Latent, amount: float) -> Latent:
    """Spherical interpolation from a (0) to b (1), on the vectors as they are.

    As Magenta's, sin((1-t)ω)/sin ω·a + sin(tω)/sin ω·b with ω the angle between
    them; linear where that is undefined (equal, opposite or zero vectors), so
    the result is always finite.
    """
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a64) * np.linalg.norm(b64)
    cosine = float(a64 @ b64 / norms) if norms > 0 else 1.0
    if abs(cosine) > 1 - 1e-7:
        return ((1 - amount) * a64 + amount * b64).astype(np.float32)
    omega = np.arccos(cosine)
    mixed = np.sin((1 - amount) * omega) * a64 + np.sin(amount * omega) * b64
    return (mixed / np.sin(omega)).astype(np.float32)


def mix(latents: Sequence[Latent], weights: Sequence[float]) -> Latent:
    """Mix latents: the direction of their weighted sum, at the weighted mean of their lengths.

    So latents of the prior give one as long as the prior's, and one latent alone
    gives itself. If all weights are 0 they count equally; latents that cancel
    each other out give zero.
    """
    share = np.asarray(weights, np.float64)
    share = share / share.sum() if share.sum() > 0 else np.full(len(share), 1 / len(share))
    table = np.stack(latents).astype(np.float64)
    blend = share @ table
    length, wanted = np.linalg.norm(blend), share @ np.linalg.norm(table, axis=1)
    if length < 1e-6 * wanted or not wanted:
        return np.zeros(len(blend), np.float32)
    return (blend * (wanted / length)).astype(np.float32)
