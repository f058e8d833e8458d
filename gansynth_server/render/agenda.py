"""The order of rendering: new notes, then window requests and rests of notes in turns."""

from __future__ import annotations

from gansynth_server.render.jobs import AHEAD, NEW, RenderTask
from gansynth_server.render.queue import RenderQueue
from gansynth_server.render.window_requests import WindowRequest, WindowRequests


class Agenda:
    """Heads of new notes, then requests and rests in turns, then prefetches; for one thread."""

    def __init__(self, tasks: RenderQueue, requests: WindowRequests) -> None:
        self._tasks = tasks
        self._requests = requests
        self._turn = False  # whether a rest comes before the next request

    @property
    def urgent(self) -> bool:
        """Return whether anything but prefetches waits."""
        first = self._tasks.top()
        return bool(self._requests) or (first is not None and first.rank < AHEAD)

    def take(self) -> tuple[list[WindowRequest], list[RenderTask]]:
        """Return what can be rendered together next: requests or tasks, at least one."""
        first = self._tasks.top()
        rest = first is not None and NEW < first.rank < AHEAD
        new = first is not None and first.rank == NEW
        if self._requests and not new and not (rest and self._turn):
            self._turn = True
            return self._requests.take(), []
        self._turn = False
        return [], self._tasks.take()
