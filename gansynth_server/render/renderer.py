"""The thread that renders: notes in, spectra out, together where they come together."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.priority import lower_priority
from gansynth_server.render.backend import Backend
from gansynth_server.spectral.inverse import Spectrum

MOST_WAITING = 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One note to render; exactly one of the two calls follows, on the render thread."""

    backend: Backend
    z: NDArray[np.float32]
    label: int
    done: Callable[[Spectrum], None]
    failed: Callable[[str], None]


class Renderer:
    """Renders jobs in the order they came, up to a backend's batch at a time."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._rendering = 0
        self._wake = threading.Condition()
        self._running = True
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that are not done yet."""
        return len(self._jobs) + self._rendering

    def submit(self, job: Job) -> None:
        """Queues a job; UserError when too many wait already."""
        with self._wake:
            if len(self._jobs) >= MOST_WAITING:
                raise UserError(f"{MOST_WAITING} notes are waiting already; play fewer at once")
            self._jobs.append(job)
            self._wake.notify()

    def stop(self) -> None:
        """Ends the thread after the batch in hand; jobs left over are dropped."""
        with self._wake:
            self._running = False
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        lower_priority()  # torch's own threads inherit it
        while True:
            with self._wake:
                while self._running and not self._jobs:
                    self._wake.wait()
                if not self._running:
                    return
                jobs = self._take()
                self._rendering = len(jobs)
            self._render(jobs)

    def _take(self) -> list[Job]:
        backend = self._jobs[0].backend
        jobs: list[Job] = []
        while self._jobs and self._jobs[0].backend is backend and len(jobs) < backend.batch:
            jobs.append(self._jobs.popleft())
        return jobs

    def _render(self, jobs: list[Job]) -> None:
        try:
            z = np.stack([job.z for job in jobs])
            labels = np.array([job.label for job in jobs], np.int64)
            spectra = jobs[0].backend.render(z, labels)
        except Exception as error:
            _log.exception("a render failed")
            for job in jobs:
                self._rendering -= 1
                job.failed(f"the render failed: {error}")
            return
        for job, spectrum in zip(jobs, spectra, strict=True):
            self._rendering -= 1  # first, for who is told may ask how many wait
            job.done(spectrum)
