"""Sound files as they are written: one table of formats, one writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError

FORMATS = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24"), ".ogg": ("OGG", "VORBIS")}
"""Format and sample type by suffix."""
MAX_FRAMES = 1 << 18
"""Frames that libsndfile is given at once."""
_USE = "use .wav, .flac or .ogg"


class SoundWriter:
    """A sound file that is written block by block.

    Args:
        path: its suffix names the format.
        file: an open binary file to write to; then the path only says what it is.
        subtype: of the samples, as libsndfile names it; None is that of ``FORMATS``.

    Raises:
        UserError: the file cannot be made, or not at this rate.
    """

    def __init__(
        self,
        path: Path,
        rate: int,
        channels: int,
        file: BinaryIO | None = None,
        subtype: str | None = None,
    ) -> None:
        try:
            import soundfile
        except (ImportError, OSError) as error:
            raise UserError(
                f"sound files need soundfile and libsndfile: pip install soundfile ({error})"
            ) from error
        check_output(path, folder=file is None)
        format, usual = FORMATS[path.suffix.lower()]
        with _reported(path, rate):
            if file is None:
                path.open("ab").close()  # its error says why; libsndfile's is "System error"
            self._file = soundfile.SoundFile(
                file or path, "w", rate, channels, subtype or usual, format=format
            )

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def write(self, sound: NDArray[np.floating]) -> None:
        """Append [channels, frames] as float32; OSError or RuntimeError where that fails."""
        # The Vorbis encoder puts a whole write on its stack, which overflows:
        # https://github.com/xiph/vorbis/issues/99
        for at in range(0, sound.shape[1], MAX_FRAMES):
            self._file.write(np.ascontiguousarray(sound[:, at : at + MAX_FRAMES].T, np.float32))

    def close(self) -> None:
        """Complete the file; OSError or RuntimeError where that fails."""
        self._file.close()


def check_output(path: Path, folder: bool = True) -> None:
    """Refuse a file that cannot be written, before any time is spent on its sound.

    Args:
        folder: whether its folder must exist.

    Raises:
        UserError: the suffix names no format, or there is no such folder.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"cannot write {path}: {path.suffix or 'no suffix'} is no format; {_USE}")
    if folder and not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")


def save(path: Path, sound: NDArray[np.floating], rate: int) -> None:
    """Write [channels, frames] at their level; UserError if the file cannot be written."""
    save_blocks(path, [sound], rate)


def save_blocks(path: Path, blocks: Iterable[NDArray[np.floating]], rate: int) -> int:
    """Write blocks [channels, frames] at their level as they come; return all frames.

    A file that cannot be completed is removed.

    Raises:
        UserError: the file cannot be written, or a block cannot be had.
    """
    blocks = iter(blocks)
    first = next(blocks, np.zeros((1, 0), np.float32))  # may fail before a file is made
    writer, total = SoundWriter(path, rate, len(first)), 0
    try:
        for block in chain([first], blocks):
            with _reported(path, rate):
                writer.write(block)
            total += block.shape[1]
        with _reported(path, rate):
            writer.close()
    except UserError:
        writer.close()
        path.unlink(missing_ok=True)
        raise
    return total


@contextmanager
def _reported(path: Path, rate: int) -> Iterator[None]:
    """Turn what file system and libsndfile raise into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path} at {rate} Hz: {error.strerror or error}") from error
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"cannot write {path} at {rate} Hz: {error}; {_USE}") from error
