"""Latents that move: each a pure function of time, so that nothing has to tick.

A path may hold others, such as the ends of a glide. What it holds is bounded
(see :func:`held`), so that paths made of paths stay cheap for ever.
"""

from __future__ import annotations

from gansynth_server.latent.slots import Path, Still
from gansynth_server.latent.vectors import Latent, slerp

MOST_PARTS = 16


def parts(path: Path) -> int:
    """How many paths one is made of."""
    return getattr(path, "parts", 1)


def held(path: Path, seconds: float, most: int = MOST_PARTS) -> Path:
    """A path to build another upon: itself, or where it is at a time if it has too many parts."""
    return path if parts(path) <= most else Still(path.at(seconds))


class Glide:
    """From one path to another along the sphere, starting and ending gently.

    Before ``start`` it is the first path, from ``start + seconds`` on it is the
    second one, exactly. Both may move meanwhile.

    Args:
        start: seconds of the instrument's clock.
        seconds: how long it takes; at 0 or less it is at the target from ``start`` on.
    """

    def __init__(self, from_path: Path, to_path: Path, start: float, seconds: float) -> None:
        while isinstance(from_path, Glide) and from_path.end <= start:
            from_path = from_path.target  # the way there is not needed any more
        self._from = held(from_path, start, MOST_PARTS // 2)
        self.target: Path = held(to_path, start, MOST_PARTS // 2)
        self._start, self._seconds = start, max(0.0, seconds)
        self.parts = 1 + parts(self._from) + parts(self.target)

    def __str__(self) -> str:
        return f"glide {self._seconds:g} s to {self.target}"

    @property
    def end(self) -> float:
        """When it arrives, seconds."""
        return self._start + self._seconds

    def at(self, seconds: float) -> Latent:
        if seconds >= self.end:
            return self.target.at(seconds)
        gone = (seconds - self._start) / self._seconds if self._seconds else 0.0
        if gone <= 0:
            return self._from.at(seconds)
        eased = gone * gone * (3 - 2 * gone)
        return slerp(self._from.at(seconds), self.target.at(seconds), eased)
