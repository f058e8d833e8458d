"""The render process: networks run in a process of their own, which may crash or hang.

The server asks it over channels, and it writes the frames of notes into the arena. When it
ends, for whatever reason, another is started; requests in flight fail, and the sound goes on.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import threading
from abc import ABC, abstractmethod
from multiprocessing.process import BaseProcess
from typing import Any

from gansynth_server.errors import RenderError, UserError
from gansynth_server.latent.sequence import Sequence
from gansynth_server.options import ServerOptions
from gansynth_server.render.backends.base import BackendInfo
from gansynth_server.render.channel import Channel
from gansynth_server.render.protocol import (
    TIMEOUT_S,
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
    Serve,
    SpectraRequest,
    WavesRequest,
)
from gansynth_server.spectral.arena import SharedSpectra
from gansynth_server.spectral.spectrum import Spectrum

_log = logging.getLogger(__name__)


class RenderService(ABC):
    """What renders for this process; its methods may be called from any thread.

    All of them raise UserError as it was raised on the other side, and RenderError
    for any other failure there, or where the process ended.

    Args:
        spectra: places that it writes notes into.
    """

    def __init__(self, spectra: SharedSpectra | None = None) -> None:
        self._spectra = spectra

    @property
    @abstractmethod
    def pids(self) -> list[int]:
        """Process ids of the processes that render now."""

    @property
    def workers(self) -> int:
        """Number of requests of a lane that are worked on at a time."""
        return 1

    @abstractmethod
    def ask(self, lane: Lane, request: RenderRequest) -> tuple[Any, list[Float32]]:
        """Send a request and wait for the reply: a small value, and arrays."""

    @abstractmethod
    def stop(self) -> None:
        """End the processes; requests fail from now on. A second call does nothing."""

    def load(self, name: str) -> Loaded:
        """Load a checkpoint and prepare it for live notes."""
        loaded: Loaded = self.ask(Lane.LOAD, LoadRequest(name))[0]
        return loaded

    def drop(self, path: str) -> None:
        """Forget a network."""
        self.ask(Lane.LOAD, DropRequest(path))

    def render(
        self, lane: Lane, request: FramesRequest | FramesAtRequest | WavesRequest
    ) -> tuple[BackendInfo, list[Float32]]:
        """Render frames or waves of notes; return what the backend is like now, and the arrays."""
        return self.ask(lane, request)

    def render_into(self, request: FramesIntoRequest) -> BackendInfo:
        """Render frames into places of the arena; return what the backend is like now."""
        info: BackendInfo = self.ask(Lane.LIVE, request)[0]
        return info

    def holds(self, spectrum: Spectrum) -> bool:
        """Return whether the processes can write into a spectrum's place."""
        return self._spectra is not None and self._spectra.holds(spectrum)

    def spectra(self, request: SpectraRequest) -> Float32:
        """Compute the network's normalised output, float32 [N, 128, 1024, 2]."""
        return self.ask(Lane.WORK, request)[1][0]

    def hallucination(self, path: str, sequence: Sequence, sample_rate: int) -> Float32:
        """Render a hallucination as a whole, in mono: float32 [samples]."""
        return self.ask(Lane.WORK, HallucinationRequest(path, sequence, sample_rate))[1][0]

    def invert(self, request: InvertRequest) -> Float32:
        """Search a latent: float32 [latent_size + 2], the pitch and the distance (dB) last."""
        return self.ask(Lane.SEARCH, request)[1][0]


class ProcessEndedError(RenderError):
    """The process ended before it replied; another is being started."""


class RenderProcess(RenderService):
    """The process that renders for this one, and in its place the next one when it has ended.

    Args:
        options: those of the network and of the log hold for it too.
        serve: runs in it.
        spectra: places that it writes notes into, also when it has been started again.
    """

    def __init__(
        self, options: ServerOptions, serve: Serve, spectra: SharedSpectra | None = None
    ) -> None:
        super().__init__(spectra)
        self._options, self._serve = options, serve
        self._lock = threading.Lock()
        self._stopped = False
        self._life = _Life(options, serve, spectra)
        atexit.register(self.stop)  # it does not listen to SIGTERM

    @property
    def pid(self) -> int | None:
        """Process id of the current render process."""
        return self._life.process.pid

    @property
    def pids(self) -> list[int]:
        return [self.pid] if self.pid is not None else []

    def ask(self, lane: Lane, request: RenderRequest) -> tuple[Any, list[Float32]]:
        life = self._life
        try:
            reply, arrays = life.ask(lane, request)
        except (EOFError, OSError) as error:
            raise self._replace(life) from error
        if reply.user_error is not None:
            raise UserError(reply.user_error)
        if reply.error is not None:
            raise RenderError(reply.error)
        return reply.value, arrays

    def stop(self) -> None:
        atexit.unregister(self.stop)
        with self._lock:
            self._stopped = True
            self._life.kill()

    def _replace(self, life: _Life) -> RenderError:
        with self._lock:
            if self._stopped:
                return RenderError("the render process has been stopped")
            if life is self._life:
                life.process.join(timeout=0.2)  # one that has just ended has a status of its own
                code = life.kill()
                _log.warning("the render process ended with %s: it is started again", code)
                self._life = _Life(self._options, self._serve, self._spectra)
        return ProcessEndedError("the render process ended; it is being started again")


class _Life:
    """One life of the process."""

    def __init__(self, options: ServerOptions, serve: Serve, spectra: SharedSpectra | None) -> None:
        context = multiprocessing.get_context("spawn")
        ends = [Channel.pair(context) for _ in Lane]
        self.process: BaseProcess = context.Process(
            target=serve,
            args=(options, [theirs for _, theirs in ends], spectra),
            name="gansynth-render",
            daemon=True,
        )
        self.process.start()
        for _, theirs in ends:
            theirs.pipe.close()  # or its end would not be noticed
        self._channels = [(threading.Lock(), ours) for ours, _ in ends]

    def ask(self, lane: Lane, request: RenderRequest) -> tuple[RenderReply, list[Float32]]:
        lock, channel = self._channels[lane]
        with lock:
            channel.send(request)
            if not channel.pipe.poll(TIMEOUT_S[lane]):
                raise TimeoutError(f"no reply within {TIMEOUT_S[lane]:g} s")  # an OSError
            return channel.receive()

    def kill(self) -> int | None:
        """End it at once, if it has not ended yet; return its exit status."""
        self.process.kill()
        self.process.join(timeout=2)
        return self.process.exitcode
