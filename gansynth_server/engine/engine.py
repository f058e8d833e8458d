"""The engine: buses that are driven by commands, and a bank of voices for each sample rate.

It is the same in the process of its own that plays live and in this one, offline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.shared_ring import SharedRing
from gansynth_server.engine.commands import (
    Change,
    CloseBus,
    CloseTap,
    Command,
    Cut,
    Fade,
    Frames,
    Look,
    NewNote,
    OpenBus,
    OpenTap,
    Release,
    Seek,
    Settle,
    Start,
    Timed,
)
from gansynth_server.engine.events import Ended, Event, Freed, Late, Looked, Started
from gansynth_server.engine.tap import RingTap
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bank import Bank
from gansynth_server.synth.bus import Bus, bank_rate, render_together
from gansynth_server.synth.link import Link, LinkState, SteadyLink
from gansynth_server.synth.note import Note
from gansynth_server.synth.timeline import Entry
from gansynth_server.synth.voices import Voices

MAX_ROWS = 1024
"""Notes of all listeners of a rate that may sound at once."""


class BusState(NamedTuple):
    """A bus as it is just now, in numbers."""

    link: LinkState = LinkState(1.0)
    load: float = 0.0
    """Mixing (% of real time)."""
    load_peak: float = 0.0
    sounding: float = 0.0
    waiting: float = 0.0
    """Notes that wait for a voice."""
    commands: float = 0.0
    """Commands that are yet to be run."""
    non_finite: float = 0.0
    sheds: float = 0.0
    over: float = 0.0
    """1 once it has faded out for good."""
    block: float = 0.0
    """Number of its stream's next block, and the samples of the voices before it."""
    before: float = 0.0

    def block_seconds(self, number: int, samples: float, size: int, rate: int) -> float:
        """Return when (s) a sample is due that is counted from a block of ``size`` frames at
        ``rate`` Hz."""
        ratio = self.link.rate / rate
        away = ((number - self.block) * size + samples) * ratio
        return self.link.seconds(self.before + away)


class _Playing(NamedTuple):
    """A note, and where it plays."""

    note: Note
    bus: int
    begun: list[Spectrum]
    """The spectrum that it was given; empty before its :class:`Start` has come."""


