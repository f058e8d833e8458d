"""MIDI clock: 24 ticks a beat, of which the common tempo is made."""

from __future__ import annotations

from collections import deque

from gansynth_server.instrument.tempo import BPM_RANGE, TEMPOS, Tempo, Tempos

PER_BEAT = 24
"""Ticks of a beat."""
WINDOW = 48
"""Ticks over which the tempo is measured: two beats, so that the jitter of one does not count."""
MIN_TICKS = 12
"""Ticks after which there is a tempo."""
GAP_S = 1.0
"""Time (s) without a tick after which the clock begins again; slower beats are none."""


class MidiClock:
    """Follows clock, start, continue and stop; for the thread of the MIDI input."""

    def __init__(self, tempos: Tempos = TEMPOS) -> None:
        self._tempos = tempos
        self._times: deque[float] = deque(maxlen=WINDOW + 1)
        self._count = 0
        """Ticks since the song's start."""

    def take(self, kind: str, seconds: float) -> bool:
        """Return whether a message is one of the clock; change the tempo by it."""
        if kind == "start":
            self._count = 0
            self._times.clear()
        elif kind == "clock":
            self._tick(seconds)
        elif kind not in ("continue", "stop", "songpos"):
            return False
        return True

    def _tick(self, seconds: float) -> None:
        if self._times and not 0 <= seconds - self._times[-1] <= GAP_S:
            self._times.clear()
        self._times.append(seconds)
        number, self._count = self._count, self._count + 1
        ticks = len(self._times) - 1
        if ticks < MIN_TICKS or self._times[-1] <= self._times[0]:
            return
        bpm = 60 * ticks / PER_BEAT / (self._times[-1] - self._times[0])
        if BPM_RANGE[0] <= bpm <= BPM_RANGE[1]:
            self._tempos.set_common(Tempo(bpm, seconds, number / PER_BEAT))
