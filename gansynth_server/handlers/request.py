"""One message on its way through a handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gansynth_server.instrument.client import Client
from gansynth_server.net.sessions import Session
from gansynth_server.osc.codec import Source, encode


@dataclass(frozen=True, slots=True)
class Request:
    """A message's session, the time that it is meant for, and the way back to its sender.

    ``when`` is a time (s) of the instrument's clock; None means at once.
    """

    session: Session
    send: Callable[[Source, bytes], None]
    when: float | None = None

    @property
    def client(self) -> Client:
        return self.session.client

    def reply(self, address: str, *args: Any) -> None:
        """Reply to the sender; may be called later, from any thread."""
        self.send(self.session.source, encode(address, *args))

    def failing(self, address: str) -> Callable[[str], None]:
        """Return a function that tells the sender why something begun earlier has failed."""
        return lambda why: self.reply("/fail", address, why)
