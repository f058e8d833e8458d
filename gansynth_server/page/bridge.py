"""Between one browser and the server: one binary frame is one datagram, and nothing is changed.

A browser is an ordinary client of the server, told apart by a UDP socket of its own: it has its
own latents, notes, limits and stream.
"""

from __future__ import annotations

import hmac
import logging
import socket
import threading
from contextlib import suppress

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.server import ServerConnection

from gansynth_server.osc.codec import encode

LOGIN_TIMEOUT_S = 5.0
"""Time (s) in which the token must come."""
MAX_DATAGRAM = 65507
"""Bytes of a frame, as many as a UDP datagram holds."""
BUFFER = 1 << 20
"""Bytes of datagrams that wait for a browser; what comes when it is full is lost, as UDP may be."""
FAREWELL = tuple(encode(word) for word in ("/clearSched", "/allsoundoff", "/stream/close"))
"""What a browser that has gone would have said."""

_log = logging.getLogger(__name__)


def carry(browser: ServerConnection, server: tuple[str, int], token: str, password: str) -> None:
    """Carry packets to and fro until either side has gone.

    Args:
        token: must come first, as ``/login token``; the server is sent the password instead.
    """
    if not _knows(browser, token):
        _log.info("a browser at %s had no token, or a wrong one", browser.remote_address[0])
        browser.close(CloseCode.POLICY_VIOLATION, "wrong token")
        return
    with _connected(server) as client:
        client.send(encode("/login", password))
        replies = threading.Thread(target=_reply, args=(client, browser), daemon=True)
        replies.start()
        try:
            _forward(browser, client)
        finally:
            for datagram in FAREWELL:
                with suppress(OSError):
                    client.send(datagram)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)  # wakes the other thread
            replies.join()


def _knows(browser: ServerConnection, token: str) -> bool:
    """Return whether the first frame is the login with the right token."""
    try:
        frame = browser.recv(timeout=LOGIN_TIMEOUT_S)
    except (TimeoutError, ConnectionClosed):
        return False
    return isinstance(frame, bytes) and hmac.compare_digest(frame, encode("/login", token))


def _connected(server: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    client = socket.socket(family, socket.SOCK_DGRAM)
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        client.setsockopt(socket.SOL_SOCKET, buffer, BUFFER)
    client.connect(server)  # hears this server only
    return client


def _forward(browser: ServerConnection, client: socket.socket) -> None:
    """Send each frame of a browser to the server."""
    with suppress(ConnectionClosed):
        while True:
            frame = browser.recv()
            if not isinstance(frame, bytes):
                browser.close(CloseCode.UNSUPPORTED_DATA, "a frame is a packet of OSC")
                return
            try:
                client.send(frame)
            except OSError:
                browser.close(CloseCode.GOING_AWAY, "the server has ended")
                return


def _reply(client: socket.socket, browser: ServerConnection) -> None:
    """Send each datagram of the server to a browser."""
    try:
        while datagram := client.recv(MAX_DATAGRAM):
            browser.send(datagram)
    except (OSError, ConnectionClosed):
        browser.close(CloseCode.GOING_AWAY, "the server has ended")
