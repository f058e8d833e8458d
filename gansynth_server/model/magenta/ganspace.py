"""GANSpace's principal components: SOPI's pickles → npz, without running what a pickle says.

A pickle may call any function by name. This reader admits the names of NumPy's
arrays alone, and substitutes plain containers, so that not even NumPy's own
constructors see the file's arguments.
"""

from __future__ import annotations

import io
import math
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError

NEEDED = ("comp", "stdev")
KEYS = ("layer", *NEEDED, "var_ratio", "global_mean")
LIMIT = 2 * 2**30
"""Most bytes of a pickle; 512 components of SOPI's conv0 have 17 MB."""


class _RefusedError(Exception):
    """The pickle asks for something that is no array."""


class _Type:
    """Substitute for ``numpy.dtype``, of numbers alone."""

    def __init__(self, code: object, *_: object) -> None:
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if not isinstance(code, str) or code not in ("f2", "f4", "f8", "i4", "i8", "b1"):
            raise _RefusedError(f"an array of type {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in (">", b">"):
            self.dtype = self.dtype.newbyteorder(">")

    def values(self, data: object, shape: tuple[int, ...], order: Any = "C") -> NDArray[Any]:
        # Python 2's bytes
        if isinstance(data, str):
            data = data.encode("latin1")
        if not isinstance(data, bytes | bytearray):
            raise _RefusedError("an array of objects")
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise _RefusedError("an array of no shape")
        if len(data) != math.prod(shape) * self.dtype.itemsize:
            raise _RefusedError("an array whose bytes do not fit its shape")
        return np.frombuffer(data, self.dtype).reshape(shape, order=order)


class _Array:
    """Substitute for an array, which ``_reconstruct`` makes empty and ``__setstate__`` fills."""

    value: NDArray[Any] | None = None

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, data = state
        self.value = kind.values(data, shape, "F" if fortran else "C")


def _scalar(kind: _Type, data: object) -> float:
    return float(kind.values(data, ())[()])


def _from_buffer(
    data: object, kind: _Type, shape: tuple[int, ...], order: Any = "C"
) -> NDArray[Any]:
    return kind.values(data, shape, order)


def _encode(text: str, encoding: str) -> bytes:
    """Substitute for ``_codecs.encode``, with which old pickle protocols of Python 3 make bytes."""
    if encoding != "latin1":
        raise _RefusedError(f"the encoding {encoding!r}")
    return text.encode("latin1")


ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}
for core in ("numpy.core", "numpy._core"):
    ADMITTED[f"{core}.multiarray", "_reconstruct"] = _Array
    ADMITTED[f"{core}.multiarray", "scalar"] = _scalar
    ADMITTED[f"{core}.numeric", "_frombuffer"] = _from_buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise _RefusedError(f"{module}.{name}")
        return ADMITTED[module, name]

    def persistent_load(self, _: object) -> Any:
        raise _RefusedError("an object outside of the file")


def read(path: Path) -> dict[str, Any]:
    """Read the components in a pickle.

    Returns:
        ``comp`` [components, …activations], ``stdev`` [components] and, where
        there are any, ``var_ratio``, ``global_mean`` and the ``layer``'s name.

    Raises:
        UserError: it is damaged, asks for anything but NumPy arrays, or lacks
            a key.
    """
    try:
        if path.stat().st_size > LIMIT:
            raise _RefusedError("more than 2 GB")
        found = _Unpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except _RefusedError as error:
        raise UserError(
            f"{path} asks for {error}, and a pickle of components holds NumPy arrays alone: refused"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    # damaged bytes can raise any exception
    except Exception as error:
        raise UserError(f"{path} is damaged or no pickle ({type(error).__name__})") from error
    if not isinstance(found, dict) or not all(key in found for key in NEEDED):
        raise UserError(f"{path} is no pickle of GANSpace: it lacks comp or stdev")
    values = {key: found[key] for key in KEYS if key in found}
    for key, value in values.items():
        values[key] = value = value.value if isinstance(value, _Array) else value
        if key == "layer" and isinstance(value, str):
            continue
        if not isinstance(value, np.ndarray | float | int) or not np.isfinite(value).all():
            raise UserError(f"{path} is no pickle of GANSpace: its {key} is not finite numbers")
    if len(np.atleast_1d(values["comp"])) != np.size(values["stdev"]):
        raise UserError(f"{path} is no pickle of GANSpace: comp and stdev differ in length")
    return values


def write(path: Path, values: dict[str, Any]) -> None:
    """Write components as npz, as a whole or not at all; UserError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".converting-") as folder:
            fresh = Path(folder, path.name)
            np.savez(fresh, **values)
            fresh.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
