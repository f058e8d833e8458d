"""The frame of its note that a voice reads next: forward, backward, slowly, or to and fro."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import FRAMES, HOP, LEAD, SAMPLE_RATE
from gansynth_server.synth.ramps import Rows

FIRST = LEAD // HOP - 3
"""Frame 3 is the first that reaches into the note."""
STEADY = (40, 80)
"""Frames between which a held note moves, where its own steadiest part is not known."""
CENTRE = LEAD / HOP - 2
"""Place of the frame whose centre is the note's first sample."""


def place(seconds: float) -> float:
    """Return the frame at a time (s) of the note."""
    return seconds * SAMPLE_RATE / HOP + CENTRE


def seconds(place: float) -> float:
    """Return the time (s) of the note at a frame."""
    return (place - CENTRE) * HOP / SAMPLE_RATE


@dataclass(frozen=True)
class Steps:
    """The next frames of some voices, those of a voice one after the other.

    counts: [rows], frames of each.
    place: [frames], where in their notes they are.
    strayed: [frames], whether their phases are their own.
    within: [frames], whether they are held there.
    playing: [frames], whether there is such a frame.
    """

    counts: NDArray[np.int64]
    place: NDArray[np.float64]
    strayed: NDArray[np.bool_]
    within: NDArray[np.bool_]
    playing: NDArray[np.bool_]

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """First frame of each row."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def row(self) -> NDArray[np.int64]:
        """Row of each frame."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def of(self, rows: NDArray[np.bool_]) -> Steps:
        """Return the steps of some of the rows."""
        if rows.all():
            return self
        ours = rows[self.row]
        return Steps(
            self.counts[rows],
            *(self.place[ours], self.strayed[ours], self.within[ours], self.playing[ours]),
        )


class Playhead:
    """Places of voices in their notes, in frames; fractions lie between two of them.

    Args:
        count: voices.
    """

    def __init__(self, count: int) -> None:
        self.place = np.zeros(count)
        self.held = np.zeros(count, bool)
        self.strayed = np.zeros(count, bool)
        """True for a row that has left the frames' own order, so that its phases are its own."""
        self._speed = np.ones(count)
        self._way = np.ones(count)
        self._tempo = np.ones(count)
        self._region = np.tile(np.array(STEADY, float), (count, 1))

    def begin(self, row: int, tempo: float, place: int = FIRST) -> None:
        """Begin at a frame, at ``tempo`` frames per hop."""
        self.place[row] = place
        self._way[row] = 1
        self._speed[row] = 1
        self._tempo[row] = tempo
        self.held[row] = False
        self.strayed[row] = tempo != 1

    def steer(
        self, row: int, held: bool, speed: float, region: tuple[float, float], strayed: bool
    ) -> None:
        """Set how a row goes on: whether it stays in a region, and its speed and direction."""
        self.strayed[row] |= strayed
        if speed != self._speed[row]:
            self.strayed[row] = True
            self._speed[row] = speed
            self._way[row] = 1
        self.held[row] = held
        if not held:
            self._way[row] = 1
        self._region[row] = region

    def seek(self, row: int, to: float) -> None:
        self.place[row] = np.clip(to, FIRST, FRAMES - 1)
        self.strayed[row] = True

    def next_frame(self, row: int) -> tuple[float, float]:
        """Return the next place of a row, and the step after it."""
        step = self._way[row] * self._speed[row] * self._tempo[row]
        return float(self.place[row]), float(step)

    def within(self, rows: Rows) -> NDArray[np.bool_]:
        """Mask the rows that are held, and have come to where they stay."""
        low, high = self._region[rows].T
        at = self.place[rows]
        return self.held[rows] & (at >= low) & (at <= high)

    def walk(self, rows: Rows, counts: NDArray[np.int64]) -> tuple[Steps, NDArray[np.int64]]:
        """Move rows on by so many hops each, and return the frames on the way.

        Returns:
            the frames, and which of its own [rows] is the last of each note, ``counts`` for none.
        """
        total = int(counts.sum())
        steps = Steps(
            counts,
            *(np.empty(total), np.empty(total, bool), np.zeros(total, bool)),
            playing=np.empty(total, bool),
        )
        steps.strayed[:] = self.strayed[rows][steps.row]
        nth = np.arange(total) - steps.first[steps.row]
        if self.held[rows].any():
            for hop in range(int(counts.max())):
                on = counts > hop
                at, moving = steps.first[on] + hop, rows[on]
                steps.place[at] = self.place[moving]
                steps.strayed[at] = self.strayed[moving]
                steps.within[at] = self.within(moving)
                self._advance(moving)
        else:
            way = self._way[rows] * self._speed[rows] * self._tempo[rows]
            steps.place[:] = self.place[rows][steps.row] + nth * way[steps.row]
            self.place[rows] += counts * way
        steps.playing[:] = _inside(steps.place)
        following = np.append(steps.playing[1:], False)
        following[steps.first + counts - 1] = _inside(self.place[rows])
        ends = counts.copy()
        np.minimum.at(ends, steps.row[~following], nth[~following])
        return steps, ends

    def _advance(self, rows: Rows) -> None:
        """Move rows on by one hop."""
        step = self._way[rows] * self._speed[rows] * self._tempo[rows]
        at = self.place[rows] + step
        held = rows[self.held[rows]]
        self.place[rows] = at
        if not len(held):
            return
        low, high = self._region[held].T
        at, step = self.place[held], step[self.held[rows]]
        turn = ((at >= high) & (step > 0)) | ((at <= low) & (step < 0))
        self._way[held[turn]] *= -1
        self.strayed[held[turn]] = True
        self.place[held] = np.clip(at, FIRST, FRAMES - 1)


def _inside(place: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask the places where there is a frame that is heard."""
    return (place < FRAMES) & (place >= FIRST)
