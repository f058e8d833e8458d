"""Spectra in the making, in the order in which their next parts are rendered."""

from __future__ import annotations

import heapq
from itertools import count

from gansynth_server.render.cache import Key
from gansynth_server.render.jobs import Ticket


class TicketQueue:
    """Tickets by rank, then by when their next frames are due; for one thread at a time.

    One ticket per key is open. Pushed again, it has another place.
    """

    def __init__(self) -> None:
        self._open: dict[Key, Ticket] = {}
        self._heap: list[tuple[int, float, int, Ticket]] = []
        self._entries = count()

    def get(self, key: Key) -> Ticket | None:
        """The open ticket of a key, queued or busy."""
        return self._open.get(key)

    def open(self, ticket: Ticket) -> None:
        self._open[ticket.key] = ticket
        self.push(ticket)

    def close(self, ticket: Ticket) -> None:
        """Takes a ticket out, if it is not out already."""
        if self._open.get(ticket.key) is ticket:
            del self._open[ticket.key]
        ticket.entry = -1

    def push(self, ticket: Ticket) -> None:
        ticket.entry = next(self._entries)
        heapq.heappush(self._heap, (ticket.rank, ticket.due, ticket.entry, ticket))

    def top(self) -> Ticket | None:
        """The next ticket, once entries that no longer count are gone."""
        while self._heap and self._heap[0][3].entry != self._heap[0][2]:
            heapq.heappop(self._heap)
        return self._heap[0][3] if self._heap else None

    def take(self) -> list[Ticket]:
        """The next tickets that can be rendered together, at least one; they are busy now."""
        ticket = first = self.top()
        assert first is not None
        part, rank = first.part, first.rank
        tickets: list[Ticket] = []
        while (
            ticket is not None
            and len(tickets) < part.batch
            and (ticket.key[0], ticket.part, ticket.rank) == (first.key[0], part, rank)
        ):
            heapq.heappop(self._heap)
            ticket.busy = True
            tickets.append(ticket)
            ticket = self.top()
        return tickets
