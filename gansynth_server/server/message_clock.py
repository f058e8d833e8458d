"""The clock of the instrument."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class MessageClock:
    """Monotonic seconds that stand still while a message is dealt with: it has one time."""

    def __init__(self) -> None:
        self._held: float | None = None

    def __call__(self) -> float:
        held = self._held
        return time.monotonic() if held is None else held

    @contextmanager
    def held(self) -> Iterator[float]:
        """Stands still; for one thread at a time."""
        self._held = time.monotonic()
        try:
            yield self._held
        finally:
            self._held = None
