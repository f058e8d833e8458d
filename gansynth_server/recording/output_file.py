"""The sound file that is the output of the server."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

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
        self._tap: EngineTap | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    def start(self, tap: EngineTap) -> None:
        self._tap = tap
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
            assert self._tap is not None
            sound = self._tap.ring.read()
            if self._file.closed or not sound.size:
                continue
            try:
                self._file.write(sound)
            except (OSError, RuntimeError) as error:
                _log.error("the recording '%s' ends here: %s", self._path, error)
                self._file.close()
