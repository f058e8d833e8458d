"""An instrument that is played as fast as it can be rendered, through an engine in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gansynth_server.engine.commands import Frames, OpenBus, Timed
from gansynth_server.engine.engine import Engine
from gansynth_server.engine.events import Event, Freed, Started
from gansynth_server.engine.handle import BusHandle
from gansynth_server.errors import UserError
from gansynth_server.instrument.client import Client
from gansynth_server.instrument.hallucination import Hallucination
from gansynth_server.instrument.instrument import MAX_NOTES, Instrument, Tell
from gansynth_server.latent.sequence import Sequence
from gansynth_server.render.model import Model
from gansynth_server.render.offline import BatchRenderer
from gansynth_server.spectral.arena import Arena, LocalSpectra
from gansynth_server.spectral.inverse import check_rate
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bus import GAIN

BLOCK = 1024
KEPT = 256
"""Spectra that are kept to be played again, 1 MB each."""
MAX_HALLUCINATION_VOICES = 64


class OfflinePlayer:
    """The instrument and the engine of the live server with one bus, without a clock.

    Time is counted by the samples of the bus; ``now`` (s) is what the instrument
    takes for the present. Nothing is rendered before :meth:`work`.

    Args:
        rate: 16000…192000 Hz.
        max_voices: that sound at once.
        tell: sends a client an address and its arguments.
        on_start: is told the number of each note that begins to sound.
        place: returns when (s) a command is due, in place of its own time, by what it comes of.
        kept: spectra that are kept to be played again.

    Raises:
        UserError: the rate is out of range.
    """

    def __init__(
        self,
        rate: int,
        max_voices: int,
        channels: int,
        tell: Tell,
        *,
        seed: int = 0,
        gain: float = GAIN,
        max_notes: int = MAX_NOTES,
        on_start: Callable[[int], None] = lambda note: None,
        place: Callable[[Timed], float | None] = lambda timed: timed.when,
        kept: int = KEPT,
    ) -> None:
        check_rate(rate)
        self.rate, self.frames, self.now = rate, 0, 0.0
        self._on_start, self._place = on_start, place
        self._arena = Arena(LocalSpectra())
        self._renderer = BatchRenderer(self._arena, kept)
        self.instrument = Instrument(
            *(self._renderer, seed, tell, self._tell_frames),
            clock=lambda: self.now,
            most_notes=max_notes,
        )
        self._engine = Engine(self._arena.get, self._hear)
        self._engine.post(Timed(OpenBus(0, rate, channels, max_voices, gain)))
        self._bus = self._engine.buses[0]
        self.bus = BusHandle(
            *(0, rate, channels, max_voices, self._post),
            state=lambda: self._engine.state(0),
            lend=self._arena.use,
        )

    def _post(self, timed: Timed) -> None:
        self._engine.post(replace(timed, when=self._place(timed)))

    def _tell_frames(self, spectrum: Spectrum) -> None:
        self._engine.post(Timed(Frames(spectrum.slot, spectrum.ready, spectrum.region)))

    def _hear(self, event: Event) -> None:
        if isinstance(event, Freed):
            self._arena.drop(self._arena.get(event.slot))
        elif isinstance(event, Started):
            self._on_start(event.note)
        self.instrument.hear(event)

    def work(self) -> None:
        """Render until nothing more is asked for."""
        self._renderer.work()
        while self.instrument.morpher.work():
            self._renderer.work()

    def advance(self, seconds: float) -> Iterator[NDArray[np.float32]]:
        """Yield the sound up to a time, float32 [channels, frames] each."""
        end = int(seconds * self.rate + 1e-6)
        while self.frames < end:
            yield self.block(min(BLOCK, end - self.frames))

    def ring_out(self, seconds: float) -> Iterator[NDArray[np.float32]]:
        """Yield whole blocks while anything sounds or is to come, up to a time."""
        while self._bus.busy and self.frames < seconds * self.rate:
            yield self.block(BLOCK)

    @property
    def delay(self) -> int:
        """Frames by which the sound is later than the time of its notes."""
        return round(self.bus.delay * self.rate)

    def block(self, frames: int) -> NDArray[np.float32]:
        """The next float32 [channels, frames]."""
        sound = self._bus.render(frames)
        self.frames += frames
        self.work()  # what follows latents, or what has ended
        return sound


def render(model: Model, sequence: Sequence, rate: int) -> Iterator[NDArray[np.float32]]:
    """Render a hallucination, block by block, as the live server plays it.

    Args:
        rate: sample rate (Hz), 16000…192000.

    Yields:
        float32 [2, frames].

    Raises:
        UserError: the rate is out of range, or the sequence cannot be played.
    """
    failures: list[str] = []

    def tell(client: Client, address: str, *args: object) -> None:
        if address == "/fail":
            failures.append(str(args[-1]))

    player = OfflinePlayer(rate, MAX_HALLUCINATION_VOICES, 2, tell, kept=0)
    client = player.instrument.add_client(0, model, player.bus)
    over: list[bool] = []
    playing = Hallucination(
        *(player.instrument, client, sequence, 0, 0.0),
        over=lambda: over.append(True),
        failed=failures.append,
    )
    playing.begin()
    player.work()
    while not over:
        yield player.block(BLOCK)
    if failures:
        raise UserError(failures[0])
    yield player.block(player.delay + 1)


def render_mono(model: Model, sequence: Sequence, rate: int) -> NDArray[np.float32]:
    """Render a hallucination as a whole, in mono: float32 [samples]; see :func:`render`."""
    blocks = list(render(model, sequence, rate))
    return np.ascontiguousarray(np.concatenate(blocks, axis=1)[0])
