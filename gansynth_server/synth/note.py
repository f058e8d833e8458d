"""A note on its way from the player to the voices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import BINS
from gansynth_server.spectral.inverse import Spectrum

NoteId = int | float | str


@dataclass(slots=True, eq=False)
class Note:
    """One note; ``owner`` is whoever plays it, of no concern to the voices.

    ``pitch`` is a MIDI note number that may be fractional; ``rendered`` is the
    pitch of the spectrum that plays it, which the voice repitches by the rest.
    Times are seconds of the monotonic clock. ``off`` is set by the player's
    thread before the release is posted, so that a note released before it was
    rendered still sounds for as long as it was held.
    """

    owner: object
    id: NoteId
    pitch: float
    velocity: float
    rendered: int
    on: float = 0.0
    off: float | None = None
    spectrum: Spectrum | None = None
    hold: bool = False
    """Stays in the steady middle of its spectrum until released, so it may last for ever."""
    late: int = 0
    """Frames that were not rendered when they were needed; the one before was held instead."""

    @property
    def ratio(self) -> float:
        """Speed at which the spectrum's sound is read: 2 is an octave up."""
        return float(2 ** ((self.pitch - self.rendered) / 12))

    @property
    def gain(self) -> float:
        """Linear velocity, as in Magenta's mixdown."""
        return self.velocity / 127


def gather(
    notes: Sequence[Note | None], places: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """One frame of each note.

    Args:
        notes: N, each with a spectrum of which some frames are there.
        places: [N] frames; for one that is not there yet the last one is taken.

    Returns:
        magnitudes and phase increments, each [N, 1024], and how many were not there.
    """
    magnitude = np.empty((len(notes), BINS), np.float32)
    increment = np.empty((len(notes), BINS), np.float32)
    late = 0
    for n, (note, place) in enumerate(zip(notes, places.tolist(), strict=True)):
        assert note is not None and note.spectrum is not None
        ready = note.spectrum.ready  # read once, for it grows meanwhile
        if place >= ready:
            place = ready - 1
            note.late += 1
            late += 1
        magnitude[n] = note.spectrum.magnitude[place]
        increment[n] = note.spectrum.increment[place]
    return magnitude, increment, late
