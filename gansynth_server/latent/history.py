"""What slots held before, to be undone and redone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from gansynth_server.errors import UserError

P = TypeVar("P")
"""What slots hold."""
MAX_STEPS = 100
"""Changes that are remembered; the oldest go."""
QUICK_S = 0.1
MAX_QUICK = 8
"""Changes of a slot in a row, each within QUICK_S (s) of the one before, from which they count as
one: a slider's, or a score's."""
_OWN = ("midi ", "hallucination")
"""Beginnings of the names of slots that the server fills by itself."""
_FIRST = "z"
"""The slot that is filled from the beginning."""


@dataclass(slots=True)
class Step(Generic[P]):
    """A change of a slot; ``before`` is None where it was empty."""

    slot: str
    before: P | None
    after: P
    seconds: float


class SlotHistory(Generic[P]):
    """Changes of slots in their order."""

    def __init__(self) -> None:
        self._done: list[Step[P]] = []
        self._undone: list[Step[P]] = []
        self._quick = 0
        self._paused = False

    def record(self, slot: str, before: P | None, after: P, seconds: float) -> None:
        """Take note of a change that a client asked for."""
        # sounds of patterns fill slots of their own over and over
        if self._paused or slot.startswith(_OWN) or getattr(after, "source", None) is not None:
            return
        if before is None and slot == _FIRST:
            return
        self._undone.clear()
        last = self._done[-1] if self._done else None
        quick = last is not None and last.slot == slot and seconds - last.seconds < QUICK_S
        self._quick = self._quick + 1 if quick else 0
        if last is not None and self._quick >= MAX_QUICK:
            last.after, last.seconds = after, seconds
            return
        self._done.append(Step(slot, before, after, seconds))
        del self._done[:-MAX_STEPS]

    def clear(self) -> None:
        """Forget all changes."""
        self._done.clear()
        self._undone.clear()

    def undo(self) -> Step[P]:
        """Return the last change, which is to be taken back; UserError where there is none."""
        if not self._done:
            raise UserError("there is nothing to undo: no slot of yours has been changed")
        self._undone.append(self._done.pop())
        self._quick = 0
        return self._undone[-1]

    def redo(self) -> Step[P]:
        """Return the last change that was undone, which is to be made again; UserError where there
        is none."""
        if not self._undone:
            raise UserError("there is nothing to redo: nothing was undone, or slots changed since")
        self._done.append(self._undone.pop())
        return self._done[-1]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing meanwhile."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False
