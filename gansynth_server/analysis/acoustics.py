"""Acoustic measures of notes: pitch, envelope, attack, level, centroid, flatness, phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.analysis.labelled_notes import LabelledNotes
from gansynth_server.spectral import transform
from gansynth_server.spectral.constants import BINS, FFT, HOP, LEAD, SAMPLE_RATE
from gansynth_server.util.extras import require
from gansynth_server.util.midi_pitch import midi_to_hz

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

STEP = 20
"""Resolution of pyin (cents); whole semitones are among its candidates."""
LOWEST, HIGHEST = 19, 90  # MIDI pitches, a fifth below and a tritone above GANSynth's
BLOCK = 800  # 50 ms
SMOOTH = SAMPLE_RATE // 50
"""RMS window (samples; 20 ms) of the envelope in which attacks are measured."""
TREBLE = 4000.0  # Hz
FIRST = LEAD // HOP - 3  # frames before it are silent by construction
BANDS = 16
"""Bands of 500 Hz, in each of which flatness is measured: coloured noise is flat in each."""
APART = 2
"""Frames between the phases that are compared. Neighbouring frames share three quarters of
their samples, so over one frame even noise looks coherent."""
QUIET = 1e-12  # power


def need_librosa() -> Any:
    """librosa; UserError where it is missing."""
    return require("librosa", "evaluating", "eval,plots")


def cents_off(wave: Float32, pitch: float) -> float:
    """Distance (cents) of the pitch that pyin hears from a MIDI pitch; nan if it hears none.

    The median over the voiced frames of the first 1.5 s.
    """
    hertz, voiced, _ = need_librosa().pyin(
        wave[: SAMPLE_RATE * 3 // 2],
        fmin=midi_to_hz(LOWEST),
        fmax=midi_to_hz(HIGHEST),
        sr=SAMPLE_RATE,
        frame_length=4096,
        hop_length=2048,
        # librosa's default of 10 cents takes four times as long
        resolution=STEP / 100,
    )
    if not voiced.any():
        return float("nan")
    return float(1200 * np.log2(np.median(hertz[voiced]) / midi_to_hz(pitch)))


def envelope(wave: Float32) -> Float64:
    """RMS level of each 50 ms block, [80]."""
    blocks = wave.astype(np.float64).reshape(-1, BLOCK)
    return np.asarray(np.sqrt((blocks**2).mean(axis=1)))


def centroid(wave: Float32) -> float:
    """Spectral centroid (Hz), weighted by power, of the first two seconds."""
    power = np.abs(np.fft.rfft(wave[: 2 * SAMPLE_RATE])) ** 2
    hertz = np.fft.rfftfreq(2 * SAMPLE_RATE, 1 / SAMPLE_RATE)
    return float((power * hertz).sum() / max(power.sum(), QUIET))


def attack(wave: Float32) -> float:
    """Attack time (ms): the envelope's rise from 10 to 90 % of its peak; nan for silence.

    The envelope is the RMS over 20 ms, so a sudden onset takes 16 ms.
    """
    total = np.cumsum(np.pad(wave.astype(np.float64) ** 2, (SMOOTH + 1, 0)))
    level = np.sqrt(np.maximum(total[SMOOTH:] - total[:-SMOOTH], 0) / SMOOTH)
    peak = level.max()
    if peak <= 0:
        return float("nan")
    start, end = (int(np.argmax(level >= share * peak)) for share in (0.1, 0.9))
    return 1000 * (end - start) / SAMPLE_RATE


@dataclass(frozen=True)
class Spectral:
    """Spectral properties of N notes, each [N]."""

    flatness: Float64
    """Spectral flatness 0…1: geometric over arithmetic mean of the power in 500 Hz bands of
    each frame, weighted by power; about 0.56 for white noise."""
    coherence: Float64
    """Mean cosine of the change of a bin's phase advance within 64 ms, weighted by power:
    1 for steady partials, less for vibrato, about 0.1 for random phases."""
    treble: Float64
    """Power above 4 kHz relative to the whole (dB)."""


def spectral(sounds: LabelledNotes) -> Spectral:
    """Measure the spectra of notes; silence has flatness 1 and coherence 0."""
    parts: list[torch.Tensor] = []
    for waves in sounds.batches():
        spectrum = transform.stft(waves)[:, FIRST:]
        power = spectrum.real.square() + spectrum.imag.square() + QUIET
        bands = power.reshape(*power.shape[:2], BANDS, BINS // BANDS)
        tonal = bands.log().mean(dim=-1).exp().sum(dim=(1, 2)) / bands.mean(dim=-1).sum(dim=(1, 2))
        # the phase of this product is the second difference of the phase
        ahead, here, behind = spectrum[:, 2 * APART :], spectrum[:, APART:-APART], spectrum
        bend = ahead * behind[:, : -2 * APART] * here.conj() ** 2
        weight = bend.abs().sqrt()
        steady = (bend.real / (weight + QUIET)).sum(dim=(1, 2)) / (weight.sum(dim=(1, 2)) + QUIET)
        above = power[..., round(TREBLE * FFT / SAMPLE_RATE) :].sum(dim=(1, 2))
        treble = 10 * torch.log10(above / power.sum(dim=(1, 2)))
        parts.append(torch.stack([tonal, steady, treble]))
    return Spectral(*torch.cat(parts, dim=1).double().numpy())


@dataclass(frozen=True)
class Levels:
    """Levels of N notes, each [N]."""

    peak: Float64
    """Highest |sample|."""
    rms: Float64
    """RMS level (dBFS) over the four seconds."""
    attack: Float64
    """Attack time (ms), see :func:`attack`."""


def levels(sounds: LabelledNotes) -> Levels:
    """Measure levels and attack times of notes."""
    peak = np.abs(sounds.waves).max(axis=1).astype(np.float64)
    power = np.array([np.mean(wave.astype(np.float64) ** 2) for wave in sounds.waves])
    rise = np.array([attack(wave) for wave in sounds.waves])
    return Levels(peak, 10 * np.log10(power + QUIET), rise)


@dataclass(frozen=True)
class Tuning:
    """Shares of notes by where pyin hears their pitch; they add up to 1."""

    right: float
    """Within 50 cents."""
    octave: float
    """Within 50 cents of another octave."""
    other: float
    """Anywhere else."""
    unvoiced: float
    """pyin hears no pitch."""

    @classmethod
    def of(cls, cents: Float64) -> Tuning:
        """Sort distances (cents; nan where pyin hears no pitch) into shares."""
        voiced = np.isfinite(cents)
        right = np.abs(cents) <= 50
        octave = octave_off(cents)
        other = voiced & ~right & ~octave
        return cls(*(float(np.mean(part)) for part in (right, octave, other, ~voiced)))


def octave_off(cents: Float64) -> NDArray[np.bool_]:
    """Mask of distances (cents) within 50 cents of a whole number of octaves other than 0."""
    octaves = np.round(cents / 1200)
    return (np.abs(cents - 1200 * octaves) <= 50) & (octaves != 0)
