"""Messages about checkpoints."""

from __future__ import annotations

import re

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import Host
from gansynth_server.server.background import Task


class CheckpointMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._models = host.models
        self._background = host.background

    def checkpoint_list(self, call: Call) -> None:
        call.reply("/checkpoint/list.reply", *self._models.names())

    def checkpoint_info(self, call: Call) -> None:
        model = call.client.model
        name, size = model.checkpoint.name, model.latent_size
        call.reply(
            "/checkpoint/info.reply",
            *(name, size, model.pitches[0], model.pitches[-1], *model.presets),
        )

    def checkpoint_load(self, call: Call, name: str) -> None:
        if name not in self._models.names() and (last := re.split(r"[/\\]", name)[-1]):
            name = last  # a path, as other programs of the kind want it
        if name not in self._models.names():
            known = ", ".join(self._models.names())
            raise UserError(f"no checkpoint called {name!r}; there are: {known}")

        def load() -> None:
            self._instrument.use(call.client, self._models.get(name))
            call.reply("/done", "/checkpoint/load", name)
            if call.peer.notified:
                call.reply("/checkpoint", name)

        if self._models.loaded(name):
            load()  # at its time, as all that follows it expects
        else:
            self._background.run(call, "/checkpoint/load", load, Task.LOAD)
