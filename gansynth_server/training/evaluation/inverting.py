"""How near the search for a latent comes to held-out notes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.analysis.features import features
from gansynth_server.analysis.inversion import invert
from gansynth_server.analysis.spectral_distance import Target
from gansynth_server.api import Model
from gansynth_server.latent.vectors import draws
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.evaluation.classifier import Classifier, classify
from gansynth_server.training.evaluation.rows import held_out
from gansynth_server.training.sources import track

Float32 = NDArray[np.float32]

RANDOM = 1000
"""Random latents whose nearest a search must beat."""
CHUNK = 8


@dataclass(frozen=True)
class Inverted:
    """What became of one real note.

    distance: of the note that was found, in dB as :meth:`Target.distance` gives it.
    preset, random: those of the checkpoint's nearest preset, if it has any, and of the nearest of
    1000 random latents.
    family: the instrument's; told: that of the instrument for which the classifier takes the note
    that was found; real: that for which it takes the real one.
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
    """Looks for the latents of held-out notes.

    Args:
        model: the checkpoint.
        data: the notes.
        net: tells instruments apart.
        count: of notes, drawn among those at the checkpoint's pitches.
        seconds: that each search may take.
        seed: of the choice, and of the random latents.
    """
    held = held_out(data, model.pitches)
    rows = np.random.default_rng(seed).permutation(held)[:count].tolist()
    random = draws(model.latent_size, range(seed, seed + RANDOM))
    named = model.checkpoint.presets  # not what the user of this machine has beside them
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
    """The least distance of the notes of latents [N, latent_size]."""
    parts = [latents[n : n + CHUNK] for n in range(0, len(latents), CHUNK)]
    waves = (model.generate_batch(part, [pitch] * len(part)) for part in parts)
    nearest = [float(target.distance(torch.from_numpy(wave)).min()) for wave in waves]
    return min(nearest)


def figures(found: list[Inverted]) -> dict[str, Any]:
    """Shares of the notes, and each of them, as they stand in ``figures.json``."""
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
