"""The checkpoints in memory: each is loaded once and shared by all clients."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from gansynth_server import api
from gansynth_server.errors import UserError
from gansynth_server.latent.sequence import Sequence
from gansynth_server.model import checkpoint
from gansynth_server.options import SEARCH_SECONDS
from gansynth_server.render.process import Channel, Loaded, Question, Remote, RenderProcess


def check_threads(threads: int) -> None:
    """UserError for a number of threads that cannot be."""
    if not 0 <= threads <= 1024:
        raise UserError(f"--threads must be 0 (all cores but one) to 1024, not {threads}")


def set_threads(threads: int) -> None:
    """CPU threads of PyTorch; 0 is all cores but one; UserError for what cannot be."""
    check_threads(threads)
    import torch

    # with a core left to it, the sound need not wait for the network
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) - 1))


class RemoteModel(api.Model):
    """A checkpoint whose network is in the render process; the server's kind.

    Args:
        name: a bundled name, a folder, or a .safetensors file.

    Raises:
        UserError: as for :func:`gansynth_server.load`.
    """

    def __init__(self, process: RenderProcess, name: str) -> None:
        loaded: Loaded = process.ask(Channel.LOAD, Question("load", name))[0]
        self._nbytes = loaded.nbytes
        self.backend: Remote = Remote(process, str(loaded.checkpoint.weights), loaded.facts)
        super().__init__(loaded.checkpoint, self.backend, loaded.remark)

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def spectra(self, z: api.Float32, pitches: NDArray[np.int64] | list[int]) -> api.Float32:
        return self.backend.work("spectra", z, pitches)

    def hallucination(self, sequence: Sequence, sample_rate: int) -> api.Float32:
        return self.backend.work("hallucination", sequence, sample_rate)

    def invert(
        self,
        sound: bytes,
        name: str,
        pitch: int | None = None,
        seconds: float = SEARCH_SECONDS,
        seed: int = 0,
    ) -> api.Float32:
        asked = sound, name, pitch, seconds, seed
        return self.backend.work("invert", *asked, channel=Channel.SEARCH)

    def close(self) -> None:
        self.backend.close()


class Models:
    """Loads checkpoints by name and keeps them; may be used from any thread.

    Args:
        load: makes a model of a name.
        most: bytes of those that nobody uses; when they have more, those go first that
            were asked for longest ago.
        used: those that somebody uses.
        dropped: is told of each that goes.
    """

    def __init__(
        self,
        load: Callable[[str], api.Model] = api.load,
        most: int = 2**30,
        used: Callable[[], Collection[api.Model]] = tuple,
        dropped: Callable[[api.Model], None] = lambda model: None,
    ) -> None:
        self._load = load
        self._most, self._used, self._dropped = most, used, dropped
        self._loaded: dict[str, api.Model] = {}  # those asked for last come last
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names that clients may load: what is found, and what is loaded already."""
        return sorted({*checkpoint.available(), *self._loaded})

    def loaded(self, name: str) -> bool:
        """Whether a checkpoint is there at once."""
        return name in self._loaded

    def get(self, name: str) -> api.Model:
        """A loaded checkpoint; UserError says what is wrong with it."""
        model = self._loaded.get(name)
        if model is not None:  # while another one is being loaded too
            return model
        with self._lock:
            model = self._loaded.pop(name, None)
            if model is None:
                model = self._load(name)
            self._loaded[name] = self._loaded[model.checkpoint.name] = model
            self._make_room(model)
            return model

    def _make_room(self, newest: api.Model) -> None:
        """Forgets models that nobody uses, until the others of that kind have room."""
        used = {id(model) for model in (newest, *self._used())}
        idle = {id(m): m for m in self._loaded.values() if id(m) not in used}
        size = sum(model.nbytes for model in idle.values())
        for model in idle.values():
            if size <= self._most:
                return
            size -= model.nbytes
            self._loaded = {k: m for k, m in self._loaded.items() if m is not model}
            self._dropped(model)
