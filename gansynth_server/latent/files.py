"""Latents in files (.json, .npz or .npy), as bytes. Nothing is ever unpickled.

.json   {"checkpoint": NAME, "latent_size": N, "latents": {SLOT: [N numbers]}, "from": {SLOT: …}};
        a plain {SLOT: [numbers]}, a list of latents, or one latent are read too
.npz    the arrays ``names`` [count], ``latents`` [count, N] and ``checkpoint``;
        without ``latents`` every array is one latent under its own name
.npy    one array [count, N] or [N]; the slots are 0, 1, 2 …
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.latent.vectors import Latent
from gansynth_server.model.safe_files import array_header
from gansynth_server.util import json_text

SUFFIXES = (".json", ".npz", ".npy")
MAX_BYTES = 32 << 20
MAX_NAME = 256
_BROKEN = (
    *(ValueError, TypeError, KeyError, OverflowError, RecursionError, EOFError, OSError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)


def suffix_of(name: str) -> str:
    """Suffix of a file of latents; UserError for any other suffix."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return suffix
    raise UserError(f"latents are kept in {', '.join(SUFFIXES)} files, not in {name!r}")


def encode(
    name: str, latents: Mapping[str, Latent], checkpoint: str, origins: Mapping[str, str]
) -> bytes:
    """Content of a file of latents, all of one size.

    Args:
        name: of the file; its suffix names the format.
        origins: where each latent is from, in words.
    """
    suffix, table = suffix_of(name), np.stack(list(latents.values()))
    if suffix == ".json":
        content = {
            "checkpoint": checkpoint,
            "latent_size": table.shape[1],
            "latents": dict(latents),
            "from": dict(origins),
        }
        return json_text.dumps(content) + b"\n"
    file = io.BytesIO()
    if suffix == ".npy":
        np.save(file, table)
    else:
        slots = np.array(list(latents))
        np.savez(file, names=slots, latents=table, checkpoint=np.array(checkpoint))
    return file.getvalue()


def decode(name: str, data: bytes, size: int) -> dict[str, Latent]:
    """Latents of a file, by name.

    Args:
        name: of the file; its suffix names the format.
        data: its content.
        size: of a latent.

    Raises:
        UserError: the file is damaged, or holds something else than latents of this size.
    """
    suffix = suffix_of(name)
    try:
        if suffix == ".json":
            named = _named(json_text.loads(data))
        elif suffix == ".npy":
            named = _listed(_array(data))
        else:
            named = _arrays(data)
        table = {str(slot): np.array(values, np.float32) for slot, values in named.items()}
    except _BROKEN as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"{name} holds no latents: {why}") from error
    for slot, z in table.items():
        if not 0 < len(slot) <= MAX_NAME:
            raise UserError(f"{name}: a latent's name has 1 to {MAX_NAME} characters")
        if z.shape != (size,) or not np.isfinite(z).all():
            raise UserError(
                f"{name}: latents of this checkpoint are {size} finite numbers, "
                f"and {slot!r} is {list(z.shape)}"
            )
    if not table:
        raise UserError(f"{name} holds no latents: it is empty")
    return table


def _named(content: Any) -> dict[str, Any]:
    if isinstance(content, dict):
        return content["latents"] if isinstance(content.get("latents"), dict) else content
    return _listed(np.array(content, np.float32))


def _listed(table: NDArray[Any]) -> dict[str, Any]:
    if table.ndim not in (1, 2) or table.dtype.kind not in "fiu":
        raise ValueError("an array of latents is [count, size] or [size]")
    return {f"{n}": z for n, z in enumerate(np.atleast_2d(table))}


def _arrays(data: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES:,} bytes")
        arrays = {m.filename.removesuffix(".npy"): _array(archive.read(m)) for m in members}
    if "latents" not in arrays:
        return arrays
    listed = _listed(arrays["latents"])
    if "names" not in arrays:
        return listed
    names = [str(name) for name in np.atleast_1d(arrays["names"])]
    if len(set(names)) != len(listed):
        raise ValueError("its names do not fit its latents")
    return dict(zip(names, listed.values(), strict=True))


def _array(data: bytes) -> NDArray[Any]:
    """Array of an .npy file, whose size is checked before it is allocated."""
    file = io.BytesIO(data)
    shape, fortran, kind = array_header(file)
    if kind.kind not in "fiuU" or any(n < 0 for n in shape):
        raise ValueError(f"an array of {kind}")
    if math.prod(shape) * kind.itemsize != len(data) - file.tell():
        raise ValueError("an array whose bytes do not fit its shape")
    flat = np.frombuffer(data, kind, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C")
