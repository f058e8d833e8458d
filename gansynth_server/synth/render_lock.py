"""The render lock: threads that make sound take turns, and their load is measured."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

TIME_SLICE_S = 0.2
"""Time constant (s) of the measured load."""
FULL = 0.92
"""Share of real time that the work may take."""


class RenderLock:
    """A fair lock for the threads that make sound: first come, first served.

    At the same time each would take several times as long: at every array
    Python's lock goes to and fro between them. So it does with threads that
    have other Python to run, which had better wait for a pause (see :meth:`pause`).
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._processor = clock, processor
        self._lock = threading.Lock()
        self._busy = False
        self._queue: deque[threading.Lock] = deque()
        self._pausing: deque[threading.Lock] = deque()
        self._last = clock()
        self._held = self._worked = 0.0  # shares of the time of late
        self._by = WeakKeyDictionary[object, float]()  # seconds of late, of each

    @contextmanager
    def of(self, *owners: object) -> Iterator[None]:
        """Take a turn for the work of some owners, after all turns asked for before."""
        self._enter()
        begun, worked = self._clock(), self._processor()
        try:
            yield
        finally:
            self._count(owners, self._clock() - begun, self._processor() - worked)
            self._leave()

    def pause(self, seconds: float) -> bool:
        """Wait until no thread has a turn, so long (s) at most; return whether that came.

        Any thread. Holds nothing meanwhile that a turn might wait for, because the scheduler
        may suspend the waiting thread for long.
        """
        if not self._busy:
            return True
        mine = threading.Lock()
        mine.acquire()
        self._pausing.append(mine)
        if not self._busy or mine.acquire(timeout=seconds):
            return True
        with suppress(ValueError):  # it came just now
            self._pausing.remove(mine)
        return False

    def too_much(self, owner: object) -> bool:
        """Return whether there is no time left, and this owner takes the most of it.

        Time in which a thread was suspended does not count.
        """
        if self._held < FULL or self._worked < FULL / 2:
            return False
        with self._lock:  # others have their turns meanwhile
            return self._by.get(owner, 0.0) >= max(self._by.values(), default=0.0)

    def reset_load(self) -> None:
        """Reset the measured load, so that shed work has a while to show."""
        self._held = self._worked = 0.0

    def _enter(self) -> None:
        with self._lock:
            if not self._busy:
                self._busy = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._queue.append(mine)
        mine.acquire()

    def _leave(self) -> None:
        with self._lock:
            if self._queue:
                self._queue.popleft().release()
                return
            self._busy = False
        with suppress(IndexError):
            while True:
                self._pausing.popleft().release()

    def _count(self, owners: Sequence[object], held: float, worked: float) -> None:
        """Take note of a turn, while it lasts."""
        now = self._clock()
        passed = max(now - self._last, held, 1e-9)
        self._last = now
        weight = min(1.0, passed / TIME_SLICE_S)
        self._held += weight * (held / passed - self._held)
        self._worked += weight * (worked / passed - self._worked)
        decay = math.exp(-passed / TIME_SLICE_S)
        with self._lock:
            for other in list(self._by):
                self._by[other] *= decay
            for owner in owners:
                self._by[owner] = self._by.get(owner, 0.0) + held / len(owners)
