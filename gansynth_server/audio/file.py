"""A sound file that is written while it is played."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.paced import TimedOutput
from gansynth_server.audio.sound_file import FORMATS, SoundWriter
from gansynth_server.errors import UserError

_log = logging.getLogger(__name__)


class FileOutput(TimedOutput):
    """Writes one file in real time, which is complete after ``stop``.

    The file is made at once and cannot be started a second time. Where it can
    no longer be written (a full disk) it ends with one line in the log, while
    the clock goes on.
    """

    def __init__(self, path: Path, *, rate: int, blocksize: int, channels: int = 1) -> None:
        super().__init__(str(path), rate=rate, blocksize=blocksize, channels=channels)
        if path.suffix.lower() not in FORMATS:
            raise UserError(
                f"the output '{path}' is unknown: give auto, soundcard, none "
                f"or a file that ends in {', '.join(FORMATS)}"
            )
        self._file = SoundWriter(path, rate, channels)

    def consume(self, block: NDArray[np.float32]) -> None:
        if self._file.closed:
            return
        try:
            self._file.write(block)
        except (OSError, RuntimeError) as error:
            _log.error("the recording '%s' ends here: %s", self.name, error)
            self._file.close()

    def stop(self) -> None:
        super().stop()
        self._file.close()
