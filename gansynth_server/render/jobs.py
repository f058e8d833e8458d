"""Jobs for the render thread, and the tasks that it makes of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gansynth_server.render.backends.base import Backend, Slice
from gansynth_server.render.spectrum_cache import Key
from gansynth_server.render.window_requests import WindowRequest
from gansynth_server.spectral.constants import HOP, SAMPLE_RATE
from gansynth_server.spectral.spectrum import Spectrum

NEW, REST, AHEAD = range(3)
"""Ranks: the head of a note that waits, what else is waited for, and prefetches."""


@dataclass(frozen=True, slots=True)
class Job:
    """One note to render; exactly one of ``done`` and ``failed`` is called.

    ``begun`` is called first, as soon as the note's head is rendered; without it the
    head is as urgent as the rest. The calls come from the render thread, or from the
    submitting one for what is in the cache.

    ``wanted`` is called on the render thread before each part of the rest; once no job
    wants it, ``done`` is given what there is (see ``Spectrum.ready``).
    """

    backend: Backend
    z: NDArray[np.float32]
    label: int
    done: Callable[[Spectrum], None]
    failed: Callable[[str], None]
    begun: Callable[[Spectrum], None] | None = None
    wanted: Callable[[], bool] = lambda: True
    owner: Hashable = None
    """Owners come in turns."""
    telling: threading.Lock = field(default_factory=threading.Lock)
    """Held while ``begun`` is called."""

    @property
    def key(self) -> Key:
        return self.backend, self.z.tobytes(), self.label


class Rendering(Protocol):
    """A renderer: the live :class:`Renderer`, or a :class:`BatchRenderer`."""

    def submit(self, job: Job) -> None: ...

    def ahead(
        self,
        owner: object,
        backend: Backend,
        wishes: Sequence[tuple[NDArray[np.float32], int]],
    ) -> None: ...

    def window(self, request: WindowRequest) -> None: ...

    def forget(self, client: Hashable) -> None: ...


@dataclass(eq=False, slots=True)
class RenderTask:
    """A spectrum that is being rendered, and the jobs that wait for it."""

    key: Key
    z: NDArray[np.float32]
    slices: tuple[Slice, ...]
    asked: float
    spectrum: Spectrum | None = None
    jobs: list[Job] = field(default_factory=list)
    entry: int = -1
    """Number of its valid entry in the queue."""
    busy: bool = False
    """True while it is being rendered."""

    @property
    def owners(self) -> set[Hashable]:
        """Owners of its jobs; None for a prefetch."""
        return {job.owner for job in self.jobs} or {None}

    @property
    def ready(self) -> int:
        return 0 if self.spectrum is None else self.spectrum.ready

    @property
    def part(self) -> Slice:
        """The slice to render next."""
        return next(part for part in self.slices if part.window[0] == self.ready)

    @property
    def rank(self) -> int:
        if not self.jobs:
            return AHEAD
        return NEW if not self.ready and any(job.begun for job in self.jobs) else REST

    @property
    def due(self) -> float:
        """Time (s) at which the next frames are needed, so that slices of notes take turns."""
        return self.asked + self.ready * HOP / SAMPLE_RATE


def tell_done(jobs: Sequence[Job], spectrum: Spectrum) -> None:
    """Call ``done``, after ``begun`` has returned wherever that was called."""
    for job in jobs:
        with job.telling:
            pass
        job.done(spectrum)


def tell_failed(jobs: Sequence[Job], why: str) -> None:
    """Call ``failed``, after ``begun`` has returned wherever that was called."""
    for job in jobs:
        with job.telling:
            pass
        job.failed(why)
