"""Whole notes at once: the sound that a bus of its own would give each, where no listener waits.

A note that is played at its rendered pitch reads its frames in order, so one inverse FFT takes all
of them, and what follows (overlap-add, envelope, resampling) is one pass over the note. Other
notes share one bank, in which each is a row: they are repitched there as they are live.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.inverse import FrameInverse, check_rate, direct
from gansynth_server.synth.bank import Bank
from gansynth_server.synth.bus import BANK_RATE, Bus, bank_rate, bus_delay, render_together
from gansynth_server.synth.envelope import Envelopes
from gansynth_server.synth.limiter import CEILING, Limiter
from gansynth_server.synth.note import Note
from gansynth_server.synth.resample import TAPS, Resampler, kernel

Float32 = NDArray[np.float32]

MAX_PHASES = 1024
"""Places between two samples up to which a change of rate is one matrix: 147 for 44.1 kHz."""
MAX_ROWS = 32
"""Notes that share a bank at once: more are no faster, and each row takes memory."""


class WholeNotes:
    """Renders whole notes in mono, as a :class:`Bus` of each note's own does, without its latency.

    Args:
        rate: 16000…192000 Hz.

    Raises:
        UserError: the rate is out of range.
    """

    def __init__(self, rate: int) -> None:
        check_rate(rate)
        self.rate = rate
        self._inverse = FrameInverse(bank_rate(rate))

    def render(self, notes: Sequence[Note], samples: int) -> list[Float32]:
        """Render the first samples of rendered notes that begin at 0: float32 [samples] each."""
        sounds: dict[int, Float32] = {}
        others = []
        for n, note in enumerate(notes):
            if _plain(note):
                sounds[n] = self._plain(note, samples)
            else:
                others.append(n)
        for at in range(0, len(others), MAX_ROWS):
            part = others[at : at + MAX_ROWS]
            rows = self._rows([notes[n] for n in part], samples)
            sounds.update(zip(part, rows, strict=True))
        return [sounds[n] for n in range(len(notes))]

    def _plain(self, note: Note, samples: int) -> Float32:
        """Render a note that reads its frames in order and at their own speed."""
        assert note.spectrum is not None
        skip = round(bus_delay(self.rate) * self.rate)
        limiter = Limiter(self.rate)
        wanted = samples + skip - limiter.delay  # at the listener's rate
        resampler = None if direct(self.rate) else Resampler(BANK_RATE, self.rate)
        size = wanted if resampler is None else resampler.needed(wanted)
        sound = self._inverse.whole(note.spectrum.magnitude, note.spectrum.increment)
        sound = _sized(sound, size)
        sound *= np.float32(note.loudness)
        _shape(note, sound, self._inverse.rate)
        if resampler is not None:
            sound = resample(sound, self.rate, wanted)
        if np.abs(sound).max(initial=0) > CEILING:
            padded = np.pad(sound, (0, limiter.delay))
            sound = limiter(padded[None])[0, limiter.delay :]
        return sound[skip - limiter.delay :]

    def _rows(self, notes: Sequence[Note], samples: int) -> list[Float32]:
        """Render notes in one bank, a bus each."""
        bank = Bank(bank_rate(self.rate), len(notes))
        buses = [Bus(self.rate, 1, gain=1.0, bank=bank) for _ in notes]
        for bus, note in zip(buses, notes, strict=True):
            bus.start(note)
        skip = round(bus_delay(self.rate) * self.rate)
        sounds = render_together([(bus, samples + skip) for bus in buses])
        return [sound[0, skip:] for sound in sounds]


def _plain(note: Note) -> bool:
    """Return whether a note's sound is that of its frames in order, but for its envelope."""
    return (
        note.offset == 0
        and note.bend == 0
        and note.skip == 0
        and note.brightness == 0
        and note.pressure == 0
        and note.vibrato[0] == 0
        and not note.hold
        and note.speed == 1
        and note.overlay is None
    )


def _sized(sound: Float32, size: int) -> Float32:
    """Return the first [size] of a sound, zero after its end."""
    return sound[:size] if len(sound) >= size else np.pad(sound, (0, size - len(sound)))


def _shape(note: Note, sound: Float32, rate: int) -> None:
    """Apply a note's envelope, in place and only where its level is not 1."""
    envelopes, row = Envelopes(rate, 1), np.zeros(1, np.int64)
    held = None if note.off is None else max(0.0, note.off - note.on)
    envelopes.begin(0, note.envelope, held)
    sound *= envelopes.levels(row, len(sound))[0]


def resample(sound: Float32, rate: int, frames: int) -> Float32:
    """Turn [samples] at the rate of the voices into [frames] at another, as the bus does.

    A :class:`Resampler` reads ``phases`` places again and again, each by the same weights: all
    frames of one such turn are one row of a matrix product.
    """
    divisor = int(np.gcd(BANK_RATE, rate))
    step, phases = BANK_RATE // divisor, rate // divisor
    if phases > MAX_PHASES:
        return Resampler(BANK_RATE, rate)(sound[None], frames)[0]
    turns = -(-frames // phases)
    weights = _turn(step, phases)
    padded = np.zeros(turns * step + len(weights), np.float32)
    padded[TAPS : TAPS + len(sound)] = sound[: len(padded) - TAPS]
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(weights))[: turns * step : step]
    # rows that overlap would keep NumPy from using BLAS, which is ten times as fast
    return (np.ascontiguousarray(windows) @ weights).reshape(-1)[:frames]


@cache
def _turn(step: int, phases: int) -> Float32:
    """Return weights [samples read, phases] of all places of one turn."""
    whole, phase = np.divmod(np.arange(phases) * step, phases)
    weights = np.zeros((int(whole[-1]) + TAPS, phases), np.float32)
    for n, (first, row) in enumerate(zip(whole, kernel(phases)[phase], strict=True)):
        weights[first : first + TAPS, n] = row
    return weights
