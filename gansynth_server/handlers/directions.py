"""Messages about principal directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import Host
from gansynth_server.latent import directions
from gansynth_server.latent.slots import Path, Still

MOST_AMOUNT = 100.0


class DirectionMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument

    def pca(self, call: Call, slot: str, pairs: NDArray[np.float32]) -> None:
        self._edit(call, slot, pairs, bare=False)

    def pca_noz(self, call: Call, slot: str, pairs: NDArray[np.float32]) -> None:
        self._edit(call, slot, pairs, bare=True)

    def pca_info(self, call: Call) -> None:
        found = directions.load(call.client.model.checkpoint)
        table = np.stack([found.share, found.reach], axis=1)
        call.reply("/pca/info.reply", len(found), table.ravel())

    def _edit(self, call: Call, slot: str, pairs: NDArray[np.float32], bare: bool) -> None:
        if len(pairs) % 2 or (pairs[::2] % 1).any() or (np.abs(pairs[1::2]) > MOST_AMOUNT).any():
            raise UserError(
                f"after the slot come pairs: a component's number and -{MOST_AMOUNT:g} to "
                f"{MOST_AMOUNT:g} standard deviations"
            )
        amounts = dict(zip(pairs[::2].astype(int).tolist(), pairs[1::2].tolist(), strict=True))
        found = directions.load(call.client.model.checkpoint)
        latents, now = call.client.latents, self._instrument.time(call.when)
        path: Path = Still(np.zeros(latents.size, np.float32), "no latent")
        if not bare:
            path = latents.path(slot, now)
        elif slot in latents:
            before = latents.path(slot, now)
            if isinstance(before, directions.Edited) and before.bare:
                path = before
        edited = directions.edit(path, found, amounts, bare, now)
        self._instrument.put(call.client, slot, edited, call.when)
