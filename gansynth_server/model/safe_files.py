"""Checks of JSON, safetensors and npz files from elsewhere, before they are read.

The sizes that a file claims are compared with the size that it has, so that no
small file can make the reader allocate much memory.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from gansynth_server.util import json_text

LARGEST_HEADER = 16 * 2**20
"""Bytes of a safetensors header; one of ours has 10 kB."""
LARGEST_WEIGHTS = 2 * 2**30
LARGEST_JSON = 64 * 2**20
LARGEST_ARRAYS = 256 * 2**20
"""Bytes of the arrays in an npz."""
WIDTHS = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}
"""Types that weights may have, and their bytes."""


def read_json(path: Path, most: int = LARGEST_JSON) -> Any:
    """Content of a JSON file; ValueError where it is none or has more bytes, OSError as usual."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            raise ValueError(f"it has more than {most:,} bytes")
        data = file.read(most)
    return json_text.loads(data)


def check_safetensors(path: Path) -> None:
    """Raise ValueError unless a safetensors file's header fits the file; OSError as usual.

    The tensors must lie one after the other without gaps, each as large as its
    shape says, from the end of the header to the end of the file.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_WEIGHTS:
            raise ValueError(f"it has more than {LARGEST_WEIGHTS >> 30} GB")
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or not 2 <= length <= min(size - 8, LARGEST_HEADER):
            raise ValueError(f"its header should have {length:,} bytes, and the file has {size:,}")
        try:
            header = json.loads(file.read(length))
        except RecursionError as error:
            raise ValueError("its header is nested too deeply") from error
    if not isinstance(header, dict):
        raise ValueError("its header is no table of tensors")
    spans = [_span(name, entry) for name, entry in header.items() if name != "__metadata__"]
    end = 0
    for first, last in sorted(spans):
        if first != end:
            raise ValueError(f"there is a gap or an overlap at byte {min(first, end):,}")
        end = last
    if 8 + length + end != size:
        raise ValueError(f"its tensors end at byte {8 + length + end:,}, the file at {size:,}")


def _span(name: str, entry: Any) -> tuple[int, int]:
    """First and last byte of a tensor; ValueError where they do not fit its shape."""
    try:
        shape, (first, last) = entry["shape"], entry["data_offsets"]
        width = WIDTHS[entry["dtype"]]
        whole = all(type(n) is int and n >= 0 for n in (*shape, first, last))
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{name:.80} is no tensor of numbers that weights may be") from error
    if not whole or len(shape) > 8 or last - first != math.prod(shape) * width:
        raise ValueError(f"the size of {name:.80} does not fit its shape")
    return first, last


def open_npz(path: Path) -> Any:
    """Open an npz file from elsewhere; ValueError, OSError or whatever damaged bytes lead to."""
    check_npz(path)
    return np.load(path, allow_pickle=False)


def check_npz(path: Path, most: int = LARGEST_ARRAYS) -> None:
    """Raise ValueError unless an npz file's arrays are as large as its members, which must fit
    into ``most`` bytes together; OSError as usual."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > most:
                raise ValueError(f"it would unpack to more than {most >> 20} MB")
            for member in members:
                with archive.open(member) as file:
                    _check_array(file, member.file_size)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        with path.open("rb") as file:
            cut = file.read(4) == b"PK\3\4" and not zipfile.is_zipfile(path)
        why = "it is cut off; copy it again" if cut else str(error)
        raise ValueError(f"it is no archive of arrays: {why}") from error


def array_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read an npy header: shape, Fortran order, type; ValueError for another format."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"an array of format {version}")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = readers[version](file)
    return header


def _check_array(file: Any, size: int) -> None:
    shape, _, dtype = array_header(file)
    if dtype.hasobject or file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError("the size of an array does not fit its shape")
