"""Who is at the other end of the wire: clients by their source address."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.stream import PullStream
from gansynth_server.client import Client
from gansynth_server.errors import UserError
from gansynth_server.synth.bus import Bus

Source = tuple[str, int]

_log = logging.getLogger(__name__)


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
    arrays: dict[str, NDArray[np.float32]] = field(default_factory=dict)


class Peers:
    """All peers; ``at`` belongs to the OSC thread, the rest may be called from any."""

    def __init__(self, most: int, join: Callable[[int], Client]) -> None:
        self._most = most
        self._join = join
        self._peers: dict[Source, Peer] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._peers)

    def at(self, source: Source) -> Peer:
        """The peer at an address, a new one if need be; UserError when there is no room."""
        peer = self._peers.get(source)
        if peer is None:
            if len(self._peers) >= self._most:
                self._drop_one()
            self._numbers += 1
            peer = self._peers[source] = Peer(source, self._join(self._numbers), 0.0)
            _log.info("client %d is %s:%s", self._numbers, *source[:2])
        peer.seen = time.monotonic()
        return peer

    def of(self, client: object) -> Peer | None:
        """The peer of a client, unless it is gone."""
        return next((p for p in list(self._peers.values()) if p.client is client), None)

    def stream(self, id: int) -> PullStream:
        """The stream of a number; UserError if nobody has it."""
        for peer in list(self._peers.values()):
            if peer.stream is not None and peer.stream.id == id:
                return peer.stream
        raise UserError("no such stream; its owner is told the number by /done /stream/open")

    def heard_on(self, bus: Bus) -> list[Peer]:
        """The peers whose notes sound on a bus."""
        return [peer for peer in list(self._peers.values()) if peer.client.bus is bus]

    def _drop_one(self) -> None:
        """Forgets the one that was silent longest, among those that play nothing."""
        idle = [peer for peer in self._peers.values() if not peer.client.notes]
        if not idle:
            raise UserError(f"all {self._most} clients are playing; raise --max-clients")
        del self._peers[min(idle, key=lambda peer: peer.seen).source]
