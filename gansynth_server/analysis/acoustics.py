"""What can be heard of notes without a trained judge: pitch, attack, level, noise, phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.analysis.sounds import Sounds
from gansynth_server.errors import UserError
from gansynth_server.spectral import transform
from gansynth_server.spectral.constants import BINS, FFT, HOP, LEAD, SAMPLE_RATE

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

STEP = 20
"""Cents between the pitches that pyin chooses from; whole semitones are among them."""
LOWEST, HIGHEST = 19, 90  # MIDI pitches, a fifth below and a tritone above GANSynth's
BLOCK = 800  # 50 ms
SMOOTH = SAMPLE_RATE // 50
"""20 ms: the envelope in which attacks are measured is the RMS over so many samples."""
TREBLE = 4000.0  # Hz
FIRST = LEAD // HOP - 3  # frames before it are silent by construction
BANDS = 16
"""Noise is looked for in this many bands of 500 Hz, so that its colour does not hide it."""
APART = 2
"""Frames between phases that are compared: single steps look coherent in noise, for
neighbouring frames share three quarters of their samples."""
QUIET = 1e-12  # power


def midi_hertz(pitch: float) -> float:
    """Frequency of a MIDI note number in Hz."""
    return float(440 * 2 ** ((pitch - 69) / 12))


def check_librosa() -> None:
    """UserError where librosa is missing, before any time is spent."""
    try:
        import librosa  # noqa: F401
    except ImportError as error:
        raise UserError("evaluating needs: pip install 'gansynth-server[eval,plots]'") from error


def cents_off(wave: Float32, pitch: float) -> float:
    """Distance in cents of the pitch that pyin hears from a MIDI pitch; nan if it hears none.

    The median over the voiced frames of the first 1.5 s, in steps of
    :data:`STEP` cents: pyin's own 10 would take four times as long.
    """
    check_librosa()
    import librosa

    hertz, voiced, _ = librosa.pyin(
        wave[: SAMPLE_RATE * 3 // 2],
        fmin=midi_hertz(LOWEST),
        fmax=midi_hertz(HIGHEST),
        sr=SAMPLE_RATE,
        frame_length=4096,
        hop_length=2048,
        resolution=STEP / 100,
    )
    if not voiced.any():
        return float("nan")
    return float(1200 * np.log2(np.median(hertz[voiced]) / midi_hertz(pitch)))


def envelope(wave: Float32) -> Float64:
    """RMS level of each 50 ms, [80]."""
    blocks = wave.astype(np.float64).reshape(-1, BLOCK)
    return np.asarray(np.sqrt((blocks**2).mean(axis=1)))


def centroid(wave: Float32) -> float:
    """Power-weighted mean frequency of the first two seconds, in Hz."""
    power = np.abs(np.fft.rfft(wave[: 2 * SAMPLE_RATE])) ** 2
    hertz = np.fft.rfftfreq(2 * SAMPLE_RATE, 1 / SAMPLE_RATE)
    return float((power * hertz).sum() / max(power.sum(), QUIET))


def attack(wave: Float32) -> float:
    """Milliseconds in which the envelope rises from 10 to 90 % of its peak; nan for silence.

    The envelope is the RMS over 20 ms, so that a sudden onset takes 16 ms.
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
    """Spectral flatness 0…1: geometric over arithmetic mean of the power in bands
    of 500 Hz in each frame, weighted with the power; white noise has about 0.56."""
    coherence: Float64
    """Mean cosine of what the phase advance of a bin changes by in 64 ms, weighted
    with the power: 1 for steady partials, less for vibrato, about 0.1 for random phases."""
    treble: Float64
    """Power above 4 kHz against the whole, in dB."""


def spectral(sounds: Sounds) -> Spectral:
    """Measures the spectra of notes; silence has flatness 1 and coherence 0."""
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
    """dBFS over the four seconds."""
    attack: Float64
    """See :func:`attack`."""


def levels(sounds: Sounds) -> Levels:
    """Measures levels and attacks of notes."""
    peak = np.abs(sounds.waves).max(axis=1).astype(np.float64)
    power = np.array([np.mean(wave.astype(np.float64) ** 2) for wave in sounds.waves])
    rise = np.array([attack(wave) for wave in sounds.waves])
    return Levels(peak, 10 * np.log10(power + QUIET), rise)


@dataclass(frozen=True)
class Tuning:
    """Shares of notes by where pyin hears them; they add up to 1."""

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
        """Sorts distances in cents, nan where there is no pitch."""
        voiced = np.isfinite(cents)
        right = np.abs(cents) <= 50
        octave = octave_off(cents)
        other = voiced & ~right & ~octave
        return cls(*(float(np.mean(part)) for part in (right, octave, other, ~voiced)))


def octave_off(cents: Float64) -> NDArray[np.bool_]:
    """Which distances in cents are within 50 of whole octaves but 0."""
    octaves = np.round(cents / 1200)
    return (np.abs(cents - 1200 * octaves) <= 50) & (octaves != 0)
