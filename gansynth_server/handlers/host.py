"""Who runs the handlers, as they see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gansynth_server.handlers.call import Call
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.render.models import Models
from gansynth_server.server.background import Task
from gansynth_server.util.sandbox import Root


class Work(Protocol):
    """Where things are done that take time (see :class:`Background`)."""

    def run(
        self, call: Call, address: str, work: Callable[[], None], task: Task = Task.FILE
    ) -> None:
        """Does some work, now or later; its UserError becomes a ``/fail``."""
        ...


class Host(Protocol):
    """A server, or a score that is rendered.

    Rooms of messages that have to do with what is heard need no more than
    this; those that concern a running server are ``live`` and take a
    :class:`Server`.
    """

    @property
    def instrument(self) -> Instrument: ...

    @property
    def models(self) -> Models: ...

    @property
    def root(self) -> Root: ...

    @property
    def background(self) -> Work: ...
