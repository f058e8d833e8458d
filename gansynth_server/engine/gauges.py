"""What the engine counts, in memory that it writes and another process reads."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from gansynth_server.engine.engine import BusState
from gansynth_server.synth.link import LinkState
from gansynth_server.util.shared_memory import Fence, SharedMemory

FIELDS = 24
"""Numbers of a row, at most; the last counts its changes."""
CHANGE_TIMEOUT_S = 0.2
"""Time (s) that a reader waits for a change to be over."""


class Totals(NamedTuple):
    """What is counted for all buses together."""

    underruns: float = 0.0
    """Late blocks of the output."""
    late: float = 0.0
    """Late blocks of streams."""
    blocks: float = 0.0
    """Blocks of streams that were sent."""
    stalls: float = 0.0
    """Times that a block was held up for longer than the watchdog's limit."""
    longest: float = 0.0
    """Longest time (s) that a block was held up."""


class Gauges:
    """Rows of numbers: one for all, and one for each bus by its number.

    Each row has one writer. A reader that meets it in the middle of a change reads again: the
    writer makes the count of changes odd before it and even after it (a sequence lock).
    """

    def __init__(self, buses: int) -> None:
        self._memory = SharedMemory((buses + 1) * FIELDS * 8)
        self._buses = buses
        self._begin()

    def _begin(self) -> None:
        self._rows = self._memory.array((self._buses + 1, FIELDS), np.float64)
        self._order = Fence()

    def __getstate__(self) -> tuple[SharedMemory, int]:
        return self._memory, self._buses

    def __setstate__(self, state: tuple[SharedMemory, int]) -> None:
        self._memory, self._buses = state
        self._begin()

    def clear(self) -> None:
        """Set all to zero: a new writer begins."""
        self._rows[:] = 0

    def set_totals(self, totals: Totals) -> None:
        self._write(0, totals)

    def totals(self) -> Totals:
        return Totals(*self._read(0)[: len(Totals._fields)])

    def set_bus(self, bus: int, state: BusState) -> None:
        self._write(bus + 1, (*state.link, *state[1:]))

    def bus(self, bus: int) -> BusState:
        """Return the state of a bus; one that never sounded is idle."""
        row = self._read(bus + 1)
        if not row[0]:
            return BusState()
        parts = len(LinkState._fields)
        return BusState(LinkState(*row[:parts]), *row[parts : parts + len(BusState._fields) - 1])

    def _write(self, row: int, values: tuple[float, ...]) -> None:
        line = self._rows[row]
        line[-1] += 1
        self._order()
        line[: len(values)] = values
        self._order()
        line[-1] += 1

    def _read(self, row: int) -> list[float]:
        line = self._rows[row]
        deadline: float | None = None
        while True:
            before = float(line[-1])
            self._order()
            values: list[float] = line.tolist()
            self._order()
            if not before % 2 and values[-1] == before == line[-1]:
                return values
            now = time.monotonic()
            deadline = deadline or now + CHANGE_TIMEOUT_S
            if now > deadline:  # its writer was ended in the middle
                return values
