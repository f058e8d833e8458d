"""A note on its way from the player to the voices."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.envelope import PLAIN, Envelope

NoteId = int | float | str
CAUSE: ContextVar[object] = ContextVar("cause", default=None)
"""The message that is being handled, for the recorder of what comes of it."""


@dataclass(slots=True, eq=False)
class Overlay:
    """Frames that replace a note's own, float32 [N, 1024] each, from frame ``first``."""

    first: int
    magnitude: NDArray[np.float32]
    increment: NDArray[np.float32]


@dataclass(slots=True, eq=False, weakref_slot=True)
class Note:
    """One note; ``owner`` is its player, of no concern to the voices.

    ``pitch`` is a MIDI note number that may be fractional; ``rendered`` is the
    pitch of the spectrum that plays it, which the voice repitches by the rest.
    Times are seconds of one clock. ``off`` is set by the player's thread before
    the release is posted, so that a note released before it was rendered still
    sounds for as long as it was held. What follows ``over`` may change while the
    note sounds, by :meth:`Voices.change`.
    """

    owner: object
    id: NoteId
    pitch: float
    velocity: float
    rendered: int
    on: float = 0.0
    off: float | None = None
    spectrum: Spectrum | None = None
    choke: str | None = None
    """A note of the same owner and the same word here ends this one."""
    cause: object = field(default_factory=CAUSE.get)
    late: int = 0
    """Frames that were not rendered when they were needed; the one before was held instead."""
    over: bool = False
    """True once its sound has ended, or will not begin."""

    skip: float = 0.0
    """Length (s) left out at the beginning of its sound."""
    then: Callable[[], None] | None = None
    """Called by the player once it is over, or could not be rendered."""

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
