"""A note on its way from the player to the voices."""

from __future__ import annotations

from dataclasses import dataclass

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

    @property
    def ratio(self) -> float:
        """Speed at which the spectrum's sound is read: 2 is an octave up."""
        return float(2 ** ((self.pitch - self.rendered) / 12))

    @property
    def gain(self) -> float:
        """Linear velocity, as in Magenta's mixdown."""
        return self.velocity / 127
