"""What a message asks for that takes time, and is not the network's work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.instrument import Instrument
from gansynth_server.priority import normal_priority

_log = logging.getLogger(__name__)


class Background:
    """Two threads, each of which works in the order in which it is asked to: one reads and writes
    files, the other loads checkpoints, which may take long."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._files = ThreadPoolExecutor(1, "files", normal_priority)
        self._loads = ThreadPoolExecutor(1, "load", normal_priority)

    def run(self, call: Call, address: str, work: Callable[[], None], load: bool = False) -> None:
        """Does some work later; ``/sync`` waits for it, and its UserError becomes a ``/fail``."""
        finish, fail = self._instrument.job(call.client), call.failing(address)

        def run() -> None:
            try:
                work()
            except UserError as error:
                fail(str(error))
            except Exception as error:
                _log.exception("%s failed", address)
                fail(f"the server failed: {error!r}")
            finally:
                finish()

        (self._loads if load else self._files).submit(run)

    def stop(self) -> None:
        """Ends the threads: what is to be written is, what is to be loaded is not waited for."""
        self._loads.shutdown(wait=False, cancel_futures=True)
        self._files.shutdown()
