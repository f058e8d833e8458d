"""Which latent each note of a song plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gansynth_server.latent.prior import Prior
from gansynth_server.latent.sequence import random_keys
from gansynth_server.latent.vectors import slerp
from gansynth_server.offline.midi_columns import MidiNote
from gansynth_server.util.general_midi import GENERAL_MIDI, family, family_of

Latents = NDArray[np.float32]

STEPS = 8
"""From one way point to the next: equal pitches within a step share one spectrum."""


def tracks(notes: Sequence[MidiNote]) -> dict[tuple[int, int], int]:
    """(track, channel) → 0, 1 … in the file's order; a one-track file has its channels."""
    return {key: n for n, key in enumerate(sorted({(n.track, n.channel) for n in notes}))}


def way_points(count: int, prior: Prior, presets: Sequence[Latents], seed: int) -> Latents:
    """[count, latent_size]: the presets over and over, or random latents if there are none."""
    if presets:
        return np.stack([presets[n % len(presets)] for n in range(count)])
    return random_keys(count, prior, seed)


def over_time(
    notes: Sequence[MidiNote],
    prior: Prior,
    seconds: float,
    presets: Sequence[Latents],
    seed: int,
) -> Latents:
    """[N, latent_size]: a way point every ``seconds``, slerped in steps to each note's start."""
    last = max(note.start for note in notes)
    points = way_points(int(last / seconds) + 2, prior, presets, seed)
    latents = []
    for note in notes:
        index, step = divmod(int(note.start / seconds * STEPS), STEPS)
        latents.append(slerp(points[index], points[index + 1], step / STEPS))
    return np.stack(latents)


def per_track(
    notes: Sequence[MidiNote], prior: Prior, presets: Sequence[Latents], seed: int
) -> Latents:
    """[N, latent_size]: one latent for each track."""
    index = tracks(notes)
    points = way_points(len(index), prior, presets, seed)
    return points[[index[note.track, note.channel] for note in notes]]


def preset_of(program: int, presets: Mapping[str, Latents]) -> str | None:
    """Return the preset of a General MIDI program, or another of its family; None for neither."""
    name = GENERAL_MIDI[program]
    if name in presets:
        return name
    return next((one for one in presets if family_of(one) == family(program)), None)


def by_program(
    notes: Sequence[MidiNote], presets: Mapping[str, Latents], others: Latents
) -> tuple[list[Latents], list[int]]:
    """Return the latent of each note's program, and the programs that have none.

    Args:
        others: [N, latent_size], of the notes whose program has no preset.
    """
    names = {program: preset_of(program, presets) for program in {n.program for n in notes}}
    latents = []
    for note, other in zip(notes, others, strict=True):
        name = names[note.program]
        latents.append(other if name is None else presets[name])
    return latents, sorted(program for program, name in names.items() if name is None)


def kit(program: int, presets: Mapping[str, Latents], latent_size: int) -> Latents:
    """Return the latent of a drum kit: the checkpoint's preset of this number, or its first."""
    known = list(presets.values())
    if not known:
        return np.zeros(latent_size, np.float32)
    return known[program] if program < len(known) else known[0]
