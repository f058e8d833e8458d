"""All that the server listens on: UDP by IPv4 and IPv6, which the engine reads, and TCP.

``localhost`` is 127.0.0.1 for some programs and ::1 for others, so a server on this machine
listens on both.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from types import TracebackType
from typing import Self

from gansynth_server.errors import UserError
from gansynth_server.net.tcp import TcpDoor, TcpSource
from gansynth_server.osc.codec import Source

SOCKET_BUFFER = 4 << 20
"""Bytes of a socket's queues, for bursts; the system may grant less."""
LOOPBACK = {"127.0.0.1": "::1", "::1": "127.0.0.1"}
"""The two addresses of this machine."""
MAX_PACKETS = 256
"""Packets of TCP connections that may wait; then these wait themselves."""
TRIES = 16
"""Free ports that are tried until one is free for IPv4 and IPv6."""


class Listener:
    """UDP sockets on a host, and on this machine's other address if it is one of the two; and the
    connections of a TCP port.

    It can be waited for until :meth:`receive`, which belongs to one thread, has something;
    ``sendto`` belongs to any.

    Args:
        host: numeric address or name; ``::`` listens on all addresses, of IPv4 too.
        port: UDP port; 0 takes a free one.
        tcp: TCP port for OSC; None takes no connections.

    Raises:
        UserError: a port cannot be opened; says what to do.
    """

    def __init__(self, host: str, port: int, tcp: int | None = None) -> None:
        self.udp = _open(host, port)
        """The UDP sockets."""
        self.hosts = tuple(sock.getsockname()[0] for sock in self.udp)
        """Addresses that are listened on."""
        self.port: int = self.udp[0].getsockname()[1]
        self._waiting: deque[tuple[bytes, Source]] = deque()
        self._room = threading.Semaphore(MAX_PACKETS)
        self._door: TcpDoor | None = None
        self._woken, self._wake = socket.socketpair()
        for sock in (self._woken, self._wake):
            sock.setblocking(False)
        if tcp is not None:
            try:
                self._door = TcpDoor(self.hosts, tcp, self._deliver)
            except UserError:
                self.close()
                raise

    @property
    def tcp_port(self) -> int | None:
        return None if self._door is None else self._door.port

    @property
    def remark(self) -> str:
        """The ports and addresses, as the ready line has them."""
        text = f"port {self.port} on {' and '.join(self.hosts)}"
        return text if self._door is None else f"{text}, TCP port {self._door.port}"

    def fileno(self) -> int:
        return self._woken.fileno()

    def receive(self) -> list[tuple[bytes, Source]]:
        """Return the packets of connections that have come, and their sources."""
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(2 * MAX_PACKETS)
        packets = []
        while self._waiting:
            packets.append(self._waiting.popleft())
            self._room.release()
        return packets

    def sendto(self, packet: bytes, source: Source) -> None:
        """Send a packet to where one came from; OSError where that fails."""
        if isinstance(source, TcpSource):
            if self._door is not None:
                self._door.send(source, packet)
            return
        family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
        sock = next((sock for sock in self.udp if sock.family == family), self.udp[0])
        sock.sendto(packet, source)

    def wake(self) -> None:
        """Have whoever waits for the sockets look up; any thread."""
        self._signal()

    def getsockname(self) -> tuple[str, int]:
        return self.hosts[0], self.port

    def close(self) -> None:
        if self._door is not None:
            self._door.close()
        for sock in (*self.udp, self._woken, self._wake):
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _deliver(self, packet: bytes, source: Source) -> None:
        """Queue a packet of a connection, on its thread; waits while there is no room."""
        self._room.acquire()
        self._waiting.append((packet, source))
        self._signal()

    def _signal(self) -> None:
        with contextlib.suppress(OSError):  # full, so it is awake; or closed
            self._wake.send(b"\0")


def _open(host: str, port: int) -> tuple[socket.socket, ...]:
    """Open the UDP sockets of a host, on the same port."""
    for _ in range(TRIES):
        first = _bind(host, port)
        other = LOOPBACK.get(first.getsockname()[0])
        if other is None:
            return (first,)
        try:
            return first, _bind(other, first.getsockname()[1])
        except UserError:
            if port == 0 and _has(other):  # taken there: another free one may not be
                first.close()
                continue
            # without IPv6, or with another program there, this address has to do
            return (first,)
    return (_bind(host, port),)


def _has(host: str) -> bool:
    """Return whether this machine has an address."""
    try:
        _bind(host, 0).close()
    except UserError:
        return False
    return True


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM)
    except OSError as error:
        raise UserError(f"{host} cannot be listened on: {error.strerror}") from error
    try:
        if family == socket.AF_INET6:
            # all addresses are those of IPv4 too, a single one is not
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise UserError(
            f"UDP port {port} on {host} cannot be opened ({error.strerror}): "
            "is another gansynth-server running? End it, or choose another --port"
        ) from error
    except OverflowError as error:
        sock.close()
        raise UserError(f"--port must be 0 to 65535, not {port}") from error
    for kind in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, kind, SOCKET_BUFFER)
    return sock
