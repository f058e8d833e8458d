"""A note as the voices read it: magnitudes and phase increments by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import BINS, FRAMES

Float32 = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Spectrum:
    """A note as the voices read it; shared by all voices that play it.

    ``magnitude`` and ``increment`` are float32 [128, 1024]; phase increments are
    in radians per frame, those of frame 0 the initial phases. Frames from
    ``ready`` on are not rendered yet: the renderer writes frames first and then
    raises ``ready``, while the beginning may sound already.
    """

    magnitude: Float32
    increment: Float32
    ready: int = FRAMES
    region: tuple[float, float] | None = None
    """First and last frame of the steadiest part, once computed (see :func:`steadiest`)."""
    slot: int = -1
    """Its place in an arena; -1 in none."""

    @property
    def nbytes(self) -> int:
        return self.magnitude.nbytes + self.increment.nbytes

    @classmethod
    def begin(cls, *heads: Spectrum) -> Spectrum:
        """Create a note with no frames yet, or with those of ``heads``."""
        shape = (FRAMES, BINS)
        made = cls(np.empty(shape, np.float32), np.empty(shape, np.float32), 0)
        for head in heads:
            made.extend(head.magnitude, head.increment)
        return made

    def extend(self, magnitude: Float32, increment: Float32) -> None:
        """Append the next frames, [frames, 1024] each."""
        end = self.ready + len(magnitude)
        self.magnitude[self.ready : end] = magnitude
        self.increment[self.ready : end] = increment
        self.ready = end
