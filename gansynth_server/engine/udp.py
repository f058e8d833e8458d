"""The UDP sockets that the engine hears."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Sequence

from gansynth_server.osc.codec import Source

MAX_DATAGRAM = 65536
DROPS = 40 if sys.platform == "linux" else 0
"""Linux's SO_RXQ_OVFL: datagrams tell how many were lost before them for want of room."""
DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)
"""Flag of calls that never wait; on Windows, which has none, the sockets never do."""


class UdpSockets:
    """Reads and answers datagrams, without ever waiting.

    Args:
        sockets: bound ones, of IPv4 or IPv6; the server has them too.
    """

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self.sockets = tuple(sockets)
        self._of = {sock.family: sock for sock in reversed(self.sockets)}
        self._dropped: dict[socket.socket, int] = {}
        for sock in self.sockets:
            if not DONT_WAIT:
                sock.setblocking(False)
            if DROPS:
                sock.setsockopt(socket.SOL_SOCKET, DROPS, 1)

    def receive(self, sock: socket.socket) -> tuple[bytes, Source, int]:
        """Return the next datagram, its source, and how many were lost before it, as far as the
        system tells.

        Raises:
            BlockingIOError: there is none.
            OSError: a reply has met a closed port.
        """
        if not DROPS:
            return *sock.recvfrom(MAX_DATAGRAM, DONT_WAIT), 0
        datagram, more, _, source = sock.recvmsg(MAX_DATAGRAM, 64, DONT_WAIT)
        lost = 0
        for level, kind, data in more:
            if (level, kind) == (socket.SOL_SOCKET, DROPS):
                dropped = int.from_bytes(data[:4], sys.byteorder)
                lost += (dropped - self._dropped.get(sock, 0)) % 2**32
                self._dropped[sock] = dropped
        return datagram, source, lost

    def send(self, datagram: bytes, source: Source) -> None:
        """Send a datagram to an address, unless that fails: its listener has gone, or the system
        has no room."""
        family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
        with contextlib.suppress(OSError):
            self._of.get(family, self.sockets[0]).sendto(datagram, DONT_WAIT, source)
