"""The level of a whole song: its true peak, which is known only at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError

Float32 = NDArray[np.float32]

CEILING = 10 ** (-1 / 20)
"""True peak of a normalised song: -1 dBFS."""
OVERSAMPLING = 4
MARGIN = 64
"""Samples on either side of a block, more than the interpolation filter reaches."""
BLOCK = 1 << 18


class TruePeak:
    """The highest level of a sound, between its samples too, 4 times oversampled.

    Blocks overlap by the filter's reach, so where they meet makes no difference.
    """

    def __init__(self, channels: int) -> None:
        self._peak = 0.0
        self._kept = np.zeros((channels, 2 * MARGIN), np.float32)

    def add(self, sound: Float32) -> None:
        """Take in the next [channels, frames]."""
        from scipy.signal import resample_poly

        sound = np.concatenate([self._kept, sound], axis=1)
        finer = resample_poly(sound, OVERSAMPLING, 1, axis=1)
        inner = np.abs(finer[:, OVERSAMPLING * MARGIN : -OVERSAMPLING * MARGIN])
        self._peak = max(self._peak, float(inner.max(initial=0)))
        self._kept = sound[:, -2 * MARGIN :]

    def end(self) -> float:
        """The peak of all, with silence after the last sample."""
        self.add(np.zeros_like(self._kept))
        return self._peak


def normalised(blocks: Iterable[Float32], folder: Path) -> Iterator[Float32]:
    """Yield blocks [channels, frames] scaled to a true peak of -1 dBFS; silence stays.

    Args:
        folder: where they wait in a temporary file until the last of them has come.

    Raises:
        UserError: the folder cannot hold them.
    """
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        return
    channels, peak = len(first), TruePeak(len(first))
    try:
        with TemporaryFile(dir=folder) as file:
            block: Float32 | None = first
            while block is not None:
                peak.add(block)
                file.write(np.ascontiguousarray(block.T).data)
                block = next(blocks, None)
            scale = np.float32(CEILING / (peak.end() or CEILING))
            file.seek(0)
            while data := file.read(BLOCK * channels * first.itemsize):
                yield np.frombuffer(data, np.float32).reshape(-1, channels).T * scale
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
