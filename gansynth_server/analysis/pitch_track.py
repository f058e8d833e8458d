"""The pitch of a line over time: one voice, heard every 5 ms.

Autocorrelation freed of its window, after P. Boersma, "Accurate short-term analysis of the
fundamental frequency and the harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17,
1993: candidates of each frame (section 3.1), and the cheapest path through them (section 3.2).
Each pitch on the path is heard again in a window as short as its period allows, so that vibrato
keeps its depth and a leap its moment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from gansynth_server.analysis.line_features import HOP, QUIET, frame_count, frames_of, level
from gansynth_server.spectral.constants import SAMPLE_RATE

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

LOWEST, HIGHEST = 55.0, 2200.0
"""Pitches (Hz) that are looked for."""
PERIODS = 3
"""Periods of the lowest pitch in a window."""
CANDIDATES = 8
"""Pitches of a frame that are considered, the strongest ones."""
VOICED = 0.45
"""Autocorrelation from which a frame has a pitch."""
AUDIBLE = 0.01
"""Level, as a share of the loudest, under which a frame rather has none."""
TREBLE = (2500.0, 5000.0)  # Hz
OCTAVE = 0.02
"""Cost of an octave down: of equally strong candidates the highest is meant."""
LEAP = 0.35
"""Cost of a leap by an octave from one frame to the next 10 ms later, in proportion for others."""
SWITCH = 0.14
"""Cost of a change between frames with and without a pitch 10 ms apart."""
REFERENCE_S = 0.01
"""Time (s) between frames that the costs of leaps and switches are made for."""
FINE_PERIODS = 3.0
"""Periods in the short window of the second hearing."""
FINE_S = (0.016, 0.040)
"""Length (s) of that window, at least and at most."""
APART_S = 0.005
"""Time (s) between the two windows that are compared, at least a period."""
REACH = 3
"""Samples to either side within which the first hearing's lag is corrected."""
BATCH = 2048
"""Frames that are heard together."""


@dataclass(frozen=True)
class PitchTrack:
    """What is heard of a line, each [frames].

    seconds: centre of the frame.
    hertz: pitch; nan where there is none.
    level: RMS level (dB full scale).
    confidence: 0…1, how nearly the sound repeats with its period.
    """

    seconds: Float64
    hertz: Float64
    level: Float64
    confidence: Float64


def track(sound: Float32, lowest: float = LOWEST, highest: float = HIGHEST) -> PitchTrack:
    """Hear the pitch and the level of a line.

    Args:
        sound: [n] at 16 kHz, one voice.
        lowest: Hz; a lower one takes longer windows.
        highest: Hz.
    """
    window = round(PERIODS * SAMPLE_RATE / lowest) // 2 * 2
    frames, count = frames_of(sound, window), frame_count(sound)
    peak = float(np.abs(sound).max(initial=0))
    heard = [
        _candidates(frames[at : at + BATCH], lowest, highest, peak) for at in range(0, count, BATCH)
    ]
    lags, strengths = (np.concatenate(part) for part in zip(*heard, strict=True))
    chosen = _path(lags, strengths)
    lag = np.take_along_axis(lags, chosen[:, None], 1)[:, 0]
    fine, confidence = _refine(sound, lag)
    hertz = np.where(lag > 0, SAMPLE_RATE / np.maximum(fine, 1), np.nan)
    seconds = np.arange(count) * HOP / SAMPLE_RATE
    return PitchTrack(seconds, hertz, level(sound), confidence)


def _candidates(
    frames: Float32, lowest: float, highest: float, peak: float
) -> tuple[Float64, Float64]:
    """Lags (samples) [n, 1 + CANDIDATES] and their strengths; lag 0 stands for no pitch."""
    size = frames.shape[1]
    shape = np.hanning(size + 2)[1:-1].astype(np.float32)
    windowed = (frames - frames.mean(axis=1, keepdims=True)) * shape
    most = int(SAMPLE_RATE / lowest) + 2
    length = fft.next_fast_len(size + most, real=True)
    power = np.abs(fft.rfft(windowed, length)) ** 2 * _taper(length)
    own = fft.irfft(np.abs(fft.rfft(shape, length)) ** 2, length)[: most + 1]
    correlation = fft.irfft(power, length)[:, : most + 1]
    # equation 9: what the window takes from a lag is given back
    correlation *= own[0] / own / np.maximum(correlation[:, :1], QUIET)
    least = int(SAMPLE_RATE / highest)
    inner = correlation[:, least : most + 1]
    middle = inner[:, 1:-1]
    peaks = (middle > inner[:, :-2]) & (middle >= inner[:, 2:]) & (middle > VOICED / 2)
    # a parabola through three neighbours finds the peak between samples
    slope = (inner[:, 2:] - inner[:, :-2]) / 2
    curve = np.maximum(2 * middle - inner[:, 2:] - inner[:, :-2], 1e-6)
    lag = np.arange(least + 1, most) + slope / curve
    height = np.minimum(middle + slope**2 / curve / 2, 1.0)
    strength = height - OCTAVE * np.log2(lowest * np.maximum(lag, 1) / SAMPLE_RATE)
    strength = np.where(peaks, strength, -np.inf)
    best = np.argpartition(strength, -CANDIDATES, axis=1)[:, -CANDIDATES:]
    loud = np.abs(frames).max(axis=1) / max(peak, QUIET)
    # equation 23
    silent = VOICED + np.maximum(0, 2 - loud * (1 + VOICED) / AUDIBLE)
    lags = np.pad(np.take_along_axis(lag, best, 1), ((0, 0), (1, 0)))
    strengths = np.column_stack([silent, np.take_along_axis(strength, best, 1)])
    lags[~np.isfinite(strengths)] = 1
    return lags.astype(np.float64), strengths.astype(np.float64)


