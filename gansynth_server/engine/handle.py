"""A bus as its players see it: what they ask of it becomes commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from gansynth_server.engine.commands import (
    CAUSE,
    Change,
    Cut,
    Look,
    NewNote,
    Release,
    Seek,
    Settle,
    Start,
    Timed,
)
from gansynth_server.engine.engine import BusState
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bus import bank_rate, bus_delay
from gansynth_server.synth.note import Note


class BusHandle:
    """A bus of an engine; its methods may be called by any thread.

    Args:
        number: of the bus.
        rate: sample rate (Hz) of the listener.
        voices: that sound at once, at most.
        post: sends a command to the engine.
        state: returns the bus as it is just now.
        lend: counts a use of a spectrum until the engine frees it.
    """

    def __init__(
        self,
        number: int,
        rate: int,
        channels: int,
        voices: int,
        post: Callable[[Timed], None],
        state: Callable[[], BusState],
        lend: Callable[[Spectrum], None],
    ) -> None:
        self.number, self.rate, self.channels, self.voices = number, rate, channels, voices
        self._post, self._state, self._lend = post, state, lend

    @property
    def state(self) -> BusState:
        return self._state()

    @property
    def idle(self) -> bool:
        """Return whether the listener has stopped asking for samples, so that commands wait."""
        return self._state().link.idle(time.monotonic())

    @property
    def delay(self) -> float:
        """Latency (s) of the limiter and the resampler."""
        return bus_delay(self.rate)

    @property
    def voices_rate(self) -> int:
        """Sample rate (Hz) of its voices."""
        return bank_rate(self.rate)

    # notes are meant by their numbers, times are seconds of the clock; None is as soon as can be

    def new_note(self, note: Note) -> None:
        """Make a note known, which is the engine's from now on."""
        self._post(Timed(NewNote(self.number, note)))

    def start(self, note: int, spectrum: Spectrum, when: float | None, cause: Any) -> None:
        """Start a note that is known, because of a message."""
        self._lend(spectrum)
        self._post(Timed(Start(note, spectrum.slot), when, cause))

    def settle(self, note: int, spectrum: Spectrum, number: int, when: float) -> None:
        """Play a note from another spectrum (see :class:`Settle`)."""
        self._lend(spectrum)
        self._post(Timed(Settle(note, spectrum.slot, number), when, coarse=True))

    def release(self, note: int, off: float, when: float | None) -> None:
        """Begin the release of a note, which was meant to end at ``off``."""
        self._post(Timed(Release(note, off), when))

    def change(
        self,
        note: int,
        when: float | None = None,
        seconds: float = 0.0,
        coarse: bool = False,
        **changes: Any,
    ) -> None:
        """Set attributes of a note (see :class:`Note`) within so many seconds."""
        self._post(Timed(Change(note, seconds, changes), when, CAUSE.get(), coarse))

    def seek(self, note: int, place: float, when: float | None) -> None:
        """Go on from another frame of a note."""
        self._post(Timed(Seek(note, place), when))

    def look(self, note: int, when: float, cause: Any) -> None:
        """Have the next frame of a note told."""
        self._post(Timed(Look(note, when), when, cause, coarse=True))

    def cut(self, notes: Iterable[int], when: float | None = None) -> None:
        """Fade single notes out, or have them never begin."""
        self._post(Timed(Cut(self.number, notes=frozenset(notes)), when))

    def silence(
        self, owner: int, before: float, notes: Iterable[int] = (), when: float | None = None
    ) -> None:
        """Fade an owner's notes out that were to begin before a time, and single ones."""
        self._post(Timed(Cut(self.number, owner, before, frozenset(notes)), when))
