"""The render thread: notes in, spectra out, the heads of new notes first."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import RenderError, UserError
from gansynth_server.render.agenda import Agenda
from gansynth_server.render.backends.base import Backend
from gansynth_server.render.jobs import Job, RenderTask, tell_done, tell_failed
from gansynth_server.render.queue import RenderQueue
from gansynth_server.render.spectrum_cache import Key, SpectrumCache
from gansynth_server.render.window_requests import WindowRequest, WindowRequests, answer
from gansynth_server.spectral.constants import FRAMES
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.util.threads import normal_priority

MAX_WAITING = 1024
PREFETCH_DELAY_S = 0.05
"""Time (s) after a note before anything is prefetched: first it begins, or others come."""

_log = logging.getLogger(__name__)


class Renderer:
    """Renders slices of notes by rank, and in the order in which they are due.

    Args:
        cache_bytes: memory for spectra to use again; with 0 nothing is prefetched.
    """

    def __init__(self, cache_bytes: int = 0) -> None:
        self._cache = SpectrumCache(cache_bytes)
        self._keeps = cache_bytes > 0
        self._queue = RenderQueue()
        self._requests = WindowRequests()
        self._agenda = Agenda(self._queue, self._requests)
        self._wishes = weakref.WeakKeyDictionary[object, list[RenderTask]]()
        self._last = -PREFETCH_DELAY_S
        self._jobs = 0
        self._wake = threading.Condition()
        self._running = True
        self._busy = False
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that are not done yet."""
        return self._jobs

    def submit(self, job: Job) -> None:
        """Queue a job, or serve it at once from the cache.

        Raises:
            UserError: too many wait already.
        """
        key = job.key
        with job.telling:
            with self._wake:
                self._last = time.monotonic()
                spectrum = self._cache.get(key)
                whole = spectrum is not None and spectrum.ready == FRAMES
                if not whole:
                    spectrum = self._join(key, job, spectrum).spectrum
                    self._wake.notify_all()
                begun = spectrum is not None and spectrum.ready > 0
            if spectrum is not None and begun and job.begun is not None:
                job.begun(spectrum)
        if spectrum is not None and whole:
            job.done(spectrum)

    def ahead(
        self,
        owner: object,
        backend: Backend,
        wishes: Sequence[tuple[NDArray[np.float32], int]],
    ) -> None:
        """Prefetch heads when nothing else is to do, in place of the owner's last ones.

        Args:
            wishes: latents and labels, those most likely to be played first.
        """
        if not self._keeps:
            return
        with self._wake:
            for task in self._wishes.pop(owner, ()):
                if not task.jobs:
                    self._queue.close(task)
            tasks = self._wishes[owner] = []
            for z, label in wishes:
                key = (backend, z.tobytes(), label)
                if key not in self._cache and self._queue.get(key) is None:
                    task = RenderTask(key, z, backend.info.slices, time.monotonic())
                    self._queue.open(task)
                    tasks.append(task)
            self._wake.notify_all()

    def window(self, request: WindowRequest) -> None:
        """Queue a request for frames, in place of the last one of its owner."""
        with self._wake:
            self._requests.put(request)
            self._wake.notify_all()

    def forget(self, client: Hashable) -> None:
        """Drop what a client asked for with ``window``, if it has not begun."""
        with self._wake:
            self._requests.drop(client)

    def drop(self, backend: Backend) -> None:
        """Forget the spectra of a backend that is used no more."""
        with self._wake:
            self._cache.drop(backend)

    def finish(self) -> None:
        """Wait until all is rendered and told, but for prefetches."""
        with self._wake:
            self._wake.wait_for(lambda: not self._busy and not self._agenda.urgent)

    def stop(self, timeout: float | None = None) -> None:
        """End the thread after the current batch; jobs left over are dropped.

        Args:
            timeout: time (s) to wait for it at most; further calls wait further.
        """
        with self._wake:
            self._running = False
            self._wake.notify_all()
        self._thread.join(timeout)

    # with the lock held

    def _join(self, key: Key, job: Job, partial: Spectrum | None) -> RenderTask:
        if self._jobs >= MAX_WAITING:
            raise UserError(f"{MAX_WAITING} notes are waiting already; play fewer at once")
        task = self._queue.get(key)
        if task is None:
            whole = None if partial is None else Spectrum.begin(partial)
            slices = job.backend.info.slices
            task = RenderTask(key, job.z, slices, time.monotonic(), whole, [job])
            self._queue.open(task)
        else:
            if not task.jobs:
                task.asked = time.monotonic()
            task.jobs.append(job)
            if not task.busy:
                self._queue.push(task)
        self._jobs += 1
        return task

    def _pause(self) -> float | None:
        """Return the time (s) to wait before there is something to do; None until woken."""
        if self._agenda.urgent:
            return 0
        first = self._queue.top()
        return None if first is None else max(0.0, self._last + PREFETCH_DELAY_S - time.monotonic())

    # on the render thread

    def _run(self) -> None:
        normal_priority()
        while True:
            with self._wake:
                while self._running and (pause := self._pause()) != 0:
                    self._wake.wait(pause)
                if not self._running:
                    return
                stale = self._queue.stale()
                requests, tasks = self._agenda.take() if self._pause() == 0 else ([], [])
                self._busy = True
            try:
                for task in stale:
                    self._drop(task)
                if requests:
                    answer(requests)
                else:
                    self._render(tasks)
            except Exception:
                _log.exception("a callback of a render failed")
            with self._wake:
                self._busy = False
                self._wake.notify_all()

    def _render(self, tasks: list[RenderTask]) -> None:
        tasks = [task for task in tasks if not self._dropped(task)]
        if not tasks:
            return
        try:
            z = np.stack([task.z for task in tasks])
            labels = np.array([task.key[2] for task in tasks], np.int64)
            parts = tasks[0].key[0].live(z, labels, tasks[0].part.window)
        except Exception as error:
            _log.warning("a render failed: %s", error, exc_info=not isinstance(error, RenderError))
            for task in tasks:
                with self._wake:
                    self._close(task)
                tell_failed(task.jobs, f"the render failed: {error}")
            return
        for task, magnitude, increment in zip(tasks, *parts, strict=True):
            self._extend(task, magnitude, increment)

    def _extend(
        self, task: RenderTask, magnitude: NDArray[np.float32], increment: NDArray[np.float32]
    ) -> None:
        with self._wake:
            task.busy = False
            if not task.jobs:  # a prefetch
                self._close(task)
                self._cache.put(task.key, Spectrum(magnitude, increment, len(magnitude)))
                return
            spectrum = task.spectrum = task.spectrum or Spectrum.begin()
            new = not spectrum.ready
            spectrum.extend(magnitude, increment)
            whole = spectrum.ready == FRAMES
            jobs = list(task.jobs)
            if whole:
                self._close(task)
                self._cache.put(task.key, spectrum)
            else:
                self._queue.push(task)
        if new:
            for job in jobs:
                if job.begun is not None:
                    job.begun(spectrum)
        if whole:
            tell_done(jobs, spectrum)

    def _drop(self, task: RenderTask) -> None:
        """End a rest, unless a job wants it meanwhile."""
        if not self._dropped(task):
            with self._wake:
                task.busy = False
                self._queue.push(task)

    def _dropped(self, task: RenderTask) -> bool:
        """End a rest that no job wants any more, and keep what there is of it; return whether."""
        jobs, spectrum = list(task.jobs), task.spectrum
        if spectrum is None or any(job.wanted() for job in jobs):
            return False
        with self._wake:
            if len(task.jobs) > len(jobs):  # another came meanwhile
                return False
            self._close(task)
            self._cache.put(task.key, spectrum)
        tell_done(jobs, spectrum)
        return True

    def _close(self, task: RenderTask) -> None:
        """Remove a task; its jobs no longer count as waiting."""
        self._queue.close(task)
        self._jobs -= len(task.jobs)
