"""Sounds that clients will fetch for their arrays: bounded for each, and for all together."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import SAMPLE_RATE

Float32 = NDArray[np.float32]

MOST = 16
"""Sounds of one owner."""
LONGEST = 600
"""Seconds of a sound, and, but for a second, of all that one owner has: 38 MB."""
ALTOGETHER = 3600
"""Seconds of all owners: 230 MB."""


class Kept:
    """Mono sounds at 16 kHz by owner and name; for any thread. They go with their owner.

    Where there are too many, the owner's oldest go; where there are too many of
    all, the oldest of whoever has most.
    """

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Hashable, dict[str, Float32]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def put(self, owner: Hashable, name: str, wave: Float32) -> None:
        """Keeps a sound [samples], in place of the one of that name."""
        with self._lock:
            own = self._of.setdefault(owner, {})
            own.pop(name, None)
            own[name] = wave
            while len(own) > MOST or _samples(own) > (LONGEST + 1) * SAMPLE_RATE:
                _drop(own)
            while sum(map(_samples, self._of.values())) > ALTOGETHER * SAMPLE_RATE:
                _drop(max(self._of.values(), key=_samples))

    def get(self, owner: Hashable, name: str) -> Float32 | None:
        with self._lock:
            return self._of.get(owner, {}).get(name)

    def names(self, owner: Hashable) -> list[str]:
        """Of an owner's sounds, the oldest first."""
        with self._lock:
            return list(self._of.get(owner, ()))


def _samples(sounds: dict[str, Float32]) -> int:
    return sum(map(len, sounds.values()))


def _drop(sounds: dict[str, Float32]) -> None:
    """Drops the oldest."""
    del sounds[next(iter(sounds))]
