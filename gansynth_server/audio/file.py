"""A sound file that is written while it is played."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.paced import TimedOutput
from gansynth_server.errors import UserError

SUBTYPES = {".wav": "FLOAT", ".flac": "PCM_24", ".ogg": "VORBIS"}

_log = logging.getLogger(__name__)


class FileOutput(TimedOutput):
    """Writes one file in real time, which is complete after ``stop``.

    The file is made at once and cannot be started a second time. Where it can
    no longer be written (a full disk) it ends with one line in the log, while
    the clock goes on.
    """

    def __init__(self, path: Path, *, rate: int, blocksize: int, channels: int = 1) -> None:
        super().__init__(str(path), rate=rate, blocksize=blocksize, channels=channels)
        subtype = SUBTYPES.get(path.suffix.lower())
        if subtype is None:
            raise UserError(
                f"the output '{path}' is unknown: give auto, soundcard, none "
                f"or a file that ends in {', '.join(SUBTYPES)}"
            )
        try:
            import soundfile
        except (ImportError, OSError) as error:
            raise UserError(
                f"sound files need soundfile and libsndfile: pip install soundfile ({error})"
            ) from error
        try:
            self._file = soundfile.SoundFile(path, "w", rate, channels, subtype=subtype)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"cannot write '{path}' at {rate} Hz: check that its folder exists "
                f"and may be written to ({error})"
            ) from error

    def consume(self, block: NDArray[np.float32]) -> None:
        if self._file.closed:
            return
        try:
            self._file.write(block.T)
        except (OSError, RuntimeError) as error:
            _log.error("the recording '%s' ends here: %s", self.name, error)
            self._file.close()

    def stop(self) -> None:
        super().stop()
        self._file.close()
