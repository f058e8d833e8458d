"""Discoveries: random latents that sound least like any preset, and like each other, with names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis.survey import Survey, distances
from gansynth_server.latent.descriptors import ADJECTIVES, MEASURES
from gansynth_server.latent.vectors import Latent

STRANGEST = 0.05
"""Share of the latents that are left out for being noisiest, and for being least pure."""


def discover(survey: Survey, count: int) -> dict[str, Latent]:
    """The latents that are farthest from all presets and from those chosen before.

    Args:
        survey: of random latents.
        count: how many; fewer where there are no more latents.

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
    """All but those that are most like noise or like no pitch."""
    noise, purity = (measures[:, MEASURES.index(of)] for of in ("noisier", "purer"))
    kept = noise <= np.quantile(noise, 1 - STRANGEST)
    return np.asarray(kept & (purity >= np.quantile(purity, STRANGEST)))


def name(measures: NDArray[np.float32], preset: str, taken: dict[str, Latent]) -> str:
    """What is most uncommon of a timbre, before the preset that it is nearest to.

    Args:
        measures: [5] in standard deviations from the mean.
        preset: its name.
        taken: names that are given already.
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
