"""Messages about recorded notes that become timbres."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gansynth_server.handlers.call import Call
from gansynth_server.server.background import Task

if TYPE_CHECKING:
    from gansynth_server.server.server import Server


class InversionMessages:
    def __init__(self, server: Server) -> None:
        self._instrument = server.instrument
        self._root = server.root
        self._background = server.background

    def z_invert(self, call: Call, slot: str, file: str, pitch: int | None, seconds: float) -> None:
        model, seed = call.client.model, self._instrument.seed(None)

        def invert() -> None:
            found = model.invert(self._root.read(file), file, pitch, seconds, seed)
            *_, heard, distance = found.tolist()
            self._instrument.set(call.client, slot, found[:-2], None, f"inverted {file}")
            call.reply("/done", "/z/invert", slot, file, int(heard), distance)

        self._background.run(call, "/z/invert", invert, Task.SEARCH)
