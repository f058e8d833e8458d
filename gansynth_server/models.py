"""The checkpoints in memory: each is loaded once and shared by all clients."""

from __future__ import annotations

import os
import threading

from gansynth_server import api
from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from gansynth_server.options import BackendName, PrecisionName


def set_threads(threads: int) -> None:
    """CPU threads of the network; 0 is all cores but one; UserError for what cannot be."""
    import torch

    if not 0 <= threads <= 1024:
        raise UserError(f"--threads must be 0 (all cores but one) to 1024, not {threads}")
    # with a core left to it, the sound need not wait for the network
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) - 1))


class Models:
    """Loads checkpoints by name and keeps them; may be used from any thread.

    Args:
        live: prepares them for notes that somebody waits for.
    """

    def __init__(
        self,
        torch_device: str = "auto",
        threads: int = 0,
        backend: BackendName = "auto",
        precision: PrecisionName = "auto",
        live: bool = True,
    ) -> None:
        set_threads(threads)
        self._live = live
        self._choice = torch_device, backend, precision
        self._loaded: dict[str, api.Model] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names that clients may load: what is found, and what is loaded already."""
        return sorted({*checkpoint.available(), *self._loaded})

    def loaded(self, name: str) -> bool:
        """Whether a checkpoint is there at once."""
        return name in self._loaded

    def get(self, name: str) -> api.Model:
        """A loaded checkpoint; UserError says what is wrong with it."""
        if name in self._loaded:  # while another one is being loaded too
            return self._loaded[name]
        with self._lock:
            if name not in self._loaded:
                model = api.load(name, *self._choice)
                if self._live:
                    model.warm()
                self._loaded[name] = self._loaded[model.checkpoint.name] = model
            return self._loaded[name]
