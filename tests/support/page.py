"""The door of a page from outside: its address, its token, and browsers that are none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from tests.support.client import Words, decode, encode
from tests.support.server import ServerProcess

FLAGS = ("--page", "0") if find_spec("websockets") else ()
"""Flags of a server with a page, where its extra is installed."""


@dataclass(frozen=True)
class Page:
    """Where a server's page is."""

    url: str
    """The whole link."""
    port: int
    token: str

    @property
    def origin(self) -> str:
        """What a browser calls the page's origin."""
        return self.url.partition("/#")[0]


def page_of(server: ServerProcess) -> Page:
    """The page of a running server, from the line that it printed."""
    (line,) = [line for line in server.lines if line.startswith("page: ")]
    found = re.fullmatch(r"page: (https?://\S+:(\d+)/#(\S+))", line)
    assert found is not None, line
    return Page(found[1], int(found[2]), found[3])


class Browser:
    """A client of the WebSocket, logged in, with the words of OSC."""

    def __init__(self, socket: Any, token: str) -> None:
        self.socket = socket
        self.send("/login", token)
        assert self.receive() == ("/done", "/login")

    def send(self, address: str, *args: object) -> None:
        self.socket.send(encode(address, *args))

    def receive(self) -> Words:
        return decode(self.socket.recv(timeout=10))

    def ask(self, address: str, *args: object) -> Words:
        self.send(address, *args)
        return self.receive()


@contextmanager
def connected(page: Page, **changes: Any) -> Iterator[Any]:
    """A WebSocket to the door, as the page opens it; changes go to the library."""
    from websockets.sync.client import connect

    settings: dict[str, Any] = {"origin": page.origin, "compression": None, **changes}
    url = f"{page.origin.replace('http', 'ws', 1)}/osc"
    with connect(url, **settings) as socket:
        yield socket


@contextmanager
def logged_in(page: Page, **changes: Any) -> Iterator[Browser]:
    """A browser that plays."""
    with connected(page, **changes) as socket:
        yield Browser(socket, page.token)
