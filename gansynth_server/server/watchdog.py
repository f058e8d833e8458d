"""Who held the audio up, and for how long."""

from __future__ import annotations

import faulthandler
import logging
import re
import tempfile
import threading
import time
from collections.abc import Callable

from gansynth_server.audio.block_timer import BlockTimer

TICK = 0.005
"""Seconds from one look at the clocks to the next."""
LIMIT = 0.010
"""Seconds beyond its time from which a block counts as held up."""
GRAVE = 0.250
"""Seconds from which that is told in any case; before, --log watchdog=info tells it."""
DEPTH = 6
"""Lines of a stack that are shown, the innermost."""
PAUSE = 1.0
"""Seconds from one line in the log to the next."""

_log = logging.getLogger("gansynth_server.server.watchdog")


class Watchdog:
    """A thread that looks at the pulses, and says what an audio thread was doing that was late.

    Args:
        pulses: of all audio threads.
    """

    def __init__(
        self,
        pulses: list[BlockTimer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stalls = 0
        self._pulses, self._clock = pulses, clock
        self._caught: dict[BlockTimer, tuple[float, float, str]] = {}  # due, worst, where
        self._told = -PAUSE
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    @property
    def longest(self) -> float:
        """Seconds by which any clock was held up most."""
        return max(pulse.longest for pulse in self._pulses)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        last = self._clock()
        while not self._stopped.wait(TICK):
            now = self._clock()
            try:
                self.look(now, now - last - TICK)
            except Exception:
                _log.exception("the watchdog could not look")
            last = now

    def look(self, now: float, overslept: float) -> None:
        """One look at all pulses.

        Args:
            overslept: seconds by which this look is late itself.
        """
        for pulse in self._pulses:
            due, behind = pulse.due, pulse.behind(now)
            caught = self._caught.get(pulse)
            if caught is not None and due != caught[0]:  # it has moved on
                del self._caught[pulse]
                self._tell(pulse, caught[1], caught[2])
                caught = None
            if behind > LIMIT:
                where = caught[2] if caught else ""
                # to look holds the others up for a moment, so only if it is to be told
                if not where and self._tells(behind):
                    where = _doing(pulse.thread, overslept)
                self._caught[pulse] = due, behind, where

    def _tells(self, seconds: float) -> bool:
        """Whether a block held up for so long has a line in the log."""
        listens = seconds >= GRAVE or _log.isEnabledFor(logging.INFO)
        return listens and self._clock() - self._told >= PAUSE

    def _tell(self, pulse: BlockTimer, seconds: float, where: str) -> None:
        self.stalls += 1
        if self._tells(seconds):
            self._told = self._clock()
            _log.log(
                logging.WARNING if seconds >= GRAVE else logging.INFO,
                "%s was held up for %.0f ms (%d so far)%s",
                *(pulse.name, 1000 * seconds, self.stalls, where and f"; {where}"),
            )


def _doing(thread: int, overslept: float) -> str:
    """What a thread does, and where the others are, in words."""
    if overslept > LIMIT:
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
    """Where each thread is, the innermost first.

    Taken down by faulthandler, which only reads. Walking the frames of threads that run, as
    objects of sys._current_frames, has broken the memory of CPython 3.11.7: an array stood
    where a frame should have been, and the server crashed.
    """
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
