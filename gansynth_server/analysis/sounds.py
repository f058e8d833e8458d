"""Notes to be measured, wherever they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.spectral import transform
from gansynth_server.training.dataset import Dataset

BATCH = 16


@dataclass(frozen=True)
class Sounds:
    """Whole notes with what is known of them."""

    waves: NDArray[np.float32]
    """[N, 64000] at 16 kHz."""
    pitches: NDArray[np.int64]
    """[N] MIDI note numbers that they should have."""
    instruments: tuple[str, ...] | None = None
    """N names, None if they are of no instrument."""

    def __len__(self) -> int:
        return len(self.waves)

    def batches(self) -> Iterator[torch.Tensor]:
        """Waves [≤16, 64000] at a time, so that spectra never fill the memory."""
        for start in range(0, len(self), BATCH):
            yield torch.from_numpy(self.waves[start : start + BATCH])

    @classmethod
    def of_data(cls, data: Dataset, rows: NDArray[np.int64]) -> Sounds:
        """Real notes of a data set."""
        notes = [data.notes[row] for row in rows]
        pitches = np.array([note.pitch for note in notes], np.int64)
        return cls(data.audio(rows).numpy(), pitches, tuple(note.instrument for note in notes))


def round_trip(sounds: Sounds) -> Sounds:
    """The notes after wave → mel spectra → wave: the best that a generator could do."""
    waves = [
        transform.waves(*transform.polar(transform.mel_spectra(part))).numpy()
        for part in sounds.batches()
    ]
    return replace(sounds, waves=np.concatenate(waves))
