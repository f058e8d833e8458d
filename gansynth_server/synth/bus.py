"""What one listener hears: a voice bank, its gain, its sample rate and its limiter."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.inverse import direct
from gansynth_server.synth.limiter import Limiter
from gansynth_server.synth.note import CAUSE, Note
from gansynth_server.synth.render_lock import Desk
from gansynth_server.synth.resample import TAPS, Resampler
from gansynth_server.synth.timeline import Command, Entry, Link, SteadyLink, Timeline
from gansynth_server.synth.voices import Voices

FADE = 0.010
"""Seconds in which the sound ends when the server does."""
GAIN = 0.5
"""Master gain: low enough for chords: the bundled notes peak at about 0.3."""
PART = 512
"""Frames that are rendered at one turn at most, so that nobody waits long for theirs."""
BANK_RATE = 48000
"""Rate of the voices for listeners whose own rate does not divide the hop."""
EXACT, GRAIN = 6, 128
"""In how many parts a turn may be rendered to the sample, and the samples of further ones: a
thousand commands, each for a sample of its own, would take a thousand turns' time."""


def bank_rate(rate: int) -> int:
    """Rate of the voices for a listener's rate."""
    return rate if direct(rate) else BANK_RATE


_log = logging.getLogger(__name__)


class Tap(Protocol):
    """Whoever listens to a bus, on the thread that renders."""

    def begins(self, sample: int) -> None:
        """A block begins with this sample of the voices."""
        ...

    def ran(self, entry: Entry, sample: int) -> None:
        """A command was run before this sample."""
        ...

    def sounded(self, sound: NDArray[np.float32]) -> None:
        """This is the block, [channels, frames]."""
        ...


