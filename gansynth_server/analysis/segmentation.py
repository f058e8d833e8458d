"""Segmentation of recordings: loading at 16 kHz, onsets and ends of notes, and their pitches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis import sound_reader
from gansynth_server.spectral.constants import SAMPLE_RATE, SAMPLES
from gansynth_server.util.extras import require

Float32 = NDArray[np.float32]

PEAK = 0.5
"""Peak of notes whose own level means nothing: those of soundfonts and of recordings."""
SILENT = 1e-4
"""Peak under which a sound counts as silent."""

BLOCK = 80
"""Samples of a level, 5 ms."""
SMOOTH = 13
"""Blocks under a level's window, 65 ms: two periods of the lowest note."""
BEFORE = 4
"""Blocks before an onset, in which the noise floor is measured."""
AUDIBLE, CLEAR = -48.0, -36.0
"""Levels (dB from the loudest): a take is over AUDIBLE throughout, and over CLEAR somewhere."""
GAP = SAMPLE_RATE // 20
"""Silence (samples) that separates two takes."""
STRIKE = 10.0
"""Rise of the level (dB) within a window where a note is struck again."""
APART = SAMPLE_RATE // 4
"""Least distance (samples) between two strikes."""
LEAD_IN = SAMPLE_RATE // 200
"""Samples kept before an onset."""
DENOMINATOR = 4096
"""Largest denominator of a resampling ratio: exact for all usual rates, else within 0.001 cents."""
FADE_IN, FADE_OUT = SAMPLE_RATE // 500, SAMPLE_RATE // 50

HOP, WINDOW = 320, 2048
HERTZ = (27.5, 2093.0)
"""Range of pyin (Hz): wider than the wanted pitches, so a higher one is not taken for its
suboctave."""
VOICED = 0.03
"""Least voiced probability of a frame: hiss has 0.01, notes mostly over 0.1."""
STEP = 0.7
"""Distance (semitones) from a note's median pitch at which another note begins."""
PARTIALS = (12, 19, 24)
"""Semitones by which a partial may be taken for the fundamental."""
STEADY = 5
"""Frames (0.1 s) for which a pitch must last."""


@dataclass(frozen=True, slots=True)
class Span:
    """Samples ``start`` … ``stop`` of a sound, and the MIDI pitch detected there."""

    start: int
    stop: int
    pitch: int | None = None


def load(file: Path | BinaryIO, seconds: float | None = None) -> Float32:
    """Read a sound file as mono [n] at 16 kHz; ValueError says why it cannot be read.

    Args:
        seconds: most to read (s); None reads all.
    """
    mono, rate = sound_reader.read(file, seconds)
    if rate != SAMPLE_RATE and len(mono):
        mono = resample(mono, rate)
    return mono - mono.mean() if len(mono) else mono


def resample(sound: Float32, rate: int) -> Float32:
    """A sound [n] of another rate (Hz) at 16 kHz."""
    from scipy.signal import firwin, resample_poly

    ratio = Fraction(SAMPLE_RATE, rate).limit_denominator(DENOMINATOR)
    up, down = ratio.numerator, ratio.denominator
    widest = max(up, down)
    # flat to 0.9 of the lower Nyquist frequency, 90 dB down at it
    taps = firwin(2 * 60 * widest + 1, 0.95 / widest, window=("kaiser", 9.0))
    return np.asarray(resample_poly(sound, up, down, window=taps), np.float32)


