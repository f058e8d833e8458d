"""What runs in the render process: the networks, and threads that answer questions."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gansynth_server.errors import UserError
from gansynth_server.options import ServerOptions
from gansynth_server.render.backends.base import Float32, Labels
from gansynth_server.render.channel import Line
from gansynth_server.render.process import Answer, Facts, Loaded, Question
from gansynth_server.server import log
from gansynth_server.util.threads import switch_often

if TYPE_CHECKING:
    from gansynth_server.api import Model

_log = logging.getLogger(__name__)


def serve(options: ServerOptions, channels: Sequence[Line]) -> None:
    """Answers on each channel until the other end is closed; then the process ends.

    It ends with nothing else: who is told to stop is the server, which may need a
    last note for its end.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    switch_often()
    log.set_up(options.verbosity, options.log)
    networks = Networks(options)
    for channel in channels[1:]:
        threading.Thread(target=_answer, args=(networks, channel), daemon=True).start()
    _answer(networks, channels[0])


def _answer(networks: Networks, channel: Line) -> None:
    while True:
        try:
            question, _ = channel.receive()
            channel.send(*_answered(networks, question))
        except (EOFError, OSError):
            os._exit(0)  # whatever other threads are in the midst of


def _answered(networks: Networks, question: Question) -> tuple[Answer, Sequence[Float32]]:
    try:
        value, *arrays = getattr(networks, question.what)(question.path, *question.args)
    except UserError as error:
        return Answer(user_error=str(error)), []
    except Exception as error:
        _log.exception("%s failed", question.what)
        reason = str(error).partition("\n")[0] or type(error).__name__
        return Answer(error=reason), []
    return Answer(value), arrays


class Networks:
    """The checkpoints that were loaded, by the path of their weights; for several threads.

    Its methods are what can be asked for. Each gives something small first, then arrays.
    """

    def __init__(self, options: ServerOptions) -> None:
        from gansynth_server.render.models import set_threads

        set_threads(options.threads)
        self._options = options
        self._models: dict[str, Model] = {}
        self._lock = threading.Lock()

    def load(self, name: str) -> tuple[Loaded]:
        """Loads a checkpoint by a name, a folder or a file, and prepares it for live notes."""
        model = self._load(name)
        copy = replace(model.checkpoint)  # without the network
        return (Loaded(copy, _facts(model), model.nbytes, model.remark),)

    def drop(self, path: str) -> tuple[None]:
        with self._lock:
            self._models.pop(path, None)
        return (None,)

    def render(
        self, path: str, what: str, z: Float32, labels: Labels, *which: Any
    ) -> tuple[Facts, *tuple[Float32, ...]]:
        """What ``frames``, ``live``, ``live_at`` or ``waves`` of the backend makes."""
        model = self._model(path)
        made = getattr(model.backend, what)(z, labels, *which)
        return _facts(model), *(made if isinstance(made, tuple) else (made,))

    def work(self, path: str, what: str, *args: Any) -> tuple[None, Float32]:
        """What a method of the model makes."""
        return None, getattr(self._model(path), what)(*args)

    def _model(self, path: str) -> Model:
        """The one asked for; loaded first where it was dropped, or not loaded in this life."""
        return self._models.get(path) or self._load(path)

    def _load(self, name: str) -> Model:
        from gansynth_server import api

        with self._lock:
            model = self._models.get(name)  # it came meanwhile
            if model is None:
                options = self._options
                model = api.load(
                    *(name, options.torch_device, options.backend),
                    *(options.precision, options.fallback),
                )
                model.warm()
                self._models[str(model.checkpoint.weights)] = model
            return model


def _facts(model: Model) -> Facts:
    backend = model.backend
    return Facts(
        *(backend.name, backend.precision, backend.batch),
        *(backend.windows, backend.mixed, backend.slices),
    )
