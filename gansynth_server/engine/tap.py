"""What listens in to a bus for a recording, on both sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.shared_ring import SharedRing
from gansynth_server.engine.events import Event, Ran, Tapped, Untapped
from gansynth_server.synth.link import Link
from gansynth_server.synth.timeline import Entry


class RingTap:
    """Copies blocks into a ring, and tells which commands of recorded messages were run when."""

    def __init__(
        self, number: int, ring: SharedRing, link: Link, tell: Callable[[Event], None]
    ) -> None:
        self.number, self._ring, self._link, self._tell = number, ring, link, tell
        self._begun = False
        self._lost = self._missing = 0  # frames, and those whose silence is not written yet

    def begins(self, sample: int) -> None:
        if not self._begun:
            self._begun = True
            self._tell(Tapped(self.number, sample, self._link.state.seconds(sample)))

    def ran(self, entry: Entry, sample: int) -> None:
        if entry.cause:
            released = entry.note.id if entry.releases and entry.note is not None else None
            self._tell(Ran(self.number, entry.cause, sample, entry.starts, released))

    def sounded(self, sound: NDArray[np.float32]) -> None:
        """Copy a block; what finds no room is silence, written once there is some again."""
        channels, frames = sound.shape
        silence = min(self._missing, self._ring.capacity - self._ring.fill)
        if silence:
            self._ring.write(np.zeros((channels, silence), np.float32))
            self._missing -= silence
        if self._missing or frames > self._ring.capacity - self._ring.fill:
            self._missing += frames
            self._lost += frames
        else:
            self._ring.write(sound)

    def end(self) -> None:
        """Tell that no block follows."""
        self._tell(Untapped(self.number, self._lost))


class EngineTap:
    """A tap as a recorder has it; its methods may be called by any thread.

    Args:
        close: has the engine tell :class:`Untapped` after the last block.
        free: gives the ring back, once nothing is read from it any more.
    """

    def __init__(
        self, number: int, ring: SharedRing, close: Callable[[], None], free: Callable[[], None]
    ) -> None:
        self.number, self.ring, self.close, self.free = number, ring, close, free
