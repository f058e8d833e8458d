"""Background work: what messages ask for that takes time, and is not the renderer's."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from gansynth_server.errors import RenderError, UserError
from gansynth_server.handlers.host import Task
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.util.fair_queue import FairQueue

MAX_WAITING = 1024
"""Tasks of all clients that may wait for each thread."""

_log = logging.getLogger(__name__)


class Background:
    """A thread for each kind of work; clients come in turns, each with its tasks in their order."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._threads = {task: WorkThread(task) for task in Task}

    def run(
        self, request: Request, address: str, work: Callable[[], None], task: Task = Task.FILE
    ) -> None:
        """Do some work later; ``/sync`` waits for it, and its UserError becomes a ``/fail``.

        Raises:
            UserError: too much of this client's waits already.
        """
        finish, fail = self._instrument.renders.begin(request.client), request.failing(address)

        def run() -> None:
            try:
                work()
            except (UserError, RenderError) as error:
                fail(str(error))
            except Exception as error:
                _log.exception("%s failed", address)
                fail(f"the server failed: {error!r}")
            finally:
                finish()

        if not self._threads[task].put(request.client, run):
            finish()
            raise UserError(f"{task.most} of yours wait already; send more once they are answered")

    def stop(self) -> None:
        """End the threads: files that wait are written, other work is not waited for."""
        for task, thread in self._threads.items():
            thread.stop(finish=task is Task.FILE)


class WorkThread:
    """A thread that does work of one kind, whose owners come in turns."""

    def __init__(self, task: Task) -> None:
        self._waiting: FairQueue[Callable[[], None]] = FairQueue(MAX_WAITING, task.most, 0)
        self._changed = threading.Condition()
        self._running = True
        self._thread = threading.Thread(target=self._run, name=task.value, daemon=True)
        self._thread.start()

    def put(self, owner: object, work: Callable[[], None]) -> bool:
        """Queue some work, which must not raise; return whether there was room for it."""
        with self._changed:
            taken = self._waiting.put(owner, work)
            self._changed.notify()
        return taken

    def stop(self, finish: bool) -> None:
        """Take no more work; do what waits and wait for it, or drop it."""
        with self._changed:
            self._running = False
            if not finish:
                self._waiting = FairQueue(0, 0, 0)
            self._changed.notify()
        if finish:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: len(self._waiting) or not self._running)
                if not len(self._waiting):
                    return
                work = self._waiting.take()
            work()
