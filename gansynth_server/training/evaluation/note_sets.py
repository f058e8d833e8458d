"""Sets of notes that are measured side by side: generated, real, and real after the round trip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis.labelled_notes import LabelledNotes, round_trip
from gansynth_server.errors import UserError
from gansynth_server.render.model import Model
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.evaluation import timbre_metrics
from gansynth_server.util.progress import track

CHUNK = 32


@dataclass(frozen=True)
class NoteSet:
    """Notes of one kind, with all that is measured of it."""

    name: str
    sounds: LabelledNotes
    """Held-out notes, or others at the same pitches in the same order."""
    neighbours: tuple[LabelledNotes, LabelledNotes] | None
    """Timbres at one pitch, and the same timbres at the next pitch."""
    presets: LabelledNotes | None
    """Notes of the instruments that the checkpoint has presets of."""


def make_note_sets(
    model: Model, data: Dataset, pitches: tuple[int, ...], most: int, seed: int
) -> tuple[NoteSet, NoteSet, NoteSet]:
    """Make the sets ``model``, ``real`` and ``round_trip``.

    Args:
        model: the checkpoint.
        data: the real notes.
        pitches: MIDI note numbers that may be used.
        most: number of held-out notes, at most.
        seed: of latents, and of the choice of notes.

    Raises:
        UserError: there are no held-out notes at these pitches.
    """
    rng = np.random.default_rng(seed)
    held = held_out(data, pitches)
    if len(held) < 2:
        raise UserError(
            f"{data.folder} has no held-out notes at the checkpoint's pitches; "
            "make a data set with more pitches or instruments"
        )
    held = np.sort(rng.permutation(held)[:most])
    pairs = timbre_metrics.neighbour_rows(data, pitches, seed)
    named = timbre_metrics.preset_rows(data, frozenset(model.presets), pitches)
    real = NoteSet(
        "real",
        data.sounds(held),
        (data.sounds(pairs[:, 0]), data.sounds(pairs[:, 1])) if len(pairs) else None,
        data.sounds(named) if len(named) else None,
    )
    return _generated(model, real, seed), real, _resynthesised(real)


def held_out(data: Dataset, pitches: tuple[int, ...]) -> NDArray[np.int64]:
    """Rows of the held-out notes at these pitches."""
    rows = data.rows("test")
    return rows[[data.notes[row].pitch in pitches for row in rows]]


def generate(
    model: Model,
    latents: NDArray[np.float32],
    pitches: NDArray[np.int64],
    title: str,
    instruments: tuple[str, ...] | None = None,
) -> LabelledNotes:
    """Generate notes of latents [N, latent_size] at N pitches."""
    starts = track(range(0, len(pitches), CHUNK), f"generating {title}")
    waves = [model.generate_batch(latents[n : n + CHUNK], pitches[n : n + CHUNK]) for n in starts]
    return LabelledNotes(np.concatenate(waves), pitches, instruments)


def _generated(model: Model, real: NoteSet, seed: int) -> NoteSet:
    def latents(like: LabelledNotes) -> NDArray[np.float32]:
        return model.prior.draws(range(seed, seed + len(like)))

    neighbours, presets = None, None
    if real.neighbours:
        low, high = (
            generate(model, latents(part), part.pitches, "neighbours") for part in real.neighbours
        )
        neighbours = low, high
    if real.presets and real.presets.instruments:
        names = real.presets.instruments
        named = np.stack([model.preset(name) for name in names])
        presets = generate(model, named, real.presets.pitches, "presets", names)
    sounds = generate(model, latents(real.sounds), real.sounds.pitches, "notes")
    return NoteSet("model", sounds, neighbours, presets)


def _resynthesised(real: NoteSet) -> NoteSet:
    neighbours = None
    if real.neighbours:
        low, high = real.neighbours
        neighbours = round_trip(low), round_trip(high)
    presets = round_trip(real.presets) if real.presets else None
    return NoteSet("round_trip", round_trip(real.sounds), neighbours, presets)
