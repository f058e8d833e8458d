"""The thread that renders the blocks which clients pull, and sends them."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from gansynth_server.audio.block_timer import BlockTimer
from gansynth_server.net.streams import PullStream
from gansynth_server.osc.codec import Source
from gansynth_server.util.fair_queue import FairQueue
from gansynth_server.util.threads import raise_priority

MAX_WAITING, MAX_PER_CLIENT = 1024, 64
"""Blocks that may be asked for and not sent yet, of all streams and of one."""

_log = logging.getLogger(__name__)


class StreamRenderer:
    """Renders the blocks that clients pull, the streams in turns.

    Args:
        send: sends a datagram to a source.
    """

    def __init__(self, send: Callable[[Source, bytes], None]) -> None:
        self.blocks = 0
        """Blocks that were sent."""
        self.late = 0
        """Blocks that were sent after the listener needed them."""
        self.timer = BlockTimer("a stream")
        self._send = send
        self._waiting: FairQueue[tuple[Source, PullStream, int, float]] = FairQueue(
            MAX_WAITING, MAX_PER_CLIENT, 1
        )
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def put(self, source: Source, stream: PullStream, number: int) -> None:
        """Ask for a block; any thread. Where too many wait already, it is not sent."""
        with self._lock:
            asked = self._waiting.put(stream, (source, stream, number, time.monotonic()))
        if asked:
            self._wake.put(True)

    def run(self) -> None:
        """Render and send until stopped."""
        raise_priority()
        while self._wake.get():
            with self._lock:
                source, stream, number, asked = self._waiting.take()
            self.blocks += 1
            self.timer.begin(time.monotonic() + stream.block / stream.bus.rate)
            try:
                self._send(source, stream.answer(number))
            except Exception:
                _log.exception("a block failed")
            self.timer.end()
            if time.monotonic() - asked > stream.block * stream.ahead / stream.bus.rate:
                self.late += 1

    def stop(self) -> None:
        """End ``run`` after what was asked for before."""
        self._wake.put(False)
