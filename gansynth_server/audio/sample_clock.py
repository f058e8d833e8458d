"""The link between a clock's seconds and a listener's samples."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from gansynth_server.synth.link import LinkState

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
        self._clock = clock
        self.state = LinkState(rate)
        self._found = False
        self._before: LinkState | None = None
        self._born = -YOUNG
        self._earliest: deque[tuple[int, float]] = deque(maxlen=WINDOW)  # by second: offsets

    def sample(self, seconds: float) -> int:
        """Return the sample at a time (s); that of the next block while the stream is still."""
        if self.state.idle(self._clock()):
            return round(self.state.asked)
        return self.state.sample(seconds)

    def rendered(self, sample: int) -> None:
        """Take note that so many samples have been asked for, the last of them just now."""
        now = self._clock()
        line, before = self.state, self._before
        offset = sample - line.rate * now
        if before is not None and self._near(before, now, offset):
            line, self._before = before, None
            self._born = now - YOUNG
        elif not self._found or not self._near(line, now, offset):
            if now - self._born >= YOUNG:
                self._before = line if self._found else None
            line, self._born, self._found = _straight(line, offset), now, True
            self._earliest.clear()
        elif now - self._born < YOUNG:
            if offset > line.at(now):
                line = _straight(line, offset)
        else:
            self._before = None
            line = self._followed(line, now, offset)
        self.state = line._replace(seen=now, asked=sample)

    def _near(self, line: LinkState, now: float, offset: float) -> bool:
        return abs(offset - line.at(now)) <= JUMP * line.rate

    def _followed(self, line: LinkState, now: float, offset: float) -> LinkState:
        """Return the line, or one that leads to the earliest blocks of late."""
        second = int(now)
        if self._earliest and self._earliest[-1][0] == second:
            self._earliest[-1] = second, max(offset, self._earliest[-1][1])
            return line
        if len(self._earliest) == WINDOW and now >= line.until:
            wanted = max(earliest for _, earliest in self._earliest)
            off = wanted - line.at(now)
            if abs(off) > DEAD_BAND * line.rate:
                slope = SLEW * line.rate * (1 if off > 0 else -1)
                moved = {"offset": line.at(now), "since": now, "until": now + off / slope}
                line = line._replace(slope=slope, **moved)
        self._earliest.append((second, offset))
        return line


def _straight(line: LinkState, offset: float) -> LinkState:
    return LinkState(line.rate, line.seen, line.asked, offset)
