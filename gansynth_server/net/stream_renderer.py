"""The thread that renders the blocks which clients pull, and sends them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gansynth_server.audio.block_timer import BlockTimer
from gansynth_server.net.streams import PullStream
from gansynth_server.osc.codec import Source
from gansynth_server.synth.bus import render_together
from gansynth_server.synth.render_lock import RenderLock
from gansynth_server.util.fair_queue import FairQueue
from gansynth_server.util.threads import raise_priority

MAX_WAITING, MAX_PER_CLIENT = 1024, 64
"""Blocks that may be asked for and not sent yet, of all streams and of one."""
FEW = 2
"""Streams up to which a block is rendered as soon as it is asked for."""
GATHER = 0.25
"""Share of a stream's cushion (its blocks ahead but one) that a block waits for others at most."""
MAX_GATHER_S = 0.008

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pull:
    """A block that is asked for: its listener's address, stream, number, and time (s)."""

    source: Source
    stream: PullStream
    number: int
    asked: float


class StreamRenderer:
    """Answers pulls, one of each stream at a time, all that are due in one pass.

    With many streams a pass waits a little for further pulls, because its cost hardly depends
    on how many blocks it renders.

    Args:
        send: sends a datagram to a source.
        render_lock: see :class:`Bus`.
    """

    def __init__(
        self, send: Callable[[Source, bytes], None], render_lock: RenderLock | None = None
    ) -> None:
        self.blocks = 0
        """Blocks that were sent."""
        self.late = 0
        """Blocks that were sent after the listener needed them."""
        self.timer = BlockTimer("a stream")
        self._send, self._render_lock = send, render_lock
        self._waiting: FairQueue[Pull] = FairQueue(MAX_WAITING, MAX_PER_CLIENT, 1)
        self._changed = threading.Condition()
        self._running = True
        self._active: dict[PullStream, float] = {}  # when each was pulled last
        self._passed = 0.0  # end of the last pass

    def put(self, source: Source, stream: PullStream, number: int) -> None:
        """Ask for a block; any thread. Where too many are asked for already, it is not sent."""
        with self._changed:
            if self._waiting.put(stream, Pull(source, stream, number, time.monotonic())):
                self._changed.notify()

    def run(self) -> None:
        """Render and send until it is stopped."""
        raise_priority()
        while pulls := self._take():
            try:
                self._answer(pulls)
            except Exception:
                _log.exception("a block failed")

    def stop(self) -> None:
        """End ``run`` after what was asked for before."""
        with self._changed:
            self._running = False
            self._changed.notify()

    def _take(self) -> list[Pull]:
        """Wait for pulls; take one of each stream that has some. None are left at the end."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) or not self._running)
            until = self._passed + self._gather()
            while self._running and self._waiting.owners < len(self._active):
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return [self._waiting.take() for _ in range(self._waiting.owners)]

    def _gather(self) -> float:
        """Return the time (s) from one pass to the next."""
        if len(self._active) <= FEW:
            return 0.0
        cushions = [s.period * (s.ahead - 1) for s in self._active]
        return min(MAX_GATHER_S, GATHER * min(cushions))

    def _answer(self, pulls: list[Pull]) -> None:
        now = time.monotonic()
        self.timer.begin(now + min(pull.stream.period for pull in pulls))
        self._active.update((pull.stream, now) for pull in pulls)
        self._active = {s: at for s, at in self._active.items() if now - at < 1.0}
        new = []
        for pull in pulls:
            known = pull.stream.known(pull.number)
            if known is None:
                new.append(pull)
            else:
                self._sent(pull, known)
        if new:
            due = [(pull.stream.bus, pull.stream.block) for pull in new]
            for pull, sound in zip(new, render_together(due, self._render_lock), strict=True):
                self._sent(pull, pull.stream.encode(pull.number, sound))
        self.timer.end()
        self._passed = time.monotonic()

    def _sent(self, pull: Pull, datagram: bytes) -> None:
        self._send(pull.source, datagram)
        self.blocks += 1
        self.late += time.monotonic() - pull.asked > pull.stream.ahead * pull.stream.period
