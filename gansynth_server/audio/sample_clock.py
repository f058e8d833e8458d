"""The link between a clock's seconds and a listener's samples."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

JUMP = 0.050
"""Offset error (s) from which a stream has stood still, or counts from the beginning again."""
YOUNG = 1.0
"""Time (s) after a jump in which the link is still being found."""
WINDOW = 5
"""Number of past seconds, of each of which the earliest block counts."""
DEAD_BAND = 0.002
"""Offset error (s) up to which the link is left as it is."""
SLEW = 500e-6
"""Speed (s per s) at which it is led back: half a millisecond a second, which is inaudible."""
STILL = 1.0
"""Time (s) without a block after which a stream stands still."""


class ClockFit(NamedTuple):
    """Samples = rate · seconds + offset; the offset moves from ``since`` to ``until``."""

    offset: float
    since: float
    until: float
    slope: float

    def at(self, seconds: float) -> float:
        """Return the offset (samples) at a time (s)."""
        return self.offset + self.slope * (min(max(seconds, self.since), self.until) - self.since)


class ClockLink:
    """Links a clock to the samples of a Pd stream or a sound card.

    As in scsynth, a time T means the sample that is rendered at time T, so
    whatever is sent ahead is heard one constant latency later, and in time.

    Blocks come late by some milliseconds, in bursts after a hold-up, but hardly
    ever early. So a block counts only if it is the earliest of its second,
    and the line through the earliest ones of the last 5 s, with the nominal rate
    as its slope, is the link. The line is kept as it is while it is off by less
    than 2 ms: two events are as many samples apart as their times say. A
    clock that drifts leaves that band (at 100 ppm after 20 s) and the line is
    led back by 0.5 ms a second. (A delay-locked loop, Adriaensen 2005, is
    never off, but never still either.)

    A stream that is off by more than 50 ms has jumped: Pd was suspended, its
    DSP switched off and on, it missed blocks for good. Then a new link is made
    at once. Should the stream have been held up only and catch up what it
    missed, the line before is taken up again, with all its distances.

    Args:
        rate: samples per second, nominally.
        clock: seconds; the one that the times refer to.
    """

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._line: ClockFit | None = None
        self._before: ClockFit | None = None
        self._born = -YOUNG
        self._seen = 0.0
        self._asked = 0
        self._earliest: deque[tuple[int, float]] = deque(maxlen=WINDOW)  # by second: offsets

    def sample(self, seconds: float) -> int:
        """Return the sample at a time (s); that of the next block while the stream is still."""
        line = self._line
        if line is None or self._clock() - self._seen > STILL:
            return self._asked
        return round(self._rate * seconds + line.at(seconds))

    def seconds(self, sample: float) -> float:
        """Return the time (s) of a sample, as far as can be told now."""
        line = self._line
        if line is None:
            return self._clock()
        about = (sample - line.offset) / self._rate
        return (sample - line.at(about)) / self._rate

    def place(self, when: float | None, cause: object) -> int:
        return 0 if when is None else self.sample(when)

    @property
    def idle(self) -> bool:
        """Return whether the listener has stopped asking for samples."""
        return self._line is None or self._clock() - self._seen > STILL

    def rendered(self, sample: int) -> None:
        """Take note that so many samples have been asked for, the last of them just now."""
        now = self._clock()
        offset = sample - self._rate * now
        line, before = self._line, self._before
        if before is not None and self._near(before, now, offset):
            self._line, self._before = before, None
            self._born = now - YOUNG
        elif line is None or not self._near(line, now, offset):
            if now - self._born >= YOUNG:
                self._before = line
            self._line, self._born = _straight(offset), now
            self._earliest.clear()
        elif now - self._born < YOUNG:
            if offset > line.at(now):
                self._line = _straight(offset)
        else:
            self._before = None
            self._follow(now, offset, line)
        self._seen, self._asked = now, sample

    def _near(self, line: ClockFit, now: float, offset: float) -> bool:
        return abs(offset - line.at(now)) <= JUMP * self._rate

    def _follow(self, now: float, offset: float, line: ClockFit) -> None:
        second = int(now)
        if self._earliest and self._earliest[-1][0] == second:
            self._earliest[-1] = second, max(offset, self._earliest[-1][1])
            return
        if len(self._earliest) == WINDOW and now >= line.until:
            wanted = max(earliest for _, earliest in self._earliest)
            off = wanted - line.at(now)
            if abs(off) > DEAD_BAND * self._rate:
                slope = SLEW * self._rate * (1 if off > 0 else -1)
                self._line = ClockFit(line.at(now), now, now + off / slope, slope)
        self._earliest.append((second, offset))


def _straight(offset: float) -> ClockFit:
    return ClockFit(offset, 0.0, 0.0, 0.0)
