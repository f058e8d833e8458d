"""What the engine's process is started with."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.shared_ring import HEAD, SharedRing
from gansynth_server.engine.gauges import Gauges
from gansynth_server.engine.record_socket import RecordSocket
from gansynth_server.options import ServerOptions
from gansynth_server.spectral.arena import SharedSpectra
from gansynth_server.util.shared_memory import SharedMemory

RINGS = 16
"""Recordings at once."""
RING_SECONDS, RING_RATE = 10, 48000
"""Sound of two channels that a ring holds: what may wait to be written."""


class SharedRings:
    """Memory for the sound that is recorded."""

    def __init__(self) -> None:
        self._size = SharedRing.size(2, RING_SECONDS * RING_RATE)
        self._memory = SharedMemory(4 * RINGS * self._size)

    def new(self, number: int, channels: int) -> SharedRing:
        """Return a ring that is empty; no other may be in use in its place."""
        self._buffer(number)[:HEAD] = 0
        return self.ring(number, channels)

    def ring(self, number: int, channels: int) -> SharedRing:
        """Return a ring; it holds twice as long a sound of one channel."""
        return SharedRing(self._buffer(number), channels)

    def _buffer(self, number: int) -> NDArray[np.float32]:
        return self._memory.array((self._size,), np.float32, 4 * number * self._size)


@dataclass(frozen=True)
class EngineSetup:
    """The engine's end of everything that it shares with the server."""

    options: ServerOptions
    records: RecordSocket
    sockets: tuple[socket.socket, ...]
    spectra: SharedSpectra
    gauges: Gauges
    rings: SharedRings
