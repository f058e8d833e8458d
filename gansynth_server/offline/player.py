"""An instrument that is played as fast as it can be rendered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from gansynth_server.instrument.instrument import MAX_NOTES, Instrument, Tell
from gansynth_server.render.offline import BatchRenderer
from gansynth_server.spectral.inverse import check_rate
from gansynth_server.synth.bus import GAIN, Bus
from gansynth_server.synth.note import Note
from gansynth_server.synth.timeline import Link

BLOCK = 1024
CACHE_BYTES = 256 << 20


class OfflinePlayer:
    """The instrument and the voices of the live server on one bus, without a clock.

    Time is counted by the samples of the bus; ``now`` (s) is what the instrument
    takes for the present. Nothing is rendered before :meth:`work`.

    Args:
        rate: 16000…192000 Hz.
        max_voices: that sound at once.
        tell: sends a client an address and its arguments.
        on_start: is told of each note that begins to sound.

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
        link: Link | None = None,
        max_notes: int = MAX_NOTES,
        on_start: Callable[[Note], None] = lambda note: None,
    ) -> None:
        check_rate(rate)
        self.rate, self.frames, self.now = rate, 0, 0.0
        self._renderer = BatchRenderer(CACHE_BYTES)
        self.instrument = Instrument(
            self._renderer, seed, tell, clock=lambda: self.now, most_notes=max_notes
        )
        self.bus = Bus(
            rate,
            max_voices,
            on_start,
            on_end=self.instrument.on_note_ended,
            gain=gain,
            link=link,
            channels=channels,
        )

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
        while self.bus.busy and self.frames < seconds * self.rate:
            yield self.block(BLOCK)

    @property
    def delay(self) -> int:
        """Frames by which the sound is later than the time of its notes."""
        return round(self.bus.delay * self.rate)

    def block(self, frames: int) -> NDArray[np.float32]:
        """The next float32 [channels, frames]."""
        sound = self.bus.render(frames)
        self.frames += frames
        self.work()  # what follows latents, or what has ended
        return sound
