"""Rates of messages and bytes by source."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

BURST_S = 2.0
"""Time (s) whose traffic at the full rate may come at once."""
BYTES_PER_MESSAGE = 800
"""Rate of bytes for each message a second."""
MAX_SOURCES = 4096
"""Sources that are remembered; the one that was silent longest is forgotten."""
COMPLAINT_PERIOD_S = 1.0
"""Time (s) from one complaint to a source to the next."""


class Bucket:
    """A token bucket: ``rate`` a second, and what was saved up in BURST_S at most."""

    __slots__ = ("_full", "_level", "_rate", "_seen")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._full = self._level = rate * BURST_S
        self._seen = now

    def take(self, amount: float, now: float) -> bool:
        """Take an amount if so much is left; return whether it was."""
        self._level = min(self._full, self._level + self._rate * (now - self._seen))
        self._seen = now
        if amount > self._level:
            return False
        self._level -= amount
        return True


@dataclass(slots=True)
class _Sender:
    messages: Bucket
    bytes: Bucket
    told: float = -COMPLAINT_PERIOD_S
    """Time (s) of the last complaint."""
    untold: int = 0
    """Complaints since then."""


class RateLimit:
    """Messages and bytes a second of each source; used by one thread.

    Args:
        rate: messages a second of one source; 0 is no limit.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._senders: OrderedDict[Hashable, _Sender] = OrderedDict()

    def datagram(self, source: Hashable, size: int, now: float) -> bool:
        """Return whether a datagram may be decoded."""
        if not self._rate:
            return True
        sender = self._sender(source, now)
        return sender.bytes.take(size, now) and sender.messages.take(1, now)

    def messages(self, source: Hashable, count: int, now: float) -> bool:
        """Return whether so many messages may be handled; the first was counted already."""
        return not self._rate or self._sender(source, now).messages.take(count - 1, now)

    def complaint(self, source: Hashable, now: float) -> int | None:
        """Return how many complaints were not sent before this one; None if this one is not."""
        sender = self._sender(source, now)
        if now - sender.told < COMPLAINT_PERIOD_S:
            sender.untold += 1
            return None
        spared, sender.untold, sender.told = sender.untold, 0, now
        return spared

    def _sender(self, source: Hashable, now: float) -> _Sender:
        sender = self._senders.get(source)
        if sender is None:
            if len(self._senders) >= MAX_SOURCES:
                self._senders.popitem(last=False)
            sender = _Sender(Bucket(self._rate, now), Bucket(self._rate * BYTES_PER_MESSAGE, now))
            self._senders[source] = sender
        self._senders.move_to_end(source)
        return sender