def takes(sound: Float32) -> list[Span]:
    """Parts of a sound between silences; none where all is silent."""
    if len(sound) < BLOCK or np.abs(sound).max() < SILENT:
        return []
    levels = _levels(sound)
    over = levels > levels.max() + AUDIBLE
    edges = np.flatnonzero(np.diff(over.astype(np.int8), prepend=0, append=0))
    found: list[Span] = []
    for begun, ended in edges.reshape(-1, 2).tolist():
        if levels[begun:ended].max() < levels.max() + CLEAR:
            continue
        # the level's window reaches half of its length beyond both ends of a sound
        start = _onset(sound, begun - BEFORE, begun + 2 * SMOOTH) if begun else 0
        stop = (ended - SMOOTH // 2) * BLOCK if ended < len(levels) else len(sound)
        if found and start - found[-1].stop < GAP:
            start = found.pop().start
        found.append(Span(start, max(stop, start + BLOCK)))
    return found


def strikes(sound: Float32, take: Span) -> list[Span]:
    """Cut a take where its level jumps up: notes struck while others ring."""
    part = sound[take.start : take.stop]
    levels = _levels(part)
    before = np.array([levels[max(0, n - SMOOTH) : n + 1].min() for n in range(len(levels))])
    jumps = (levels - before > STRIKE) & (levels > levels.max() - 30)
    starts = [take.start]
    for block in np.flatnonzero(jumps & ~np.roll(jumps, 1)).tolist():
        at = take.start + _onset(part, block - SMOOTH // 2, block + SMOOTH)
        if at - starts[-1] >= APART and take.stop - at >= APART // 2:
            starts.append(at)
    stops = [*(start - LEAD_IN for start in starts[1:]), take.stop]
    return [Span(start, stop) for start, stop in zip(starts, stops, strict=True)]


def melody(sound: Float32, take: Span) -> Iterator[Span]:
    """Cut a take at its strikes and where its pitch changes, and detect the pitches.

    Raises:
        UserError: librosa is missing.
    """
    frames = _pitches(sound[take.start : take.stop])
    for struck in strikes(sound, take):
        first = (struck.start - take.start) // HOP
        runs = _runs(frames[first : (struck.stop - take.start) // HOP + 1])
        if not runs:
            yield struck
            continue
        starts = [struck.start, *(take.start + (first + at) * HOP for at, _ in runs[1:])]
        for n, (start, stop) in enumerate(pairwise([*starts, struck.stop])):
            # without a strike, such a leap is more often a wrong pitch estimate than played
            doubtful = n and round(abs(runs[n][1] - runs[n - 1][1])) in PARTIALS
            yield Span(start, stop, None if doubtful else round(runs[n][1]))


def note(sound: Float32, span: Span) -> Float32:
    """Cut a span out as a note [64000], faded where it was cut, with a peak of 0.5."""
    start = max(0, span.start - LEAD_IN)
    wave = sound[start : min(span.stop, start + SAMPLES)].astype(np.float32)
    rise, fall = (min(n, len(wave) // 2) for n in (FADE_IN, FADE_OUT))
    if start and rise:
        wave[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    if fall:
        wave[-fall:] *= np.linspace(1, 0, fall, dtype=np.float32)
    wave *= PEAK / np.abs(wave).max()
    return np.pad(wave, (0, SAMPLES - len(wave)))


def need_librosa() -> Any:
    """librosa; UserError where it is missing."""
    return require("librosa", "hearing the pitches of files whose names say none", "eval")


def _levels(sound: Float32) -> NDArray[np.float64]:
    """Smoothed level (dB) of each block, [⌈n / 80⌉]."""
    padded = np.pad(sound, (0, -len(sound) % BLOCK)).astype(np.float64)
    energy = (padded.reshape(-1, BLOCK) ** 2).mean(axis=1)
    window = np.hanning(SMOOTH + 2)[1:-1]
    smooth = np.convolve(energy, window / window.sum(), mode="full")
    half = SMOOTH // 2
    return 10 * np.log10(smooth[half : half + len(energy)] + 1e-12)


def _onset(sound: Float32, begun: int, ended: int) -> int:
    """First sample above the noise floor, in a range of blocks that begins before a note does."""
    begun = max(0, begun)
    part = np.abs(sound[begun * BLOCK : ended * BLOCK])
    floor = part[: BEFORE * BLOCK].max()
    return begun * BLOCK + int(np.argmax(part > floor + 0.1 * (part.max() - floor)))


def _pitches(sound: Float32) -> NDArray[np.float64]:
    """MIDI pitch of every 20 ms; nan where unvoiced."""
    librosa = need_librosa()
    hertz, _, probability = librosa.pyin(
        sound,
        fmin=HERTZ[0],
        fmax=HERTZ[1],
        sr=SAMPLE_RATE,
        frame_length=WINDOW,
        hop_length=HOP,
        # a fifth of a semitone tells semitones apart at a quarter of the time
        n_thresholds=50,
        resolution=0.2,
    )
    hertz[probability < VOICED] = np.nan
    return np.asarray(librosa.hz_to_midi(hertz))


def _runs(frames: NDArray[np.float64]) -> list[tuple[int, float]]:
    """First frame and median of each steady pitch; vibrato counts as one."""
    runs: list[list[int]] = []
    away: list[int] = []
    for n in np.flatnonzero(np.isfinite(frames)).tolist():
        if runs and abs(frames[n] - np.median(frames[runs[-1]])) < STEP:
            runs[-1].append(n)
            away = []
            continue
        # another note begins only once its pitch has been steady for a while
        if away and abs(frames[n] - np.median(frames[away])) >= STEP:
            away = []
        away.append(n)
        if len(away) >= STEADY:
            runs.append(away)
            away = []
    return [(run[0], float(np.median(frames[run]))) for run in runs]
