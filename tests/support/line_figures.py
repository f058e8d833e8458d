"""How well a line is followed: distances from its true pitch, vibrato and loudness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis.line_features import level
from tests.support.lines import SPLIT, Line

Float64 = NDArray[np.float64]

STEP = 0.005  # s
SPURIOUS_S = 0.080
CLOSE = 50.0  # cents
QUIETEST = -40.0  # dB below the loudest, from which loudness is compared


@dataclass(frozen=True)
class Figures:
    """What is measured of some lines.

    cents: distance from the true pitch of each frame that has one; nan where none is heard.
    spurious: notes that are not in the line, longer than 80 ms.
    seconds: of all lines.
    depth, rate: heard over true, of each vibrato.
    loudness: correlation of the levels (dB) in and out, one for each line.
    """

    cents: Float64
    spurious: int
    seconds: float
    depth: Float64
    rate: Float64
    loudness: Float64

    @classmethod
    def together(cls, parts: Iterable[Figures]) -> Figures:
        """Put the figures of several lines together."""
        listed = list(parts)

        def joined(name: str) -> Float64 | float:
            values = [getattr(part, name) for part in listed]
            return sum(values) if np.isscalar(values[0]) else np.concatenate(values)

        return cls(**{f.name: joined(f.name) for f in fields(cls)})  # type: ignore[arg-type]

    def __str__(self) -> str:
        text = (
            f"median error {np.nanmedian(self.cents):.2f} cents, "
            f"{np.mean(self.cents <= CLOSE):.2%} within {CLOSE:g}, "
            f"{60 * self.spurious / self.seconds:.2f} spurious a minute"
        )
        if len(self.depth):
            off = [np.abs(ratio - 1).max() for ratio in (self.depth, self.rate)]
            text += f", vibrato's depth within {off[0]:.1%} and rate within {off[1]:.1%}"
        if len(self.loudness):
            text += f", loudness {self.loudness.min():.3f} to {self.loudness.max():.3f}"
        return text


def figures(line: Line, hertz: Float64, sound: NDArray[np.float32] | None = None) -> Figures:
    """Measure how well a line was followed.

    Args:
        hertz: [frames], the pitch every 5 ms; nan where nothing sounds.
        sound: [n] at 16 kHz, what came of it; None measures no loudness.
    """
    true = true_pitch(line, len(hertz))
    with np.errstate(invalid="ignore"):
        cents = 1200 * np.abs(np.log2(hertz / true))
    wrong = np.isfinite(hertz) & ~(cents <= CLOSE)
    runs = np.flatnonzero(np.diff(wrong.astype(int), prepend=0, append=0)).reshape(-1, 2)
    spurious = sum((end - begin) * STEP > SPURIOUS_S for begin, end in runs)
    spans = [slice(round(begin / STEP), round(end / STEP)) for begin, end in line.vibrato]
    shaken = [np.divide(vibrato(hertz[span]), vibrato(true[span])) for span in spans]
    rates, depths = np.array(shaken).reshape(-1, 2).T
    loudness = np.array([] if sound is None else [correlation(line, sound, np.isfinite(true))])
    return Figures(cents[np.isfinite(true)], int(spurious), line.seconds, depths, rates, loudness)


def true_pitch(line: Line, count: int) -> Float64:
    """Return the true pitch (Hz) of each frame, [count]."""
    index = np.arange(count) * round(STEP * 16000) // SPLIT
    return line.hertz[np.minimum(index, len(line.hertz) - 1)]


def vibrato(hertz: Float64) -> tuple[float, float]:
    """Measure rate (Hz) and depth (semitones to either side) of a vibrato: of the sine that fits
    best, beside a straight line."""
    at = np.arange(len(hertz)) * STEP
    heard = np.isfinite(hertz)
    semitones = 12 * np.log2(hertz[heard])
    best = (np.inf, 0.0, 0.0)
    for rate in np.arange(3, 10, 0.02):
        turn = 2 * np.pi * rate * at[heard]
        terms = np.stack([np.sin(turn), np.cos(turn), np.ones(len(turn)), at[heard]], axis=1)
        fit, *_ = np.linalg.lstsq(terms, semitones, rcond=None)
        error = float(((semitones - terms @ fit) ** 2).sum())
        best = min(best, (error, float(rate), float(np.hypot(*fit[:2]))))
    return best[1], best[2]


def correlation(line: Line, sound: NDArray[np.float32], voiced: NDArray[np.bool_]) -> float:
    """Correlate the levels (dB) of a line and of what came of it, where the line has a pitch."""
    before, after = level(line.sound), level(sound)
    count = min(len(before), len(after), len(voiced))
    floor = before.max() + QUIETEST
    kept = voiced[:count] & (before[:count] > floor)
    out = np.maximum(after[:count], after.max() + QUIETEST)
    return float(np.corrcoef(before[:count][kept], out[kept])[0, 1])
