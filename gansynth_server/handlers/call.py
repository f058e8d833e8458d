"""One message on its way through a handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gansynth_server.instrument.client import Client
from gansynth_server.net.sessions import Peer, Source
from gansynth_server.osc.codec import encode


@dataclass(frozen=True, slots=True)
class Call:
    """Who sent a message, for when it is meant, and the way back to the sender.

    ``when`` is in seconds of the instrument's clock; None means at once.
    """

    peer: Peer
    send: Callable[[Source, bytes], None]
    when: float | None = None

    @property
    def client(self) -> Client:
        return self.peer.client

    def reply(self, address: str, *args: Any) -> None:
        """Answers the sender; may be called later, from any thread."""
        self.send(self.peer.source, encode(address, *args))

    def failing(self, address: str) -> Callable[[str], None]:
        """What tells the sender why something begun earlier has failed."""
        return lambda why: self.reply("/fail", address, why)
