"""The load of a soak test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SoakPlan:
    """The load of a soak test, and its length."""

    minutes: float = 60.0
    """Length of the test."""
    voices: int = 32
    """Voices that sound all the time, as many as there may be."""
    clients: int = 4
    """Clients that send random messages."""
    messages: float = 50.0
    """Messages a second of each client."""
    switch: float = 20.0
    """Seconds between two changes of the checkpoint."""
    block: int = 512
    """Frames of a block of the stream that is pulled."""
    ahead: int = 4
    """Blocks that are asked for in advance."""
    seed: int = 1
    """Seed of the messages."""
    apart: bool = False
    """Half of these clients are heard on the server's output, which has as many voices again."""

    @property
    def seconds(self) -> float:
        return 60 * self.minutes
