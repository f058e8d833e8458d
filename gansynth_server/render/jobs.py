"""Jobs for the render thread, and the tasks that it makes of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gansynth_server.render.backends.base import Backend, Slice
from gansynth_server.render.spectrum_cache import Key
from gansynth_server.render.window_requests import WindowRequest
from gansynth_server.spectral.arena import Arena
from gansynth_server.spectral.constants import HOP, SAMPLE_RATE
from gansynth_server.spectral.spectrum import Spectrum

_log = logging.getLogger(__name__)

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

    The spectrum's place is in use until the calls have returned: to keep it beyond them, count
    another use (:meth:`Arena.use`) in the first one.
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
    """A spectrum that is being rendered, and the jobs that wait for it.

    It is one use of the spectrum's place; a prefetch has none before it is rendered.
    """

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
        ready = self.ready
        part = next(part for part in self.slices if part.window[1] > ready)
        # what there is may end inside a slice, if it was rendered by another backend's slices
        return Slice((ready, part.window[1]), part.batch) if part.window[0] < ready else part

    @property
    def rank(self) -> int:
        if not self.jobs:
            return AHEAD
        return NEW if not self.ready and any(job.begun for job in self.jobs) else REST

    @property
    def due(self) -> float:
        """Time (s) at which the next frames are needed, so that slices of notes take turns."""
        return self.asked + self.ready * HOP / SAMPLE_RATE


def no_place(arena: Arena) -> str:
    """Return why a note is not rendered that no place of the arena is left for."""
    return (
        f"all {arena.count} places for different notes are sounding: "
        "release some, or raise --cache-mb"
    )


def tell_begun(jobs: Sequence[Job], spectrum: Spectrum) -> None:
    """Call ``begun`` of the jobs that have one."""
    for job in jobs:
        if job.begun is not None:
            with _logged():
                job.begun(spectrum)


def tell_done(jobs: Sequence[Job], spectrum: Spectrum) -> None:
    """Call ``done``, after ``begun`` has returned wherever that was called."""
    for job in jobs:
        with job.telling:
            pass
        with _logged():
            job.done(spectrum)


def tell_failed(jobs: Sequence[Job], why: str) -> None:
    """Call ``failed``, after ``begun`` has returned wherever that was called."""
    for job in jobs:
        with job.telling:
            pass
        with _logged():
            job.failed(why)


@contextmanager
def _logged() -> Iterator[None]:
    """Log an exception of a job, which must not keep the others from being told."""
    try:
        yield
    except Exception:
        _log.exception("a callback of a render failed")
