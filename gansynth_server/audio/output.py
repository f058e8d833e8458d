"""The protocols of a source and an output."""

from __future__ import annotations

import logging
import time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DEFAULT_BLOCKSIZE = 256

_log = logging.getLogger(__name__)


class Source(Protocol):
    """The sound that an output pulls."""

    def render(self, frames: int) -> NDArray[np.float32]:
        """Render the next float32 [channels, frames], finite and within ±1; called from one
        thread only."""
        ...


class Output(Protocol):
    """A clock that pulls sound from a source and puts it somewhere."""

    @property
    def name(self) -> str:
        """Destination of the sound, in words."""
        ...

    @property
    def rate(self) -> int:
        """Sample rate (Hz) of the source."""
        ...

    @property
    def channels(self) -> int:
        """1, or 2 for stereo."""
        ...

    @property
    def latency(self) -> float:
        """Latency (s) from ``render`` to the listener."""
        ...

    @property
    def underruns(self) -> int:
        """Number of times that sound was late since the output was made."""
        ...

    def start(self, source: Source) -> None:
        """Begin to pull from ``source``, on a thread of its own."""
        ...

    def stop(self) -> None:
        """End that thread and free what it used; do nothing where it has not started."""
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
