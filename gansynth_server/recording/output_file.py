"""The sound file that is the output of the server."""

from __future__ import annotations

import logging
import threading
from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.sound_file import SoundWriter
from gansynth_server.engine.tap import EngineTap
from gansynth_server.recording.recorder import WRITE_PERIOD_S

_log = logging.getLogger(__name__)


class OutputFile:
    """Writes what is heard into one file, which is complete after ``stop``.

    Where it can no longer be written (a full disk) it ends with one line in the log, while the
    sound goes on.

    Raises:
        UserError: the file cannot be made.
    """

    def __init__(self, path: Path, rate: int, channels: int) -> None:
        self._path = path
        self._file = SoundWriter(path, rate, channels)
        self._taps: deque[EngineTap] = deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    def start(self, tap: EngineTap) -> None:
        """Write what is heard from now on; go on with another tap once an engine has ended."""
        self._taps.append(tap)
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Write what has come, and complete the file."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)
        self._file.close()

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._ending.wait(WRITE_PERIOD_S)
            sound = self._read()
            if self._file.closed or not sound.size:
                continue
            try:
                self._file.write(sound)
            except (OSError, RuntimeError) as error:
                _log.error("the recording '%s' ends here: %s", self._path, error)
                self._file.close()

    def _read(self) -> NDArray[np.float32]:
        """Return what has come, the last of taps first whose engines have ended."""
        sounds = []
        while len(self._taps) > 1:
            sounds.append(self._taps[0].ring.read())
            self._taps.popleft().free()
        return np.concatenate([*sounds, self._taps[0].ring.read()], axis=1)
