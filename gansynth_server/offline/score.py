"""A score through the instrument and the voices of the live server, as fast as they go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server import handlers
from gansynth_server.engine.commands import CAUSE, Timed
from gansynth_server.errors import UserError
from gansynth_server.handlers.host import Task
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.client import Client
from gansynth_server.instrument.offline_player import OfflinePlayer
from gansynth_server.net.sessions import Session
from gansynth_server.offline.score_file import MAX_SECONDS, Event, Setting
from gansynth_server.osc.codec import Source
from gansynth_server.osc.dispatch import dispatch
from gansynth_server.osc.schema import Row
from gansynth_server.render.models import Models
from gansynth_server.util.sandbox import SandboxedFolder

TAIL = 60.0
"""Seconds after the last event in which notes may end by themselves; then they are released."""


def _place(timed: Timed) -> float | None:
    """Return when (s) a command is due: what an event does at its own time, at that of the event;
    time is counted by the samples."""
    cause = timed.cause
    if isinstance(cause, Event) and timed.when in (None, cause.when):
        return cause.time
    return timed.when


class Score:
    """An offline :class:`Host` that plays events in their order on one bus.

    Args:
        models: where the checkpoints come from.
        root: files that messages name.
        seconds: length; None is until the last voice is silent.

    Raises:
        UserError: the checkpoint or the rate cannot be had.
    """

    def __init__(
        self, setting: Setting, models: Models, root: SandboxedFolder, seconds: float | None = None
    ) -> None:
        self.models, self.root, self.background = models, root, self
        self._seconds = seconds
        self._player = OfflinePlayer(
            *(setting.rate, setting.max_voices, setting.channels, self._tell),
            seed=setting.seed,
            place=_place,
        )
        self.instrument = self._player.instrument
        self._model = models.get(setting.checkpoint)
        self._handlers = handlers.playing(self)
        self._sessions: dict[int, Session] = {}
        self._place = ""

    def run(
        self, request: Request, address: str, work: Callable[[], None], task: Task = Task.FILE
    ) -> None:
        """Do at once what takes time."""
        work()

    def play(self, events: Sequence[Event]) -> Iterator[NDArray[np.float32]]:
        """Yield the sound block by block: float32 [channels, frames] each.

        Raises:
            UserError: a message cannot be played; names its place in the score.
        """
        # nothing that is still to be dealt with is heard before this
        floors = list(accumulate(reversed([event.time for event in events]), min))[::-1]
        done = 0
        while done < len(events):
            yield from self._player.advance(self._limit(floors[done]))
            first = done
            while done < len(events) and floors[done] <= floors[first] + events[done].ahead:
                if not events[done].message.address.startswith("/note"):
                    self._player.work()  # it might silence what is still to be rendered
                self._handle(events[done])
                done += 1
            self._player.work()
        last = max(event.time for event in events)
        yield from self._end(last)

    def _limit(self, seconds: float) -> float:
        return min(seconds, self._seconds or MAX_SECONDS + TAIL)

    def _end(self, last: float) -> Iterator[NDArray[np.float32]]:
        """Yield what sounds after the last event."""
        if self._seconds is not None:
            yield from self._player.advance(self._seconds)
            return
        yield from self._player.advance(last)
        playing = [session.client.hallucination for session in self._sessions.values()]
        last = self._limit(max([last, *(h.end for h in playing if h is not None)]))
        yield from self._player.ring_out(last + TAIL)
        self._player.now = last + TAIL
        for session in self._sessions.values():
            self.instrument.pedal(session.client, False)
            self.instrument.release_all(session.client)
        yield from self._player.ring_out(last + 2 * TAIL)
        yield self._player.block(self._player.delay + 1)

    def _handle(self, event: Event) -> None:
        session = self._sessions.get(event.client) or self._join(event.client)
        self._player.now, self._place = event.when, event.place
        # what was asked for at once is played at once again
        request = Request(session, self._hear, None if event.when == event.asked else event.when)

        def handle(row: Row, args: list[Any]) -> None:
            self._handlers(request, row, args)

        token = CAUSE.set(event)
        try:
            dispatch(event.message, handle, self._fail)
        finally:
            CAUSE.reset(token)

    def _join(self, number: int) -> Session:
        client = self.instrument.add_client(number, self._model, self._player.bus)
        session = self._sessions[number] = Session(("score", number), client, 0.0)
        return session

    def _fail(self, address: str, why: str) -> None:
        raise UserError(f"{self._place}: {address}: {why}")

    def _tell(self, client: Client, address: str, *args: Any) -> None:
        if address == "/fail":
            self._fail(*args)

    def _hear(self, source: Source, datagram: bytes) -> None:
        """Drop a reply: a score has no client that reads it."""
