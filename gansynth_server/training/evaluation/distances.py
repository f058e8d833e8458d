"""Distances between sets of notes: Fréchet distance, inception score, NDB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def frechet(
    mean_a: Float64, covariance_a: Float64, mean_b: Float64, covariance_b: Float64
) -> float:
    """Squared Fréchet distance of two Gaussians: |μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½).

    As in Heusel et al. 2017. Means are [D], covariances [D, D].
    """
    values, vectors = np.linalg.eigh(covariance_a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    # √Σa Σb √Σa is symmetric and has the eigenvalues of Σa Σb
    mixed = np.linalg.eigvalsh(root @ covariance_b @ root)
    traces = np.trace(covariance_a) + np.trace(covariance_b)
    overlap = np.sqrt(np.clip(mixed, 0, None)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + traces - 2 * overlap)


def frechet_distance(a: Float64, b: Float64) -> float:
    """Squared Fréchet distance of Gaussians fitted to embeddings [N, D] and [M, D]."""
    return frechet(a.mean(axis=0), np.cov(a, rowvar=False), b.mean(axis=0), np.cov(b, rowvar=False))


def entropy(posterior: Float64) -> Float64:
    """Entropy in nats along the last axis."""
    return -(posterior * np.log(np.clip(posterior, 1e-12, None))).sum(axis=-1)


def inception_score(posterior: Float64) -> float:
    """exp of the mean KL divergence of p(y|x) from p(y) (Salimans et al. 2016): 1 … classes.

    Args:
        posterior: [N, classes], the classifier's p(y|x).
    """
    return float(np.exp(entropy(posterior.mean(axis=0)) - entropy(posterior).mean()))


@dataclass(frozen=True)
class Bins:
    """Clusters of real notes, for the number of statistically different bins (NDB).

    As in Richardson & Weiss 2018: the k-means clusters of the real notes are the
    bins; a bin is different if its shares of the real and of the other notes
    differ by a two-proportion z-test.
    """

    centres: NDArray[np.float32]
    """[K, D]."""
    shares: Float64
    """[K] shares of the real notes."""
    count: int
    """Number of real notes."""

    @classmethod
    def fit(cls, pictures: NDArray[np.float32], bins: int = 50, seed: int = 0) -> Bins:
        """Cluster real notes [N, D], into fewer bins where they would hold under 20 notes each."""
        from scipy.cluster.vq import kmeans2

        bins = max(2, min(bins, len(pictures) // 20))
        centres, labels = kmeans2(
            pictures, bins, iter=25, minit="++", seed=np.random.default_rng(seed), missing="warn"
        )
        shares = np.bincount(labels, minlength=bins) / len(pictures)
        return cls(centres.astype(np.float32), shares, len(pictures))

    def shares_of(self, pictures: NDArray[np.float32]) -> Float64:
        """Shares [K] of other notes [N, D] by bin of the nearest centre."""
        from scipy.cluster.vq import vq

        labels, _ = vq(pictures, self.centres)
        return np.bincount(labels, minlength=len(self.centres)) / len(pictures)

    def different(self, pictures: NDArray[np.float32], significance: float = 0.05) -> float:
        """NDB / K: the share of bins that differ, about ``significance`` for like notes."""
        return different(
            self.shares, self.count, self.shares_of(pictures), len(pictures), significance
        )


def different(
    shares: Float64, count: int, others: Float64, other_count: int, significance: float
) -> float:
    """Share of bins [K] whose proportions differ by a two-sided two-proportion z-test."""
    from scipy.stats import norm

    pooled = (shares * count + others * other_count) / (count + other_count)
    error = np.sqrt(pooled * (1 - pooled) * (1 / count + 1 / other_count))
    z = np.abs(shares - others) / np.maximum(error, 1e-12)
    return float(np.mean(z > norm.ppf(1 - significance / 2)))
