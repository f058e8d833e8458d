"""Which comes next: a new note, a request or the rest of a note."""

from __future__ import annotations

from gansynth_server.render.jobs import AHEAD, NEW, Ticket
from gansynth_server.render.queue import TicketQueue
from gansynth_server.render.window_requests import Request, Requests


class Agenda:
    """Heads of new notes, then requests and rests in turns, then wishes; for one thread."""

    def __init__(self, tickets: TicketQueue, requests: Requests) -> None:
        self._tickets = tickets
        self._requests = requests
        self._turn = False  # whether a rest comes before the next request

    @property
    def urgent(self) -> bool:
        """Whether somebody waits."""
        first = self._tickets.top()
        return bool(self._requests) or (first is not None and first.rank < AHEAD)

    def take(self) -> tuple[list[Request], list[Ticket]]:
        """What can be rendered together next: requests or tickets, at least one."""
        first = self._tickets.top()
        rest = first is not None and NEW < first.rank < AHEAD
        new = first is not None and first.rank == NEW
        if self._requests and not new and not (rest and self._turn):
            self._turn = True
            return self._requests.take(), []
        self._turn = False
        return [], self._tickets.take()
