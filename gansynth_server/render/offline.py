"""Rendering without a clock: many notes at once, when told to."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from gansynth_server.render.backends.base import WHOLE, Backend
from gansynth_server.render.jobs import Job, no_place
from gansynth_server.render.spectrum_cache import Key, SpectrumCache
from gansynth_server.render.window_requests import WindowRequest, WindowRequests, answer
from gansynth_server.spectral.arena import Arena, LocalSpectra
from gansynth_server.spectral.spectrum import Spectrum


class BatchRenderer:
    """Takes what a :class:`Renderer` takes, and renders it all when ``work`` is called.

    Args:
        arena: places for the spectra; its own, without a bound, where none is given.
        keep: spectra to keep for use again, at most.
    """

    def __init__(self, arena: Arena | None = None, keep: int = 0) -> None:
        self._arena = arena or Arena(LocalSpectra())
        self._cache = SpectrumCache(self._arena, keep)
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
        """Render all that was asked for, and tell the jobs.

        Jobs for which the arena has no place left fail.
        """
        while self._requests:
            requests = self._requests.take()
            answer(requests)
            self._requests.finish(requests)
        jobs, self._jobs = self._jobs, []
        with ExitStack() as held:
            found = self._found(jobs, held)
            for job in jobs:
                spectrum = found.get(job.key)
                if spectrum is None:
                    job.failed(no_place(self._arena))
                    continue
                if job.begun is not None:
                    job.begun(spectrum)
                job.done(spectrum)

    def _found(self, jobs: list[Job], held: ExitStack) -> dict[Key, Spectrum]:
        """Return the spectra of jobs, but for those without a place; ``held`` ends their use."""
        found: dict[Key, Spectrum] = {}
        missing: dict[Key, Job] = {}
        for job in jobs:
            spectrum = self._cache.get(job.key)
            if spectrum is None:
                missing[job.key] = job
            elif job.key not in found:
                found[job.key] = spectrum
                self._arena.use(spectrum)
                held.callback(self._arena.drop, spectrum)
        for key in missing:
            spectrum = self._cache.allocate()
            if spectrum is not None:
                found[key] = spectrum
                held.callback(self._arena.drop, spectrum)
        for backend in dict.fromkeys(key[0] for key in missing):
            mine = [job for key, job in missing.items() if key[0] is backend and key in found]
            size = backend.info.batch
            for part in (mine[at : at + size] for at in range(0, len(mine), size)):
                z = np.stack([job.z for job in part])
                labels = np.array([job.label for job in part], np.int64)
                for job, *frames in zip(part, *backend.frames(z, labels, WHOLE), strict=True):
                    found[job.key].extend(*frames)
                    self._cache.put(job.key, found[job.key])
        return found
