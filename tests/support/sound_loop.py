"""The loop that an output needs: it pulls a source, block by block."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.output import Output


class Source(Protocol):
    """What an output is to play."""

    def render(self, frames: int) -> NDArray[np.float32]:
        """The next [channels, frames]."""
        ...


def feed(output: Output, source: Source) -> int:
    """Put what the output wants now; how many blocks these were."""
    count = 0
    while output.wanted(time.monotonic()):
        output.put(source.render(output.blocksize))
        count += 1
    return count


@contextmanager
def playing(output: Output, source: Source) -> Iterator[None]:
    """Start an output and feed it on a thread of its own, which stops it at the end."""
    ending = threading.Event()

    def run() -> None:
        output.start()
        while not ending.is_set():
            feed(output, source)
            ending.wait(output.pause(time.monotonic()))
        output.stop()

    thread = threading.Thread(target=run, name="sound-loop")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
