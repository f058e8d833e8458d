"""A client's latents by slot: each a path through the latent space."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from typing import Protocol

from gansynth_server.errors import UserError
from gansynth_server.latent.history import SlotHistory
from gansynth_server.latent.vectors import Latent

MAX_SLOTS = 1024
HISTORY_S = 2.0
"""Time (s) for which what a slot held before is remembered."""
MAX_HISTORY = 64
"""Paths of a slot that are remembered, at most; a time before all of them has the first."""


class Path(Protocol):
    """A latent that may move: a function of time and of nothing else; ``str`` describes it."""

    def at(self, seconds: float) -> Latent:
        """Return the latent [latent_size] at a time of the instrument's clock."""
        ...

    def rests_until(self, seconds: float) -> float:
        """Return until when (s) it stays as it is at a time: that time itself while it moves,
        infinity where it will never move again."""
        ...


class ConstantPath:
    """A latent that stays where it is.

    Args:
        origin: where it is from, in words.
        source: what it was made of, to be compared with.
    """

    def __init__(self, z: Latent, origin: str = "still", source: object = None) -> None:
        self._z = z
        self._origin = origin
        self.source = source

    def __str__(self) -> str:
        return self._origin

    def at(self, seconds: float) -> Latent:
        return self._z

    def rests_until(self, seconds: float) -> float:
        return math.inf


class Slots:
    """Named paths, all of one size.

    A slot that is filled for a later time holds what it held until then.

    Args:
        size: numbers of a latent.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.history: SlotHistory[Path] = SlotHistory()
        self._paths: dict[str, list[tuple[float, Path]]] = {}  # by time

    def __contains__(self, slot: str) -> bool:
        return slot in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._paths))

    def at(self, slot: str, seconds: float) -> Latent:
        """Return the latent of a slot at a time; UserError where it is empty."""
        return self.path(slot, seconds).at(seconds)

    def path(self, slot: str, seconds: float) -> Path:
        """Return what a slot holds at a time; UserError where it is empty."""
        held, place = self._held(slot, seconds)
        return held[place][1]

    def rests_until(self, slot: str, seconds: float) -> float:
        """Return until when a slot's latent stays as it is, see :meth:`Path.rests_until`."""
        held, place = self._held(slot, seconds)
        refilled = held[place + 1][0] if place + 1 < len(held) else math.inf
        return min(held[place][1].rests_until(seconds), refilled)

    def put(self, slot: str, path: Path, seconds: float) -> None:
        """Fill a slot from a time on; UserError where there are too many."""
        if slot not in self._paths and len(self._paths) >= MAX_SLOTS:
            raise UserError(f"all {MAX_SLOTS} slots are taken; use one of them again")
        held = self.path(slot, seconds) if slot in self._paths else None
        self.history.record(slot, held, path, seconds)
        before = [entry for entry in self._paths.get(slot, ()) if entry[0] < seconds]
        kept = bisect_right(before, seconds - HISTORY_S, key=_time) - 1
        recent = max(0, kept, len(before) + 1 - MAX_HISTORY)
        self._paths[slot] = [*before[recent:], (seconds, path)]

    def remove(self, slot: str) -> None:
        """Empty a slot."""
        self._paths.pop(slot, None)

    def still(self, z: Latent, origin: str = "still", source: object = None) -> ConstantPath:
        """Return a latent as a path that stays; UserError where its size is wrong."""
        if len(z) != self.size:
            raise UserError(f"a latent of this checkpoint has {self.size} numbers, not {len(z)}")
        return ConstantPath(z, origin, source)

    def _held(self, slot: str, seconds: float) -> tuple[list[tuple[float, Path]], int]:
        """Return a slot's paths, and the place of the one that holds at a time."""
        held = self._paths.get(slot)
        if held is None:
            raise UserError(f"slot {slot!r} is empty; fill it with /z/random, /z/preset or /z/set")
        return held, max(0, bisect_right(held, seconds, key=_time) - 1)


class SlotPath:
    """The path that a slot holds at each time."""

    def __init__(self, slots: Slots, slot: str) -> None:
        self._slots, self._slot = slots, slot

    def at(self, seconds: float) -> Latent:
        return self._slots.at(self._slot, seconds)

    def rests_until(self, seconds: float) -> float:
        return self._slots.rests_until(self._slot, seconds)


def _time(entry: tuple[float, Path]) -> float:
    return entry[0]
