"""Survey of random latents: rendered, measured and laid out as a map (t-SNE)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis.descriptors import measure
from gansynth_server.analysis.labelled_notes import LabelledNotes
from gansynth_server.analysis.mel_features import coarse_spectrograms, features_of
from gansynth_server.latent.timbre_map import TimbreMap, regress
from gansynth_server.util.extras import require
from gansynth_server.util.general_midi import family_of

if TYPE_CHECKING:
    from gansynth_server.render.model import Model

Float32 = NDArray[np.float32]
CHUNK = 16
COMPONENTS = 50
"""Principal components of the spectrograms that t-SNE sees."""


@dataclass(frozen=True, eq=False)
class Survey:
    """Map of random latents, and the coarse spectrograms of their notes and of the presets'."""

    atlas: TimbreMap
    looks: Float32
    """[N, size] coarse spectrograms of the latents."""
    known: Float32
    """[presets, size] coarse spectrograms of the presets."""


def survey(
    model: Model,
    count: int,
    pitches: tuple[int, ...],
    seed: int,
    track: Callable[[range], Iterable[int]] = lambda steps: steps,
) -> Survey:
    """Survey random latents: those of ``count`` seeds from ``seed`` on.

    Args:
        model: the checkpoint.
        count: number of latents.
        pitches: MIDI note numbers at which each is rendered.
        seed: of the first latent.
        track: shows the progress of a range.

    Raises:
        UserError: scikit-learn is missing, or a pitch was not trained.
    """
    require("sklearn", "a map", "eval,plots")
    latents = model.prior.draws(range(seed, seed + count))
    seen: list[Float32] = []
    found: list[NDArray[np.float64]] = []
    for at in track(range(0, count, CHUNK)):
        looks, measures = _look(model, latents[at : at + CHUNK], pitches)
        seen.append(looks)
        found.append(measures)
    looks, measured = np.concatenate(seen), np.concatenate(found)
    names = tuple(model.checkpoint.presets)
    known = _known(model, pitches) if names else np.zeros((1, looks.shape[1]), np.float32)
    directions, fit = regress(latents, measured)
    atlas = TimbreMap(
        *(latents, lay_out(looks, seed), measured.astype(np.float32)),
        *(names or ("unknown",), distances(looks, known).argmin(axis=1)),
        *(directions, fit),
    )
    return Survey(atlas, looks, known)


def _look(
    model: Model, z: Float32, pitches: tuple[int, ...]
) -> tuple[Float32, NDArray[np.float64]]:
    """Coarse spectrograms [N, pitches · size] and mean measures [N, 5] of latents."""
    looks, measures = [], []
    for pitch in pitches:
        waves = model.generate_batch(z, [pitch] * len(z))
        sounds = LabelledNotes(waves, np.full(len(z), pitch, np.int64))
        looks.append(coarse_spectrograms(features_of(sounds)))
        measures.append(measure(sounds))
    return np.concatenate(looks, axis=1), np.mean(measures, axis=0)


def _known(model: Model, pitches: tuple[int, ...]) -> Float32:
    """Coarse spectrograms of the presets."""
    table = np.stack(list(model.checkpoint.presets.values()))
    parts = [table[at : at + CHUNK] for at in range(0, len(table), CHUNK)]
    return np.concatenate([_look(model, part, pitches)[0] for part in parts])


def distances(looks: Float32, others: Float32) -> Float32:
    """Euclidean distances of spectrograms: [N, size] and [M, size] → [N, M]."""
    squares = (looks**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * looks @ others.T
    return np.sqrt(np.maximum(squares, 0))


def lay_out(looks: Float32, seed: int) -> Float32:
    """Lay spectrograms [N, size] out to places [N, 2] in 0…1 by t-SNE."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    size = min(COMPONENTS, *looks.shape)
    small = PCA(size, random_state=seed).fit_transform(looks)
    perplexity = min(30.0, (len(looks) - 1) / 3)
    flat = TSNE(2, init="pca", perplexity=perplexity, random_state=seed).fit_transform(small)
    low, high = flat.min(axis=0), flat.max(axis=0)
    return ((flat - low) / np.maximum(high - low, 1e-9)).astype(np.float32)


def agreement(atlas: TimbreMap) -> tuple[float, float]:
    """Share of latents whose neighbour on the map is nearest to a preset of the same family, and
    the share by chance."""
    families = [family_of(name) for name in atlas.presets]
    of = np.unique(families, return_inverse=True)[1][atlas.nearest]
    places = atlas.places.astype(np.float64)
    same = []
    for n in range(len(places)):
        distance = np.square(places - places[n]).sum(axis=1)
        distance[n] = np.inf
        same.append(of[distance.argmin()] == of[n])
    share = np.bincount(of) / len(of)
    return float(np.mean(same)), float((share**2).sum())
