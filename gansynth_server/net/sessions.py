"""Who is at the other end of the wire: clients by their source address."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.instrument.client import Client
from gansynth_server.net.access import new_token
from gansynth_server.net.streams import PullStream
from gansynth_server.osc.codec import Source
from gansynth_server.synth.bus import Bus

GRACE = 5.0
"""Seconds of silence after which a client makes room for another, when all places are taken."""
FACTOR = 3
"""Bytes that are sent for each one that came, to an address that is not proved."""
MAX_CREDIT = 4096
"""Such bytes that can be saved up."""
MAX_GUESSES = 8
"""Numbers that may be tried before there is another one to be guessed."""

_log = logging.getLogger("gansynth_server.clients")


@dataclass(eq=False)
class Session:
    """A client as the wire knows it."""

    source: Source
    client: Client
    seen: float
    own: Client | None = None
    """Its own one, while it shares another's."""
    notified: bool = False
    stream: PullStream | None = None
    spectrum: NDArray[np.float32] | None = None
    """The last that was asked for: [frames, bins, 2]."""
    proven: bool = True
    """Whether it is known to hear what is sent to its address."""
    token: int = field(default_factory=new_token)
    """What ``/login`` tells it, to be repeated."""
    _credit: int = 0
    _guesses: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def heard(self, size: int, now: float) -> None:
        """Notes that so many bytes came from it."""
        self.seen = now
        if not self.proven:
            with self._lock:
                self._credit = min(self._credit + FACTOR * size, MAX_CREDIT)

    def affords(self, size: int) -> bool:
        """Whether so many bytes may be sent to its address; any thread."""
        if self.proven:
            return True
        with self._lock:
            if size > self._credit:
                return False
            self._credit -= size
        return True

    def prove(self, right: bool) -> bool:
        """Notes whether it knew a number that only who hears us can know."""
        if right and not self.proven:
            self.proven = True
            _log.info("client %d hears us at %s:%s", self.client.number, *self.source[:2])
        elif not self.proven:
            self._guesses += 1
            if self._guesses >= MAX_GUESSES:
                self._guesses, self.token, self.stream = 0, new_token(), None
        return self.proven


class Sessions:
    """All peers; ``at`` and ``sweep`` belong to the OSC thread, the rest to any.

    Args:
        most: peers at once.
        join: makes the client of a new peer, by its number.
        busy: whether notes of a peer sound, or something waits for its time.
        leave: is given each peer that is forgotten.
        patience: seconds without a datagram after which one is, unless it is busy.
    """

    def __init__(
        self,
        most: int,
        join: Callable[[int], Client],
        busy: Callable[[Session], bool],
        leave: Callable[[Session], None],
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._join, self._busy, self._leave = most, join, busy, leave
        self._patience, self._clock = patience, clock
        self._sessions: dict[Source, Session] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, source: Source) -> Session | None:
        """The peer at an address, if there is one."""
        return self._sessions.get(source)

    def at(self, source: Source, proven: bool = True) -> Session:
        """The peer at an address, a new one if need be; UserError when there is no room."""
        session = self._sessions.get(source)
        if session is None:
            if len(self._sessions) >= self._most:
                self._make_room()
            self._numbers += 1
            client = self._join(self._numbers)
            session = self._sessions[source] = Session(source, client, self._clock(), proven=proven)
            _log.info("client %d is %s:%s", self._numbers, *source[:2])
        return session

    def of(self, client: object) -> Session | None:
        """The peer of a client, unless it is gone."""
        return next((p for p in list(self._sessions.values()) if p.client is client), None)

    def clients(self) -> list[Client]:
        """All clients, also those of peers that share another's."""
        sessions = list(self._sessions.values())
        return [c for session in sessions for c in (session.client, session.own) if c is not None]

    @property
    def streams(self) -> int:
        """How many are open."""
        return sum(session.stream is not None for session in list(self._sessions.values()))

    def stream(self, id: int) -> PullStream:
        """The stream of a number; UserError if nobody has it."""
        for session in list(self._sessions.values()):
            if session.stream is not None and session.stream.id == id:
                return session.stream
        raise UserError("no such stream; its owner is told the number by /done /stream/open")

    def heard_on(self, bus: Bus) -> list[Session]:
        """The peers whose notes sound on a bus."""
        return [session for session in list(self._sessions.values()) if session.client.bus is bus]

    def sweep(self) -> None:
        """Forgets those that have been silent for too long."""
        for session in self._silent(self._patience):
            self._forget(session)

    def _silent(self, seconds: float) -> list[Session]:
        """Those that sent nothing for a while and are not busy."""
        since = self._clock() - seconds
        silent = [session for session in self._sessions.values() if session.seen <= since]
        return [session for session in silent if not self._busy(session)]

    def _make_room(self) -> None:
        """Forgets one of those that are not known to be there, else of the silent ones."""
        unproven = [session for session in self._sessions.values() if not session.proven]
        candidates = unproven or self._silent(min(GRACE, self._patience))
        if not candidates:
            raise UserError(f"all {self._most} places are taken; raise --max-clients")
        self._forget(min(candidates, key=lambda session: session.seen))

    def _forget(self, session: Session) -> None:
        del self._sessions[session.source]
        self._leave(session)
        silence = self._clock() - session.seen
        _log.info("client %d was silent for %.0f s: forgotten", session.client.number, silence)
