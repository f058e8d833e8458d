"""The two files of a recording."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.sound_file import SoundWriter
from gansynth_server.errors import UserError
from gansynth_server.util.sandbox import SandboxedFolder

SUFFIXES = (".wav", ".flac")
"""Formats that keep the sound as it is; Vorbis does not."""


class Files:
    """A sound file, and a score of the same name; neither is seen before it is whole.

    Raises:
        UserError: the name is none for a sound, or the files cannot be made.
    """

    def __init__(self, root: SandboxedFolder, name: str, rate: int, channels: int) -> None:
        path = Path(name)
        if path.suffix.lower() not in SUFFIXES:
            raise UserError(f"a recording ends in {' or '.join(SUFFIXES)}, not in {path.suffix!r}")
        self._sound = root.create(name)
        try:
            self._score = root.create(str(path.with_suffix(".jsonl")))
            self._writer = SoundWriter(path, rate, channels, self._sound.file)
        except UserError:
            self._sound.drop()
            raise

    def write(self, sound: NDArray[np.float32]) -> None:
        """Append sound [channels, frames]; OSError or RuntimeError where that fails."""
        self._writer.write(sound)

    def close(self, lines: Iterable[dict[str, Any]]) -> None:
        """Write the score and give both files their names; UserError where that fails."""
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
