"""The user's own presets: named latents of a checkpoint, each with its origin.

``presets/CHECKPOINT.json`` in the user's data folder, and the files that are
exported, hold::

    {"checkpoint": NAME, "latent_size": N, "weights": FINGERPRINT,
     "presets": {NAME: {"latent": [N numbers], "from": "what it was made of", "made": DATE}}}

A checkpoint that was trained again makes other sounds of the same latents, so
presets of other weights are kept but not played.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.latent.vectors import Latent
from gansynth_server.model.safe_files import read_json
from gansynth_server.util import json_text
from gansynth_server.util.files import write_atomically

if TYPE_CHECKING:
    from gansynth_server.model.checkpoint import Checkpoint

_log = logging.getLogger(__name__)

MAX_PRESETS = 4096
"""Most presets of a checkpoint."""
MAX_NAME = 64


@dataclass(frozen=True, eq=False)
class Preset:
    """A latent [latent_size], what it was made of in words, and the date."""

    latent: Latent
    origin: str = ""
    made: str = ""


class UserPresets:
    """The user's presets of one checkpoint; each call reads the file again if it has changed.

    Args:
        folder: of the files; None is the user's data folder.
    """

    def __init__(self, checkpoint: Checkpoint, folder: Path | None = None) -> None:
        self._checkpoint = checkpoint
        name = checkpoint.name.replace("/", "_")
        self._complained = ""
        self.path = (user_folder() if folder is None else folder) / f"{name}.json"

    def presets(self) -> dict[str, Preset]:
        """Presets by name.

        Raises:
            UserError: the file is damaged.
        """
        try:
            stamp = self.path.stat().st_mtime_ns
        except OSError:
            return {}
        return dict(_read(self.path, stamp, self._checkpoint.config.latent_size, self.weights))

    def known(self) -> dict[str, Latent]:
        """Latents by name; none where the file cannot be used, which is logged once."""
        try:
            found = {name: preset.latent for name, preset in self.presets().items()}
            self._complained = ""
        except UserError as error:
            found = {}
            if str(error) != self._complained:
                self._complained = str(error)
                _log.warning("your own presets are left out: %s", error)
        return found

    @property
    def latent_size(self) -> int:
        return self._checkpoint.config.latent_size

    @property
    def weights(self) -> str:
        """Fingerprint of the checkpoint's weights."""
        return self._checkpoint.fingerprint

    def add(self, presets: Mapping[str, Preset]) -> None:
        """Add presets, in place of those of the same names.

        Raises:
            UserError: a name or a latent is not allowed, or there are too many.
        """
        for name, preset in presets.items():
            self._check(name, preset.latent)
        self._write({**self.presets(), **presets})

    def remove(self, names: tuple[str, ...]) -> None:
        """Remove presets; UserError for an unknown name."""
        left = self.presets()
        for name in names:
            if name not in left:
                known = ", ".join(left) or "none"
                raise UserError(f"no preset of your own is called {name!r}: there are {known}")
            del left[name]
        self._write(left)

    def encode(self, presets: Mapping[str, Preset]) -> bytes:
        """Content of a file of presets."""
        content = {
            "checkpoint": self._checkpoint.name,
            "latent_size": self._checkpoint.config.latent_size,
            "weights": self.weights,
            "presets": {
                name: {"latent": preset.latent, "from": preset.origin, "made": preset.made}
                for name, preset in presets.items()
            },
        }
        return json_text.dumps(content) + b"\n"

    def read(self, path: Path) -> dict[str, Preset]:
        """Presets of another file; UserError unless they are presets of this checkpoint."""
        return decode(path, _json(path), self._checkpoint.config.latent_size, self.weights)

    def _check(self, name: str, latent: Latent) -> None:
        if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name.split() != [name]:
            raise UserError(
                f"a preset's name has 1 to {MAX_NAME} characters without blanks, not {name!r}"
            )
        if name in self._checkpoint.presets:
            raise UserError(f"{name} is a preset of {self._checkpoint.name}: take another name")
        size = self._checkpoint.config.latent_size
        if latent.shape != (size,) or not np.isfinite(latent).all():
            raise UserError(f"a preset of this checkpoint is {size} finite numbers")

    def _write(self, presets: Mapping[str, Preset]) -> None:
        if len(presets) > MAX_PRESETS:
            raise UserError(f"{MAX_PRESETS} presets at most; remove some")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, self.encode(presets))


def user_folder() -> Path:
    """Folder of the user's presets."""
    from gansynth_server.model.checkpoint import user_folder as checkpoints

    return checkpoints().parent / "presets"


def preset(latent: Latent, origin: str) -> Preset:
    """Create a preset of today."""
    return Preset(latent, origin, time.strftime("%Y-%m-%d"))


def decode(path: Path, content: Any, size: int, weights: str) -> dict[str, Preset]:
    """Presets in a file's JSON.

    Raises:
        UserError: it holds no presets, or those of other weights.
    """
    try:
        found = {
            str(name): Preset(
                np.array(entry["latent"], np.float32),
                str(entry.get("from", "")),
                str(entry.get("made", "")),
            )
            for name, entry in content["presets"].items()
        }
        theirs = content.get("weights", weights)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} holds no presets: {error!r}") from error
    if not all(p.latent.shape == (size,) and np.isfinite(p.latent).all() for p in found.values()):
        raise UserError(f"{path}: presets of this checkpoint are {size} finite numbers each")
    if theirs != weights:
        raise UserError(
            f"{path} belongs to other weights of {content.get('checkpoint')}: its latents sound "
            "otherwise here; move it away, or invert their sounds again"
        )
    return found


def nearest(z: Latent, presets: Mapping[str, Latent], count: int) -> list[tuple[str, float]]:
    """Names of the nearest presets, and the angles (degrees) to them."""
    if not presets:
        return []
    table = np.stack(list(presets.values())).astype(np.float64)
    lengths = np.linalg.norm(table, axis=1) * max(float(np.linalg.norm(z)), 1e-9)
    cosines = table @ z.astype(np.float64) / np.maximum(lengths, 1e-9)
    angles: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    names = list(presets)
    return [(names[n], float(angles[n])) for n in np.argsort(angles, kind="stable")[:count]]


@lru_cache(maxsize=64)
def _read(path: Path, stamp: int, size: int, weights: str) -> dict[str, Preset]:
    return decode(path, _json(path), size, weights)


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as presets: {error}") from error


def find_preset(presets: dict[str, Latent], name: str) -> Latent:
    """Latent of a preset; UserError lists similar names."""
    if name in presets:
        return presets[name]
    import difflib

    close = difflib.get_close_matches(name, presets, n=3, cutoff=0.4)
    known = ", ".join(close) if close else ", ".join(list(presets)[:5]) or "none"
    raise UserError(f"no preset called {name!r}; this checkpoint has, among others: {known}")
