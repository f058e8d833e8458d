"""The protocol of an output."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DEFAULT_BLOCKSIZE = 256


class Output(Protocol):
    """A clock that wants sound, block by block.

    Threads: all calls come from one thread, a loop that serves several outputs;
    so none of them waits for the clock, but for ``stop``.
    """

    @property
    def name(self) -> str:
        """Destination of the sound, in words."""
        ...

    @property
    def rate(self) -> int:
        """Sample rate (Hz)."""
        ...

    @property
    def channels(self) -> int:
        """1, or 2 for stereo."""
        ...

    @property
    def blocksize(self) -> int:
        """Frames of a block."""
        ...

    @property
    def latency(self) -> float:
        """Latency (s) from ``put`` to the listener."""
        ...

    @property
    def underruns(self) -> int:
        """Number of times that sound was late since the output was made."""
        ...

    def start(self) -> None:
        """Begin to want blocks; may be called once."""
        ...

    def wanted(self, now: float) -> bool:
        """Return whether a block is wanted at a time (s) of ``time.monotonic``, which is now."""
        ...

    def pause(self, now: float) -> float:
        """Return the longest time (s) to sleep before ``wanted`` is asked again; 0 if it is so."""
        ...

    def put(self, block: NDArray[np.float32]) -> None:
        """Take the next block [channels, blocksize], finite and within ±1, that is wanted."""
        ...

    def stop(self) -> None:
        """Fade out and free what it used; do nothing where it has not started."""
        ...
