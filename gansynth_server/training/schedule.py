"""Stages of a run: the kind of training, and the growth of the network.

Magenta's recipe (``train_util.py``) has a stable stage for each resolution
and one between two of them in which the new one fades in, all counted in
images. A run with a time budget has the same stages, each with its share of
the minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

from gansynth_server.training.options import TrainOptions

GROWTH = 1.3
"""Ratio of the times of two successive stages before the last, in a time budget."""
LAST = 0.4
"""Share of the time budget for the last stage, at full resolution."""


@dataclass(frozen=True)
class Stage:
    """A part of the run; its length is exactly one of ``images`` and ``seconds``."""

    name: str
    start: float
    """Growth of the networks at its beginning, 0…blocks-1."""
    end: float
    """Growth at its end; between them it follows the position."""
    images: int | None
    seconds: float | None
    adversarial: bool = True

    def position(self, images: int, seconds: float) -> float:
        """Return the position in the stage, 0…1."""
        done = images / self.images if self.images is not None else seconds / (self.seconds or 1)
        return min(1.0, done)

    def progress(self, position: float) -> float:
        return self.start + (self.end - self.start) * position


def stages(options: TrainOptions, blocks: int) -> list[Stage]:
    """Return all stages of a run, in their order.

    A run that begins by regression, or with a checkpoint's weights, is at full
    resolution from there on; others grow. Stages without a length are left out.
    """
    full = float(blocks - 1)
    part = options.reconstruction
    growing = [] if part or options.start else _growth(options, blocks)
    lengths = [float(images) for _, _, _, images in growing]
    total = float(options.total_images)
    if options.minutes is not None:
        seconds = options.minutes * 60
        shares = [GROWTH**s for s in range(len(growing))]
        lengths = [seconds * (1 - LAST) * share / sum(shares) for share in shares]
        total = seconds
    plan = [
        _stage(options, name, start, end, length)
        for (name, start, end, _), length in zip(growing, lengths, strict=True)
    ]
    if part:
        plan.append(_stage(options, "reconstruction", full, full, total * part, False))
    size = f"{2 * 2 ** (blocks - 1)}×{16 * 2 ** (blocks - 1)}"
    rest = total * (1 - part) - sum(lengths)
    plan.append(_stage(options, size, full, full, rest))
    return [stage for stage in plan if (stage.images or stage.seconds or 0) > 0]


def _growth(options: TrainOptions, blocks: int) -> list[tuple[str, float, float, int]]:
    """Return (name, start, end, images) of every stage before the last."""
    found = []
    for b in range(blocks - 1):
        size = f"{2 * 2**b}×{16 * 2**b}"
        found.append((size, float(b), float(b), options.stable_images))
        found.append((f"{size} grows", float(b), b + 1.0, options.transition_images))
    return found


def _stage(
    options: TrainOptions,
    name: str,
    start: float,
    end: float,
    length: float,
    adversarial: bool = True,
) -> Stage:
    if options.minutes is None:
        return Stage(name, start, end, round(length), None, adversarial)
    return Stage(name, start, end, None, length, adversarial)
