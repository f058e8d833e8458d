"""Lengths in beats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Beats:
    """A length in beats, which ``str`` writes as messages do: ``2b``."""

    number: float

    def __str__(self) -> str:
        return f"{self.number:.9f}".rstrip("0").rstrip(".") + "b"