class Bus:
    """Turns posted notes into the sound of one listener.

    What is posted for a time is done at its sample, which ``link`` tells; what is
    posted without one, or too late, before the next block. ``post`` may be
    called from any thread; ``render`` is called by the one thread that serves
    the listener's clock, and calls ``on_start``, ``on_end`` and ``on_late`` (with
    seconds) from there.

    Args:
        desk: that of all buses that are rendered in time, by one process; where that time
            does not suffice, voices are ended.
    """

    def __init__(
        self,
        rate: int,
        voices: int,
        on_start: Callable[[Note], None] = lambda note: None,
        on_end: Callable[[Note], None] = lambda note: None,
        on_late: Callable[[Note, float], None] = lambda note, seconds: None,
        gain: float = GAIN,
        link: Link | None = None,
        channels: int = 1,
        desk: Desk | None = None,
    ) -> None:
        self.rate = rate
        self._desk = desk
        self.voices = Voices(bank_rate(rate), voices, channels)
        self.channels = channels
        self.load = Load()
        self._resampler = None if direct(rate) else Resampler(BANK_RATE, rate, channels)
        self._limiter = Limiter(rate, channels)
        self._gain = np.float32(gain)
        self.link = link or SteadyLink(self.voices.rate)
        self.time = 0
        """Samples that the voices have rendered, at their own rate."""
        self.tap: Tap | None = None
        self._fade: NDArray[np.float32] | None = None  # what is left of it
        self._timeline = Timeline()
        self._on_start, self._on_end, self._on_late = on_start, on_end, on_late

    @property
    def delay(self) -> float:
        """Seconds that the limiter and the resampler add."""
        return self._limiter.delay / self.rate + (
            0.0 if direct(self.rate) else TAPS / 2 / BANK_RATE
        )

    @property
    def busy(self) -> bool:
        """Whether anything sounds or is yet to happen; for the thread that renders."""
        return bool(self.voices.sounding or self.voices.waiting or len(self._timeline))

    @property
    def waiting(self) -> int:
        """Commands that are yet to be run."""
        return len(self._timeline)

    def post(
        self,
        command: Command,
        when: float | None = None,
        note: Note | None = None,
        starts: bool = False,
        coarse: bool = False,
    ) -> None:
        """Has a command run on the voices, about a note or none.

        Args:
            when: seconds of the link's clock; None is before the next block.
            starts: whether it is the note's first.
            coarse: whether it may come a little later, with others of its kind: each sample at
                which something happens parts a block, and parts cost as much as blocks.
        """
        cause = note.cause if starts and note is not None else CAUSE.get()
        sample = self.link.place(when, cause)
        if coarse:
            sample = -(-sample // PART) * PART
        self._timeline.post(command, sample, note, starts, cause)

    def start(self, note: Note, when: float | None = None) -> None:
        self.post(lambda voices: voices.start(note), when, note, starts=True)

    def release(self, note: Note, when: float | None = None) -> None:
        self.post(lambda voices: voices.release(note), when, note)

    def silence(
        self, of: Callable[[Note], bool] = lambda note: True, when: float | None = None
    ) -> None:
        """Ends the notes of one kind within 5 ms, and drops those that are yet to come."""

        def cut(voices: Voices) -> None:
            voices.cut_all(of)
            voices.drop(self._timeline.drop(of))

        self.post(cut, when)

    def end(self) -> None:
        """Fades all sound out in 10 ms, for good; any thread."""
        steps = round(FADE * self.rate)
        self._fade = np.cos(np.pi / 2 * (np.arange(steps) + 1) / steps).astype(np.float32) ** 2

    def pause(self, seconds: float) -> None:
        """Waits until nothing is rendered on its desk, see :meth:`Desk.pause`; any thread."""
        if self._desk is not None:
            self._desk.pause(seconds)

    @property
    def over(self) -> bool:
        """Whether it was ended and has faded out."""
        return self._fade is not None and not len(self._fade)

    def render(self, frames: int) -> NDArray[np.float32]:
        """The next float32 [channels, frames] for the listener: finite, within ±1.

        Should the voices fail, all of them are ended, and it is silence.
        """
        if self._desk is None:
            return self._render(frames)
        parts = []
        for at in range(0, frames, PART):
            with self._desk.of(self):
                parts.append(self._render(min(PART, frames - at)))
        if self._desk.too_much(self):
            _log.warning(
                "%d voices are more than can be rendered in time: %d are ended; "
                "a lower --max-voices does so before",
                self.voices.sounding,
                self.voices.shed(),
            )
            self._desk.eased()
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _render(self, frames: int) -> NDArray[np.float32]:
        begun = time.perf_counter()
        tap = self.tap
        if tap is not None:
            tap.begins(self.time)
        if self._resampler is None:
            sound = self._voices(frames)
        else:
            sound = self._resampler(self._voices(self._resampler.needed(frames)), frames)
        sound = self._limiter(sound * self._gain)
        if self._fade is not None:
            fade, self._fade = self._fade[:frames], self._fade[frames:]
            sound = np.pad(sound[:, : len(fade)] * fade, ((0, 0), (0, frames - len(fade))))
        if tap is not None:
            tap.sounded(sound)
        for note in self.voices.take_started():
            self._on_start(note)
        for note in self.voices.take_ended():
            self._on_end(note)
        self.load.add(time.perf_counter() - begun, frames / self.rate)
        return sound

    def _voices(self, frames: int) -> NDArray[np.float32]:
        """The next samples of the voices, with each command at its own."""
        end = self.time + frames
        self.link.rendered(end)
        self._timeline.receive()
        parts: list[NDArray[np.float32]] = []
        while True:
            for entry in self._timeline.run(self.voices, self.time):
                self._ran(entry)
            size = self._timeline.until(self.time, end - self.time)
            if self._desk is not None and len(parts) >= EXACT:
                size = min(max(size, GRAIN), end - self.time)
            try:
                parts.append(self.voices.render(size))
            except Exception:
                _log.exception("the voices failed: all of them are ended")
                self.voices.clear()
                parts.append(np.zeros((self.channels, size), np.float32))
            self.time += size
            if self.time == end:
                break
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _ran(self, entry: Entry) -> None:
        """Takes note of a command that was just run."""
        if self.tap is not None:
            self.tap.ran(entry, self.time)
        if entry.starts and entry.note is not None and 0 < entry.sample < self.time:
            self._on_late(entry.note, (self.time - entry.sample) / self.voices.rate)


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
