"""Real time without a sound card: a pacer, and the outputs that it drives."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.output import Guarded, Source
from gansynth_server.util.threads import raise_priority

STALL_SECONDS = 1.0
"""Lateness (s) from which lost time is skipped instead of made up for."""


class Pacer:
    """Lets frames pass in real time.

    Due times are counted from the first frame, so there is no drift: a late
    block is followed by early ones. After a stall the count begins again.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._origin = time.monotonic()
        self._frames = 0

    def wait(self, frames: int, stop: threading.Event) -> bool:
        """Sleep until ``frames`` more are due or ``stop`` is set; False where time was skipped."""
        self._frames += frames
        now = time.monotonic()
        early = self._origin + self._frames / self._rate - now
        if early < -STALL_SECONDS:
            self._origin, self._frames = now, 0
            return False
        if early > 0:
            stop.wait(early)
        return True


class TimedOutput(ABC):
    """An output that is paced by the computer's clock; its thread renders and consumes."""

    def __init__(self, name: str, *, rate: int, blocksize: int, channels: int = 1) -> None:
        self.name = name
        self.rate = rate
        self.channels = channels
        self.latency = blocksize / rate
        self.underruns = 0
        """Stalls after which time was skipped."""
        self._blocksize = blocksize
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def consume(self, block: NDArray[np.float32]) -> None:
        """Take the next samples [channels, blocksize], on the output's thread."""

    def start(self, source: Source) -> None:
        self._stopped.clear()
        self._thread = threading.Thread(
            target=self._run,
            args=(Guarded(source, self.channels),),
            name="audio-clock",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, source: Source) -> None:
        raise_priority()
        pacer = Pacer(self.rate)
        while not self._stopped.is_set():
            self.consume(source.render(self._blocksize))
            if not pacer.wait(self._blocksize, self._stopped):
                self.underruns += 1


class NullOutput(TimedOutput):
    """Pulls in real time and throws away what it gets."""

    def __init__(self, *, rate: int, blocksize: int, channels: int = 1) -> None:
        super().__init__("none (no sound)", rate=rate, blocksize=blocksize, channels=channels)

    def consume(self, block: NDArray[np.float32]) -> None:
        pass
