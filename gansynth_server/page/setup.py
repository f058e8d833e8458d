"""What the page's process is started with, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from gansynth_server.options import ServerOptions


@dataclass(frozen=True)
class PageSetup:
    """The door's share of what the server knows."""

    options: ServerOptions
    port: int
    """TCP port to listen on; 0 takes a free one."""
    server: tuple[str, int]
    """Address and UDP port at which this machine reaches the server."""
    token: str = field(repr=False)
    """What a browser must know before anything of it is passed on."""
    password: str = field(repr=False)
    """What the server asks of those that it does not know; "" asks for nothing."""
    pipe: Connection
    """Takes the answer, :class:`Ready` or :class:`Refused`; at its end the process ends too."""


@dataclass(frozen=True)
class Ready:
    """The door listens on a TCP port."""

    port: int


@dataclass(frozen=True)
class Refused:
    """The door cannot open, and why."""

    why: str
