"""No sound, but time: a synth without a sound card still has to go on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.paced import TimedOutput


class NullOutput(TimedOutput):
    """Pulls in real time and throws away what it gets."""

    def __init__(self, *, rate: int, blocksize: int, channels: int = 1) -> None:
        super().__init__("none (no sound)", rate=rate, blocksize=blocksize, channels=channels)

    def consume(self, block: NDArray[np.float32]) -> None:
        pass
