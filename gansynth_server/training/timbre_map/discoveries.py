"""Discoveries: named random latents that sound least like the presets and each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.latent.descriptor_names import ADJECTIVES, MEASURES
from gansynth_server.latent.vectors import Latent
from gansynth_server.training.timbre_map.survey import Survey, distances

STRANGEST = 0.05
"""Share of the latents that are left out as noisiest, and as least pure."""


def discover(survey: Survey, count: int) -> dict[str, Latent]:
    """Choose latents that are farthest from all presets and from those chosen before.

    Args:
        survey: of random latents.
        count: number of latents; fewer where there are no more.

    Returns:
        name → latent, the farthest first; see :func:`name`.
    """
    atlas = survey.atlas
    usable = _usable(atlas.measures)
    far = distances(survey.looks, survey.known).min(axis=1)
    z_scores = (atlas.measures - atlas.measures.mean(axis=0)) / (atlas.measures.std(axis=0) + 1e-9)
    found: dict[str, Latent] = {}
    for _ in range(min(count, int(usable.sum()))):
        chosen = int(np.where(usable, far, -1).argmax())
        usable[chosen] = False
        far = np.minimum(far, distances(survey.looks, survey.looks[chosen : chosen + 1])[:, 0])
        preset = atlas.presets[atlas.nearest[chosen]]
        found[name(z_scores[chosen], preset, found)] = atlas.latents[chosen]
    return found


def _usable(measures: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mask of the latents without the noisiest and the least pitched."""
    noise, purity = (measures[:, MEASURES.index(of)] for of in ("noisier", "purer"))
    kept = noise <= np.quantile(noise, 1 - STRANGEST)
    return np.asarray(kept & (purity >= np.quantile(purity, STRANGEST)))


def name(measures: NDArray[np.float32], preset: str, taken: dict[str, Latent]) -> str:
    """Name a timbre by its most unusual descriptors and the nearest preset.

    Args:
        measures: [5] in standard deviations from the mean.
        preset: name of the nearest preset.
        taken: names that are in use.
    """
    words = [
        ADJECTIVES[k][int(measures[k] > 0)] for k in np.argsort(-np.abs(measures), kind="stable")
    ]
    for many in range(1, len(words) + 1):
        found = "_".join([*words[:many], preset])
        if found not in taken:
            return found
    number = 2
    while f"{number}_{found}" in taken:
        number += 1
    return f"{number}_{found}"
