"""What one listener hears: a voice bank, its gain, its sample rate and its limiter."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.inverse import direct
from gansynth_server.synth.interpolate import TAPS, Resampler
from gansynth_server.synth.limiter import Limiter
from gansynth_server.synth.note import Note
from gansynth_server.synth.voices import Voices

GAIN = 0.5
"""Master gain: low enough for chords: the bundled notes peak at about 0.3."""
BANK_RATE = 48000
"""Rate of the voices for listeners whose own rate does not divide the hop."""

Command = Callable[[Voices], None]


class Bus:
    """Turns posted notes into the sound of one listener.

    ``post`` may be called from any thread; ``render`` is called by the one
    thread that serves the listener's clock, and calls ``on_start`` and
    ``on_end`` from there.
    """

    def __init__(
        self,
        rate: int,
        voices: int,
        on_start: Callable[[Note], None] = lambda note: None,
        on_end: Callable[[Note], None] = lambda note: None,
        gain: float = GAIN,
    ) -> None:
        self.rate = rate
        self.voices = Voices(rate if direct(rate) else BANK_RATE, voices)
        self.load = Load()
        self._resampler = None if direct(rate) else Resampler(BANK_RATE, rate)
        self._limiter = Limiter(rate)
        self._gain = np.float32(gain)
        self._inbox: deque[Command] = deque()
        self._on_start, self._on_end = on_start, on_end

    @property
    def delay(self) -> float:
        """Seconds that the limiter and the resampler add."""
        return self._limiter.delay / self.rate + (
            0.0 if direct(self.rate) else TAPS / 2 / BANK_RATE
        )

    def post(self, command: Command) -> None:
        """Has a command run on the voices before the next block."""
        self._inbox.append(command)

    def start(self, note: Note) -> None:
        self.post(lambda voices: voices.start(note))

    def release(self, note: Note) -> None:
        self.post(lambda voices: voices.release(note))

    def silence(self, of: Callable[[Note], bool] = lambda note: True) -> None:
        """Ends the notes of one kind within 5 ms."""
        self.post(lambda voices: voices.cut_all(of))

    def render(self, frames: int) -> NDArray[np.float32]:
        """The next float32 [frames] for the listener: mono, finite, within ±1."""
        begun = time.perf_counter()
        while self._inbox:
            self._inbox.popleft()(self.voices)
        if self._resampler is None:
            sound = self.voices.render(frames)
        else:
            sound = self._resampler(self.voices.render(self._resampler.needed(frames)), frames)
        sound = self._limiter(sound * self._gain)
        for note in self.voices.take_started():
            self._on_start(note)
        for note in self.voices.take_ended():
            self._on_end(note)
        self.load.add(time.perf_counter() - begun, frames / self.rate)
        return sound


class Load:
    """Time spent per second of sound, as a moving average and its peak, in percent."""

    def __init__(self) -> None:
        self.average = 0.0
        self.peak = 0.0

    def add(self, spent: float, duration: float) -> None:
        share = 100 * spent / duration
        weight = min(1.0, duration)  # about a second
        self.average += weight * (share - self.average)
        self.peak = max(self.peak * (1 - 0.1 * weight), share)
