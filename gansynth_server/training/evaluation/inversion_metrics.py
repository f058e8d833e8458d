"""Inversion of held-out notes: distances, and instrument families by the classifier."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.analysis.inversion import invert
from gansynth_server.analysis.mel_features import features
from gansynth_server.analysis.spectral_distance import Target
from gansynth_server.render.model import Model
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.evaluation.classifier import Classifier, classify
from gansynth_server.training.evaluation.note_sets import held_out
from gansynth_server.util.progress import track

Float32 = NDArray[np.float32]

RANDOM = 1000
"""Random latents whose nearest is compared with the inversion."""
CHUNK = 8


@dataclass(frozen=True)
class Inverted:
    """Result of inverting one real note.

    distance: of the inverted note (dB), see :meth:`Target.distance`.
    preset, random: distances (dB) of the checkpoint's nearest preset, if it has any, and of the
    nearest of 1000 random latents.
    family: of the note's instrument; told, real: families that the classifier assigns to the
    inverted and to the real note.
    """

    instrument: str
    pitch: int
    start: str
    distance: float
    preset: float | None
    random: float
    family: str
    told: str
    real: str


def inversions(
    model: Model, data: Dataset, net: Classifier, count: int, seconds: float, seed: int
) -> list[Inverted]:
    """Invert held-out notes.

    Args:
        model: the checkpoint.
        data: the notes.
        net: classifier of instruments.
        count: of notes, drawn among those at the checkpoint's pitches.
        seconds: time limit (s) of each search.
        seed: of the choice, and of the random latents.
    """
    held = held_out(data, model.pitches)
    rows = np.random.default_rng(seed).permutation(held)[:count].tolist()
    random = model.prior.draws(range(seed, seed + RANDOM))
    # the checkpoint's presets alone, without the user's own
    named = model.checkpoint.presets
    presets = np.stack(list(named.values())) if named else random[:0]
    families = data.families

    def family(wave: Float32) -> str:
        return families[net.names(classify(net, features(torch.from_numpy(wave)[None])))[0]]

    found = []
    for row in track(rows, "looking for the latents of real notes"):
        note, wave = data.notes[row], data.audio([row]).numpy()[0]
        target = Target(torch.from_numpy(wave))
        result = invert(model.checkpoint.generator, wave, note.pitch, named, seconds, seed)
        ours = model.generate_batch(result.z[None], [note.pitch])[0]
        found.append(
            Inverted(
                *(note.instrument, note.pitch, result.start, result.distance),
                _nearest(model, target, presets, note.pitch) if named else None,
                _nearest(model, target, random, note.pitch),
                *(families[note.instrument], family(ours), family(wave)),
            )
        )
    return found


def _nearest(model: Model, target: Target, latents: Float32, pitch: int) -> float:
    """Least distance (dB) of the notes of latents [N, latent_size]."""
    parts = [latents[n : n + CHUNK] for n in range(0, len(latents), CHUNK)]
    waves = (model.generate_batch(part, [pitch] * len(part)) for part in parts)
    nearest = [float(target.distance(torch.from_numpy(wave)).min()) for wave in waves]
    return min(nearest)


def figures(found: list[Inverted]) -> dict[str, Any]:
    """Shares and medians over the notes, and each note, as they stand in ``figures.json``."""
    presets = [note.preset for note in found if note.preset is not None]
    return {
        "nearer_than_random": float(np.mean([note.distance < note.random for note in found])),
        "same_family": float(np.mean([note.told == note.family for note in found])),
        "real_family": float(np.mean([note.real == note.family for note in found])),
        "distance_db": float(np.median([note.distance for note in found])),
        "preset_db": float(np.median(presets)) if presets else None,
        "random_db": float(np.median([note.random for note in found])),
        "each": [asdict(note) for note in found],
    }
