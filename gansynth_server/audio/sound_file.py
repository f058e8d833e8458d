"""The last step of an offline render: the level, and the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.file import SUBTYPES
from gansynth_server.errors import UserError

Float32 = NDArray[np.float32]

CEILING = 10 ** (-1 / 20)
"""True peak of a normalised file: -1 dBFS."""
OVERSAMPLING = 4
BLOCK = 1 << 18


def true_peak(sound: Float32) -> float:
    """Highest level of [channels, frames] between the samples too, 4 times oversampled."""
    from scipy.signal import resample_poly

    peak = 0.0
    margin = 64  # more than the filter reaches, so that blocks meet without an edge
    for at in range(0, sound.shape[1], BLOCK):
        part = sound[:, max(0, at - margin) : at + BLOCK + margin]
        peak = max(peak, float(np.abs(resample_poly(part, OVERSAMPLING, 1, axis=1)).max()))
    return peak


def normalise(sound: Float32) -> None:
    """Scales [channels, frames] in place to a true peak of -1 dBFS; silence stays."""
    peak = true_peak(sound)
    if peak > 0:
        sound *= np.float32(CEILING / peak)


def check_output(path: Path) -> None:
    """UserError for a file that could not be written, before any time is spent on it."""
    if path.suffix.lower() not in SUBTYPES:
        raise UserError(f"cannot write {path}: use {', '.join(SUBTYPES)}")
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")


def save(path: Path, sound: NDArray[np.floating], rate: int) -> None:
    """Writes [channels, frames] to .wav (32-bit float), .flac (24 bits) or .ogg (Vorbis).

    Raises:
        UserError: the file cannot be written.
    """
    import soundfile

    check_output(path)
    subtype = SUBTYPES[path.suffix.lower()]
    try:
        with soundfile.SoundFile(path, "w", rate, len(sound), subtype) as file:
            # Vorbis in libsndfile overruns its stack on long writes
            for at in range(0, sound.shape[1], BLOCK):
                file.write(np.ascontiguousarray(sound[:, at : at + BLOCK].T, np.float32))
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"cannot write {path} at {rate} Hz: {error}") from error
