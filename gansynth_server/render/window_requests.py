"""Requests for frames of sounding notes with another latent: each owner's latest counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import RenderError
from gansynth_server.render.backends.base import Backend
from gansynth_server.render.receptive_field import Span

Float32 = NDArray[np.float32]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """Some frames of a note, first and one after the last, for a latent [latent_size].

    Clients come in turns. ``owner`` has one request at a time, the latest. ``done`` is
    given magnitudes and phase increments (rad), float32 [frames, 1024] each, or
    ``failed`` is told why not, on the render thread; neither is called if a later
    request of the same owner came before this one had begun.
    """

    client: Hashable
    owner: Hashable
    backend: Backend
    z: Float32
    label: int
    window: Span
    done: Callable[[Float32, Float32], None]
    failed: Callable[[str], None]


class WindowRequests:
    """The latest request of each owner, those of a client in the order in which the owners
    came, the clients in turns; for one thread at a time."""

    def __init__(self) -> None:
        self._latest: dict[Hashable, dict[Hashable, WindowRequest]] = {}  # by client and owner
        self._busy: set[Hashable] = set()  # owners, one of whose requests is being rendered

    def __bool__(self) -> bool:
        """Return whether there is anything to take."""
        return any(True for _ in self._waiting())

    def _waiting(self) -> Iterator[WindowRequest]:
        """Yield what may be rendered now: two of an owner at a time might end in wrong order."""
        for waiting in self._latest.values():
            yield from (r for r in waiting.values() if r.owner not in self._busy)

    def put(self, request: WindowRequest) -> None:
        """Queue a request in place of the owner's last one, in that one's turn."""
        self._latest.setdefault(request.client, {})[request.owner] = request

    def drop(self, client: Hashable) -> None:
        """Forget what a client asked for."""
        self._latest.pop(client, None)

    def take(self) -> list[WindowRequest]:
        """Return the request whose turn it is, and those that can be rendered with it.

        Until :meth:`finish` their owners' next requests wait.
        """
        first = next(self._waiting())
        alike = [
            request
            for request in self._waiting()
            if request.backend is first.backend and _together(request.window, first)
        ][: first.backend.info.windows]
        for request in alike:
            self._busy.add(request.owner)
            waiting = self._latest.pop(request.client)
            del waiting[request.owner]
            if waiting:
                self._latest[request.client] = waiting  # behind the others
        return alike

    def finish(self, requests: list[WindowRequest]) -> None:
        """Take note that requests have been answered."""
        self._busy.difference_update(request.owner for request in requests)


def _together(window: Span, first: WindowRequest) -> bool:
    """Return whether a window is rendered with a request: an equal one, or as long a one."""
    other = first.window
    if first.backend.info.mixed:
        return window[1] - window[0] == other[1] - other[0]
    return window == other


def answer(requests: list[WindowRequest]) -> None:
    """Render requests of :meth:`WindowRequests.take`, and tell the owners."""
    first = requests[0]
    try:
        z = np.stack([request.z for request in requests])
        labels = np.array([request.label for request in requests], np.int64)
        if all(request.window == first.window for request in requests):
            parts = first.backend.live(z, labels, first.window)
        else:
            firsts = np.array([request.window[0] for request in requests], np.int64)
            length = first.window[1] - first.window[0]
            parts = first.backend.live_at(z, labels, firsts, length)
    except Exception as error:
        plain = not isinstance(error, RenderError)  # those were logged where they came from
        _log.warning("frames %d to %d failed: %s", *first.window, error, exc_info=plain)
        for request in requests:
            request.failed(f"the render failed: {error}")
        return
    for request, magnitude, increment in zip(requests, *parts, strict=True):
        request.done(magnitude, increment)
