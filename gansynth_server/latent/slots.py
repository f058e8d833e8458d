"""A client's latents by slot: each a path through the latent space."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from gansynth_server.errors import UserError
from gansynth_server.latent.vectors import Latent

MOST_SLOTS = 1024


class Path(Protocol):
    """A latent that may move: a function of time and of nothing else; ``str`` describes it."""

    def at(self, seconds: float) -> Latent:
        """The latent [latent_size] at a time of the instrument's clock."""
        ...


class Still:
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

    Args:
        size: numbers of a latent.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._paths: dict[str, Path] = {}

    def __contains__(self, slot: str) -> bool:
        return slot in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._paths))

    def at(self, slot: str, seconds: float) -> Latent:
        """The latent of a slot at a time; UserError where it is empty."""
        return self.path(slot).at(seconds)

    def path(self, slot: str) -> Path:
        """What a slot holds; UserError where it is empty."""
        try:
            return self._paths[slot]
        except KeyError:
            raise UserError(
                f"slot {slot!r} is empty; fill it with /z/random, /z/preset or /z/set"
            ) from None

    def put(self, slot: str, path: Path) -> None:
        """Fills a slot; UserError where there are too many."""
        if slot not in self._paths and len(self._paths) >= MOST_SLOTS:
            raise UserError(f"all {MOST_SLOTS} slots are taken; use one of them again")
        self._paths[slot] = path

    def still(self, z: Latent, origin: str = "still") -> Still:
        """A latent as a path that stays; UserError where its size is wrong."""
        if len(z) != self.size:
            raise UserError(f"a latent of this checkpoint has {self.size} numbers, not {len(z)}")
        return Still(z, origin)
