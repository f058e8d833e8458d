"""Spectra in the making, in the order in which their next parts are rendered."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable
from itertools import count

from gansynth_server.render.jobs import AHEAD, NEW, REST, Ticket
from gansynth_server.render.spectrum_cache import Key

FEW = 64
"""Entries that need not be looked through."""
_Heap = list[tuple[float, int, Ticket]]


class TicketQueue:
    """Tickets by rank; within a rank the owners in turns, each with its own by when their next
    frames are due. For one thread at a time.

    One ticket per key is open. Pushed again, it has another place. A ticket that
    several owners wait for comes when the first of them has its turn.
    """

    def __init__(self) -> None:
        self._open: dict[Key, Ticket] = {}
        self._ranks: dict[int, OrderedDict[Hashable, _Heap]]
        self._ranks = {rank: OrderedDict() for rank in (NEW, REST, AHEAD)}
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
        owners = self._ranks[ticket.rank]
        for owner in ticket.owners:
            heap = owners.setdefault(owner, [])
            if len(heap) > FEW + 2 * len(self._open):  # most of them no longer count
                heap[:] = [entry for entry in heap if entry[2].entry == entry[1]]
                heapq.heapify(heap)
            heapq.heappush(heap, (ticket.due, ticket.entry, ticket))

    def top(self) -> Ticket | None:
        """The next ticket."""
        first = self._first()
        return None if first is None else first[2]

    def take(self) -> list[Ticket]:
        """The next tickets that can be rendered together, at least one; they are busy now."""
        first = self._first()
        assert first is not None
        key, part, rank = first[2].key, first[2].part, first[2].rank
        tickets: list[Ticket] = []
        while (
            first is not None
            and len(tickets) < part.batch
            and (first[2].key[0], first[2].part, first[2].rank) == (key[0], part, rank)
        ):
            owners, owner, ticket = first
            ticket.busy, ticket.entry = True, -1
            owners.move_to_end(owner)
            tickets.append(ticket)
            first = self._first()
        return tickets

    def stale(self) -> list[Ticket]:
        """Rests that nobody wants any more, of those that are their owners' next; busy now.

        While heads keep coming no rest has its turn, and these would pile up.
        """
        found = []
        for heap in self._ranks[REST].values():
            ticket = heap[0][2] if heap else None
            if (
                ticket is not None
                and ticket.entry == heap[0][1]
                and ticket.ready
                and not any(job.wanted() for job in ticket.jobs)
            ):
                heapq.heappop(heap)
                ticket.busy, ticket.entry = True, -1
                found.append(ticket)
        return found

    def _first(self) -> tuple[OrderedDict[Hashable, _Heap], Hashable, Ticket] | None:
        """The next ticket, with its rank's owners and whose turn it is; entries that no longer
        count are gone."""
        for owners in self._ranks.values():
            while owners:
                owner, heap = next(iter(owners.items()))
                while heap and heap[0][2].entry != heap[0][1]:
                    heapq.heappop(heap)
                if heap:
                    return owners, owner, heap[0][2]
                del owners[owner]
        return None
