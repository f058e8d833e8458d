"""The next frame of each voice: magnitudes from its note, phases of its own.

A voice that reads its note in order adds up the note's phase increments, which is
exactly the note. One that has strayed (held, stretched, moved about, or with a
timbre that changes) keeps together what belongs together: the bins around
each spectral peak turn as their peak does (Laroche and Dolson 1999, "Improved
phase vocoder time-scale modification of audio"), so that partials do not fray.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import BINS, SAMPLE_RATE
from gansynth_server.synth.note import Note
from gansynth_server.synth.playhead import FIRST, Steps
from gansynth_server.synth.ramps import Rows
from gansynth_server.util.midi_pitch import midi_to_hz

Float32 = NDArray[np.float32]

LIFT = 10 ** (24 / 20)
"""Largest factor that raises a frame to the level that a held note keeps."""
RETURN = 0.7
"""Share of that (in dB) that is left after each hop once the note is released."""
TILT = 10 ** (24 / 20)
"""Largest factor by which brightness raises a bin."""

_OCTAVES = np.log2((np.arange(BINS) + 1) * (SAMPLE_RATE / 2 / BINS)).astype(np.float32)


class PhaseVocoder:
    """Phases and levels of a bank of voices.

    Args:
        count: voices.
    """

    def __init__(self, count: int) -> None:
        self._phase = np.zeros((count, BINS))  # radians; float64, so that it never drifts
        self._held_level = np.full(count, np.nan)  # level that a held note keeps
        self._lift = np.ones(count)
        self.level = np.zeros(count)
        """Root of the sum of squares of each row's last frame."""
        self.tilt = np.zeros(count, np.float32)
        """dB per octave above (and below) ``pivot``."""
        self.pivot = np.zeros(count, np.float32)
        """log2 of the note's own frequency in Hz."""
        self.band = np.full(count, BINS)
        """Bins that remain when the sound is read fast."""

    def begin(self, row: int, note: Note, place: int = FIRST) -> None:
        """Set the phases to those of the frame before ``place``, the first that is heard."""
        assert note.spectrum is not None
        increments = note.spectrum.increment[: min(place, note.spectrum.ready)]
        self._phase[row] = np.mod(increments.sum(axis=0, dtype=np.float64), 2 * np.pi)
        self._held_level[row] = np.nan
        self._lift[row] = 1
        self.band[row] = BINS
        self.pivot[row] = np.log2(midi_to_hz(note.rendered))

    def first(self, row: int, note: Note, count: int) -> tuple[Float32, NDArray[np.float64]]:
        """Return a note's first frames as they are: magnitudes and phases [count, 1024]."""
        assert note.spectrum is not None
        span = slice(FIRST, FIRST + count)
        magnitude = note.spectrum.magnitude[span]
        phase = self._phase[row] + note.spectrum.increment[span].cumsum(axis=0, dtype=np.float64)
        phase -= 2 * np.pi * np.rint(phase / (2 * np.pi))
        self._phase[row] = phase[-1]
        self.level[row] = np.linalg.norm(magnitude[-1])
        return magnitude, phase

    def next(
        self, rows: Rows, notes: Sequence[Note | None], steps: Steps
    ) -> tuple[Float32, NDArray[np.float64], int]:
        """Compute the next frames of each row.

        Args:
            notes: of these rows.
            steps: where they are in them.

        Returns:
            magnitudes and phases [frames, 1024], and how many frames were not there yet.
        """
        magnitude, increment, late = gather([notes[n] for n in steps.row], steps)
        if steps.strayed.any():
            strayed = steps.strayed
            increment[strayed] = lock(magnitude[strayed], increment[strayed])
        turned: NDArray[np.floating] = increment
        several = np.flatnonzero(steps.counts > 1)
        if len(several):
            turned = increment.astype(np.float64)
        for n in several:
            frames = slice(steps.first[n], steps.first[n] + steps.counts[n])
            turned[frames] = turned[frames].cumsum(axis=0)
        phase = self._phase[rows[steps.row]] + turned
        phase -= 2 * np.pi * np.rint(phase / (2 * np.pi))
        self._phase[rows] = phase[steps.first + steps.counts - 1]
        self._shape(rows, magnitude, steps)
        return magnitude, phase, late

    def _shape(self, rows: Rows, magnitude: Float32, steps: Steps) -> None:
        """Apply level, brightness and band to [frames, 1024], in place."""
        level = np.sqrt(np.einsum("nb,nb->n", magnitude, magnitude, dtype=np.float64))
        lift = np.ones_like(level)
        if steps.within.any() or (self._lift[rows] != 1).any():
            for hop in range(int(steps.counts.max())):
                on = steps.counts > hop
                at = steps.first[on] + hop
                lift[at] = self._lifted(rows[on], level[at], steps.within[at])
        else:
            self._held_level[rows] = np.nan
        last = steps.first + steps.counts - 1
        self.level[rows] = level[last] * lift[last]
        lifted = lift != 1
        if lifted.any():
            magnitude[lifted] *= lift[lifted, None].astype(np.float32)
        tilted = self.tilt[rows[steps.row]] != 0
        if tilted.any():
            row = rows[steps.row[tilted]]
            octaves = _OCTAVES - self.pivot[row, None]
            gain = np.exp2(self.tilt[row, None] * octaves * np.float32(np.log2(10) / 20))
            magnitude[tilted] *= np.minimum(gain, TILT)
        band = self.band[rows]
        for n in np.flatnonzero(band < BINS):
            magnitude[steps.first[n] : last[n] + 1, band[n] :] = 0

    def _lifted(
        self, rows: Rows, level: NDArray[np.float64], held: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Gain for a frame of each row, so that a held note keeps its level."""
        target = np.where(np.isnan(self._held_level[rows]) & held, level, self._held_level[rows])
        self._held_level[rows] = np.where(held, target, np.nan)
        free = self._lift[rows] ** RETURN
        lift = np.where(held, np.minimum(target / np.maximum(level, 1e-9), LIFT), free)
        lift[np.abs(lift - 1) < 1e-3] = 1
        self._lift[rows] = lift
        return lift


def gather(notes: Sequence[Note | None], steps: Steps) -> tuple[Float32, Float32, int]:
    """Gather magnitudes and phase increments [frames, 1024] of steps, zero where no note plays.

    Between two frames magnitudes are mixed and the increments those of the nearer
    one. For a frame that is not there yet the last one is taken; the third
    result counts those.

    Args:
        notes: of each frame.
    """
    magnitude = np.empty((len(notes), BINS), np.float32)
    increment = np.empty((len(notes), BINS), np.float32)
    late = 0
    for n, (note, place) in enumerate(zip(notes, steps.place.tolist(), strict=True)):
        if not steps.playing[n]:
            magnitude[n] = increment[n] = 0
            continue
        assert note is not None and note.spectrum is not None
        overlay = note.overlay
        if overlay is not None:
            place = min(max(place - overlay.first, 0.0), len(overlay.magnitude) - 1.0)
            magnitudes, increments = overlay.magnitude, overlay.increment
        else:
            magnitudes, increments = note.spectrum.magnitude, note.spectrum.increment
            ready = note.spectrum.ready  # read once, for it grows meanwhile
            if place > ready - 1:
                place = ready - 1.0
                note.late += 1
                late += 1
        whole = int(place)
        part = place - whole
        if part:
            following = magnitudes[min(whole + 1, len(magnitudes) - 1)]
            np.multiply(magnitudes[whole], 1 - part, out=magnitude[n])
            magnitude[n] += np.float32(part) * following
        else:
            magnitude[n] = magnitudes[whole]
        increment[n] = increments[min(round(place), len(increments) - 1)]
    return magnitude, increment, late


def lock(magnitude: Float32, increment: Float32) -> Float32:
    """Give all bins of [N, 1024] the increment of the nearest peak: a bin that none of its four
    neighbours exceeds. Half way between two peaks the lower one has it."""
    rows, bins = magnitude.shape
    padded = np.full((rows, bins + 4), -1, np.float32)
    padded[:, 2:-2] = magnitude
    pairs = np.maximum(padded[:, :-1], padded[:, 1:])
    tops = np.flatnonzero(magnitude >= np.maximum(pairs[:, :-3], pairs[:, 3:]))
    starts = np.zeros(len(tops) + 1, np.int64)  # of what belongs to each
    starts[1:-1] = (tops[1:] + tops[:-1]) // 2 + 1
    row = tops // bins
    lowest = np.flatnonzero(np.diff(row)) + 1  # peaks of rows, but for the first row's
    starts[lowest] = row[lowest] * bins
    starts[-1] = rows * bins
    return np.repeat(increment.reshape(-1)[tops], np.diff(starts)).reshape(rows, bins)
