"""Bounds of what anybody may send: rates by source, and queues in which all come in turns."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

SECONDS = 2.0
"""Of traffic at the full rate that may come at one go."""
BYTES_PER_MESSAGE = 800
"""The rate of bytes, by that of messages."""
MOST_SOURCES = 4096
"""Sources that are remembered; the one that was silent longest is forgotten."""
PAUSE = 1.0
"""Seconds from one complaint to a source to the next."""


class Bucket:
    """A token bucket: ``rate`` a second, and what was saved up in SECONDS at most."""

    __slots__ = ("_full", "_level", "_rate", "_seen")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._full = self._level = rate * SECONDS
        self._seen = now

    def take(self, amount: float, now: float) -> bool:
        """Whether there is so much left; then it is taken."""
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
    told: float = -PAUSE
    """When it was last complained to."""
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
        """Whether a datagram may be looked at."""
        if not self._rate:
            return True
        sender = self._sender(source, now)
        return sender.bytes.take(size, now) and sender.messages.take(1, now)

    def messages(self, source: Hashable, count: int, now: float) -> bool:
        """Whether so many messages may be handled, the first of which was counted already."""
        return not self._rate or self._sender(source, now).messages.take(count - 1, now)

    def complaint(self, source: Hashable, now: float) -> int | None:
        """How many complaints a source was spared before this one; None spares it this one."""
        sender = self._sender(source, now)
        if now - sender.told < PAUSE:
            sender.untold += 1
            return None
        spared, sender.untold, sender.told = sender.untold, 0, now
        return spared

    def _sender(self, source: Hashable, now: float) -> _Sender:
        sender = self._senders.get(source)
        if sender is None:
            if len(self._senders) >= MOST_SOURCES:
                self._senders.popitem(last=False)
            sender = _Sender(Bucket(self._rate, now), Bucket(self._rate * BYTES_PER_MESSAGE, now))
            self._senders[source] = sender
        self._senders.move_to_end(source)
        return sender


@dataclass(slots=True)
class _Line(Generic[T]):
    items: deque[tuple[T, int]] = field(default_factory=deque)
    size: int = 0


class Turns(Generic[T]):
    """A queue in which owners come in turns, each with its items in their order.

    Args:
        most: items that may wait, in all.
        share: items that may wait, of one owner.
        size: of the items that may wait, in all; an owner has a quarter of it.
    """

    def __init__(self, most: int, share: int, size: int) -> None:
        self._most, self._share, self._size = most, share, size
        self._lines: OrderedDict[Hashable, _Line[T]] = OrderedDict()
        self._count = 0
        self._total = 0

    def __len__(self) -> int:
        return self._count

    @property
    def owners(self) -> int:
        """Who has something waiting."""
        return len(self._lines)

    def put(self, owner: Hashable, item: T, size: int = 0) -> bool:
        """Queues an item; False where there is no room for it."""
        line = self._lines.get(owner)
        waiting, waiting_size = (len(line.items), line.size) if line else (0, 0)
        if (
            self._count >= self._most
            or waiting >= self._share
            or self._total + size > self._size
            or waiting_size + size > self._size // 4
        ):
            return False
        if line is None:
            line = self._lines[owner] = _Line()
        line.items.append((item, size))
        line.size += size
        self._count += 1
        self._total += size
        return True

    def take(self) -> T:
        """The next item of the owner whose turn it is; KeyError if there is none."""
        owner, line = next(iter(self._lines.items())) if self._lines else (None, None)
        if line is None:
            raise KeyError("nothing waits")
        item, size = line.items.popleft()
        line.size -= size
        self._count -= 1
        self._total -= size
        if line.items:
            self._lines.move_to_end(owner)
        else:
            del self._lines[owner]
        return item
