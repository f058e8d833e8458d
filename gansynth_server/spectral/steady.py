"""Where a note is steadiest: the part in which it can be held."""

from __future__ import annotations

import numpy as np

from gansynth_server.spectral.constants import FRAMES
from gansynth_server.spectral.spectrum import Spectrum

LENGTH = 32
"""Frames of the part, 1 s."""
EARLIEST, LATEST = 16, 116
"""Frames between which it is looked for: after the attack, and before the end fades."""
FADED = 6.0
"""dB; for each so many below the loudest frame, a part counts as 1 dB less steady."""


def steadiest(spectrum: Spectrum) -> tuple[float, float]:
    """The 32 frames of a whole note whose level and timbre move least, first and last.

    What counts is how far a frame's spectrum lies from the one before (in dB, weighted by
    magnitude), how much the level spreads, and how far it lies below the loudest frame.
    """
    bands = spectrum.magnitude.reshape(FRAMES, 128, 8).sum(axis=2) + 1e-6
    weight = bands.mean(axis=0) / bands.mean()
    flux = np.abs(np.diff(np.log(bands), axis=0)) @ weight * (8.7 / len(weight))
    level = 20 * np.log10(np.linalg.norm(spectrum.magnitude, axis=1) + 1e-9)
    starts = np.arange(EARLIEST, LATEST - LENGTH + 1)
    window = np.lib.stride_tricks.sliding_window_view
    spread = window(level, LENGTH)[starts].std(axis=1)
    change = window(flux, LENGTH - 1)[starts].mean(axis=1)
    below = (level.max() - window(level, LENGTH)[starts].mean(axis=1)) / FADED
    first = int(starts[np.argmin(spread + change + below)])
    return float(first), float(first + LENGTH - 1)
