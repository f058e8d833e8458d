"""Messages about checkpoints."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call

if TYPE_CHECKING:
    from gansynth_server.server import Server

_log = logging.getLogger(__name__)


class CheckpointMessages:
    def __init__(self, server: Server) -> None:
        self._instrument = server.instrument
        self._models = server.models

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
        if name not in self._models.names():
            known = ", ".join(self._models.names())
            raise UserError(f"no checkpoint called {name!r}; there are: {known}")
        finish = self._instrument.job(call.client)
        fail = call.failing("/checkpoint/load")

        def load() -> None:
            try:
                self._instrument.use(call.client, self._models.get(name))
                call.reply("/done", "/checkpoint/load", name)
                if call.peer.notified:
                    call.reply("/checkpoint", name)
            except UserError as error:
                fail(str(error))
            except Exception as error:
                _log.exception("loading %s failed", name)
                fail(f"loading {name} failed: {error}")
            finally:
                finish()

        threading.Thread(target=load, name="load", daemon=True).start()
