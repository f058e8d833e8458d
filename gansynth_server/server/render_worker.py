"""The render process from inside: the networks, and a thread a lane that replies to requests."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace

from gansynth_server.errors import UserError
from gansynth_server.instrument.offline_player import render_mono
from gansynth_server.options import BackendName, PrecisionName, ServerOptions
from gansynth_server.render.backends.base import BackendInfo
from gansynth_server.render.channel import Channel
from gansynth_server.render.model import Model
from gansynth_server.render.protocol import (
    DropRequest,
    Float32,
    FramesAtRequest,
    FramesIntoRequest,
    FramesRequest,
    HallucinationRequest,
    InvertRequest,
    Lane,
    Loaded,
    LoadRequest,
    RenderReply,
    RenderRequest,
    SpectraRequest,
    WavesRequest,
)
from gansynth_server.spectral.arena import SharedSpectra
from gansynth_server.util import log
from gansynth_server.util.threads import RENDER, lower_priority, name_process, set_threads

SWITCH_INTERVAL_S = 0.0001
"""Switch interval (s) of the interpreter: a new note's head waits for it each time that Python
code of a longer lane runs (a hallucination is mixed here), with Python's default for 5 ms."""
_log = logging.getLogger(__name__)


def serve(
    options: ServerOptions, channels: Sequence[Channel], spectra: SharedSpectra | None = None
) -> None:
    """Reply on each channel until the other end is closed; then end the process.

    Signals are ignored: the server is told to stop, and may need a last note for its end.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    name_process(RENDER)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    log.set_up(options.verbosity, options.log)
    networks = Networks(options, spectra)
    for lane in Lane:
        if lane is not Lane.LIVE:
            args = networks, channels[lane], lane
            threading.Thread(target=_reply, args=args, daemon=True).start()
    _reply(networks, channels[Lane.LIVE], Lane.LIVE)


def _reply(networks: Networks, channel: Channel, lane: Lane) -> None:
    if lane is Lane.SEARCH:
        lower_priority()
    while True:
        try:
            request, _ = channel.receive()
            channel.send(*_replied(networks, request))
        except (EOFError, OSError):
            os._exit(0)  # without waiting for other threads


def _replied(networks: Networks, request: RenderRequest) -> tuple[RenderReply, Sequence[Float32]]:
    try:
        value, *arrays = networks.handle(request)
    except UserError as error:
        return RenderReply(user_error=str(error)), []
    except Exception as error:
        _log.exception("%s failed", type(request).__name__)
        reason = str(error).partition("\n")[0] or type(error).__name__
        return RenderReply(error=reason), []
    return RenderReply(value), arrays


class Networks:
    """The loaded checkpoints, by the path of their weights; for several threads.

    Args:
        spectra: places that requests may name.
    """

    def __init__(self, options: ServerOptions, spectra: SharedSpectra | None = None) -> None:
        set_threads(options.threads)
        self._options, self._spectra = options, spectra
        self._models: dict[str, Model] = {}
        self._lock = threading.Lock()

    def handle(
        self, request: RenderRequest
    ) -> (
        tuple[Loaded | BackendInfo | None]
        | tuple[Loaded | BackendInfo | None, *tuple[Float32, ...]]
    ):
        """Do what a request asks for; return a small value first, then arrays."""
        match request:
            case LoadRequest(name, backend, precision):
                return (self._loaded(name, backend, precision),)
            case DropRequest(path):
                with self._lock:
                    self._models.pop(path, None)
                return (None,)
            case FramesRequest(path, z, labels, window, live):
                model = self._model(path)
                render = model.backend.live if live else model.backend.frames
                parts = render(z, labels, window)
                # read after rendering: the backend may have fallen back on another
                return model.backend.info, *parts
            case FramesIntoRequest(path, z, labels, window, slots):
                assert self._spectra is not None
                model = self._model(path)
                spectra = [self._spectra.spectrum(slot) for slot in slots]
                model.backend.live_into(z, labels, window, spectra)
                return (model.backend.info,)
            case FramesAtRequest(path, z, labels, firsts, length):
                model = self._model(path)
                parts = model.backend.live_at(z, labels, firsts, length)
                return model.backend.info, *parts
            case WavesRequest(path, z, labels):
                model = self._model(path)
                waves = model.backend.waves(z, labels)
                return model.backend.info, waves
            case SpectraRequest(path, z, pitches):
                return None, self._model(path).spectra(z, pitches)
            case HallucinationRequest(path, sequence, sample_rate):
                return None, render_mono(self._model(path), sequence, sample_rate)
            case InvertRequest(path, sound, name, pitch, seconds, seed):
                from gansynth_server.analysis.inversion import invert_file

                model = self._model(path)
                asked = sound, name, pitch, seconds, seed
                return None, invert_file(model.checkpoint.generator, model.presets, *asked)

    def _loaded(
        self, name: str, backend: BackendName | None, precision: PrecisionName | None
    ) -> Loaded:
        model = self._load(name, backend, precision)
        copy = replace(model.checkpoint)  # without the network
        return Loaded(copy, model.backend.info, model.nbytes, model.remark)

    def _model(self, path: str) -> Model:
        """Return the model; load it where it was dropped, or not loaded since the process began."""
        return self._models.get(path) or self._load(path)

    def _load(
        self,
        name: str,
        backend: BackendName | None = None,
        precision: PrecisionName | None = None,
    ) -> Model:
        with self._lock:
            model = self._models.get(name)  # another thread may have loaded it meanwhile
            if model is None:
                o = self._options
                chosen = backend or o.backend, precision or o.precision
                model = Model.load(name, o.torch_device, *chosen, o.fallback)
                model.warm()
                self._models[str(model.checkpoint.weights)] = model
            return model
