"""OSC over TCP: each connection is a client, as each source of datagrams is."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable

from gansynth_server.errors import UserError
from gansynth_server.net.osc_framing import Framing, framing_of
from gansynth_server.osc.codec import OscError, Source, encode

MAX_CONNECTIONS = 64
CHUNK = 1 << 16
SEND_BUFFER = 4 << 20
"""Bytes that may wait to be read by a client; one that reads no further is let go."""
GONE = encode("/allnotesoff")
"""What a client that is gone would have sent: its notes must not sound on for ever."""

_log = logging.getLogger("gansynth_server.clients")


class TcpSource(tuple[str, int]):
    """Host and port of a connection, which are no source of datagrams with the same numbers."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TcpSource) and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(("tcp", *self))


class TcpDoor:
    """Listens for connections and passes on their packets.

    Args:
        hosts: numeric addresses to listen on.
        port: TCP port; 0 takes a free one.
        deliver: is given each packet with its source, on a thread of the connection; it may
            wait, which holds that client up alone.

    Raises:
        UserError: the port cannot be opened.
    """

    def __init__(
        self, hosts: tuple[str, ...], port: int, deliver: Callable[[bytes, Source], None]
    ) -> None:
        self._deliver = deliver
        self._connections: dict[TcpSource, tuple[socket.socket, Framing]] = {}
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.refused = 0
        """Connections for which there was no room."""
        try:
            for host in hosts:
                self._sockets.append(_listen(host, port))
                port = self._sockets[0].getsockname()[1]
        except (OSError, OverflowError) as error:
            self.close()
            why = getattr(error, "strerror", None) or error
            raise UserError(
                f"TCP port {port} on {host} cannot be opened ({why}): choose another --tcp"
            ) from error
        self.port: int = port
        for listening in self._sockets:
            _start(self._accept, listening)

    def send(self, source: Source, packet: bytes) -> None:
        """Send a reply, if the connection still stands; never waits. Any thread."""
        with self._lock:
            found = self._connections.get(source)  # type: ignore[call-overload]
        if found is None:
            return
        connection, framing = found
        data = framing.frame(packet)
        try:
            # whole or not at all: half a packet would spoil all that follows
            with self._lock:
                sent = connection.send(data, socket.MSG_DONTWAIT)
            if sent == len(data):
                return
            why = "it does not read what it is sent"
        except (BlockingIOError, OSError) as error:
            why = error.strerror or str(error)
        _log.warning("TCP %s:%s is let go: %s", *source[:2], why)
        self._drop(source)

    def close(self) -> None:
        """End all connections."""
        for listening in self._sockets:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)  # wakes its thread
            listening.close()
        for source in list(self._connections):
            self._drop(source)

    def _drop(self, source: Source) -> None:
        with self._lock:
            found = self._connections.pop(source, None)  # type: ignore[call-overload]
        if found is not None:
            with contextlib.suppress(OSError):
                found[0].shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, address = listening.accept()
            except OSError:  # it was closed
                return
            if len(self._connections) >= MAX_CONNECTIONS:
                self.refused += 1
                _log.warning("TCP: all %d connections are taken", MAX_CONNECTIONS)
                connection.close()
                continue
            _start(self._read, connection, TcpSource(address[:2]))

    def _read(self, connection: socket.socket, source: TcpSource) -> None:
        with connection:
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
                self._read_packets(connection, source)
            except OscError as error:
                _log.warning("TCP %s:%s: %s", *source, error)
            except OSError as error:
                _log.info("TCP %s:%s: %s", *source, error.strerror or error)
            finally:
                self._drop(source)

    def _read_packets(self, connection: socket.socket, source: TcpSource) -> None:
        data = connection.recv(CHUNK)
        if not data:
            return
        framing = framing_of(data[0])
        with self._lock:
            self._connections[source] = connection, framing
        try:
            while data:
                for packet in framing.feed(data):
                    self._deliver(packet, source)
                data = connection.recv(CHUNK)
        finally:
            self._deliver(GONE, source)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        listening.bind((host, port))
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening


def _start(run: Callable[..., None], *args: object) -> None:
    threading.Thread(target=run, args=args, name="tcp", daemon=True).start()
