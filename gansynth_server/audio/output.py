"""What a source and an output are, and how an output is chosen."""

from __future__ import annotations

import logging
import time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DEFAULT_BLOCKSIZE = 256

_log = logging.getLogger(__name__)


class Source(Protocol):
    """Where an output gets its sound from."""

    def render(self, frames: int) -> NDArray[np.float32]:
        """The next float32 [channels, frames] of the output's channels, finite and within ±1;
        called from one thread only."""
        ...


class Output(Protocol):
    """A clock that pulls sound from a source and puts it somewhere."""

    @property
    def name(self) -> str:
        """Where the sound goes, in words."""
        ...

    @property
    def rate(self) -> int:
        """Samples per second that it asks the source for."""
        ...

    @property
    def channels(self) -> int:
        """1, or 2 for stereo."""
        ...

    @property
    def latency(self) -> float:
        """Seconds from ``render`` to the listener."""
        ...

    @property
    def underruns(self) -> int:
        """How often sound was late since the output was made."""
        ...

    def start(self, source: Source) -> None:
        """Begins to pull from ``source``, on a thread of its own."""
        ...

    def stop(self) -> None:
        """Ends that thread and puts away what it used; does nothing where it has not started."""
        ...


class Guarded:
    """A source whose exceptions become silence and a line in the log, at most one a second."""

    def __init__(self, source: Source, channels: int) -> None:
        self._source = source
        self._channels = channels
        self._logged = -1.0

    def render(self, frames: int) -> NDArray[np.float32]:
        try:
            return self._source.render(frames)
        except Exception:
            now = time.monotonic()
            if self._logged < 0 or now - self._logged >= 1.0:
                self._logged = now
                _log.exception("no sound for %d frames: the synth failed", frames)
            return np.zeros((self._channels, frames), dtype=np.float32)
