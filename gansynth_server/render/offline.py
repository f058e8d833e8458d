"""Rendering without a clock: many notes at once, when told to."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from gansynth_server.render.backends.base import Backend
from gansynth_server.render.jobs import Job
from gansynth_server.render.spectrum_cache import Key, SpectrumCache
from gansynth_server.render.window_requests import WindowRequest, WindowRequests, answer


class BatchRenderer:
    """Takes what a :class:`Renderer` takes, and renders it all when ``work`` is called.

    Args:
        cache_bytes: memory for spectra to use again.
    """

    def __init__(self, cache_bytes: int = 0) -> None:
        self._cache = SpectrumCache(cache_bytes)
        self._jobs: list[Job] = []
        self._requests = WindowRequests()

    @property
    def waiting(self) -> int:
        """Notes that are not rendered yet."""
        return len(self._jobs)

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def ahead(
        self,
        owner: object,
        backend: Backend,
        wishes: Sequence[tuple[NDArray[np.float32], int]],
    ) -> None:
        """Do nothing: there is time enough."""

    def window(self, request: WindowRequest) -> None:
        """See :meth:`Renderer.window`."""
        self._requests.put(request)

    def forget(self, client: Hashable) -> None:
        self._requests.drop(client)

    def stop(self) -> None:
        """Do nothing: there is no thread."""

    def work(self) -> None:
        """Render all that was asked for, and tell the jobs."""
        while self._requests:
            answer(self._requests.take())
        jobs, self._jobs = self._jobs, []
        missing: dict[Key, Job] = {}
        for job in jobs:
            if job.key not in self._cache:
                missing.setdefault(job.key, job)
        found = {job.key: self._cache.get(job.key) for job in jobs}
        for backend in {job.backend for job in missing.values()}:
            mine = [job for job in missing.values() if job.backend is backend]
            size = backend.info.batch
            for part in (mine[at : at + size] for at in range(0, len(mine), size)):
                z = np.stack([job.z for job in part])
                labels = np.array([job.label for job in part], np.int64)
                for job, spectrum in zip(part, backend.render(z, labels), strict=True):
                    found[job.key] = spectrum
                    self._cache.put(job.key, spectrum)
        for job in jobs:
            whole = found[job.key]
            assert whole is not None
            if job.begun is not None:
                job.begun(whole)
            job.done(whole)
