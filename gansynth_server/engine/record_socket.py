"""Records between two processes, over a pair of connected sockets."""

from __future__ import annotations

import pickle
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import Any

BUFFER = 1 << 20
"""Bytes that the system may keep for each way."""
PIECE, MAX_PIECES = 1 << 16, 16
"""Bytes that are read at once, and how often before the records are taken."""
_SIZE = struct.Struct("<I")


class RecordSocket:
    """One end: sends lists of records that can be pickled, and receives those of the other end.

    ``put`` and ``flush`` may be called by any thread, ``receive`` by one. No call waits, except
    ``flush`` as long as it is told to. It may be an argument of a process that is started.

    Args:
        end: one of ``socket.socketpair()``.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        for queue in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            end.setsockopt(socket.SOL_SOCKET, queue, BUFFER)
        self._begin()

    def _begin(self) -> None:
        self._socket.setblocking(False)
        self._came = bytearray()
        self._leaving = bytearray()
        self._lock = threading.Lock()

    def __getstate__(self) -> socket.socket:
        return self._socket

    def __setstate__(self, end: socket.socket) -> None:
        self._socket = end
        self._begin()

    @classmethod
    def pair(cls) -> tuple[RecordSocket, RecordSocket]:
        """Make both ends."""
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def waiting(self) -> int:
        """Bytes that are put and could not be sent yet."""
        return len(self._leaving)

    def put(self, records: Sequence[Any]) -> None:
        """Queue records, and send what can be sent at once.

        Raises:
            OSError: the other end is closed.
        """
        data = pickle.dumps(records, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._leaving += _SIZE.pack(len(data))
            self._leaving += data
            self._send()

    def flush(self, seconds: float = 0.0) -> bool:
        """Send what is queued, within so many seconds; return whether all was sent.

        Raises:
            OSError: the other end is closed.
        """
        end = time.monotonic() + seconds
        with self._lock:
            while self._leaving:
                self._send()
                left = end - time.monotonic()
                if self._leaving and (left <= 0 or not select.select([], [self], [], left)[1]):
                    return False
        return True

    def _send(self) -> None:
        """Send as much as can be sent now."""
        try:
            while self._leaving:
                sent = self._socket.send(memoryview(self._leaving)[: 16 * PIECE])
                del self._leaving[:sent]
        except BlockingIOError:
            pass

    def receive(self) -> list[Any]:
        """Return the records that have come.

        Raises:
            EOFError: the other end is closed, and all that it sent was returned.
        """
        ended = False
        try:
            for _ in range(MAX_PIECES):
                piece = self._socket.recv(PIECE)
                ended = not piece
                self._came += piece
                if len(piece) < PIECE:
                    break
        except BlockingIOError:
            pass
        except ConnectionError:
            ended = True
        records = self._taken()
        if ended and not records:
            raise EOFError("the other process has ended")
        return records

    def _taken(self) -> list[Any]:
        """Return the records of the lists that have come as a whole."""
        records: list[Any] = []
        at = 0
        while len(self._came) - at >= _SIZE.size:
            (size,) = _SIZE.unpack_from(self._came, at)
            end = at + _SIZE.size + size
            if len(self._came) < end:
                break
            records += pickle.loads(memoryview(self._came)[at + _SIZE.size : end])
            at = end
        del self._came[:at]
        return records

    def close(self) -> None:
        self._socket.close()
