"""The checkpoints in memory: each is loaded once and shared by all clients."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from gansynth_server.model import checkpoint
from gansynth_server.render.model import Model


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
        load: Callable[[str], Model] = Model.load,
        most: int = 2**30,
        used: Callable[[], Collection[Model]] = tuple,
        dropped: Callable[[Model], None] = lambda model: None,
    ) -> None:
        self._load = load
        self._most, self._used, self._dropped = most, used, dropped
        self._loaded: dict[str, Model] = {}  # those asked for last come last
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names that clients may load: what is found, and what is loaded already."""
        return sorted({*checkpoint.available(), *self._loaded})

    def loaded(self, name: str) -> bool:
        """Whether a checkpoint is there at once."""
        return name in self._loaded

    def get(self, name: str) -> Model:
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

    def _make_room(self, newest: Model) -> None:
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
