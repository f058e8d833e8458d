"""Which frame of its note a voice reads next: forward, backward, slowly, or to and fro."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import FRAMES, HOP, LEAD, SAMPLE_RATE
from gansynth_server.synth.slides import Rows

FIRST = LEAD // HOP - 3
"""Frame 3 is the first that reaches into the note."""
STEADY = (40, 80)
"""Frames between which a held note moves, where its own steadiest part is not known."""
CENTRE = LEAD / HOP - 2
"""Place of the frame whose centre is the note's first sample."""


def place(seconds: float) -> float:
    """The frame at a time of the note."""
    return seconds * SAMPLE_RATE / HOP + CENTRE


def seconds(place: float) -> float:
    """The time of the note at a frame."""
    return (place - CENTRE) * HOP / SAMPLE_RATE


@dataclass(frozen=True)
class Steps:
    """The next frames of some voices, [rows, count] each: where in their notes they are,
    whether their phases are their own, whether they are held there, and whether they are at
    all. ``ends`` [rows] is the first after which there is no further one, ``count`` for none."""

    place: NDArray[np.float64]
    strayed: NDArray[np.bool_]
    within: NDArray[np.bool_]
    playing: NDArray[np.bool_]
    ends: NDArray[np.int64]

    def of(self, rows: NDArray[np.bool_]) -> Steps:
        """Those of some of the rows."""
        if rows.all():
            return self
        return Steps(
            *(self.place[rows], self.strayed[rows], self.within[rows], self.playing[rows]),
            ends=self.ends[rows],
        )


class Motion:
    """Places of voices in their notes, in frames; fractions lie between two of them.

    Args:
        count: voices.
    """

    def __init__(self, count: int) -> None:
        self.place = np.zeros(count)
        self.held = np.zeros(count, bool)
        self.strayed = np.zeros(count, bool)
        """Whether a row has left the frames' own order, so that its phases are its own."""
        self._speed = np.ones(count)
        self._way = np.ones(count)
        self._tempo = np.ones(count)
        self._region = np.tile(np.array(STEADY, float), (count, 1))

    def begin(self, row: int, tempo: float, place: int = FIRST) -> None:
        """From a frame on, at ``tempo`` frames per hop."""
        self.place[row] = place
        self._way[row] = 1
        self._speed[row] = 1
        self._tempo[row] = tempo
        self.held[row] = False
        self.strayed[row] = tempo != 1

    def steer(
        self, row: int, held: bool, speed: float, region: tuple[float, float], strayed: bool
    ) -> None:
        """Sets how a row goes on: whether it stays in a region, and its speed and direction."""
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

    def heading(self, row: int) -> tuple[float, float]:
        """The next place of a row, and the step after it."""
        step = self._way[row] * self._speed[row] * self._tempo[row]
        return float(self.place[row]), float(step)

    def within(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows are held, and have come to where they stay."""
        low, high = self._region[rows].T
        at = self.place[rows]
        return self.held[rows] & (at >= low) & (at <= high)

    def walk(self, rows: Rows, count: int) -> Steps:
        """Moves rows on by so many hops, and tells by which frames."""
        if not self.held[rows].any():
            return self._straight(rows, count)
        shape = len(rows), count
        place, strayed, within = np.empty(shape), np.empty(shape, bool), np.empty(shape, bool)
        for hop in range(count):
            place[:, hop] = self.place[rows]
            strayed[:, hop] = self.strayed[rows]
            within[:, hop] = self.within(rows)
            self._advance(rows)
        return self._steps(rows, place, strayed, within)

    def _straight(self, rows: Rows, count: int) -> Steps:
        """As :meth:`walk`, for rows that are not held: they go on as they go."""
        step = self._way[rows] * self._speed[rows] * self._tempo[rows]
        places = np.empty((len(rows), count + 1))
        places[:, 0], places[:, 1:] = self.place[rows], step[:, None]
        places.cumsum(axis=1, out=places)
        self.place[rows] = places[:, -1]
        strayed = np.repeat(self.strayed[rows, None], count, axis=1)
        return self._steps(rows, places[:, :-1], strayed, np.zeros(strayed.shape, bool))

    def _steps(
        self,
        rows: Rows,
        place: NDArray[np.float64],
        strayed: NDArray[np.bool_],
        within: NDArray[np.bool_],
    ) -> Steps:
        playing = _inside(np.column_stack([place, self.place[rows]]))
        after = playing[:, 1:]
        ends = np.where(after.all(axis=1), after.shape[1], after.argmin(axis=1))
        return Steps(place, strayed, within, playing[:, :-1], ends)

    def _advance(self, rows: Rows) -> None:
        """One hop on."""
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
    """Where there is a frame that is heard."""
    return (place < FRAMES) & (place >= FIRST)
