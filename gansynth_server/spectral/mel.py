"""Mel matrices as Magenta computes them, with the quirk that its checkpoints depend on."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

BINS = 1024
MAX_HERTZ = 8000.0
_MEL_BREAK = 700.0
_MEL_Q = 1127.0


def _mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(_MEL_Q * np.log1p(np.asarray(hertz) / _MEL_BREAK))


def _hertz(mel: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(_MEL_BREAK * np.expm1(np.asarray(mel) / _MEL_Q))


@cache
def linear_to_mel() -> NDArray[np.float64]:
    """Triangular weights [1024 linear bins, 1024 mel bands], not normalised."""
    edges = np.linspace(_mel(0.0), _mel(MAX_HERTZ), BINS + 2)
    narrowest = 1.5 * MAX_HERTZ / BINS
    # In Magenta's spectral_ops.linear_to_mel_weight_matrix the lower, centre and upper edges of
    # the bands are views of one array that is widened in place, so each widening shifts the
    # neighbours too. With copies of the edges the matrix would be another one.
    for i in range(BINS):
        if _hertz(edges[i + 2]) - _hertz(edges[i]) < narrowest:
            ratio = 0.5 * narrowest / (_hertz(edges[i + 1]) + _MEL_BREAK)
            widening = _MEL_Q * np.log(ratio + np.sqrt(1 + ratio**2))
            edges[i] = edges[i + 1] - widening
            edges[i + 2] = edges[i + 1] + widening
    lower, centre, upper = (_hertz(edges[i : i + BINS]) for i in range(3))
    hertz = np.linspace(0.0, MAX_HERTZ, BINS)[:, None]
    rising = (hertz - lower) / (centre - lower)
    falling = (upper - hertz) / (upper - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    # Magenta takes the first stored bin, which is FFT bin 1, for DC
    weights[0] = 0.0
    return weights


@cache
def mel_to_linear() -> NDArray[np.float64]:
    """Weights [1024 mel bands, 1024 linear bins]: the column-normalised transpose."""
    forward = linear_to_mel()
    sums = forward @ forward.sum(axis=0)  # of the columns of forward @ forward.T
    scale = np.where(np.abs(sums) > 1e-8, 1.0 / np.where(sums == 0, 1.0, sums), sums)
    return forward.T * scale


@cache
def mel_taps() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """``mel_to_linear`` as a gather: the few bands that reach each linear bin.

    Returns:
        indices [K, 1024] and weights [K, 1024]; ``y[j] = Σ_k w[k, j]·x[i[k, j]]``.
    """
    matrix = mel_to_linear()
    count = int((matrix != 0).sum(axis=0).max())
    indices = np.zeros((count, BINS), dtype=np.int64)
    weights = np.zeros((count, BINS), dtype=np.float32)
    for j in range(BINS):
        bands = np.flatnonzero(matrix[:, j])
        indices[: len(bands), j] = bands
        weights[: len(bands), j] = matrix[bands, j]
    return indices, weights
