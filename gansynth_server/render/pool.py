"""Several render processes behind one queue: whichever is free takes the next request.

They write into one arena, and have the same networks by the same backend, so any of them can render
any slice of a note. When one ends, what it was asked goes to another, while the next process in its
place loads what all have loaded.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from gansynth_server.errors import RenderError, UserError
from gansynth_server.options import ServerOptions
from gansynth_server.render.process import ProcessEndedError, RenderProcess, RenderService
from gansynth_server.render.protocol import (
    DropRequest,
    Float32,
    Lane,
    Loaded,
    LoadRequest,
    RenderRequest,
    Serve,
)
from gansynth_server.spectral.arena import SharedSpectra

RETRIES = 2
"""Times that a request is asked again: one that ends every process must not end them for ever."""
READY_TIMEOUT_S = 60.0
"""Time (s) that a request waits for a worker: all of them may have ended, and load again."""
RESTART_PAUSE_S = 0.5
"""Time (s) before a process that ended while it loaded is tried again."""

_log = logging.getLogger(__name__)


def start(
    options: ServerOptions, serve: Serve, spectra: SharedSpectra | None = None
) -> RenderService:
    """Start what the options ask for: one render process, or a pool of several.

    Args:
        serve: runs in each.
        spectra: places that they write notes into.
    """
    devices = options.torch_device.split(",")
    count = max(options.workers, len(devices))
    if count == 1:
        return RenderProcess(options, serve, spectra)
    # one core stays free for the sound, as for one process
    threads = options.threads or max(1, ((os.cpu_count() or 2) - 1) // count)
    each = [
        replace(options, torch_device=devices[n % len(devices)].strip(), threads=threads)
        for n in range(count)
    ]
    return RenderPool(each, serve, spectra)


@dataclass(eq=False, slots=True)
class _Worker:
    """A render process, and the lanes on which it is busy."""

    process: RenderProcess
    device: str
    busy: set[Lane] = field(default_factory=set)
    ready: bool = True
    life: int = 0
    """Counts the processes that took this one's place."""


class RenderPool(RenderService):
    """Render processes as one.

    Args:
        options: of each.
        serve: runs in each.
        spectra: places that all of them write notes into.
    """

    def __init__(
        self, options: list[ServerOptions], serve: Serve, spectra: SharedSpectra | None = None
    ) -> None:
        super().__init__(spectra)
        self._workers = [
            _Worker(RenderProcess(each, serve, spectra), each.torch_device.partition(":")[0])
            for each in options
        ]
        self._changed = threading.Condition()
        self._loads: dict[str, tuple[LoadRequest, str]] = {}  # and the device, by path of weights
        self._stopped = False

    @property
    def workers(self) -> int:
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        return [pid for worker in self._workers for pid in worker.process.pids]

    def load(self, name: str) -> Loaded:
        """Load a checkpoint in all workers: in one first, whose choice of a backend holds for all.

        Heads and rests come from different workers, and two backends differ in the last bits, two
        precisions in more.
        """
        loaded, device = self._load_first(name)
        path = str(loaded.checkpoint.weights)
        request = LoadRequest(path, *loaded.info.flags)
        with self._changed:
            self._loads[path] = request, device
            others = [worker for worker in self._workers if worker.ready]
        failures: list[Exception] = []

        def load(worker: _Worker) -> None:
            life = worker.life
            try:
                worker.process.ask(Lane.LOAD, self._for(worker, request, device))
            except ProcessEndedError:
                self._on_lost(worker, life)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=load, args=(worker,)) for worker in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return loaded

    def drop(self, path: str) -> None:
        with self._changed:
            self._loads.pop(path, None)
        for worker in self._workers:
            try:
                worker.process.ask(Lane.LOAD, DropRequest(path))
            except ProcessEndedError:
                self._on_lost(worker, worker.life)

    def ask(self, lane: Lane, request: RenderRequest) -> tuple[Any, list[Float32]]:
        """Send a request to the worker that has least to do, and to another where that one ends."""
        for left in reversed(range(RETRIES + 1)):
            with self._free(lane) as worker:
                life = worker.life
                try:
                    return worker.process.ask(lane, request)
                except ProcessEndedError:
                    self._on_lost(worker, life)
                    if not left or self._stopped:
                        raise
                    _log.warning("what it was asked is done by another: %s", type(request).__name__)
        raise AssertionError

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.process.stop()

    def _load_first(self, name: str) -> tuple[Loaded, str]:
        """Load a checkpoint in one worker; return what it has, and the kind of its device."""
        for _ in range(RETRIES):
            with self._free(Lane.LOAD) as worker:
                life = worker.life
                try:
                    loaded: Loaded = worker.process.ask(Lane.LOAD, LoadRequest(name))[0]
                    return loaded, worker.device
                except ProcessEndedError:
                    self._on_lost(worker, life)
        raise RenderError(f"the render process ended each time that it loaded {name}")

    @contextmanager
    def _free(self, lane: Lane) -> Iterator[_Worker]:
        """Wait for a worker whose lane is free, and use that with least to do."""
        with self._changed:
            end = time.monotonic() + READY_TIMEOUT_S
            while not (free := [w for w in self._workers if w.ready and lane not in w.busy]):
                waiting = any(w.ready for w in self._workers)  # for its turn, however long
                if self._stopped:
                    raise RenderError("the render processes have been stopped")
                if not waiting and time.monotonic() > end:
                    raise RenderError("the render processes ended; they are being started again")
                self._changed.wait(1.0)
            # of those with as little to do, that which has ended less often
            worker = min(free, key=lambda w: (len(w.busy), w.life))
            worker.busy.add(lane)
        try:
            yield worker
        finally:
            with self._changed:
                worker.busy.discard(lane)
                self._changed.notify_all()

    def _on_lost(self, worker: _Worker, life: int) -> None:
        """Have the process that took a lost one's place load what all have, before it is asked."""
        with self._changed:
            if worker.life != life or not worker.ready or self._stopped:
                return  # another lane has seen it before
            worker.ready = False
            worker.life += 1
        threading.Thread(target=self._revive, args=(worker,), name="revive", daemon=True).start()

    def _revive(self, worker: _Worker) -> None:
        done: set[str] = set()
        while True:
            with self._changed:
                if self._stopped:
                    return
                left = [path for path in self._loads if path not in done]
                if not left:
                    worker.ready = True
                    self._changed.notify_all()
                    return
                request = self._for(worker, *self._loads[left[0]])
            try:
                worker.process.ask(Lane.LOAD, request)
                done.add(left[0])
            except ProcessEndedError:
                done.clear()
                time.sleep(RESTART_PAUSE_S)
            except (RenderError, UserError) as error:
                # where the pool has been stopped this is why, and nothing to tell of
                level = logging.DEBUG if self._stopped else logging.WARNING
                _log.log(level, "a render process does not load %s: %s", left[0], error)
                done.add(left[0])  # it is tried again when it is asked for

    @staticmethod
    def _for(worker: _Worker, request: LoadRequest, device: str) -> LoadRequest:
        """Return the request for a worker: one on another kind of device chooses for itself."""
        return request if worker.device == device else LoadRequest(request.name)
