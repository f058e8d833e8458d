"""The network in a process of its own: it holds up no sound, and its end is not ours.

Whoever runs Python holds the interpreter lock, and who renders runs much of
it; a library that breaks takes its process along. So the server's networks
live in a second process, and are asked over a line. When that one ends, for
whatever reason, another is started; what it was asked then fails, and the
sound goes on.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import multiprocessing
import threading
from dataclasses import dataclass
from enum import IntEnum
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from gansynth_server.errors import RenderError, UserError
from gansynth_server.options import ServerOptions
from gansynth_server.render.backends.base import Backend, Firsts, Float32, Labels, Slice
from gansynth_server.render.channel import Line
from gansynth_server.render.receptive_field import Span

if TYPE_CHECKING:
    from gansynth_server.model.checkpoint import Checkpoint

_log = logging.getLogger(__name__)


class Channel(IntEnum):
    """What is asked on one waits for nothing that is asked on another."""

    LIVE = 0
    """Frames of notes that sound."""
    LOAD = 1
    """Checkpoints."""
    WORK = 2
    """What takes long, and nobody waits for to sound."""
    SEARCH = 3
    """What takes a minute or more."""


PATIENCE = {
    Channel.LIVE: 120.0,
    Channel.LOAD: 600.0,
    Channel.WORK: 3600.0,
    Channel.SEARCH: 3600.0,
}
"""Seconds for an answer: a compilation takes some, a device that hangs takes for ever."""


@dataclass(frozen=True)
class Question:
    """Something to do with a checkpoint, which is loaded if it is not there.

    ``what`` is a method of :class:`gansynth_server.server.server.render_worker.Networks`.
    """

    what: str
    path: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What there is to know of a backend on the other side."""

    name: str
    precision: str
    batch: int
    windows: int
    mixed: bool
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class Loaded:
    """A checkpoint that is there; its network is on the other side."""

    checkpoint: Checkpoint
    facts: Facts
    nbytes: int
    remark: str


@dataclass(frozen=True)
class Answer:
    """What comes back, beside arrays; or why nothing does."""

    value: Any = None
    user_error: str | None = None
    error: str | None = None


class RenderProcess:
    """The process that renders for this one; its methods are for any thread.

    Args:
        options: those of the network and of the log hold for it too.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._stopped = False
        self._worker = _Worker(options)
        atexit.register(self.stop)  # it does not listen to SIGTERM

    @property
    def pid(self) -> int | None:
        """Of the process that there is now."""
        return self._worker.process.pid

    def ask(self, channel: Channel, question: Question) -> tuple[Any, list[Float32]]:
        """Asks, and waits for the answer: something small, and arrays.

        Raises:
            UserError: as it was raised on the other side.
            RenderError: any other failure there, or its end.
        """
        worker = self._worker
        try:
            answer, arrays = worker.ask(channel, question)
        except (EOFError, OSError) as error:
            raise self._replace(worker) from error
        if answer.user_error is not None:
            raise UserError(answer.user_error)
        if answer.error is not None:
            raise RenderError(answer.error)
        return answer.value, arrays

    def stop(self) -> None:
        """Ends the process; what it is asked fails from now on. A second time does nothing."""
        atexit.unregister(self.stop)
        with self._lock:
            self._stopped = True
            self._worker.kill()

    def _replace(self, worker: _Worker) -> RenderError:
        with self._lock:
            if self._stopped:
                return RenderError("the render process has been stopped")
            if worker is self._worker:
                worker.process.join(timeout=0.2)  # one that has just ended has a status of its own
                code = worker.kill()
                _log.warning("the render process ended with %s: it is started again", code)
                self._worker = _Worker(self._options)
        return RenderError("the render process ended; it is being started again")


class _Worker:
    """One life of the process."""

    def __init__(self, options: ServerOptions) -> None:
        from gansynth_server.server.render_worker import serve

        context = multiprocessing.get_context("spawn")
        lines = [Line.pair(context) for _ in Channel]
        self.process: BaseProcess = context.Process(
            target=serve,
            args=(options, [theirs for _, theirs in lines]),
            name="gansynth-render",
            daemon=True,
        )
        self.process.start()
        for _, theirs in lines:
            theirs.pipe.close()  # or its end would not be noticed
        self._channels = [(threading.Lock(), ours) for ours, _ in lines]

    def ask(self, channel: Channel, question: Question) -> tuple[Answer, list[Float32]]:
        lock, line = self._channels[channel]
        with lock:
            line.send(question)
            if not line.pipe.poll(PATIENCE[channel]):
                raise TimeoutError(f"no answer within {PATIENCE[channel]:g} s")  # an OSError
            return line.receive()

    def kill(self) -> int | None:
        """Ends it at once, if it has not ended yet; its exit status."""
        self.process.kill()
        self.process.join(timeout=2)
        return self.process.exitcode


class Remote(Backend):
    """A backend in the render process.

    Args:
        path: of the checkpoint's weights.
    """

    def __init__(self, process: RenderProcess, path: str, facts: Facts) -> None:
        self._process, self._path = process, path
        self._know(facts)

    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        return self._rendered(Channel.WORK, "frames", z, labels, window)

    def waves(self, z: Float32, labels: Labels) -> Float32:
        facts, (waves,) = self._process.ask(
            Channel.WORK, Question("render", self._path, ("waves", z, labels))
        )
        self._know(facts)
        return waves

    def live(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        return self._rendered(Channel.LIVE, "live", z, labels, window)

    def live_at(
        self, z: Float32, labels: Labels, firsts: Firsts, length: int
    ) -> tuple[Float32, Float32]:
        return self._rendered(Channel.LIVE, "live_at", z, labels, firsts, length)

    def prepare(self, latent_size: int) -> None:
        """Nothing: it was prepared as it was loaded."""

    def work(self, what: str, *args: Any, channel: Channel = Channel.WORK) -> Float32:
        """What a method of the model on the other side makes: one array.

        Raises:
            UserError: as it was raised there.
            RenderError: it failed otherwise.
        """
        question = Question("work", self._path, (what, *args))
        return self._process.ask(channel, question)[1][0]

    def close(self) -> None:
        """Has the other side forget the network."""
        with contextlib.suppress(RenderError):  # it has, where it has ended
            self._process.ask(Channel.LOAD, Question("drop", self._path))

    def _rendered(
        self, channel: Channel, what: str, z: Float32, labels: Labels, *which: Any
    ) -> tuple[Float32, Float32]:
        facts, (magnitude, increment) = self._process.ask(
            channel, Question("render", self._path, (what, z, labels, *which))
        )
        self._know(facts)
        return magnitude, increment

    def _know(self, facts: Facts) -> None:
        """Takes over what the backend is like now: it may have fallen back on another."""
        self.name, self.precision = facts.name, facts.precision
        self.batch, self.windows, self.slices = facts.batch, facts.windows, facts.slices
        self.mixed = facts.mixed
