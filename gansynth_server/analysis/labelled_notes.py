"""Waves of whole notes with their pitches and instruments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.spectral import transform

BATCH = 16


@dataclass(frozen=True)
class LabelledNotes:
    """N whole notes, recorded or generated."""

    waves: NDArray[np.float32]
    """[N, 64000] at 16 kHz."""
    pitches: NDArray[np.int64]
    """[N] MIDI note numbers."""
    instruments: tuple[str, ...] | None = None
    """N names; None where the notes are of no instrument."""

    def __len__(self) -> int:
        return len(self.waves)

    def batches(self) -> Iterator[torch.Tensor]:
        """Yield waves [≤16, 64000], so that spectra never fill the memory."""
        for start in range(0, len(self), BATCH):
            yield torch.from_numpy(self.waves[start : start + BATCH])


def round_trip(sounds: LabelledNotes) -> LabelledNotes:
    """Notes after wave → mel spectra → wave: the best that a generator could do."""
    waves = [
        transform.waves(*transform.polar(transform.mel_spectra(part))).numpy()
        for part in sounds.batches()
    ]
    return replace(sounds, waves=np.concatenate(waves))
