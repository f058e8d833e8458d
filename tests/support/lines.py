"""Played lines with their true pitch: sums of sines, and melodies played by a soundfont."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import SAMPLE_RATE

Float64 = NDArray[np.float64]

SPLIT = SAMPLE_RATE // 1000
"""Samples (1 ms) from one true pitch to the next."""
AUDIBLE = -30.0
"""Level (dB below a note's loudest) under which its pitch is asked of no tracker."""
INSTRUMENTS = {"flute": 73, "violin": 40, "voice": 85, "trumpet": 56}
"""General MIDI's programs of the four instruments."""
VIBRATO = (5.5, 0.5)
"""Rate (Hz) and depth (semitones to either side) of the violin's."""
BEND_RANGE = 2.0  # semitones
OVERLAP_S = 0.02
"""Time (s) in which a note goes when the next one begins."""

# (MIDI pitch or None for a rest, beats); all of them in the public domain
MELODIES: dict[str, tuple[float, list[tuple[int | None, float]]]] = {
    "ode_to_joy": (
        0.45,
        [
            *[(64, 1), (64, 1), (65, 1), (67, 1), (67, 1), (65, 1), (64, 1), (62, 1)],
            *[(60, 1), (60, 1), (62, 1), (64, 1), (64, 1.5), (62, 0.5), (62, 2)],
        ],
    ),
    "greensleeves": (
        0.4,
        [
            *[(69, 1), (72, 2), (74, 1), (76, 1.5), (77, 0.5), (76, 1), (74, 2), (71, 1)],
            *[(67, 1.5), (69, 0.5), (71, 1), (72, 2), (69, 1), (69, 1.5), (68, 0.5), (69, 1)],
            *[(71, 2), (68, 1), (64, 2), (None, 1)],
        ],
    ),
    "amazing_grace": (
        0.6,
        [
            *[(62, 1), (67, 2), (71, 0.5), (67, 0.5), (71, 2), (69, 1), (67, 2), (64, 1)],
            *[(62, 2), (None, 1), (62, 1), (67, 2), (71, 0.5), (67, 0.5), (71, 2), (69, 1)],
            (74, 4),
        ],
    ),
    "minuet_in_g": (
        0.36,
        [
            *[(74, 1), (67, 0.5), (69, 0.5), (71, 0.5), (72, 0.5), (74, 1), (67, 1), (67, 1)],
            *[(76, 1), (72, 0.5), (74, 0.5), (76, 0.5), (78, 0.5), (79, 1), (67, 1), (67, 1)],
        ],
    ),
    "auld_lang_syne": (
        0.45,
        [
            *[(60, 1), (65, 1.5), (65, 0.5), (65, 1), (69, 1), (67, 1.5), (65, 0.5), (67, 1)],
            *[(69, 1), (65, 1.5), (65, 0.5), (69, 1), (72, 1), (74, 3), (None, 1)],
        ],
    ),
}


@dataclass(frozen=True)
class Line:
    """A line and its truth.

    sound: float32 [n] at 16 kHz.
    hertz: [m], every 1 ms; nan where nothing with a pitch sounds.
    notes: start and end (s) of each.
    vibrato: start and end (s) of each.
    """

    name: str
    sound: NDArray[np.float32]
    hertz: Float64
    notes: tuple[tuple[float, float], ...]
    vibrato: tuple[tuple[float, float], ...] = ()

    @property
    def seconds(self) -> float:
        return len(self.sound) / SAMPLE_RATE


# sums of sines


def own() -> Iterator[Line]:
    """The lines of sines, formants and noise, whose pitch is exact."""
    yield _sung("steady", [(69, 1.0), (None, 0.3), (57, 1.0), (None, 0.2), (81, 1.0)])
    yield _sung("vibrato", [(64, 2.0), (None, 0.3), (72, 2.0)], vibrato=(5.5, 0.5))
    yield _sung("wide_vibrato", [(60, 2.0), (None, 0.3), (67, 2.0)], vibrato=(6.5, 1.0))
    yield _sung("narrow_vibrato", [(76, 2.0), (None, 0.3), (69, 2.0)], vibrato=(4.5, 0.25))
    yield _sung("slurs", [(60, 0.5), (62, 0.4), (64, 0.4), (67, 0.6), (60, 0.8)], slide=0.04)
    yield _sung("portamento", [(55, 0.6), (67, 0.9), (60, 0.9), (64, 0.6)], slide=0.3)
    yield _sung("breaths", [(62, 0.7), (None, 0.4), (65, 0.7), (None, 0.4), (58, 0.9)], breath=0.1)
    yield _sung("consonants", [(57, 0.5), (None, 0.1), (60, 0.5), (None, 0.1), (64, 0.8)], hiss=0.4)
    yield _sung("bass", [(40, 0.8), (None, 0.1), (43, 0.5), (45, 0.8)])
    yield _sung("high", [(88, 1.0), (91, 1.0), (None, 0.1), (84, 1.0)], vibrato=(6.0, 0.3))
    yield _sung("thin", [(57, 0.8), (None, 0.1), (52, 0.8)], first=3)
    yield _sung("noisy", [(62, 0.8), (None, 0.3), (67, 1.2)], vibrato=(5.0, 0.4), floor=0.02)


def _sung(
    name: str,
    notes: list[tuple[int | None, float]],
    *,
    vibrato: tuple[float, float] = (0.0, 0.0),
    slide: float = 0.02,
    breath: float = 0.0,
    hiss: float = 0.0,
    floor: float = 0.0,
    first: int = 1,
) -> Line:
    """A sung line.

    Args:
        notes: (MIDI pitch or None for a rest, seconds) each.
        vibrato: Hz, and semitones to either side, from 0.3 s of a note on.
        slide: time (s) from one pitch to the next where no rest lies between.
        breath: level of the noise in rests.
        hiss: level of a burst of noise at the end of each rest.
        floor: level of the noise all over.
        first: the lowest partial there is.
    """
    rng = np.random.default_rng(len(name))
    pitch, voiced, spans, shaken, noise = [], [], [], [], []
    at, before = 0.1, None
    quiet = round(0.1 * SAMPLE_RATE)
    pitch.append(np.full(quiet, 60.0))
    voiced.append(np.zeros(quiet, bool))
    noise.append(np.zeros(quiet))
    for key, seconds in [*notes, (None, 0.3)]:
        count = round(seconds * SAMPLE_RATE)
        time = np.arange(count) / SAMPLE_RATE
        curve = np.full(count, float(key or before or 60))
        hissing = np.zeros(count)
        if key is None:
            hissing += breath * np.hanning(count)
            if hiss:
                tail = min(count, round(0.09 * SAMPLE_RATE))
                hissing[-tail:] += hiss * np.hanning(tail)
        else:
            if before is not None:
                share = np.clip(time / slide, 0, 1)
                curve = before + (key - before) * (1 - np.cos(np.pi * share)) / 2
            rate, depth = vibrato
            if depth:
                since = np.maximum(time - 0.3, 0)
                curve = curve + depth * np.minimum(since / 0.1, 1) * np.sin(
                    2 * np.pi * rate * since
                )
                shaken.append((at + 0.4, at + seconds - 0.05))
            spans.append((at, at + seconds))
        pitch.append(curve)
        voiced.append(np.full(count, key is not None))
        noise.append(hissing)
        before, at = key or before, at + seconds
    hertz = 440 * 2 ** ((np.concatenate(pitch) - 69) / 12)
    on = np.concatenate(voiced)
    # 10 ms edges and phrases that swell and fade
    edge = np.convolve(on, np.hanning(320) / np.hanning(320).sum(), "same")
    swell = 0.35 + 0.65 * np.sin(np.pi * np.linspace(0.15, 0.95, len(on))) ** 2
    sound = _voice(hertz, first) * edge * swell
    hush = rng.standard_normal(len(on))
    sound = 0.5 * sound / np.abs(sound).max() + 0.3 * hush * (np.concatenate(noise) + floor)
    truth = np.where(edge > 10 ** (AUDIBLE / 20), hertz, np.nan)
    return Line(name, sound.astype(np.float32), truth[::SPLIT], tuple(spans), tuple(shaken))


def _voice(hertz: Float64, first: int) -> Float64:
    """Partials under three formants, with a frequency (Hz) for each sample."""
    phase = 2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE
    sound = np.zeros(len(hertz))
    for n in range(first, 40):
        at = n * hertz
        if at.min() > 7500:
            break
        level = sum(
            gain / (1 + ((at - centre) / width) ** 2)
            for centre, width, gain in ((600, 200, 1.0), (1200, 250, 0.5), (2700, 400, 0.2))
        )
        sound += np.where(at < 7500, (level + 0.3 / n) * np.sin(n * phase + n), 0)
    return sound


# melodies by a soundfont


def played(font: Path) -> Iterator[Line]:
    """Five melodies by four instruments; the violin has vibrato."""
    for (instrument, program), melody in itertools.product(INSTRUMENTS.items(), MELODIES):
        bend = _shaken if instrument == "violin" else _straight
        yield _melody(font, f"{instrument}/{melody}", program, *MELODIES[melody], bend)


def _straight(seconds: float) -> float:
    return 0.0


def _shaken(seconds: float) -> float:
    rate, depth = VIBRATO
    return depth * float(np.clip((seconds - 0.15) / 0.1, 0, 1) * np.sin(2 * np.pi * rate * seconds))


def _melody(
    font: Path,
    name: str,
    program: int,
    beat: float,
    notes: list[tuple[int | None, float]],
    bend: Callable[[float], float],
) -> Line:
    """Notes one after the other, each rendered alone and over once the next one begins, with
    phrases that swell and fade. The truth is the louder one's where two overlap."""
    total = round((sum(beats for _, beats in notes) * beat + 1.0) * SAMPLE_RATE)
    sound, loudest = np.zeros(total), np.zeros(total)
    hertz = np.full(total, np.nan)
    spans, shaken = [], []
    at, window = 0.2, np.hanning(SAMPLE_RATE // 50)
    for n, (key, beats) in enumerate(notes):
        seconds = beats * beat
        if key is not None:
            start = round(at * SAMPLE_RATE)
            wave = _played_note(font, program, key, seconds - 0.04, bend)[: total - start]
            if n + 1 < len(notes) and notes[n + 1][0] is not None:
                # one flute, one breath: a line has no two notes at once
                wave = wave[: round((seconds + OVERLAP_S) * SAMPLE_RATE)]
                wave[-round(OVERLAP_S * SAMPLE_RATE) :] *= np.linspace(
                    1, 0, round(OVERLAP_S * SAMPLE_RATE)
                )
            swell = 0.3 + 0.7 * np.sin(np.pi * (n + 0.5) / len(notes)) ** 2
            wave *= swell / np.abs(wave).max()
            here = slice(start, start + len(wave))
            sound[here] += wave
            power = np.convolve(wave**2, window, "same")
            louder = power > loudest[here]
            loudest[here] = np.maximum(power, loudest[here])
            hertz[here] = np.where(louder, _fundamental(wave, key, bend), hertz[here])
            spans.append((at, at + seconds - 0.04))
            if bend is not _straight and seconds > 0.75:
                shaken.append((at + 0.25, at + seconds - 0.05))
        at += seconds
    sound = 0.5 * sound / np.abs(sound).max()
    return Line(name, sound.astype(np.float32), hertz[::SPLIT], tuple(spans), tuple(shaken))


def _played_note(
    font: Path, program: int, key: int, seconds: float, bend: Callable[[float], float]
) -> Float64:
    """One note with its release of 0.15 s at most, [n] at 16 kHz."""
    import tinysoundfont

    synth = _synth(font)
    synth.program_select(0, 0, 0, program)
    synth.pitchbend_range(0, BEND_RANGE)
    synth.pitchbend(0, 8192)
    synth.noteon(0, key, 100)
    step = SAMPLE_RATE // 400
    parts = []
    for n in range(round((seconds + 0.15) * SAMPLE_RATE) // step):
        if n == round(seconds * SAMPLE_RATE) // step:
            synth.noteoff(0, key)
        synth.pitchbend(0, round(8192 + 8191 * bend(n / 400) / BEND_RANGE))
        parts.append(np.frombuffer(synth.generate(step), np.float32).copy())
    synth.sounds_off(0)
    synth.generate(SAMPLE_RATE // 10)
    assert isinstance(synth, tinysoundfont.Synth)
    wave = np.concatenate(parts).reshape(-1, 2).mean(axis=1).astype(np.float64)
    fade = SAMPLE_RATE // 50
    wave[-fade:] *= np.linspace(1, 0, fade)
    return wave


_synths: dict[Path, object] = {}


def _synth(font: Path):  # type: ignore[no-untyped-def]
    """The soundfont, loaded once."""
    import tinysoundfont

    if font not in _synths:
        synth = tinysoundfont.Synth(samplerate=SAMPLE_RATE, gain=0.0)
        synth.sfload(str(font))
        _synths[font] = synth
    return _synths[font]


def _fundamental(wave: Float64, key: int, bend: Callable[[float], float]) -> Float64:
    """True frequency (Hz) of each sample: how fast the phase of the lowest partials turns
    against that of the key and its bend. nan where the note is quiet.

    Samples of soundfonts are a few cents off and have vibrato of their own. A demodulator that
    is told the key finds that without any chance of an octave's error.
    """
    time = np.arange(len(wave)) / SAMPLE_RATE
    bends = np.array([bend(t) for t in time[:: SAMPLE_RATE // 400]])
    # the synthesizer holds each bend for a step; what is between is smoothed below
    semitones = np.repeat(bends, SAMPLE_RATE // 400)[: len(wave)]
    nominal = 440 * 2 ** ((key - 69 + semitones) / 12)
    phase = 2 * np.pi * np.cumsum(nominal) / SAMPLE_RATE
    window = np.hanning(SAMPLE_RATE * 3 // 100)
    window /= window.sum()
    turned = np.zeros(len(wave), complex)
    for n in range(1, 5):
        if n * nominal.max() > 7000:
            break
        partial = np.convolve(wave * np.exp(-1j * n * phase), window, "same")
        lag = SAMPLE_RATE // 100
        # advance of the partial's phase in 10 ms; in parts of the fundamental's
        step = partial[lag:] * partial[:-lag].conj()
        padded = np.pad(step, (lag // 2, lag - lag // 2), mode="edge")
        turned += np.abs(padded) * n * np.exp(1j * np.angle(padded) / n)
    off = np.angle(turned) / (2 * np.pi * 0.01)
    level = np.convolve(wave**2, window, "same")
    audible = level > level.max() * 10 ** (AUDIBLE / 10)
    return np.where(audible, nominal + off, np.nan)
