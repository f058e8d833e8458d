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
from gansynth_server.synth.bus import Bus

Source = tuple[str, int]

GRACE = 5.0
"""Seconds of silence after which a client makes room for another, when all places are taken."""
FACTOR = 3
"""Bytes that are sent for each one that came, to an address that is not proved."""
MOST_CREDIT = 4096
"""Such bytes that can be saved up."""
MOST_GUESSES = 8
"""Numbers that may be tried before there is another one to be guessed."""

_log = logging.getLogger("gansynth_server.clients")


@dataclass(eq=False)
class Peer:
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
                self._credit = min(self._credit + FACTOR * size, MOST_CREDIT)

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
            if self._guesses >= MOST_GUESSES:
                self._guesses, self.token, self.stream = 0, new_token(), None
        return self.proven


class Peers:
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
        busy: Callable[[Peer], bool],
        leave: Callable[[Peer], None],
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._join, self._busy, self._leave = most, join, busy, leave
        self._patience, self._clock = patience, clock
        self._peers: dict[Source, Peer] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._peers)

    def get(self, source: Source) -> Peer | None:
        """The peer at an address, if there is one."""
        return self._peers.get(source)

    def at(self, source: Source, proven: bool = True) -> Peer:
        """The peer at an address, a new one if need be; UserError when there is no room."""
        peer = self._peers.get(source)
        if peer is None:
            if len(self._peers) >= self._most:
                self._make_room()
            self._numbers += 1
            client = self._join(self._numbers)
            peer = self._peers[source] = Peer(source, client, self._clock(), proven=proven)
            _log.info("client %d is %s:%s", self._numbers, *source[:2])
        return peer

    def of(self, client: object) -> Peer | None:
        """The peer of a client, unless it is gone."""
        return next((p for p in list(self._peers.values()) if p.client is client), None)

    def clients(self) -> list[Client]:
        """All clients, also those of peers that share another's."""
        peers = list(self._peers.values())
        return [c for peer in peers for c in (peer.client, peer.own) if c is not None]

    @property
    def streams(self) -> int:
        """How many are open."""
        return sum(peer.stream is not None for peer in list(self._peers.values()))

    def stream(self, id: int) -> PullStream:
        """The stream of a number; UserError if nobody has it."""
        for peer in list(self._peers.values()):
            if peer.stream is not None and peer.stream.id == id:
                return peer.stream
        raise UserError("no such stream; its owner is told the number by /done /stream/open")

    def heard_on(self, bus: Bus) -> list[Peer]:
        """The peers whose notes sound on a bus."""
        return [peer for peer in list(self._peers.values()) if peer.client.bus is bus]

    def sweep(self) -> None:
        """Forgets those that have been silent for too long."""
        for peer in self._silent(self._patience):
            self._forget(peer)

    def _silent(self, seconds: float) -> list[Peer]:
        """Those that sent nothing for a while and are not busy."""
        since = self._clock() - seconds
        silent = [peer for peer in self._peers.values() if peer.seen <= since]
        return [peer for peer in silent if not self._busy(peer)]

    def _make_room(self) -> None:
        """Forgets one of those that are not known to be there, else of the silent ones."""
        unproven = [peer for peer in self._peers.values() if not peer.proven]
        candidates = unproven or self._silent(min(GRACE, self._patience))
        if not candidates:
            raise UserError(f"all {self._most} places are taken; raise --max-clients")
        self._forget(min(candidates, key=lambda peer: peer.seen))

    def _forget(self, peer: Peer) -> None:
        del self._peers[peer.source]
        self._leave(peer)
        silence = self._clock() - peer.seen
        _log.info("client %d was silent for %.0f s: forgotten", peer.client.number, silence)
