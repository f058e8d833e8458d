"""The queue between the thread that makes sound and the one that plays it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Ring:
    """A ring of ``capacity`` float32 frames for ONE writer and ONE reader thread.

    Threads: only the writer calls ``write``, only the reader ``read_into``;
    ``fill``, ``space`` and ``underruns`` may be read anywhere. There are no
    locks: each cursor counts frames since the beginning, never goes back and
    is moved by one side only, after the frames have been copied. The other
    side may see a cursor late, never early: the writer then sees less space,
    the reader less sound than there is.
    """

    def __init__(self, capacity: int, channels: int = 1) -> None:
        self.capacity = capacity
        self.underruns = 0
        """Reads that found too little."""
        self._samples = np.zeros((channels, capacity), dtype=np.float32)
        self._written = 0
        self._read = 0

    @property
    def fill(self) -> int:
        """Number of frames that wait to be read."""
        return self._written - self._read

    @property
    def space(self) -> int:
        """Number of frames that can be written."""
        return self.capacity - self.fill

    def write(self, block: NDArray[np.float32]) -> bool:
        """Append a whole block [channels, frames]; False, with nothing done, if it is too long."""
        count = block.shape[1]
        if count > self.space:
            return False
        start = self._written % self.capacity
        head = min(count, self.capacity - start)
        self._samples[:, start : start + head] = block[:, :head]
        self._samples[:, : count - head] = block[:, head:]
        self._written += count
        return True

    def read_into(self, out: NDArray[np.float32]) -> int:
        """Fill ``out`` [channels, frames], at the end with zeros; return the missing frames."""
        frames = out.shape[1]
        count = min(frames, self.fill)
        start = self._read % self.capacity
        head = min(count, self.capacity - start)
        out[:, :head] = self._samples[:, start : start + head]
        out[:, head:count] = self._samples[:, : count - head]
        out[:, count:] = 0.0
        self._read += count
        missing = frames - count
        if missing:
            self.underruns += 1
        return missing
