"""Log mel power features of notes, for the classifier and for clustering.

Frames are averaged over spans that grow with the time since the onset, because
attacks need finer ones than sustained sound. GANSynth's classifier (Engel et
al. 2019, section 4) saw instantaneous frequency too; here that did not improve
it, and without it notes can be pitch-shifted by stretching the bands.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansynth_server.analysis.labelled_notes import LabelledNotes
from gansynth_server.spectral import mel, transform
from gansynth_server.spectral.constants import BINS, FRAMES, SAMPLE_RATE, SILENCE

EDGES = (3, 4, 5, 6, 8, 11, 16, 24, 40, 64, 96, FRAMES)
"""First frames of the spans; frame 3 is the first whose window reaches into the note."""
SPANS = len(EDGES) - 1
RANGE = 80.0
"""Level under the loudest band (dB) that counts as silence."""
NEPERS = RANGE * math.log(10) / 10
"""The same in nepers of power."""


@cache
def _matrices() -> tuple[Tensor, Tensor]:
    """The matrices that average over spans [11, 128] and map linear bins to mel [1024, 1024]."""
    average = torch.zeros(SPANS, FRAMES)
    for span, (start, end) in enumerate(pairwise(EDGES)):
        average[span, start:end] = 1 / (end - start)
    return average, torch.from_numpy(mel.linear_to_mel()).float()


def features(waves: Tensor) -> Tensor:
    """Waves [N, 64000] → log mel power by span, float16 [N, 11, 1024].

    1 is the note's loudest band and -1 is 80 dB or more under it, so that the
    level of a note tells the classifier nothing.
    """
    average, matrix = _matrices()
    power = average @ torch.view_as_real(transform.stft(waves)).square().sum(dim=-1) @ matrix
    level = torch.log(power + SILENCE)
    level = level - level.amax(dim=(1, 2), keepdim=True)
    return (level.clamp(min=-NEPERS) * (2 / NEPERS) + 1).half()


@cache
def _stretch(semitones: int) -> tuple[Tensor, Tensor]:
    """Bands [1024] to read for each band of a shifted note, and fractions towards the next."""
    matrix = mel.linear_to_mel()
    hertz = (np.arange(BINS) + 1) * SAMPLE_RATE / 2 / BINS
    weight = matrix.sum(axis=0)
    known = np.flatnonzero(weight > 0)
    centre = np.interp(np.arange(BINS), known, (hertz @ matrix)[known] / weight[known])
    place = np.interp(centre / 2 ** (semitones / 12), centre, np.arange(BINS))
    below = np.minimum(place.astype(np.int64), BINS - 2)
    return torch.from_numpy(below), torch.from_numpy(place - below).float()


def shift(inputs: Tensor, semitones: int) -> Tensor:
    """Shift features [N, 11, 1024] in pitch, by stretching their bands."""
    below, rest = _stretch(semitones)
    return torch.lerp(inputs[..., below], inputs[..., below + 1], rest)


def features_of(sounds: LabelledNotes) -> Tensor:
    """Features float16 [N, 11, 1024] of notes; 22 KB each."""
    return torch.cat([features(part) for part in sounds.batches()])


def coarse_spectrograms(inputs: Tensor, chunk: int = 256) -> NDArray[np.float32]:
    """Features [N, 11, 1024] → log mel spectrograms [N, 11 · 128], for clustering."""
    parts = [
        part.float().reshape(len(part), SPANS, BINS // 8, 8).mean(dim=-1).flatten(1)
        for part in torch.split(inputs, chunk)
    ]
    return torch.cat(parts).numpy()
