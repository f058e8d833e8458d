"""A queue of sound between two processes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.util.shared_memory import Fence

HEAD = 16
"""Numbers before the samples: 64 bytes for the cursors, a cache line."""
WRITTEN, READ, LOST = 0, 1, 2
"""Places of the cursors in the head, as int64."""


class SharedRing:
    """A ring of float32 frames for ONE writer and ONE reader, in memory that both share.

    Each side makes a ring of its own over the same memory, which must be zero at
    first and begin at a multiple of 8 bytes. Only the writer calls ``write``, only
    the reader ``read``; ``fill`` and ``lost`` may be read by both. There are no
    locks between them: each cursor counts frames since the beginning and is moved
    by one side only, after the samples have been copied. A side that dies
    leaves the ring whole.

    Args:
        buffer: float32 [numbers] in shared memory, contiguous; see ``size``.
        channels: of the sound.

    Raises:
        ValueError: the memory is of another kind, or holds no frame.
    """

    def __init__(self, buffer: NDArray[np.float32], channels: int) -> None:
        capacity = (buffer.size - HEAD) // channels
        flat = buffer.ndim == 1 and buffer.flags.c_contiguous  # else the views would be copies
        if buffer.dtype != np.float32 or not flat or capacity < 1:
            raise ValueError(
                f"a ring of {channels} channels needs {HEAD + channels} contiguous float32 or more"
            )
        self.capacity = capacity
        self._cursors = buffer[:HEAD].view(np.int64)
        self._samples = buffer[HEAD : HEAD + channels * capacity].reshape(channels, capacity)
        self._order = Fence()

    @staticmethod
    def size(channels: int, frames: int) -> int:
        """Return how many float32 numbers a ring of so many frames needs."""
        return HEAD + channels * frames

    @property
    def fill(self) -> int:
        """Number of frames that wait to be read."""
        return int(self._cursors[WRITTEN] - self._cursors[READ])

    @property
    def lost(self) -> int:
        """Number of frames that found no room."""
        return int(self._cursors[LOST])

    def write(self, block: NDArray[np.float32]) -> bool:
        """Append a whole block [channels, frames]; False where it has no room and is lost."""
        count = block.shape[1]
        if count > self.capacity - self.fill:
            self._cursors[LOST] += count
            return False
        self._order()
        start = int(self._cursors[WRITTEN]) % self.capacity
        head = min(count, self.capacity - start)
        self._samples[:, start : start + head] = block[:, :head]
        self._samples[:, : count - head] = block[:, head:]
        self._order()
        self._cursors[WRITTEN] += count
        return True

    def read(self) -> NDArray[np.float32]:
        """Remove and return all frames that wait [channels, frames], as a copy."""
        count = self.fill
        self._order()
        start = int(self._cursors[READ]) % self.capacity
        head = min(count, self.capacity - start)
        sound = np.concatenate(
            [self._samples[:, start : start + head], self._samples[:, : count - head]], axis=1
        )
        self._order()
        self._cursors[READ] += count
        return sound
