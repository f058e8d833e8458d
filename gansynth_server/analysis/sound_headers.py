"""Headers of sound files that a streaming recorder left unfinished: the file's length decides."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

HEAD = 1 << 16
"""Bytes in which the header ends."""
MAX_FLAC = (1 << 36) - 1
"""Largest number of frames that a FLAC file can promise."""


class PatchedFile(io.RawIOBase):
    """A file of which some bytes read otherwise.

    Args:
        patches: bytes by their place in the file.
    """

    def __init__(self, file: BinaryIO, patches: dict[int, bytes]) -> None:
        self._file, self._patches = file, patches
        file.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any, /) -> int:
        at, view = self._file.tell(), memoryview(buffer).cast("B")
        data = self._file.read(len(view))
        view[: len(data)] = data
        for place, patch in self._patches.items():
            for n, byte in enumerate(patch, place - at):
                if 0 <= n < len(data):
                    view[n] = byte
        return len(data)


def mended(file: BinaryIO) -> BinaryIO:
    """Return a sound file as it would be, had its recorder told how long it is."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    patches = dict(_patches(head, size))
    return PatchedFile(file, patches) if patches else file  # type: ignore[return-value]


def _patches(head: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    kind = head[:4]
    if kind in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        yield from _wave(head, size)
    elif kind == b".snd" and head[8:12] in (bytes(4), b"\xff" * 4):
        begin = int.from_bytes(head[4:8], "big")
        yield 8, max(0, size - begin).to_bytes(4, "big")
    elif kind == b"caff":
        yield from _caf(head, size)
    elif kind == b"fLaC" and head[4] & 0x7F == 0 and not head[21] & 0x0F and not any(head[22:26]):
        # how many frames there are is told by reading them
        yield 21, bytes([head[21] | 0x0F]) + b"\xff" * 4


def _wave(head: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    place = 12
    while place + 8 <= len(head):
        name, length = (
            head[place : place + 4],
            int.from_bytes(head[place + 4 : place + 8], "little"),
        )
        begin = place + 8
        if name == b"data":
            rest = size - begin
            end = begin + length + length % 2
            following = head[end : end + 4]
            # an unfinished length leads into the middle of the sound
            lost = end < size and not _is_name(following) and end + 8 <= len(head)
            if rest and ((length == 0 and not _is_name(following)) or lost or head[:4] == b"RF64"):
                yield from _wave_length(head, place, rest)
            return
        place = begin + length + length % 2


def _wave_length(head: bytes, place: int, rest: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lengths of a WAV file or, where they do not fit, what RF64 has in their place."""
    sizes = head.find(b"ds64", 12, place)
    if head[:4] == b"RF64" and sizes > 0:
        promised = int.from_bytes(head[sizes + 16 : sizes + 24], "little")
        if 0 < promised <= rest:
            return
        yield sizes + 8, (place + rest).to_bytes(8, "little") + rest.to_bytes(8, "little")
    else:
        yield 4, min(place + rest, 0xFFFFFFFF).to_bytes(4, "little")
        yield place + 4, min(rest, 0xFFFFFFFF).to_bytes(4, "little")


def _caf(head: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    place = 8
    while place + 12 <= len(head):
        length = int.from_bytes(head[place + 4 : place + 12], "big", signed=True)
        if head[place : place + 4] == b"data":
            rest = size - place - 12
            if not 4 < length <= rest:
                yield place + 4, rest.to_bytes(8, "big")
            return
        if length < 0:
            return
        place += 12 + length


def _is_name(name: bytes) -> bool:
    """Return whether four bytes are the name of a chunk."""
    return len(name) == 4 and all(32 <= char < 127 for char in name)