class Engine:
    """Runs commands; used by one thread.

    Args:
        spectra: returns the spectrum in a slot, the same while the slot is lent.
        tell: is told what happens.
        ring: returns one by its number and channels, for taps.
        live: whether blocks are rendered in real time.
        link: makes the link of a bus whose voices have this rate.
    """

    def __init__(
        self,
        spectra: Callable[[int], Spectrum],
        tell: Callable[[Event], None],
        *,
        ring: Callable[[int, int], SharedRing] | None = None,
        live: bool = False,
        link: Callable[[int], Link] = SteadyLink,
    ) -> None:
        self.buses: dict[int, Bus] = {}
        self._spectra, self._tell, self._ring = spectra, tell, ring
        self._live, self._link = live, link
        self._banks: dict[int, Bank] = {}
        self._notes: dict[int, _Playing] = {}

    def post(self, timed: Timed) -> None:
        """Take a command, to be run when it is due; one about a note that is over does nothing."""
        command = timed.command
        match command:
            case OpenBus():
                self._open(command)
            case CloseBus(bus):
                self._close(bus)
            case NewNote(bus, note) if bus in self.buses:
                self._notes[note.id] = _Playing(note, bus, [])
            case NewNote(_, note):
                self._tell(Ended(note.id, 0))
            case Frames():
                self._extend(command)
            case Fade():
                for each in self.buses.values():
                    each.end()
            case OpenTap(bus, ring) if bus in self.buses:
                self._open_tap(self.buses[bus], ring)
            case CloseTap(ring):
                for each in self.buses.values():
                    self._close_taps(each, ring)
            case Cut(bus):
                if bus in self.buses:
                    self._post(timed, self.buses[bus], partial(self._cut, command))
            case Start(number, slot) | Settle(number, slot):
                self._lend(timed, number, slot)
            case Release(number) | Change(number) | Seek(number) | Look(number):
                playing = self._notes.get(number)
                if playing is not None:
                    act = partial(self._act, command, playing.note)
                    self._post(timed, self.buses[playing.bus], act, playing.note)

    def render(self, due: Sequence[tuple[Bus, int]]) -> list[NDArray[np.float32]]:
        """Render the next blocks of some buses; see :func:`render_together`."""
        return render_together(due)

    def state(self, number: int) -> BusState:
        """Return a bus as it is just now."""
        bus = self.buses[number]
        voices = bus.voices
        return BusState(
            *(bus.link.state, bus.load.average, bus.load.peak, voices.sounding),
            *(len(voices.waiting), bus.waiting, voices.non_finite, voices.sheds, bus.over),
        )

    # buses

    def _open(self, command: OpenBus) -> None:
        rate = bank_rate(command.rate)
        if rate not in self._banks:
            self._banks[rate] = Bank(rate, MAX_ROWS)
        self.buses[command.bus] = Bus(
            command.rate,
            command.voices,
            on_start=lambda note: self._tell(Started(note.id)),
            on_end=self._ended,
            on_late=lambda note, seconds: self._tell(Late(note.id, seconds)),
            gain=command.gain,
            link=self._link(rate),
            channels=command.channels,
            bank=self._banks[rate],
            live=self._live,
        )

    def _close(self, number: int) -> None:
        bus = self.buses.get(number)
        if bus is None:
            return
        self._close_taps(bus)
        self._return(bus.cut(lambda note: True))
        bus.voices.clear()
        for note in bus.voices.take_ended():
            self._ended(note)
        for playing in [playing for playing in self._notes.values() if playing.bus == number]:
            self._ended(playing.note)
        del self.buses[number]

    def _open_tap(self, bus: Bus, number: int) -> None:
        assert self._ring is not None
        ring = self._ring(number, bus.channels)
        bus.taps.append(RingTap(number, ring, bus.link, self._tell))

    def _close_taps(self, bus: Bus, number: int | None = None) -> None:
        """Close the tap of this number, or all of a bus."""
        for tap in list(bus.taps):
            if isinstance(tap, RingTap) and number in (None, tap.number):
                bus.taps.remove(tap)
                tap.end()

    # notes

    def _post(
        self,
        timed: Timed,
        bus: Bus,
        act: Callable[[Voices], None],
        note: Note | None = None,
        slot: int | None = None,
    ) -> None:
        kind = timed.command
        bus.post(
            *(act, timed.when, note),
            starts=isinstance(kind, Start),
            releases=isinstance(kind, Release),
            coarse=timed.coarse,
            cause=timed.cause,
            slot=slot,
        )

    def _lend(self, timed: Timed, number: int, slot: int) -> None:
        """Take a command that carries a slot."""
        playing = self._notes.get(number)
        # a note begins once
        if playing is None or (playing.begun and isinstance(timed.command, Start)):
            self._tell(Freed(slot))
            return
        note, bus = playing.note, self.buses[playing.bus]
        if isinstance(timed.command, Start):
            note.spectrum = self._spectra(slot)
            playing.begun.append(note.spectrum)
            self._post(timed, bus, lambda voices: voices.start(note), note)
        else:
            assert isinstance(timed.command, Settle)
            act = partial(self._settle, timed.command, playing)
            self._post(timed, bus, act, note, slot)

    def _act(self, command: Command, note: Note, voices: Voices) -> None:
        """Run a command about a note."""
        match command:
            case Release(_, off):
                note.off = off if note.off is None else min(note.off, off)
                voices.release(note)
            case Change(_, seconds, changes):
                voices.change(note, seconds, **changes)
            case Seek(_, place):
                voices.seek(note, place)
            case Look(number, when):
                self._tell(Looked(number, when, voices.next_frame(note)))

    def _settle(self, command: Settle, playing: _Playing, voices: Voices) -> None:
        note = playing.note
        counts = note.settling == command.number and bool(playing.begun)
        if note.id not in self._notes or not counts:
            self._tell(Freed(command.slot))
            return
        before, after = playing.begun.pop(), self._spectra(command.slot)
        playing.begun.append(after)
        voices.change(note, spectrum=after, overlay=None)
        self._tell(Freed(before.slot))

    def _cut(self, command: Cut, voices: Voices) -> None:
        def of(note: Note) -> bool:
            theirs = note.owner == command.owner and note.on < command.before
            return theirs or note.id in command.notes

        bus = self.buses[command.bus]
        self._return(bus.cut(of))
        for playing in list(self._notes.values()):
            if playing.bus == command.bus and not playing.begun and of(playing.note):
                self._ended(playing.note)

    def _return(self, dropped: Sequence[Entry]) -> None:
        """Give back what was lent with commands that are not run."""
        for entry in dropped:
            if entry.slot is not None:
                self._tell(Freed(entry.slot))

    def _ended(self, note: Note) -> None:
        playing = self._notes.pop(note.id, None)
        if playing is None:
            return
        for spectrum in playing.begun:
            self._tell(Freed(spectrum.slot))
        self._tell(Ended(note.id, note.late))

    # spectra

    def _extend(self, command: Frames) -> None:
        spectrum = self._spectra(command.slot)
        spectrum.ready, spectrum.region = command.ready, command.region
        if command.region is None:
            return
        for playing in self._notes.values():
            if playing.note.spectrum is spectrum and playing.note.hold:
                self.buses[playing.bus].voices.change(playing.note)
