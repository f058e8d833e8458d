"""Framing of OSC packets in a stream of bytes: SLIP, as OSC 1.1 has it, or a size before each.

"In the case of stream-based protocols, the stream should begin with an int32 giving the size of
the first packet" (OSC 1.0); OSC 1.1 has double-ended SLIP (RFC 1055). Which of them a sender means
is told by its first byte: a size below 16 MB begins with 0, SLIP with its END or at once with a
packet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from gansynth_server.osc.codec import OscError

END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE = 0xC0, 0xDB, 0xDC, 0xDD
MAX_PACKET = 65536
"""Bytes of a packet, as of a datagram."""


class Framing(Protocol):
    """One of the two ways."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in bytes as they came, and yield the packets that they complete.

        Raises:
            OscError: they are no such stream, which cannot be read on.
        """
        ...

    def frame(self, packet: bytes) -> bytes:
        """Return a packet as it is written to the stream."""
        ...


class SizeFraming:
    """Packets with their size, an int32, before each."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._data += data
        position = 0
        while len(self._data) - position >= 4:
            size = int.from_bytes(self._data[position : position + 4], "big")
            if size > MAX_PACKET:
                raise OscError(f"a packet of {size} bytes: at most {MAX_PACKET} are taken")
            if len(self._data) - position - 4 < size:
                break
            if size:  # an empty one keeps a connection alive
                yield bytes(self._data[position + 4 : position + 4 + size])
            position += 4 + size
        del self._data[:position]

    def frame(self, packet: bytes) -> bytes:
        return len(packet).to_bytes(4, "big") + packet


class SlipFraming:
    """Packets between END bytes; what is empty between two of them is none."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        *whole, rest = data.split(bytes([END]))
        for part in whole:
            self._append(part)
            packet, self._data = bytes(self._data), bytearray()
            if packet:
                yield _unescaped(packet)
        self._append(rest)

    def frame(self, packet: bytes) -> bytes:
        escaped = packet.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPED_ESCAPE]))
        escaped = escaped.replace(bytes([END]), bytes([ESCAPE, ESCAPED_END]))
        return bytes([END]) + escaped + bytes([END])

    def _append(self, part: bytes) -> None:
        # escaped, it may be twice as long
        if len(self._data) + len(part) > 2 * MAX_PACKET:
            raise OscError(f"a packet without an end: at most {MAX_PACKET} bytes are taken")
        self._data += part


def _unescaped(packet: bytes) -> bytes:
    packet = packet.replace(bytes([ESCAPE, ESCAPED_END]), bytes([END]))
    return packet.replace(bytes([ESCAPE, ESCAPED_ESCAPE]), bytes([ESCAPE]))


def framing_of(first: int) -> Framing:
    """Return the framing of a stream that begins with a byte; OscError for another stream."""
    if first == 0:
        return SizeFraming()
    if first == END or first in b"/#":
        return SlipFraming()
    raise OscError("no OSC: neither a packet's size nor SLIP begins like this")
