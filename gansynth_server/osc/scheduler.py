"""Scheduler of messages: by their time tags, and fair between clients."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count

from gansynth_server.errors import UserError
from gansynth_server.osc.codec import Message

LEAD = 0.25
"""Time (s) before its due time at which a message is handled, so that its sound is rendered."""
HORIZON = 60.0
"""Longest time (s) ahead that a message may be sent."""
MAX_MESSAGES = 4096
MAX_PER_CLIENT = 2048
"""Timed messages that may wait, of all clients and of one; as many more that are due at once."""
MAX_BYTES = 16 << 20
MAX_BYTES_PER_CLIENT = 4 << 20
"""Bytes of all waiting messages, of all clients and of one."""


@dataclass(slots=True)
class Waiting:
    """A message, its client, its due time (s; None for at once) and its size (bytes)."""

    owner: Hashable
    message: Message
    when: float | None
    size: int


class Scheduler:
    """Messages by due time, then by arrival; those without a time come first. For one thread.

    Messages without a time are served round-robin by owner, each owner's in the
    order of arrival. All times are seconds of one clock.
    """

    def __init__(self, most: int = MAX_MESSAGES, share: int = MAX_PER_CLIENT) -> None:
        self._most, self._share = most, share
        self._queue: list[tuple[float, int, int, Waiting]] = []
        """Heap of messages by due time, turn, and order of arrival."""
        self._order = count()
        self._counts: Counter[tuple[Hashable, bool]] = Counter()
        self._totals: Counter[bool] = Counter()
        self._bytes: Counter[Hashable] = Counter()
        self._all_bytes = 0
        self._turn = 0
        self._turns: dict[Hashable, int] = {}
        """Last turn of each owner that has messages without a time."""

    def __len__(self) -> int:
        return len(self._queue)

    def waits(self, owner: Hashable) -> bool:
        """Return whether messages of an owner are waiting."""
        return bool(self._counts[owner, True] or self._counts[owner, False])

    def put(
        self,
        owner: Hashable,
        message: Message,
        when: float | None,
        now: float,
        size: int = 0,
    ) -> None:
        """Queue a message; UserError where too many wait, or its time is too far ahead."""
        if when is not None and when > now + HORIZON:
            raise UserError(
                f"its time is {when - now:.0f} s ahead; send it {HORIZON:g} s before at most"
            )
        timed = when is not None
        if self._totals[timed] >= self._most or self._counts[owner, timed] >= self._share:
            raise UserError(
                f"too many messages wait ({self._share} of a client, {self._most} in all); "
                "send them later, or in bundles of fewer"
            )
        if self._all_bytes + size > MAX_BYTES or self._bytes[owner] + size > MAX_BYTES_PER_CLIENT:
            raise UserError(
                f"too many messages wait ({MAX_BYTES_PER_CLIENT >> 20} MB of a client, "
                f"{MAX_BYTES >> 20} MB in all); send them later, or smaller ones"
            )
        due, turn = -math.inf, 0
        # the turn after its owner's last one, or after the one that was taken last
        if when is None:
            turn = self._turns[owner] = max(self._turn, self._turns.get(owner, 0)) + 1
        else:
            due = when - LEAD
        waiting = Waiting(owner, message, when, size)
        heapq.heappush(self._queue, (due, turn, next(self._order), waiting))
        self._counts[owner, timed] += 1
        self._totals[timed] += 1
        self._bytes[owner] += size
        self._all_bytes += size

    def take(self, now: float) -> Waiting | None:
        """Remove and return the next message that is due; None if there is none."""
        if not self._queue or self._queue[0][0] > now:
            return None
        _, turn, _, taken = heapq.heappop(self._queue)
        self._turn = max(self._turn, turn)
        self._forget(taken)
        return taken

    def pause(self, now: float) -> float | None:
        """Return the time (s) until the next message is due; None while there is none."""
        return max(0.0, self._queue[0][0] - now) if self._queue else None

    def clear(self, owner: Hashable) -> None:
        """Discard the timed messages of one owner."""
        kept = []
        for entry in self._queue:
            waiting = entry[-1]
            if waiting.owner == owner and waiting.when is not None:
                self._forget(waiting)
            else:
                kept.append(entry)
        self._queue = kept
        heapq.heapify(self._queue)

    def _forget(self, waiting: Waiting) -> None:
        timed = waiting.when is not None
        self._totals[timed] -= 1
        self._counts[waiting.owner, timed] -= 1
        self._bytes[waiting.owner] -= waiting.size
        self._all_bytes -= waiting.size
        if not self._counts[waiting.owner, timed]:
            del self._counts[waiting.owner, timed]
            if not timed:
                del self._turns[waiting.owner]
        if not self._bytes[waiting.owner]:
            del self._bytes[waiting.owner]
