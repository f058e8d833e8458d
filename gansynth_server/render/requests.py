"""Frames of notes that sound already, with another latent: the latest wish of each owner counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import RenderError
from gansynth_server.render.backend import Backend
from gansynth_server.render.rows import Span

Float32 = NDArray[np.float32]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """Some frames of a note, first and one after the last, for a latent [latent_size].

    ``done`` is given magnitudes and phase increments in radians, float32
    [frames, 1024] each, or ``failed`` is told why not, on the render thread;
    neither if a later request of the same owner came before this one had begun.
    """

    backend: Backend
    z: Float32
    label: int
    window: Span
    done: Callable[[Float32, Float32], None]
    failed: Callable[[str], None]


class Requests:
    """One request per owner, in the order in which the owners came; for one thread at a time."""

    def __init__(self) -> None:
        self._latest: dict[Hashable, Request] = {}

    def __len__(self) -> int:
        return len(self._latest)

    def put(self, owner: Hashable, request: Request) -> None:
        """Takes a request in place of the owner's last one, which keeps its turn."""
        self._latest[owner] = request

    def drop(self, owner: Hashable) -> None:
        """Forgets what an owner asked for."""
        self._latest.pop(owner, None)

    def take(self) -> list[Request]:
        """The request whose turn it is, and those that can be rendered together with it."""
        first = next(iter(self._latest.values()))
        alike = [
            owner
            for owner, request in self._latest.items()
            if (request.backend, request.window) == (first.backend, first.window)
        ]
        return [self._latest.pop(owner) for owner in alike[: first.backend.windows]]


def answer(requests: list[Request]) -> None:
    """Renders what :meth:`Requests.take` gave, and tells the owners."""
    first = requests[0]
    try:
        z = np.stack([request.z for request in requests])
        labels = np.array([request.label for request in requests], np.int64)
        parts = first.backend.live(z, labels, first.window)
    except Exception as error:
        plain = not isinstance(error, RenderError)  # those were logged where they came from
        _log.warning("frames %d to %d failed: %s", *first.window, error, exc_info=plain)
        for request in requests:
            request.failed(f"the render failed: {error}")
        return
    for request, magnitude, increment in zip(requests, *parts, strict=True):
        request.done(magnitude, increment)
