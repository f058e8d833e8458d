"""The render threads: notes in, spectra out, the heads of new notes first."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import RenderError, UserError
from gansynth_server.render.agenda import Agenda
from gansynth_server.render.backends.base import Backend
from gansynth_server.render.jobs import (
    Job,
    RenderTask,
    no_place,
    tell_begun,
    tell_done,
    tell_failed,
)
from gansynth_server.render.queue import RenderQueue
from gansynth_server.render.spectrum_cache import Key, SpectrumCache
from gansynth_server.render.window_requests import WindowRequest, WindowRequests, answer
from gansynth_server.spectral.arena import Arena
from gansynth_server.spectral.constants import FRAMES
from gansynth_server.spectral.spectrum import Spectrum

MAX_WAITING = 1024
PREFETCH_DELAY_S = 0.05
"""Time (s) after a note before anything is prefetched: first it begins, or others come."""

_log = logging.getLogger(__name__)


class Renderer:
    """Renders slices of notes by rank, and in the order in which they are due.

    Args:
        arena: places for the spectra.
        keep: spectra to keep for use again, at most; with 0 nothing is prefetched.
        on_frames: is told of each spectrum that has more frames (see ``Spectrum.ready``),
            before the jobs are told, and again before a job is served from the cache. One call
            at a time, on a render thread or on a submitting one.
        threads: as many slices are rendered at a time, each by another worker.
    """

    def __init__(
        self,
        arena: Arena,
        keep: int,
        on_frames: Callable[[Spectrum], None] = lambda spectrum: None,
        threads: int = 1,
    ) -> None:
        self._arena, self._on_frames = arena, on_frames
        self._telling_frames = threading.Lock()
        self._cache = SpectrumCache(arena, keep)
        self._queue = RenderQueue()
        self._requests = WindowRequests()
        self._agenda = Agenda(self._queue, self._requests)
        self._wishes = weakref.WeakKeyDictionary[object, list[RenderTask]]()
        self._last = -PREFETCH_DELAY_S
        self._jobs = 0
        self._wake = threading.Condition()
        self._running = True
        self._busy = 0
        self._threads = [
            threading.Thread(target=self._run, name="render", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that are not done yet."""
        return self._jobs

    def submit(self, job: Job) -> None:
        """Queue a job, or serve it at once from the cache.

        Raises:
            UserError: too many wait already, or no place is left for another spectrum.
        """
        key = job.key
        with ExitStack() as held:
            with job.telling:
                with self._wake:
                    self._last = time.monotonic()
                    spectrum = self._cache.get(key)
                    if spectrum is None or spectrum.ready < FRAMES:
                        spectrum = self._join(key, job, spectrum)
                        self._wake.notify_all()
                    self._arena.use(spectrum)  # until it has been told here
                    held.callback(self._arena.drop, spectrum)
                    ready = spectrum.ready
                if ready:
                    self._tell_frames(spectrum)
                    if job.begun is not None:
                        job.begun(spectrum)
            if ready == FRAMES:
                job.done(spectrum)

    def ahead(
        self,
        owner: object,
        backend: Backend,
        wishes: Sequence[tuple[NDArray[np.float32], int]],
    ) -> None:
        """Prefetch heads when nothing else is to do, in place of the owner's last ones.

        Args:
            wishes: latents and labels, those most likely to be played first; those beyond the
                places for heads are not rendered.
        """
        if not self._cache.heads:
            return
        with self._wake:
            for task in self._wishes.pop(owner, ()):
                if not task.jobs and not task.busy:
                    self._queue.close(task)
            tasks = self._wishes[owner] = []
            room = self._cache.heads
            for z, label in wishes:
                key = (backend, z.tobytes(), label)
                spectrum = self._cache.get(key)
                if spectrum is not None and spectrum.ready == FRAMES:
                    continue
                if not room:
                    break
                room -= 1
                if spectrum is None and self._queue.get(key) is None:
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
        """End the threads after their current batches; jobs left over are dropped.

        Args:
            timeout: time (s) to wait for it at most; further calls wait further.
        """
        with self._wake:
            self._running = False
            self._wake.notify_all()
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))

    # with the lock held

    def _join(self, key: Key, job: Job, partial: Spectrum | None) -> Spectrum:
        """Have a job wait for a task, a new one if need be; return the task's spectrum."""
        if self._jobs >= MAX_WAITING:
            raise UserError(f"{MAX_WAITING} notes are waiting already; play fewer at once")
        task = self._queue.get(key)
        if task is None:
            spectrum = self._place(partial)
            slices = job.backend.info.slices
            task = RenderTask(key, job.z, slices, time.monotonic(), spectrum, [job])
            self._queue.open(task)
        else:
            spectrum = task.spectrum = task.spectrum or self._place(partial)
            if not task.jobs:
                task.asked = time.monotonic()
            task.jobs.append(job)
            if not task.busy:
                self._queue.push(task)
        self._jobs += 1
        return spectrum

    def _place(self, partial: Spectrum | None) -> Spectrum:
        """Use a spectrum that is to be continued, or take a place for a new one."""
        if partial is not None:
            self._arena.use(partial)
            return partial
        spectrum = self._cache.allocate()
        if spectrum is None:
            raise UserError(no_place(self._arena))
        return spectrum

    def _pause(self) -> float | None:
        """Return the time (s) to wait before there is something to do; None until woken."""
        if self._agenda.urgent:
            return 0
        first = self._queue.top()
        return None if first is None else max(0.0, self._last + PREFETCH_DELAY_S - time.monotonic())

    # on a render thread

    def _run(self) -> None:
        while True:
            with self._wake:
                while self._running and (pause := self._pause()) != 0:
                    self._wake.wait(pause)
                if not self._running:
                    return
                stale = self._queue.stale()
                requests, tasks = self._agenda.take() if self._pause() == 0 else ([], [])
                self._busy += 1
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
                self._requests.finish(requests)
                self._busy -= 1
                self._wake.notify_all()

    def _render(self, tasks: list[RenderTask]) -> None:
        tasks = [task for task in tasks if not self._dropped(task)]
        placed = self._placed(tasks)
        if not placed:
            return
        tasks, spectra = [task for task, _ in placed], [spectrum for _, spectrum in placed]
        window = tasks[0].part.window
        try:
            z = np.stack([task.z for task in tasks])
            labels = np.array([task.key[2] for task in tasks], np.int64)
            tasks[0].key[0].live_into(z, labels, window, spectra)
        except Exception as error:
            _log.warning("a render failed: %s", error, exc_info=not isinstance(error, RenderError))
            for task in tasks:
                with self._wake:
                    self._close(task)
                with self._released(task):
                    tell_failed(task.jobs, f"the render failed: {error}")
            return
        for task, spectrum in placed:
            try:
                self._advance(task, spectrum, window[1])
            except Exception:
                _log.exception("a callback of a render failed")

    def _placed(self, tasks: list[RenderTask]) -> list[tuple[RenderTask, Spectrum]]:
        """Return tasks and their spectra; prefetches take a place now, or end without one."""
        placed, heads = [], 0
        with self._wake:
            for task in tasks:
                if task.spectrum is None:
                    task.spectrum = self._cache.allocate_head(besides=heads)
                    heads += 1
                if task.spectrum is None:
                    self._close(task)
                else:
                    placed.append((task, task.spectrum))
        return placed

    def _advance(self, task: RenderTask, spectrum: Spectrum, ready: int) -> None:
        """Raise ``ready`` of a spectrum whose frames have come, and tell of it."""
        with self._wake:
            new = not spectrum.ready
            spectrum.ready = ready
            jobs = list(task.jobs)
            over = ready == FRAMES or not jobs  # a prefetch is a head
            if over:
                task.busy = False
                self._close(task)
                self._cache.put(task.key, spectrum)
        try:
            with self._released(task) if over else nullcontext():
                self._tell_frames(spectrum)
                if new:
                    tell_begun(jobs, spectrum)
                if over:
                    tell_done(jobs, spectrum)
        finally:
            if not over:
                # only now: another thread must not be done with it before this one has told
                with self._wake:
                    task.busy = False
                    self._queue.push(task)
                    self._wake.notify_all()

    def _drop(self, task: RenderTask) -> None:
        """End a rest, unless a job wants it meanwhile."""
        if not self._dropped(task):
            with self._wake:
                task.busy = False
                self._queue.push(task)

    def _dropped(self, task: RenderTask) -> bool:
        """End a rest that no job wants any more, and keep what there is of it; return whether."""
        jobs, spectrum = list(task.jobs), task.spectrum
        if spectrum is None or not spectrum.ready or any(job.wanted() for job in jobs):
            return False
        with self._wake:
            if len(task.jobs) > len(jobs):  # another came meanwhile
                return False
            self._close(task)
            self._cache.put(task.key, spectrum)
        with self._released(task):
            tell_done(jobs, spectrum)
        return True

    @contextmanager
    def _released(self, task: RenderTask) -> Iterator[None]:
        """End the use of a closed task's spectrum, after its jobs have been told."""
        try:
            yield
        finally:
            if task.spectrum is not None:
                self._arena.drop(task.spectrum)

    def _tell_frames(self, spectrum: Spectrum) -> None:
        # in turns, so that the frames that are told of never become fewer
        with self._telling_frames:
            self._on_frames(spectrum)

    def _close(self, task: RenderTask) -> None:
        """Remove a task; its jobs no longer count as waiting."""
        self._queue.close(task)
        self._jobs -= len(task.jobs)
