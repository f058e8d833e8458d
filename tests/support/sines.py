"""Notes to train on that need no soundfont: sums of sines."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gansynth_server.spectral.constants import SAMPLE_RATE, SAMPLES
from gansynth_server.training.dataset import Dataset, Note, Writer

INSTRUMENTS = {"pure": (1.0,), "bright": (1.0, 0.7, 0.5)}
"""Levels of the partials."""


def notes(folder: Path, pitches: tuple[int, ...] = (60, 61, 67)) -> Dataset:
    """A data folder with each instrument at each pitch, all to learn from."""
    seconds = np.arange(SAMPLES) / SAMPLE_RATE
    fall = np.exp(-seconds)
    with Writer(folder, {"kind": "sines"}) as writer:
        for name, levels in INSTRUMENTS.items():
            for pitch in pitches:
                hertz = 440 * 2 ** ((pitch - 69) / 12)
                partials = [
                    level * np.sin(2 * np.pi * hertz * n * seconds)
                    for n, level in enumerate(levels, 1)
                ]
                wave = 0.2 * fall * np.sum(partials, axis=0)
                writer.add(f"{name}/{pitch}", Note(name, pitch, 100, "train"), wave)
        return writer.finish()
