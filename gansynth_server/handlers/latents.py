"""Messages about latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gansynth_server.handlers.call import Call

if TYPE_CHECKING:
    from gansynth_server.server import Server


class LatentMessages:
    def __init__(self, server: Server) -> None:
        self._instrument = server.instrument

    def z_set(self, call: Call, slot: str, z: NDArray[np.float32]) -> None:
        self._instrument.set(call.client, slot, z, call.when)

    def z_get(self, call: Call, slot: str) -> None:
        call.reply("/z", slot, self._instrument.latent(call.client, slot, call.when))

    def z_random(self, call: Call, slot: str, seed: int | None, spread: float) -> None:
        self._instrument.random(call.client, slot, seed, spread, call.when)

    def z_slerp(self, call: Call, to: str, a: str, b: str, amount: float) -> None:
        self._instrument.slerp(call.client, to, a, b, amount, call.when)

    def z_preset(self, call: Call, slot: str, name: str) -> None:
        self._instrument.preset(call.client, slot, name, call.when)
