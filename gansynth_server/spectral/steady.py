"""Steadiest part of a note, in which it is held."""

from __future__ import annotations

import numpy as np

from gansynth_server.spectral.constants import FRAMES
from gansynth_server.spectral.spectrum import Spectrum

LENGTH = 32
"""Length of the part (frames), 1 s."""
EARLIEST, LATEST = 16, 116
"""Range of frames that it lies in: after the attack, and before the end fades."""
FADED = 6.0
"""Decibels below the loudest frame that count as 1 dB of unsteadiness."""


def find_region(spectrum: Spectrum) -> bool:
    """Set the region of a whole note's spectrum to its steadiest part, unless it has one.

    Returns:
        whether the note is whole.
    """
    if spectrum.ready < FRAMES:
        return False
    if spectrum.region is None:
        spectrum.region = steadiest(spectrum)
    return True


def steadiest(spectrum: Spectrum) -> tuple[float, float]:
    """First and last of the 32 frames of a whole note whose level and timbre change least.

    Three measures (dB) are added up: spectral flux weighted by magnitude, standard deviation of
    the level, and distance of the level from the loudest frame (see :data:`FADED`).
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
