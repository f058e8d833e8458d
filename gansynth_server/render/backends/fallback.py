"""The fallback of a device that fails in the middle of a concert: the CPU goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from gansynth_server.render.backends.base import Backend, Firsts, Float32, Labels
from gansynth_server.render.receptive_field import Span

T = TypeVar("T")
_log = logging.getLogger(__name__)


class WithFallback(Backend):
    """A backend that is replaced by another one, for good, when it fails.

    Args:
        first: renders until it fails.
        make: makes what renders then.
        errors: for which it is replaced.
    """

    def __init__(
        self,
        first: Backend,
        make: Callable[[], Backend],
        errors: type[Exception] = Exception,
    ) -> None:
        self._make, self._errors = make, errors
        self._failed = False
        self._use(first)

    def _use(self, backend: Backend) -> None:
        self._now, self.weights, self.info = backend, backend.weights, backend.info

    def prepare(self, latent_size: int) -> None:
        self._tried(lambda: self._now.prepare(latent_size))
        self._use(self._now)

    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        return self._tried(lambda: self._now.frames(z, labels, window))

    def live(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        return self._tried(lambda: self._now.live(z, labels, window))

    def live_at(
        self, z: Float32, labels: Labels, firsts: Firsts, length: int
    ) -> tuple[Float32, Float32]:
        return self._tried(lambda: self._now.live_at(z, labels, firsts, length))

    def waves(self, z: Float32, labels: Labels) -> Float32:
        return self._tried(lambda: self._now.waves(z, labels))

    def _tried(self, run: Callable[[], T]) -> T:
        try:
            return run()
        except self._errors as error:
            if self._failed:
                raise
            self._failed = True
            reason = str(error).partition("\n")[0] or type(error).__name__
            _log.warning("%s failed (%s): going on without it", self.info.name, reason)
            self._use(self._make())
            _log.warning("rendering with %s from now on", self.info.name)
            return run()
