"""The two files of a recording."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.util.sandbox import Root

KINDS = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24")}


class Files:
    """A sound file, and a score of the same name; neither is seen before it is whole.

    Raises:
        UserError: the name is none for a sound, or the files cannot be made.
    """

    def __init__(self, root: Root, name: str, rate: int, channels: int) -> None:
        import soundfile

        path = PurePosixPath(name)
        if path.suffix.lower() not in KINDS:
            raise UserError(f"a recording ends in {' or '.join(KINDS)}, not in {path.suffix!r}")
        self._sound = root.create(name)
        try:
            self._score = root.create(str(path.with_suffix(".jsonl")))
        except UserError:
            self._sound.drop()
            raise
        kind, subtype = KINDS[path.suffix.lower()]
        self._writer = soundfile.SoundFile(
            self._sound.file, "w", rate, channels, subtype, format=kind
        )

    def write(self, sound: NDArray[np.float32]) -> None:
        """Appends sound [channels, frames]; OSError or RuntimeError where that fails."""
        self._writer.write(sound.T)

    def close(self, lines: Iterable[dict[str, Any]]) -> None:
        """Writes the score and gives both files their names; UserError where that fails."""
        try:
            self._writer.close()
            for line in lines:
                self._score.file.write((json.dumps(line) + "\n").encode())
            self._score.keep()
            self._sound.keep()
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(f"the recording could not be written: {error}") from error
        finally:
            self._score.drop()
            self._sound.drop()
