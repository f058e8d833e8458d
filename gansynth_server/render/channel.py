"""One end of a channel between two processes: records over a pipe, arrays in shared memory.

Megabytes through a pipe come in many pieces, which are allocated and copied one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.util.shared_memory import SharedMemory

Float32 = NDArray[np.float32]

CAPACITY = 4 << 20
"""Numbers that the memory of a channel holds: sixteen whole notes. More go through the pipe."""


class Channel:
    """Sends and receives; used by one thread at a time, and in turns with the other end.

    Args:
        memory: seen by both ends.
    """

    def __init__(self, pipe: Connection, memory: SharedMemory) -> None:
        self.pipe, self._memory = pipe, memory

    @classmethod
    def pair(cls, context: BaseContext) -> tuple[Channel, Channel]:
        """Make both ends; one of them may be an argument of a process that is started.

        Raises:
            UserError: there is no room for its memory.
        """
        ours, theirs = context.Pipe()
        memory = SharedMemory(4 * CAPACITY)
        return cls(ours, memory), cls(theirs, memory)

    def send(self, thing: Any, arrays: Sequence[Float32] = ()) -> None:
        """Send something that can be pickled, and arrays."""
        shared = sum(array.size for array in arrays) <= CAPACITY
        if shared:
            room, at = self._memory.array((CAPACITY,)), 0
            for array in arrays:
                room[at : at + array.size] = array.reshape(-1)
                at += array.size
        self.pipe.send((thing, shared, [array.shape for array in arrays]))
        if not shared:
            for array in arrays:
                self.pipe.send_bytes(np.asarray(array, np.float32).tobytes())

    def receive(self) -> tuple[Any, list[Float32]]:
        """Wait for what the other end sends."""
        thing, shared, shapes = self.pipe.recv()
        if not shared:
            parts = [np.frombuffer(self.pipe.recv_bytes(), np.float32) for _ in shapes]
        else:
            room = self._memory.array((CAPACITY,))
            ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
            parts = [room[a:b].copy() for a, b in pairwise(ends)]
        return thing, [part.reshape(s) for part, s in zip(parts, shapes, strict=True)]
