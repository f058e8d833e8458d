"""A client's latents by slot: each a path through the latent space."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Protocol

from gansynth_server.errors import UserError
from gansynth_server.latent.vectors import Latent

MAX_SLOTS = 1024
HISTORY_S = 2.0
"""Seconds for which it is remembered what a slot held before."""
MAX_HISTORY = 64
"""What is remembered of a slot at most; a time before all of it has the first."""


class Path(Protocol):
    """A latent that may move: a function of time and of nothing else; ``str`` describes it."""

    def at(self, seconds: float) -> Latent:
        """The latent [latent_size] at a time of the instrument's clock."""
        ...


class ConstantPath:
    """A latent that stays where it is; ``origin`` says in words where that is from."""

    def __init__(self, z: Latent, origin: str = "still") -> None:
        self._z = z
        self._origin = origin

    def __str__(self) -> str:
        return self._origin

    def at(self, seconds: float) -> Latent:
        return self._z


class Slots:
    """Named paths, all of one size.

    A slot that is filled for a later time holds what it held until then.

    Args:
        size: numbers of a latent.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._paths: dict[str, list[tuple[float, Path]]] = {}  # by time

    def __contains__(self, slot: str) -> bool:
        return slot in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._paths))

    def at(self, slot: str, seconds: float) -> Latent:
        """The latent of a slot at a time; UserError where it is empty."""
        return self.path(slot, seconds).at(seconds)

    def path(self, slot: str, seconds: float) -> Path:
        """What a slot holds at a time; UserError where it is empty."""
        try:
            held = self._paths[slot]
        except KeyError:
            raise UserError(
                f"slot {slot!r} is empty; fill it with /z/random, /z/preset or /z/set"
            ) from None
        return held[max(0, bisect_right(held, seconds, key=_time) - 1)][1]

    def put(self, slot: str, path: Path, seconds: float) -> None:
        """Fills a slot from a time on; UserError where there are too many."""
        if slot not in self._paths and len(self._paths) >= MAX_SLOTS:
            raise UserError(f"all {MAX_SLOTS} slots are taken; use one of them again")
        before = [entry for entry in self._paths.get(slot, ()) if entry[0] < seconds]
        kept = bisect_right(before, seconds - HISTORY_S, key=_time) - 1
        recent = max(0, kept, len(before) + 1 - MAX_HISTORY)
        self._paths[slot] = [*before[recent:], (seconds, path)]

    def still(self, z: Latent, origin: str = "still") -> ConstantPath:
        """A latent as a path that stays; UserError where its size is wrong."""
        if len(z) != self.size:
            raise UserError(f"a latent of this checkpoint has {self.size} numbers, not {len(z)}")
        return ConstantPath(z, origin)


def _time(entry: tuple[float, Path]) -> float:
    return entry[0]
