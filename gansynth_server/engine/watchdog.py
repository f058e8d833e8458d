"""The watchdog: says what held an audio thread up, and for how long."""

from __future__ import annotations

import faulthandler
import logging
import re
import tempfile
import threading
import time
from collections.abc import Callable

from gansynth_server.audio.block_timer import BlockTimer

PERIOD_S = 0.005
"""Time (s) from one look at the clocks to the next."""
LIMIT_S = 0.010
"""Time (s) beyond its own from which a block counts as held up."""
GRAVE_S = 0.250
"""Time (s) from which that is logged in any case; below, with --log watchdog=info."""
DEPTH = 6
"""Lines of a stack that are shown, the innermost."""
PAUSE_S = 1.0
"""Time (s) from one line in the log to the next."""

_log = logging.getLogger(__name__)


class Watchdog:
    """A thread that watches block timers, and says what an audio thread was doing that was late.

    Args:
        timers: those of all audio threads.
    """

    def __init__(
        self,
        timers: list[BlockTimer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stalls = 0
        self._timers, self._clock = timers, clock
        self._caught: dict[BlockTimer, tuple[float, float, str]] = {}  # due, worst, where
        self._logged = -PAUSE_S
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    @property
    def longest(self) -> float:
        """Longest time (s) that any audio thread was held up."""
        return max(timer.longest for timer in self._timers)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        last = self._clock()
        while not self._stopped.wait(PERIOD_S):
            now = self._clock()
            try:
                self.look(now, now - last - PERIOD_S)
            except Exception:
                _log.exception("the watchdog could not look")
            last = now

    def look(self, now: float, overslept: float) -> None:
        """Look at all timers once.

        Args:
            overslept: time (s) by which this look is late itself.
        """
        for timer in self._timers:
            due, behind = timer.due, timer.behind(now)
            caught = self._caught.get(timer)
            if caught is not None and due != caught[0]:  # it has moved on
                del self._caught[timer]
                self._log_stall(timer, caught[1], caught[2])
                caught = None
            if behind > LIMIT_S:
                where = caught[2] if caught else ""
                # looking holds the other threads up for a moment, so only if it is to be told
                if not where and self._may_log(behind):
                    where = _doing(timer.thread, overslept)
                self._caught[timer] = due, behind, where

    def _may_log(self, seconds: float) -> bool:
        """Return whether a block held up for so long has a line in the log."""
        listens = seconds >= GRAVE_S or _log.isEnabledFor(logging.INFO)
        return listens and self._clock() - self._logged >= PAUSE_S

    def _log_stall(self, timer: BlockTimer, seconds: float, where: str) -> None:
        self.stalls += 1
        if self._may_log(seconds):
            self._logged = self._clock()
            _log.log(
                logging.WARNING if seconds >= GRAVE_S else logging.INFO,
                "%s was held up for %.0f ms (%d so far)%s",
                *(timer.name, 1000 * seconds, self.stalls, where and f"; {where}"),
            )


def _doing(thread: int, overslept: float) -> str:
    """Say what a thread does, and where the others are."""
    if overslept > LIMIT_S:
        return f"so was everything, for {1000 * overslept:.0f} ms: the machine was busy"
    stacks = _stacks()
    stack = stacks.pop(thread, None)
    if stack is None:
        return "its thread is gone"
    names = {t.ident: t.name for t in threading.enumerate()}
    others = [
        f"{names.get(ident, '?')}: {places[0]}"
        for ident, places in stacks.items()
        if places and ident != threading.get_ident()
    ]
    return f"it was at {' > '.join(reversed(stack[:DEPTH]))}; others at {', '.join(others)}"


def _stacks() -> dict[int, list[str]]:
    """Return where each thread is, the innermost first."""
    # by faulthandler, which only reads: walking the frames of running threads, as objects of
    # sys._current_frames, has broken the memory of CPython 3.11.7. An array stood where a
    # frame should have been, and the server crashed
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        text = file.read().decode(errors="replace")
    stacks: dict[int, list[str]] = {}
    for line in text.splitlines():
        if head := re.match(r"(?:Current t|T)hread 0x([0-9a-f]+)", line):
            places = stacks[int(head[1], 16)] = []
        elif entry := re.match(r'\s+File "(?:.*[\\/])?(.*)", line (\d+) in (.*)', line):
            places.append(f"{entry[1]}:{entry[2]} {entry[3]}")
    return stacks
