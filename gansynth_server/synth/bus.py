"""The bus of one listener: a voice bank, its gain, its sample rate and its limiter."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.inverse import direct
from gansynth_server.synth.bank import Bank
from gansynth_server.synth.limiter import LOOKAHEAD, Limiter
from gansynth_server.synth.link import Link, SteadyLink
from gansynth_server.synth.note import Note
from gansynth_server.synth.resample import TAPS, Resampler
from gansynth_server.synth.timeline import Command, Entry, Timeline
from gansynth_server.synth.voices import Voices

FADE = 0.010
"""Fade (s) of the sound when the server ends."""
GAIN = 0.5
"""Master gain: low enough for chords: the bundled notes peak at about 0.3."""
PART = 512
"""Samples to which commands are put off that may come a little later."""
BANK_RATE = 48000
"""Rate of the voices for listeners whose own rate does not divide the hop."""
EXACT, GRAIN = 6, 128
"""Parts of a block that are exact to the sample, and length (samples) of further ones: a thousand
commands, each for a sample of its own, would take the time of a thousand blocks."""


def bank_rate(rate: int) -> int:
    """Return the voices' rate for a listener's rate."""
    return rate if direct(rate) else BANK_RATE


def bus_delay(rate: int) -> float:
    """Return the latency (s) of the limiter and the resampler."""
    return round(LOOKAHEAD * rate) / rate + (0.0 if direct(rate) else TAPS / 2 / BANK_RATE)


_log = logging.getLogger(__name__)


class Tap(Protocol):
    """What listens in to a bus."""

    def begins(self, sample: int) -> None:
        """Take note of a block that begins with this sample of the voices."""
        ...

    def ran(self, entry: Entry, sample: int) -> None:
        """Take note of a command that was run before this sample."""
        ...

    def sounded(self, sound: NDArray[np.float32]) -> None:
        """Take the block [channels, frames]."""
        ...


class Bus:
    """Turns commands into the sound of one listener.

    What is posted for a time is done at its sample, which ``link`` tells; what is
    posted without one, or too late, before the next block. Used by one thread;
    ``render`` calls ``on_start``, ``on_end`` and ``on_late`` (with seconds).

    Args:
        bank: shared with other buses of the same rate of voices; None has one of its own.
        live: whether it is rendered in real time, so that many commands within a block may be
            put off a little.
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
        bank: Bank | None = None,
        live: bool = False,
    ) -> None:
        self.rate = rate
        self.voices = Voices(bank_rate(rate), voices, channels, bank)
        self.channels = channels
        self.load = Load()
        self._live = live
        self._resampler = None if direct(rate) else Resampler(BANK_RATE, rate, channels)
        self._limiter = Limiter(rate, channels)
        self._gain = np.float32(gain)
        self.link = link or SteadyLink(self.voices.rate)
        self.time = 0
        """Samples that the voices have rendered, at their own rate."""
        self.taps: list[Tap] = []
        self._fade: NDArray[np.float32] | None = None  # what is left of it
        self._timeline = Timeline()
        self._on_start, self._on_end, self._on_late = on_start, on_end, on_late

    @property
    def delay(self) -> float:
        """Latency (s) of the limiter and the resampler."""
        return bus_delay(self.rate)

    @property
    def busy(self) -> bool:
        """Return whether anything sounds or is yet to happen."""
        return bool(self.voices.sounding or self.voices.waiting or len(self._timeline))

    @property
    def waiting(self) -> int:
        """Number of commands that are yet to be run."""
        return len(self._timeline)

    def post(
        self,
        command: Command,
        when: float | None = None,
        note: Note | None = None,
        *,
        starts: bool = False,
        releases: bool = False,
        coarse: bool = False,
        cause: int = 0,
        slot: int | None = None,
    ) -> None:
        """Post a command for the voices (see :class:`Entry`), about a note or none.

        Args:
            when: seconds of the link's clock; None is before the next block.
            coarse: whether it may come a little later, with others of its kind: each sample at
                which something happens parts a block, and parts cost as much as blocks.
        """
        sample = 0 if when is None else self.link.sample(when)
        if coarse:
            sample = -(-sample // PART) * PART
        self._timeline.post(Entry(sample, command, note, starts, releases, cause, slot))

    def start(self, note: Note, when: float | None = None, cause: int = 0) -> None:
        self.post(lambda voices: voices.start(note), when, note, starts=True, cause=cause)

    def release(self, note: Note, when: float | None = None, cause: int = 0) -> None:
        self.post(lambda voices: voices.release(note), when, note, releases=True, cause=cause)

    def cut(self, of: Callable[[Note], bool]) -> list[Entry]:
        """End the notes of one kind within 5 ms, and return what was yet to happen to them."""
        self.voices.cut_all(of)
        dropped = self._timeline.drop(of)
        self.voices.drop(entry.note for entry in dropped if entry.starts and entry.note)
        return dropped

    def end(self) -> None:
        """Fade all sound out in 10 ms, for good."""
        steps = round(FADE * self.rate)
        self._fade = np.cos(np.pi / 2 * (np.arange(steps) + 1) / steps).astype(np.float32) ** 2

    @property
    def over(self) -> bool:
        """Return whether it was ended and has faded out."""
        return self._fade is not None and not len(self._fade)

    def render(self, frames: int) -> NDArray[np.float32]:
        """Render the next float32 [channels, frames] for the listener: finite, within ±1.

        Should the voices fail, all of them are ended, and it is silence.
        """
        return render_together([(self, frames)])[0]

    def begin(self, frames: int) -> int:
        """Begin a block: run what is due now; return the samples that the voices must give."""
        for tap in self.taps:
            tap.begins(self.time)
        samples = frames if self._resampler is None else self._resampler.needed(frames)
        self.link.rendered(self.time + samples)
        self._run_due()
        return samples

    def is_plain(self, samples: int) -> bool:
        """Return whether no command is due within the next samples."""
        return self._timeline.until(self.time, samples) == samples

    def render_parts(self, samples: int) -> NDArray[np.float32]:
        """Render the next samples of the voices alone, with each command at its own sample."""
        end = self.time + samples
        parts: list[NDArray[np.float32]] = []
        while True:
            self._run_due()
            size = self._timeline.until(self.time, end - self.time)
            if self._live and len(parts) >= EXACT:
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

    def finish(self, sound: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """End a block: turn the sound of the voices into that of the listener."""
        if self._resampler is not None:
            sound = self._resampler(sound, frames)
        sound = self._limiter(sound * self._gain)
        if self._fade is not None:
            fade, self._fade = self._fade[:frames], self._fade[frames:]
            sound = np.pad(sound[:, : len(fade)] * fade, ((0, 0), (0, frames - len(fade))))
        for tap in self.taps:
            tap.sounded(sound)
        for note in self.voices.take_started():
            self._on_start(note)
        for note in self.voices.take_ended():
            self._on_end(note)
        return sound

    def shed(self) -> None:
        """End an eighth of the voices, and say so."""
        _log.warning(
            "%d voices are more than can be rendered in time: %d are ended; "
            "a lower --max-voices does so before",
            self.voices.sounding,
            self.voices.shed_voices(),
        )

    def _run_due(self) -> None:
        for entry in self._timeline.run(self.voices, self.time):
            self._ran(entry)

    def _ran(self, entry: Entry) -> None:
        """Take note of a command that was just run."""
        for tap in self.taps:
            tap.ran(entry, self.time)
        if entry.starts and entry.note is not None and 0 < entry.sample < self.time:
            self._on_late(entry.note, (self.time - entry.sample) / self.voices.rate)


def render_together(due: Sequence[tuple[Bus, int]]) -> list[NDArray[np.float32]]:
    """Render the next blocks of several listeners, so many frames of each; see :meth:`Bus.render`.

    Those that share a bank, and for which nothing happens within the block, take one pass.
    """
    begun = time.perf_counter()
    samples = [bus.begin(frames) for bus, frames in due]
    found = _together([(bus, count) for (bus, _), count in zip(due, samples, strict=True)])
    sounds = [
        bus.finish(found[bus] if bus in found else bus.render_parts(count), frames)
        for (bus, frames), count in zip(due, samples, strict=True)
    ]
    spent = (time.perf_counter() - begun) / len(due)
    for bus, frames in due:
        bus.load.add(spent, frames / bus.rate)
    return sounds


def _together(due: Sequence[tuple[Bus, int]]) -> dict[Bus, NDArray[np.float32]]:
    """Render the voices of those buses that can share a pass with another."""
    found: dict[Bus, NDArray[np.float32]] = {}
    groups: dict[tuple[Bank, int], list[Bus]] = {}
    for bus, count in due:
        if bus.is_plain(count):
            groups.setdefault((bus.voices.bank, count), []).append(bus)
    for (bank, count), buses in groups.items():
        if len(buses) == 1:
            continue
        try:
            sounds = bank.render([bus.voices for bus in buses], count)
        except Exception:
            _log.exception("the voices failed: all of them are ended")
            for bus in buses:
                bus.voices.clear()
            sounds = [np.zeros((bus.channels, count), np.float32) for bus in buses]
        for bus, sound in zip(buses, sounds, strict=True):
            bus.time += count
            found[bus] = sound
    return found


class Load:
    """Load (% of real time): a moving average and its peak."""

    def __init__(self) -> None:
        self.average = 0.0
        self.peak = 0.0

    def add(self, spent: float, duration: float) -> None:
        share = 100 * spent / duration
        weight = min(1.0, duration)  # about a second
        self.average += weight * (share - self.average)
        self.peak = max(self.peak * (1 - 0.1 * weight), share)
