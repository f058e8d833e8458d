"""Messages about the map of timbres, and directions with names."""

from __future__ import annotations

from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import Host
from gansynth_server.latent import timbre_map
from gansynth_server.latent.descriptors import MEASURES
from gansynth_server.latent.directions import edit


class AtlasMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument

    def map(self, call: Call, x: float, y: float, slot: str) -> None:
        z = timbre_map.load(call.client.model.checkpoint).at(x, y)
        self._instrument.set(call.client, slot, z, call.when, f"map {x:g} {y:g}")

    def z_brighter(self, call: Call, slot: str, amount: float) -> None:
        self._move(call, slot, "brighter", amount)

    def z_slower(self, call: Call, slot: str, amount: float) -> None:
        self._move(call, slot, "slower", amount)

    def z_longer(self, call: Call, slot: str, amount: float) -> None:
        self._move(call, slot, "longer", amount)

    def z_noisier(self, call: Call, slot: str, amount: float) -> None:
        self._move(call, slot, "noisier", amount)

    def z_purer(self, call: Call, slot: str, amount: float) -> None:
        self._move(call, slot, "purer", amount)

    def _move(self, call: Call, slot: str, measure: str, amount: float) -> None:
        directions = timbre_map.load(call.client.model.checkpoint).named
        latents, now = call.client.latents, self._instrument.time(call.when)
        amounts = {MEASURES.index(measure): amount}
        path = edit(latents.path(slot, now), directions, amounts, bare=False, seconds=now)
        self._instrument.put(call.client, slot, path, call.when)
