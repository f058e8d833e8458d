"""TensorFlow's V2 checkpoint bundle (tensor_bundle.proto), read with NumPy.

PREFIX.index                    a LevelDB table: tensor name → BundleEntryProto
PREFIX.data-00000-of-00001      the tensors' bytes, little-endian, C order

A table (LevelDB's doc/table_format.md) is blocks of prefix-compressed records,
each block followed by a type byte and a masked CRC32C; its 48-byte footer
points to the block that lists the others.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.model.magenta.crc32c import crc32c, masked

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
TRAILER = 5
"""Bytes after a block: type and CRC."""
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}
"""TensorFlow's DataType numbers that a network may hold, and NumPy's names of them."""
LARGEST_INDEX = 64 * 2**20

Fields = dict[int, list[bytes | int]]


class _MalformedError(Exception):
    """Malformed bytes; becomes a UserError with the file's name."""


@dataclass(frozen=True)
class Entry:
    """Type, shape and place of a tensor."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


class Bundle:
    """An opened bundle: ``entries`` by tensor name, and the tensors.

    Args:
        prefix: path of the bundle without ``.index``.

    Raises:
        UserError: the index is missing, cut off, compressed or fails a checksum.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        index = prefix.with_name(prefix.name + ".index")
        try:
            if index.stat().st_size > LARGEST_INDEX:
                raise _MalformedError("it is far too large for an index")
            records = dict(_table(index.read_bytes()))
            header = _fields(records.pop(b"", b""))
            if _number(header, 2):
                raise _MalformedError("it was written on a big-endian machine")
            self.shards = _number(header, 1)
            self.entries = {key.decode(): _entry(value) for key, value in records.items()}
        except OSError as error:
            raise UserError(f"{index} cannot be read: {error.strerror}") from error
        except (_MalformedError, UnicodeDecodeError) as error:
            raise UserError(
                f"{index} is damaged or not a TensorFlow index ({error}); copy it again"
            ) from error
        self._data: dict[int, memoryview] = {}

    def data_path(self, shard: int = 0) -> Path:
        return self.prefix.with_name(f"{self.prefix.name}.data-{shard:05}-of-{self.shards:05}")

    def tensor(self, name: str) -> NDArray[Any]:
        """Read a tensor and check its CRC; KeyError if there is none of that name.

        Raises:
            UserError: its file is missing or cut off, or its checksum is wrong.
        """
        entry = self.entries[name]
        if entry.dtype not in DTYPES:
            raise UserError(f"{self.prefix.name}: {name} has a type that no network has")
        values = np.frombuffer(self._checked(name, entry), DTYPES[entry.dtype])
        return values.reshape(entry.shape)

    def verify(self, advance: Callable[[int], object]) -> None:
        """Check every tensor; call ``advance`` with the bytes of each."""
        for name, entry in self.entries.items():
            # strings have another kind of checksum, and no network holds any
            if entry.dtype in DTYPES:
                self._checked(name, entry)
            advance(entry.size)

    def _checked(self, name: str, entry: Entry) -> memoryview:
        data = self._shard(entry.shard)
        end = entry.offset + entry.size
        if end > len(data):
            raise UserError(
                f"{self.data_path(entry.shard)} is cut off: {name} ends at byte {end}, "
                f"the file at {len(data)}; copy it again"
            )
        part = data[entry.offset : end]
        if masked(crc32c(part)) != entry.crc:
            raise UserError(
                f"{self.data_path(entry.shard)} is damaged: the checksum of {name} is wrong; "
                "copy it again"
            )
        return part

    def _shard(self, shard: int) -> memoryview:
        if shard not in self._data:
            path = self.data_path(shard)
            try:
                with path.open("rb") as file:
                    # mmap refuses an empty file
                    empty = path.stat().st_size == 0
                    data = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except OSError as error:
                raise UserError(
                    f"{path} cannot be read ({error.strerror}); it belongs beside the .index file"
                ) from error
            self._data[shard] = memoryview(data)
        return self._data[shard]


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a LevelDB table, in order."""
    if len(data) < FOOTER:
        raise _MalformedError("it is too short")
    footer = data[-FOOTER:]
    if struct.unpack("<Q", footer[-8:])[0] != MAGIC:
        raise _MalformedError("its end is not that of a table")
    at = 0
    # past the handle (offset and size) of the metaindex block
    for _ in range(2):
        _, at = _varint(footer, at)
    for _, handle in _records(_block(data, footer[at:])):
        yield from _records(_block(data, handle))


def _block(data: bytes, handle: bytes) -> bytes:
    """Contents of the block at a handle (offset and size), checked."""
    offset, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    end = offset + size
    if end + TRAILER > len(data) - FOOTER:
        raise _MalformedError("a block lies beyond its end")
    kind, crc = struct.unpack("<BI", data[end : end + TRAILER])
    if kind:
        name = "Snappy" if kind == 1 else f"type {kind}"
        raise _MalformedError(f"a block is compressed ({name}), which TensorFlow never does here")
    if masked(crc32c(data[offset : end + 1])) != crc:
        raise _MalformedError("a block's checksum is wrong")
    return data[offset:end]


def _records(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a block; a record leaves out what its key shares with the last."""
    if len(block) < 4:
        raise _MalformedError("a block is too short")
    (restarts,) = struct.unpack("<I", block[-4:])
    # the restart points, from which a binary search would start, are not needed here
    end = len(block) - 4 - 4 * restarts
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        size, at = _varint(block, at)
        if shared > len(key) or at + own + size > end:
            raise _MalformedError("a record runs past its block")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + size]
        at += own + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A varint (seven bits per byte), and the place where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _MalformedError("a number does not end")


def _fields(message: bytes | int) -> Fields:
    """Fields of a protocol buffer by number: lists of integers and bytes."""
    if not isinstance(message, bytes):
        raise _MalformedError("a message is a number")
    found: Fields = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(message, at)
        elif kind in (1, 2, 5):
            size, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value = message[at : at + size]
            at += size
            if len(value) < size:
                raise _MalformedError("a field is cut off")
            value = value if kind == 2 else int.from_bytes(value, "little")
        else:
            raise _MalformedError("a field has an unknown kind")
        found.setdefault(tag >> 3, []).append(value)
    return found


def _number(fields: Fields, number: int) -> int:
    """An integer field; 0 if it is missing, because protocol buffers leave zeros out."""
    value = fields.get(number, [0])[-1]
    if not isinstance(value, int):
        raise _MalformedError("a number is no number")
    return value


def _entry(message: bytes) -> Entry:
    fields = _fields(message)
    shape: tuple[int, ...] = ()
    with suppress(KeyError):
        shape = tuple(_number(_fields(dim), 1) for dim in _fields(fields[2][-1]).get(2, []))
    entry = Entry(_number(fields, 1), shape, *(_number(fields, n) for n in (3, 4, 5, 6)))
    if 7 in fields:
        raise _MalformedError("a tensor is stored in slices, which a single machine never does")
    if entry.dtype in DTYPES:
        size = math.prod(shape) * np.dtype(DTYPES[entry.dtype]).itemsize
        if size != entry.size:
            raise _MalformedError("a tensor's size does not fit its shape")
    return entry
