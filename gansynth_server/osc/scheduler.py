"""Messages that wait for their time."""

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
"""Seconds before its time that a message is handled: by then its sound is rendered."""
HORIZON = 60.0
"""Seconds ahead that a message may be sent."""
MAX_MESSAGES = 4096
MAX_PER_CLIENT = 2048
"""Messages that may wait, of all clients and of one; as many again that are for now."""
MAX_BYTES = 16 << 20
MAX_BYTES_PER_CLIENT = 4 << 20
"""Bytes of them, timed or not."""


@dataclass(slots=True)
class Waiting:
    """A message of so many bytes, who sent it, and for when: seconds, or None for at once."""

    owner: Hashable
    message: Message
    when: float | None
    size: int


class Scheduler:
    """Messages by time, then by arrival; those for now come first. Used by one thread.

    Of those for now the owners come in turns, each with its own in their order:
    a message gets the turn after its owner's last, or after the one that was
    taken last. All times are seconds of one clock.
    """

    def __init__(self, most: int = MAX_MESSAGES, share: int = MAX_PER_CLIENT) -> None:
        self._most, self._share = most, share
        self._queue: list[tuple[float, int, int, Waiting]] = []
        """When each is due, its turn, and the order in which they came."""
        self._order = count()
        self._counts: Counter[tuple[Hashable, bool]] = Counter()
        self._totals: Counter[bool] = Counter()
        self._bytes: Counter[Hashable] = Counter()
        self._all_bytes = 0
        self._turn = 0
        self._turns: dict[Hashable, int] = {}  # the last of each owner that has messages for now

    def __len__(self) -> int:
        return len(self._queue)

    def waits(self, owner: Hashable) -> bool:
        """Whether messages of an owner wait."""
        return bool(self._counts[owner, True] or self._counts[owner, False])

    def put(
        self,
        owner: Hashable,
        message: Message,
        when: float | None,
        now: float,
        size: int = 0,
    ) -> None:
        """Queues a message of so many bytes; UserError where too many wait, or it is for too
        late a time."""
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
        """The next message that is due; None if there is none."""
        if not self._queue or self._queue[0][0] > now:
            return None
        _, turn, _, taken = heapq.heappop(self._queue)
        self._turn = max(self._turn, turn)
        self._forget(taken)
        return taken

    def pause(self, now: float) -> float | None:
        """Seconds until the next message is due; None while there is none."""
        return max(0.0, self._queue[0][0] - now) if self._queue else None

    def clear(self, owner: Hashable) -> None:
        """Forgets what waits for its time, of one owner."""
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
