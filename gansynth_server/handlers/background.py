"""What a message asks for that takes time, and is not the renderer's work."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from enum import Enum

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.instrument import Instrument
from gansynth_server.priority import normal_priority

_log = logging.getLogger(__name__)


class Task(Enum):
    """Kinds of work, each with a thread of its own."""

    FILE = "file"
    """Something is read or written."""
    SOUND = "sound"
    """A picture or a sound is made as a whole."""
    LOAD = "load"
    """A checkpoint is loaded."""

    @property
    def most(self) -> int:
        """How many of a client's may wait."""
        return 8 if self is Task.SOUND else 32


class Background:
    """A thread for each kind of work; the clients come in turns, each with its own in the order
    in which it asked."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._turns = {task: Turns(task.value, task.most) for task in Task}

    def run(
        self, call: Call, address: str, work: Callable[[], None], task: Task = Task.FILE
    ) -> None:
        """Does some work later; ``/sync`` waits for it, and its UserError becomes a ``/fail``.

        Raises:
            UserError: too much of this client's waits already.
        """
        turns = self._turns[task]
        turns.check(call.client)
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

        turns.put(call.client, run)

    def stop(self) -> None:
        """Ends the threads: what is to be written is, what is to be loaded or made is not
        waited for."""
        for task, turns in self._turns.items():
            turns.stop(finish=task is Task.FILE)


class Turns:
    """A thread that works for several owners in turns.

    Args:
        name: of the thread.
        most: how much of an owner's may wait.
    """

    def __init__(self, name: str, most: int) -> None:
        self._most = most
        self._waiting: OrderedDict[Hashable, deque[Callable[[], None]]] = OrderedDict()
        self._changed = threading.Condition()
        self._running = True
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def check(self, owner: Hashable) -> None:
        """UserError if no more of an owner's may wait."""
        with self._changed:
            if len(self._waiting.get(owner, ())) >= self._most:
                raise UserError(
                    f"{self._most} of yours wait already; send more once they are answered"
                )

    def put(self, owner: Hashable, work: Callable[[], None]) -> None:
        """Has something done, which must not raise."""
        with self._changed:
            self._waiting.setdefault(owner, deque()).append(work)
            self._changed.notify()

    def stop(self, finish: bool) -> None:
        """Takes no more; waits for what waits, or forgets it."""
        with self._changed:
            self._running = False
            if not finish:
                self._waiting.clear()
            self._changed.notify()
        if finish:
            self._thread.join()

    def _work(self) -> None:
        normal_priority()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._running)
                if not self._waiting:
                    return
                owner, waiting = self._waiting.popitem(last=False)
                work = waiting.popleft()
                if waiting:
                    self._waiting[owner] = waiting  # behind the others
            work()
