"""The relation between the seconds of a clock and the samples of a listener."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

STILL = 1.0
"""Time (s) without a block after which a listener stands still."""


class LinkState(NamedTuple):
    """Samples = rate · seconds + offset; the offset moves from ``since`` to ``until``.

    All are numbers, so that a link can be read in another process.
    """

    rate: float
    """Samples per second."""
    seen: float = -math.inf
    """Time (s) at which samples were asked for last."""
    asked: float = 0.0
    """Samples asked for so far."""
    offset: float = 0.0
    since: float = 0.0
    until: float = 0.0
    slope: float = 0.0
    """Samples by which the offset moves each second."""

    def idle(self, now: float) -> bool:
        """Return whether the listener has stopped asking for samples, so that commands wait."""
        return now - self.seen > STILL

    def at(self, seconds: float) -> float:
        """Return the offset (samples) at a time (s)."""
        return self.offset + self.slope * (min(max(seconds, self.since), self.until) - self.since)

    def sample(self, seconds: float) -> int:
        """Return the sample at a time (s)."""
        return round(self.rate * seconds + self.at(seconds))

    def seconds(self, sample: float) -> float:
        """Return the time (s) of a sample."""
        about = (sample - self.offset) / self.rate
        return (sample - self.at(about)) / self.rate


class Link(Protocol):
    """Links a clock to the samples of one listener."""

    @property
    def state(self) -> LinkState: ...

    def rendered(self, sample: int) -> None:
        """Take note that so many samples have been asked for, the last of them just now."""
        ...

    def sample(self, seconds: float) -> int:
        """Return the sample at a time (s)."""
        ...


class SteadyLink:
    """Counts time by the samples themselves: for sound that no listener waits for."""

    def __init__(self, rate: int) -> None:
        self.state = LinkState(rate, seen=math.inf)

    def rendered(self, sample: int) -> None:
        """Do nothing: time is what is rendered."""

    def sample(self, seconds: float) -> int:
        return self.state.sample(seconds)