def _taper(length: int) -> Float32:
    """Weights of an FFT's bins that fall to 0 from TREBLE[0] to TREBLE[1].

    The peaks of an autocorrelation with treble are narrower than a sample, so a parabola finds
    those of high pitches too low, and their octave below wins.
    """
    hertz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    share = np.clip((hertz - TREBLE[0]) / (TREBLE[1] - TREBLE[0]), 0, 1)
    return np.asarray((1 + np.cos(np.pi * share)) / 2, np.float32)


def _path(lags: Float64, strengths: Float64) -> NDArray[np.int64]:
    """Choose a candidate for each frame: the strongest, with the least leaps between them."""
    scale = REFERENCE_S * SAMPLE_RATE / HOP
    octaves = np.log2(np.maximum(lags, 1))
    count, width = lags.shape
    before = np.zeros((count, width), np.int64)
    score = strengths[0].copy()
    columns = np.arange(width)
    for n in range(1, count):
        cost = np.abs(octaves[n - 1][:, None] - octaves[n]) * (LEAP * scale)
        cost[0, :] = cost[:, 0] = SWITCH * scale
        cost[0, 0] = 0
        total = score[:, None] - cost
        before[n] = total.argmax(axis=0)
        score = total[before[n], columns] + strengths[n]
    chosen = np.zeros(count, np.int64)
    chosen[-1] = score.argmax()
    for n in range(count - 1, 0, -1):
        chosen[n - 1] = before[n, chosen[n]]
    return chosen


def _refine(sound: Float32, lag: Float64) -> tuple[Float64, Float64]:
    """Hear lags (samples, [n]; 0 is none) again in a short window; return also how alike the
    periods are, 0…1.

    The normalised square difference of P. McLeod & G. Wyvill, "A smarter way to find pitch",
    ICMC 2005, section 4, between two windows that lie symmetrically about the frame's centre.
    """
    fine, confidence = lag.copy(), np.zeros(len(lag))
    # so many periods apart that half a sample is nothing, even of a high pitch
    periods = np.maximum(1, np.floor(APART_S * SAMPLE_RATE / np.maximum(lag, 1)))
    apart = np.rint(lag * periods).astype(np.int64)
    low, high = (round(SAMPLE_RATE * seconds) for seconds in FINE_S)
    edge = high + int(apart.max(initial=0)) + REACH
    padded = np.pad(sound, edge)
    for distance in np.unique(apart[lag > 0]).tolist():
        those = np.flatnonzero((apart == distance) & (lag > 0))
        length = int(np.clip(FINE_PERIODS * lag[those].mean(), low, high))
        centres = edge + those * HOP
        alike = np.stack(
            [_alike(padded, centres, distance + d, length) for d in range(-REACH, REACH + 1)], 1
        )
        inner = alike[:, 1:-1]
        best = inner.argmax(axis=1)
        around = np.take_along_axis(alike, best[:, None] + np.arange(3), 1)
        slope, curve = around[:, 2] - around[:, 0], 2 * around[:, 1] - around[:, 0] - around[:, 2]
        shift = np.clip(slope / 2 / np.maximum(curve, 1e-9), -1, 1)
        found = distance + best - REACH + 1 + shift
        fine[those] = found / periods[those]
        confidence[those] = np.clip(around[:, 1], 0, 1)
    return fine, confidence


def _alike(
    padded: Float32, centres: NDArray[np.int64], distance: int, length: int
) -> NDArray[np.float32]:
    """Normalised square difference [n], -1…1, of two windows around each centre."""
    windows = sliding_window_view(padded, length)
    first = windows[centres - (length + distance) // 2]
    second = windows[centres - (length + distance) // 2 + distance]
    both = np.einsum("nk,nk->n", first, second)
    power = np.einsum("nk,nk->n", first, first) + np.einsum("nk,nk->n", second, second)
    return np.asarray(2 * both / np.maximum(power, QUIET))
