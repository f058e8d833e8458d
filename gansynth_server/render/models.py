"""The checkpoints in memory: each is loaded once and shared by all clients."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from gansynth_server.model import checkpoint
from gansynth_server.render.model import Model


class Models:
    """Loads checkpoints by name and keeps them; may be used from any thread.

    Args:
        load: makes the model of a name.
        most: bytes of models that are not used; when they have more, those go first that
            were asked for longest ago.
        used: returns the models that clients or notes use.
        dropped: is told of each model that goes.
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
        """Return the names that clients may load: those found, and those loaded already."""
        return sorted({*checkpoint.available(), *self._loaded})

    def loaded(self, name: str) -> bool:
        """Return whether a checkpoint is in memory."""
        return name in self._loaded

    def get(self, name: str) -> Model:
        """Return a checkpoint, loaded if need be; UserError says what is wrong with it."""
        model = self._loaded.get(name)
        # without the lock, so that a checkpoint in memory waits for none that is being loaded
        if model is not None:
            return model
        with self._lock:
            model = self._loaded.pop(name, None)
            if model is None:
                model = self._load(name)
            self._loaded[name] = self._loaded[model.checkpoint.name] = model
            self._make_room(model)
            return model

    def _make_room(self, newest: Model) -> None:
        """Forget models that are not used, until the others of that kind fit."""
        used = {id(model) for model in (newest, *self._used())}
        idle = {id(m): m for m in self._loaded.values() if id(m) not in used}
        size = sum(model.nbytes for model in idle.values())
        for model in idle.values():
            if size <= self._most:
                return
            size -= model.nbytes
            self._loaded = {k: m for k, m in self._loaded.items() if m is not model}
            self._dropped(model)
