"""Sessions: clients by their source address."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gansynth_server.engine.handle import BusHandle
from gansynth_server.errors import UserError
from gansynth_server.instrument.client import Client
from gansynth_server.net.access import new_token
from gansynth_server.osc.codec import Source

MIN_SILENCE_S = 5.0
"""Silence (s) after which a session makes room for another, when all places are taken."""
FACTOR = 3
"""Bytes that are sent to an unproven address for each one that came from it."""
MAX_CREDIT = 4096
"""Such bytes that can be saved up."""
MAX_GUESSES = 8
"""Numbers that may be tried before there is another one to guess."""

_log = logging.getLogger("gansynth_server.clients")


@dataclass(eq=False)
class Stream:
    """A client's sound, which it pulls block by block."""

    bus: BusHandle
    block: int
    """Frames."""
    ahead: int
    """Blocks that are asked for ahead of time."""
    id: int = field(default_factory=new_token)
    pulled: bool = False
    """Whether any block has been asked for."""

    @property
    def form(self) -> tuple[int, int, int, int]:
        """Rate, block, blocks ahead and channels."""
        return self.bus.rate, self.block, self.ahead, self.bus.channels

    @property
    def latency(self) -> float:
        """Time (s) from the voices to the listener."""
        return self.ahead * self.block / self.bus.rate + self.bus.delay

    def seconds(self, number: int, samples: float) -> float:
        """Return when (s) a sample counted from a block is due."""
        state = self.bus.state
        return state.block_seconds(number, samples, self.block, self.bus.rate)


@dataclass(eq=False)
class Session:
    """A source address and its client."""

    source: Source
    client: Client
    seen: float
    own: Client | None = None
    """Its own client, while ``client`` is a shared one."""
    notified: bool = False
    reply_port: int = 0
    """UDP port on the same host that replies go to; 0 is where its messages come from."""
    stream: Stream | None = None
    spectrum: NDArray[np.float32] | None = None
    """Spectrum that was asked for last, [frames, bins, 2]."""
    proven: bool = True
    """True if it is known to receive what is sent to its address."""
    token: int = field(default_factory=new_token)
    """Number that ``/login`` tells it, to be repeated."""
    forget_stream: Callable[[Session], None] = lambda session: None
    """Ends its stream, once too many numbers were tried."""
    _credit: int = 0
    _guesses: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def reply_source(self) -> Source:
        """Where replies go to."""
        if not self.reply_port:
            return self.source
        host, port = self.source[0], self.reply_port
        # an IPv6 source has two numbers more, of which one is that of its network
        return (host, port, *self.source[2:])

    def heard(self, size: int, now: float) -> None:
        """Count bytes that came from the source."""
        self.seen = now
        if not self.proven:
            with self._lock:
                self._credit = min(self._credit + FACTOR * size, MAX_CREDIT)

    def affords(self, size: int) -> bool:
        """Return whether so many bytes may be sent to the source; any thread."""
        if self.proven:
            return True
        with self._lock:
            if size > self._credit:
                return False
            self._credit -= size
        return True

    def prove(self, right: bool) -> bool:
        """Take note of a number that only a client at this address can know, right or wrong;
        return whether the address is proven."""
        if right and not self.proven:
            self.proven = True
            _log.info("client %d hears us at %s:%s", self.client.number, *self.source[:2])
        elif not self.proven:
            self._guesses += 1
            if self._guesses >= MAX_GUESSES:
                self._guesses, self.token = 0, new_token()
                self.forget_stream(self)
        return self.proven


class Sessions:
    """All sessions; ``at`` and ``sweep`` belong to the OSC thread, the rest to any.

    Args:
        most: sessions at once.
        add_client: makes the client of a new session, by its number.
        busy: whether notes of a session sound, or something waits for its time.
        on_forgotten: is given each session that is forgotten.
        forget_stream: ends the stream of a session.
        timeout: time (s) without a datagram after which one is, unless it is busy.
    """

    def __init__(
        self,
        most: int,
        add_client: Callable[[int], Client],
        busy: Callable[[Session], bool],
        on_forgotten: Callable[[Session], None],
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        forget_stream: Callable[[Session], None] = lambda session: None,
    ) -> None:
        self._most, self._add_client, self._busy = most, add_client, busy
        self._on_forgotten, self._timeout, self._clock = on_forgotten, timeout, clock
        self._forget_stream = forget_stream
        self._sessions: dict[Source, Session] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, source: Source) -> Session | None:
        """Return the session of an address, if there is one."""
        return self._sessions.get(source)

    def at(self, source: Source, proven: bool = True) -> Session:
        """Return the session of an address, a new one if need be; UserError without room."""
        session = self._sessions.get(source)
        if session is None:
            if len(self._sessions) >= self._most:
                self._make_room()
            self._numbers += 1
            client = self._add_client(self._numbers)
            session = self._sessions[source] = Session(
                *(source, client, self._clock()), proven=proven, forget_stream=self._forget_stream
            )
            _log.info("client %d is %s:%s", self._numbers, *source[:2])
        return session

    def of(self, client: object) -> Session | None:
        """Return the session of a client, unless it is gone."""
        return next((p for p in list(self._sessions.values()) if p.client is client), None)

    def clients(self) -> list[Client]:
        """Return all clients, also those of sessions that share another."""
        sessions = list(self._sessions.values())
        return [c for session in sessions for c in (session.client, session.own) if c is not None]

    @property
    def streams(self) -> int:
        """Open streams."""
        return sum(session.stream is not None for session in list(self._sessions.values()))

    def stream(self, id: int) -> Stream:
        """Return the stream of a number; UserError if there is none."""
        session = self.pulling(id)
        if session is None or session.stream is None:
            raise UserError("no such stream; its owner is told the number by /done /stream/open")
        return session.stream

    def pulling(self, id: int) -> Session | None:
        """Return the session whose stream has this number, if there is one."""
        sessions = list(self._sessions.values())
        return next((s for s in sessions if s.stream is not None and s.stream.id == id), None)

    def heard_on(self, bus: BusHandle) -> list[Session]:
        """Return the sessions whose clients are heard on a bus."""
        return [session for session in list(self._sessions.values()) if session.client.bus is bus]

    def sweep(self) -> None:
        """Forget sessions that have been silent for too long."""
        for session in self._silent(self._timeout):
            self._forget(session)

    def _silent(self, seconds: float) -> list[Session]:
        """Return the sessions that sent nothing for a while and are not busy."""
        since = self._clock() - seconds
        silent = [session for session in self._sessions.values() if session.seen <= since]
        return [session for session in silent if not self._busy(session)]

    def _make_room(self) -> None:
        """Forget an unproven session, or else a silent one."""
        unproven = [session for session in self._sessions.values() if not session.proven]
        candidates = unproven or self._silent(min(MIN_SILENCE_S, self._timeout))
        if not candidates:
            raise UserError(f"all {self._most} places are taken; raise --max-clients")
        self._forget(min(candidates, key=lambda session: session.seen))

    def _forget(self, session: Session) -> None:
        del self._sessions[session.source]
        self._on_forgotten(session)
        silence = self._clock() - session.seen
        _log.info("client %d was silent for %.0f s: forgotten", session.client.number, silence)
