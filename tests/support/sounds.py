"""Sounds for tests, and what is measured in those that were heard."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 48000
Samples = NDArray[np.float32]


def harmonic_tone(
    pitch: float, seconds: float = 2.0, rate: int = 16000, partials: int = 6
) -> Samples:
    """A tone of harmonic partials that decays."""
    at = np.arange(round(seconds * rate)) / rate
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    wave = sum(np.sin(2 * np.pi * hertz * k * at) / k for k in range(1, partials + 1))
    return (0.3 * wave * np.minimum(1, at / 0.01) * np.exp(-at)).astype(np.float32)


def file_of(wave: Samples, rate: int = 16000, format: str = "WAV") -> bytes:
    """A sound file of 16 bits, as bytes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=format, subtype="PCM_16")
    return buffer.getvalue()


def roughness(sound: Samples, size: int = 512) -> float:
    """Largest level above 12 kHz in any 10 ms: nothing of a note lies there, but of a jump."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, size)[:: size // 4]
    spectrum = np.fft.rfft(frames * np.hanning(size))
    return float(np.abs(spectrum[:, 12000 * size // RATE :]).max() / (size / 4))


def pitch_of(sound: np.ndarray, rate: int) -> float:
    """The strongest frequency (Hz)."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 8 * len(sound)))
    return float(spectrum.argmax()) * rate / (8 * len(sound))


def onsets(sound: Samples, note: Samples, expected: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where notes of equal sound begin that overlap: each is searched for within some samples
    of where it is expected, and taken away from the sound; AssertionError if any is not there.

    Args:
        note: the sound of one, alone.
    """
    left = np.concatenate([sound, np.zeros(len(note), np.float32)]).astype(np.float64)
    found = []
    for place in expected:
        shifts = range(-4, 5)
        rests = [np.abs(left[place + s :][:1024] - note[:1024]).max() for s in shifts]
        best = int(place) + shifts[int(np.argmin(rests))]
        # 3e-7 as a rule; each sample that an earlier one's release is off leaves 4e-6, and a
        # beginning that is one off 3e-2
        assert min(rests) < 3e-5, f"no note at {place}: {min(rests):.2g} is left at best"
        left[best : best + len(note)] -= note
        found.append(best)
    return np.array(found)
