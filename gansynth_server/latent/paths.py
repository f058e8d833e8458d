"""Latents that move: each a pure function of time, so that nothing has to tick.

A path may hold others, such as the ends of a glide. What it holds is bounded
(see :func:`held`), so that paths made of paths stay cheap for ever.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from gansynth_server.latent.prior import Prior
from gansynth_server.latent.slots import ConstantPath, Path
from gansynth_server.latent.vectors import Latent, slerp

MAX_PARTS = 16
"""Paths that one is made of."""


def parts(path: Path) -> int:
    """Return how many paths a path is made of."""
    return getattr(path, "parts", 1)


def held(path: Path, seconds: float, most: int = MAX_PARTS) -> Path:
    """Return a path to build another upon: itself, or its latent at a time if it has too many
    parts."""
    return path if parts(path) <= most else ConstantPath(path.at(seconds))


def elapsed(seconds: float, start: float) -> float:
    """Return the time (s) since a start, in whole microseconds."""
    # time tags are no more exact where they come from, and the same score has to give the same
    # latents whenever it is played
    return round(seconds - start, 6)


class Glide:
    """A glide from one path to another along the sphere, which starts and ends gently.

    Before ``start`` it is the first path, from ``start + seconds`` on it is the
    second one, exactly. Both may move meanwhile.

    Args:
        start: time (s) of the instrument's clock.
        seconds: how long it takes; at 0 or less it is at the target from ``start`` on.
    """

    def __init__(self, from_path: Path, to_path: Path, start: float, seconds: float) -> None:
        while isinstance(from_path, Glide) and from_path.end <= start:
            from_path = from_path.target  # the way there is not needed any more
        self._from = held(from_path, start, MAX_PARTS // 2)
        self.target: Path = held(to_path, start, MAX_PARTS // 2)
        self._start, self._seconds = start, max(0.0, seconds)
        self.parts = 1 + parts(self._from) + parts(self.target)

    def __str__(self) -> str:
        return f"glide {self._seconds:g} s to {self.target}"

    @property
    def end(self) -> float:
        """When it arrives (s)."""
        return self._start + self._seconds

    def at(self, seconds: float) -> Latent:
        if seconds >= self.end:
            return self.target.at(seconds)
        gone = elapsed(seconds, self._start) / self._seconds if self._seconds else 0.0
        if gone <= 0:
            return self._from.at(seconds)
        smooth = gone * gone * (3 - 2 * gone)
        return slerp(self._from.at(seconds), self.target.at(seconds), smooth)

    def rests_until(self, seconds: float) -> float:
        if seconds >= self.end:
            return self.target.rests_until(seconds)
        return max(seconds, min(self._start, self._from.rests_until(seconds)))


class Walk:
    """A smooth random walk that never leaves the prior.

    White noise, one latent of the prior per step, is smoothed by a cubic B-spline
    whose weights are scaled to unit energy. So at every time, not only on the
    steps, the latent is one of N(0, spread²) where that is the prior, it moves
    without a kink, any time can be asked for at once, and after two steps it is
    elsewhere.

    Args:
        speed: steps per second.
        start: time (s) of the instrument's clock; before it the walk stands still.
    """

    def __init__(self, prior: Prior, seed: int, speed: float, spread: float, start: float) -> None:
        self._seed, self._speed, self._spread, self._start = seed, speed, spread, start

        @lru_cache(maxsize=8)
        def step(number: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return prior.of(np.random.default_rng((seed, number)))

        self._step = step

    def __str__(self) -> str:
        return f"walk speed {self._speed:g} spread {self._spread:g} seed {self._seed}"

    def at(self, seconds: float) -> Latent:
        number, u = divmod(max(0.0, elapsed(seconds, self._start)) * self._speed, 1.0)
        weights = np.array([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, 3 * (u + u**2 - u**3) + 1, u**3])
        steps = [self._step(int(number) + n) for n in range(4)]
        z = weights @ np.stack(steps) / np.linalg.norm(weights)
        return (z * self._spread).astype(np.float32)

    def rests_until(self, seconds: float) -> float:
        return seconds


def _sine(turn: float) -> float:
    return 0.5 - 0.5 * math.cos(2 * math.pi * turn)


def _triangle(turn: float) -> float:
    return 1 - abs(1 - 2 * turn)


def _square(turn: float) -> float:
    return float(turn >= 0.5)


def _saw(turn: float) -> float:
    return turn


SHAPES = {"sine": _sine, "triangle": _triangle, "square": _square, "saw": _saw}
"""Functions from a part of a period, 0…1, to the share of the way between the ends, 0…1."""


class Lfo:
    """A low-frequency oscillation between two paths along the sphere.

    Args:
        shape: one of :data:`SHAPES`.
        rate: periods per second.
        phase: part of a period, 0…1, at ``start``; at 0 it is at the first path.
        start: time (s) of the instrument's clock.
    """

    def __init__(
        self, a: Path, b: Path, shape: str, rate: float, phase: float, start: float
    ) -> None:
        self._ends = [held(path, start, MAX_PARTS // 2) for path in (a, b)]
        self._shape, self._rate, self._phase, self._start = shape, rate, phase, start
        self.parts = 1 + sum(map(parts, self._ends))

    def __str__(self) -> str:
        a, b = self._ends
        return f"lfo {self._shape} {self._rate:g} Hz between {a} and {b}"

    def at(self, seconds: float) -> Latent:
        turn = (elapsed(seconds, self._start) * self._rate + self._phase) % 1.0
        a, b = (path.at(seconds) for path in self._ends)
        return slerp(a, b, SHAPES[self._shape](turn))

    def rests_until(self, seconds: float) -> float:
        return seconds
