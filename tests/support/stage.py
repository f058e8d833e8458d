"""An instrument and its engine in this process, with one bus that is rendered by hand."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from gansynth_server.engine.commands import Frames, OpenBus, Timed
from gansynth_server.engine.engine import Engine
from gansynth_server.engine.events import Event, Freed
from gansynth_server.engine.handle import BusHandle
from gansynth_server.instrument.client import NoteId
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.render.model import Model
from gansynth_server.render.offline import BatchRenderer
from gansynth_server.render.renderer import Renderer
from gansynth_server.spectral.arena import Arena, SharedSpectra
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bus import GAIN, Bus
from gansynth_server.synth.note import Note

BUS = 0
PLACES = 256


class Stage:
    """One client on one bus; time is counted by the samples of the bus.

    As between processes, commands wait for the next block, and the instrument hears what the
    engine tells after it.

    Args:
        batch: render when ``render`` is called, in place of a render thread.
        keep: spectra that are kept to be played again.
    """

    def __init__(
        self,
        model: Model,
        rate: int = 48000,
        voices: int = 16,
        channels: int = 1,
        *,
        gain: float = GAIN,
        batch: bool = False,
        keep: int = 64,
    ) -> None:
        self.rate = rate
        self.time = 0.0
        self.told: list[tuple[Any, ...]] = []
        """What the instrument told its client."""
        self.events: list[Event] = []
        """All that the engine told."""
        self._heard = 0
        self._posted: deque[Timed] = deque()
        self.places = SharedSpectra(PLACES)
        self.arena = Arena(self.places)
        self.renderer: BatchRenderer | Renderer
        if batch:
            # nothing tells how much of a spectrum is there: the engine has it from the arena
            self.renderer, spectra = BatchRenderer(self.arena, keep), self.arena.get
            self._finish: Callable[[], None] = self.renderer.work
        else:
            self.renderer = Renderer(self.arena, keep, self._tell_frames)
            spectra = functools.cache(self.places.spectrum)
            self._finish = self.renderer.finish
        self._post = self._put if batch else self._posted.append
        self.instrument = Instrument(
            *(self.renderer, 1, lambda client, *args: self.told.append(args)),
            *(self._tell_frames, lambda: self.time),
        )
        self.engine = Engine(spectra, self.events.append)
        self.engine.post(Timed(OpenBus(BUS, rate, channels, voices, gain)))
        self.bus = BusHandle(
            *(BUS, rate, channels, voices, lambda timed: self._post(timed)),
            state=lambda: self.engine.state(BUS),
            lend=self.arena.use,
        )
        self.client = self.instrument.add_client(1, model, self.bus)

    def _put(self, timed: Timed) -> None:
        self.engine.post(timed)

    def _tell_frames(self, spectrum: Spectrum) -> None:
        self._post(Timed(Frames(spectrum.slot, spectrum.ready, spectrum.region)))

    @property
    def played(self) -> Bus:
        """The bus itself, as the engine has it."""
        return self.engine.buses[BUS]

    def work(self) -> None:
        """Render all that was asked for, and what that leads to; give the engine its commands."""
        self._finish()
        while self.instrument.morpher.work():
            self._finish()
        while self._posted:
            self.engine.post(self._posted.popleft())
        self._hear()

    def _hear(self) -> None:
        while self._heard < len(self.events):
            event = self.events[self._heard]
            self._heard += 1
            if isinstance(event, Freed):
                self.arena.drop(self.arena.get(event.slot))
            self.instrument.hear(event)

    def render(self, frames: int = 512) -> np.ndarray:
        """The next [channels, frames], once all that was asked for is rendered."""
        self.work()
        sound = self.engine.render([(self.played, frames)])[0]
        self.time = self.played.time / self.played.voices.rate
        self._hear()
        return sound

    def run(self, seconds: float) -> np.ndarray:
        """The left channel of the next seconds, in blocks of 10 ms."""
        blocks = [self.render(self.rate // 100)[0] for _ in range(round(seconds * 100))]
        return np.concatenate(blocks)

    @property
    def notes(self) -> dict[NoteId, Note]:
        """Sounding notes, as the engine has them, by their client's ids."""
        sounding = [note for note in self.played.voices.notes if note is not None]
        found = [(self.instrument.note(note.id), note) for note in sounding]
        return {played.id: note for played, note in found if played is not None}

    def close(self) -> None:
        self.renderer.stop()
        self.places.close()
