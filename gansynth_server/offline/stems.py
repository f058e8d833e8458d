"""The tracks of a song as files of their own, at the levels that they have in the song."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.offline.level import BLOCK, CEILING, TruePeak
from gansynth_server.offline.midi_columns import MidiNote

Float32 = NDArray[np.float32]


def split(notes: Sequence[MidiNote]) -> dict[tuple[int, int], list[int]]:
    """Return the indices of each track's notes, by (track, channel) in the file's order."""
    found: dict[tuple[int, int], list[int]] = {}
    for n, note in enumerate(notes):
        found.setdefault((note.track, note.channel), []).append(n)
    return dict(sorted(found.items()))


def path(output: Path, key: tuple[int, int]) -> Path:
    """Return the file of a track, beside that of the song: song_track02_channel10.wav."""
    track, channel = key
    name = f"{output.stem}_track{track + 1:02}_channel{channel + 1:02}{output.suffix}"
    return output.with_name(name)


class Stems:
    """Sounds of equal length in temporary files, until all have come and their level is known.

    Args:
        folder: where they wait.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._stack = folder, ExitStack()
        self._files: list[tuple[BinaryIO, int]] = []
        self._scale = np.float32(1)

    def __enter__(self) -> Stems:
        return self

    def __exit__(self, *why: object) -> None:
        self._stack.close()

    def add(self, blocks: Iterable[Float32]) -> None:
        """Keep a sound of blocks [channels, frames]; UserError where the folder cannot hold it."""
        try:
            file = TemporaryFile(dir=self._folder)  # noqa: SIM115 closed with the others
            self._stack.callback(file.close)
            channels = 1
            for block in blocks:
                channels = len(block)
                file.write(np.ascontiguousarray(block.T).data)
        except OSError as error:
            raise UserError(f"cannot write to {self._folder}: {error.strerror or error}") from error
        self._files.append((file, channels))

    def mix(self) -> Iterator[Float32]:
        """Yield the sum of all, scaled to a true peak of -1 dBFS as the song is."""
        peak = TruePeak(max(channels for _, channels in self._files))
        for block in self._sum():
            peak.add(block)
        self._scale = np.float32(CEILING / (peak.end() or CEILING))
        for block in self._sum():
            yield block * self._scale

    def stem(self, number: int) -> Iterator[Float32]:
        """Yield one of the sounds, scaled as the mix was."""
        file, channels = self._files[number]
        frames = self._frames
        for block in _blocks(file, channels):
            frames -= block.shape[1]
            yield block * self._scale
        yield np.zeros((channels, frames), np.float32)

    @property
    def _frames(self) -> int:
        """Length of the longest."""
        return max(file.seek(0, 2) // (4 * channels) for file, channels in self._files)

    def _sum(self) -> Iterator[Float32]:
        parts = [_blocks(*entry) for entry in self._files]
        channels = max(channels for _, channels in self._files)
        while blocks := [block for part in parts if (block := next(part, None)) is not None]:
            total = np.zeros((channels, max(block.shape[1] for block in blocks)), np.float32)
            for block in blocks:
                total[:, : block.shape[1]] += block
            yield total


def _blocks(file: BinaryIO, channels: int) -> Iterator[Float32]:
    at = 0
    while True:
        file.seek(at)
        data = file.read(BLOCK * channels * 4)
        if not data:
            return
        at += len(data)
        yield np.frombuffer(data, np.float32).reshape(-1, channels).T
