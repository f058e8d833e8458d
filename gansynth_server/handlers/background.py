"""What a message asks for that takes time, and is not the network's work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.instrument import Instrument

_log = logging.getLogger(__name__)


class Background:
    """One thread on which files are read and written, in the order in which that is asked for."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._thread = ThreadPoolExecutor(1, "files")

    def run(self, call: Call, address: str, work: Callable[[], None]) -> None:
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

        self._thread.submit(run)

    def stop(self) -> None:
        """Ends the thread once what was asked for is done."""
        self._thread.shutdown()
