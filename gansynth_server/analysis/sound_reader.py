"""Reads sound files of musicians as mono at their own rate, or says why one cannot be read."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from gansynth_server.analysis.sound_headers import mended

Float32 = NDArray[np.float32]

SUFFIXES = frozenset(
    ".wav .wave .bwf .rf64 .w64 .aif .aiff .aifc .au .snd .caf .flac .ogg .oga .ogx .opus "
    ".mp3 .mp2 .voc .sf .ircam .nist .sph .svx .8svx .iff .avr .paf .pvf".split()
)
"""Of files that libsndfile reads."""
UNREADABLE = frozenset(
    ".m4a .m4b .mp4 .aac .alac .wma .amr .ape .wv .mka .mkv .webm .mov .3gp .mpc .tta .ra .dsf "
    ".dff .spx .ac3 .dts".split()
)
"""Of sound files that it does not read."""
RATES = (1000, 768_000)
"""Range of a recording's sample rate (Hz)."""
BLOCK = 1 << 16
MAX_SECONDS = 3600 * 6
FULL_SCALE = 2.0
"""Level that no recording reaches but by an error, or where all of it is as loud."""
MAD = 10.0
"""A sample that is so many times as large as the next ones is none of the sound."""
MAX_MAD = 16
"""Such samples that are mended; with more, the file is refused."""
CANCELLED = 0.2
"""Energy of the sum of all channels, over that of one, under which they cancel each other."""


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read from its beginning on, so that its header's length is not needed.

    soundfile seeks after each read, which fails behind the end of a FLAC file of unknown length.
    """

    def seekable(self) -> bool:
        return False


def way_out(suffix: str) -> str:
    """Return what to do about a file that cannot be read."""
    return f"{suffix} cannot be read: make a .wav of it, as with ffmpeg -i FILE{suffix} FILE.wav"


def read(file: Path | BinaryIO, seconds: float | None = None) -> tuple[Float32, int]:
    """Return the sound of a file, [n] in mono, and its rate (Hz).

    Args:
        seconds: most to read (s); None reads all.

    Raises:
        ValueError: it cannot be read; says why.
    """
    with ExitStack() as stack:
        if isinstance(file, Path):
            try:
                file = stack.enter_context(file.open("rb"))
            except OSError as error:
                raise ValueError(error.strerror or str(error)) from error
        try:
            opened = stack.enter_context(_Sequential(mended(file)))
            rate = opened.samplerate
            if not RATES[0] <= rate <= RATES[1]:
                raise ValueError(f"it has {rate} samples a second")
            most = round((MAX_SECONDS if seconds is None else seconds) * rate)
            sound = _frames(opened, most)
        except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
            raise ValueError(_reason(error)) from error
    return _mono(_sane(sound)), rate


def _frames(opened: soundfile.SoundFile, most: int) -> Float32:
    """Read up to so many frames, whatever the header promises."""
    blocks = []
    left = min(most, opened.frames)
    while left > 0:
        block = opened.read(min(BLOCK, left), dtype="float32", always_2d=True)
        left -= len(block)
        blocks.append(block)
        if not len(block):
            break
    return np.concatenate(blocks) if blocks else np.zeros((0, opened.channels), np.float32)


def _reason(error: Exception) -> str:
    """Return libsndfile's reason, without the name of an object that it puts before it."""
    return str(getattr(error, "error_string", error)).rstrip(".").lower() or "it is damaged"


def _sane(sound: Float32) -> Float32:
    """Mend single samples that are far beyond all others; ValueError where there are many."""
    levels = np.abs(sound)
    finite = np.isfinite(levels)
    peak = float(levels[finite].max(initial=0))
    if finite.all() and peak <= FULL_SCALE:
        return sound
    ordered = np.sort(np.where(finite, levels, np.inf), axis=None)
    usual = float(ordered[-MAX_MAD - 1]) if ordered.size > MAX_MAD else 0.0
    if not np.isfinite(usual):
        raise ValueError(f"{int((~finite).sum())} of its samples are no numbers")
    limit = max(MAD * usual, FULL_SCALE)
    wrong = ~finite | (levels > limit)
    if not wrong.any():
        return sound
    if usual == 0:
        raise ValueError(f"a sample of {peak:.3g} stands in silence")
    found = sound.copy()
    for channel in range(sound.shape[1]):
        bad = wrong[:, channel]
        if bad.any():
            good = np.flatnonzero(~bad)
            found[bad, channel] = np.interp(np.flatnonzero(bad), good, sound[good, channel])
    return found


def _mono(sound: Float32) -> Float32:
    """Return the mean of all channels or, where they cancel each other, the loudest of them."""
    mono: Float32 = sound.mean(axis=1)
    channels = sound.shape[1]
    if channels > 1 and len(sound):
        energies = np.square(sound, dtype=np.float64).mean(axis=0)
        energy = float(np.square(mono, dtype=np.float64).mean())
        if energy < CANCELLED / channels * energies.mean():
            return np.ascontiguousarray(sound[:, int(energies.argmax())])
    return mono
