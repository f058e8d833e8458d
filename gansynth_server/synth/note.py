"""A note as the voices have it: what it is played from, and how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.envelope import PLAIN, Envelope


@dataclass(slots=True, eq=False)
class Overlay:
    """Frames that replace a note's own, float32 [N, 1024] each, from frame ``first``."""

    first: int
    magnitude: NDArray[np.float32]
    increment: NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Note:
    """One note; ``owner`` and ``id`` are numbers of its player's, of no concern to the voices.

    ``pitch`` is a MIDI note number that may be fractional; ``rendered`` is the
    pitch of the spectrum that plays it, which the voice repitches by the rest.
    Times are seconds of one clock. A note with an ``off`` that is released before it was
    rendered still sounds for as long as it was held. What follows ``skip`` may change
    while the note sounds, by :meth:`Voices.change`.
    """

    owner: int
    id: int
    pitch: float
    velocity: float
    rendered: int
    on: float = 0.0
    off: float | None = None
    spectrum: Spectrum | None = None
    choke: str | None = None
    """A note of the same owner and the same word here ends this one."""
    late: int = 0
    """Frames that were not rendered when they were needed; the one before was held instead."""
    skip: float = 0.0
    """Length (s) left out at the beginning of its sound."""

    envelope: Envelope = PLAIN
    hold: bool = False
    """Stays in the steady part of its spectrum until released, so it may last for ever."""
    region: tuple[float, float] | None = None
    """Steady part (frames); None is the one found in its spectrum."""
    speed: float = 1.0
    """Speed through its frames; 0 stays, below 0 goes back."""
    gain: float = 1.0
    """Linear gain on top of the velocity."""
    pan: float = 0.0
    """-1 left … 1 right."""
    bend: float = 0.0
    """Semitones."""
    vibrato: tuple[float, float] = (0.0, 5.0)
    """Semitones to either side, and Hz."""
    brightness: float = 0.0
    """dB per octave above the note's own frequency."""
    pressure: float = 0.0
    """0…1."""
    pressed: tuple[str, float] = ("gain", 6.0)
    """Which of gain (dB), brightness, bend and vibrato full pressure raises, and by how much."""
    pedalled: bool = False
    """True if only the sustain pedal holds it."""
    overlay: Overlay | None = None
    settling: int = 0
    """Number of the change to a whole spectrum that counts, of those that are on their way."""

    @property
    def offset(self) -> float:
        """Interval (semitones) above the pitch that was rendered."""
        return self.pitch - self.rendered

    @property
    def tempo(self) -> float:
        """Frames per hop that keep the note as long as it is, where it is played far from its
        rendered pitch; within half a semitone it is left as it is."""
        return 1.0 if abs(self.offset) <= 0.5 else float(2 ** (-self.offset / 12))

    @property
    def loudness(self) -> float:
        """Gain, linear in the velocity as in Magenta's mixdown."""
        return self.gain * self.velocity / 127 * 10 ** (self.pressed_by("gain") / 20)

    def pressed_by(self, target: str) -> float:
        """Return what the pressure adds to one of its targets."""
        return self.pressure * self.pressed[1] if self.pressed[0] == target else 0.0
